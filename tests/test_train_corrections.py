"""What a user corrected finds the photo it was made of, or a reason; the daemon leaves it alone."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.config.load import folders, load
from bgrd.errors import NoInputError
from bgrd.intake.scan import excluded_of, walk
from bgrd.job import Folder, Origin, Recipe
from bgrd.product import Frame, Product
from bgrd.train.corrections import corrected, own_origin, source_of
from bgrd.train.shrink import Options
from tests.pictures.sets import cutout, photo, write


class House:
    """A folder with photos, corrections, and a journal that knows what it is told."""

    def __init__(self, root: Path, *products: Product, **given: object) -> None:
        self.root = root
        self.known: dict[bytes, Origin] = {}
        self.folder = Folder(
            name="phone",
            inbox=root / "in",
            outbox=root / "out",
            archive=root / "done",
            recipe=Recipe(products=products or (Product(),)),
            corrections=root / "out" / "_corrections",
        )
        self.folder = replace(self.folder, **given)  # type: ignore[arg-type]
        self.folder.inbox.mkdir()
        write(root / "out", {"a.png": cutout(9)})  # an uncorrected result, which is nobody's business

    def photos(self, *names: str, place: str = "in") -> None:
        """Put photos into the inbox or the archive; each has its own bytes."""
        write(self.root / place, {name: f"photo {place}/{name}".encode() for name in names})

    def corrections(self, *names: str) -> None:
        """Put corrections where they belong."""
        write(self.root / "out" / "_corrections", {name: f"correction {name}".encode() for name in names})

    def made(self, target: str, path: str, *, photo: str = "", result: bytes = b"result") -> None:
        """Have the journal know a result, and the photo it was made of as it was then."""
        source = f"photo in/{photo or path}".encode()
        self.known[target.encode()] = Origin(
            path=path.encode(),
            source_sha256=hashlib.sha256(source).hexdigest(),
            sha256=hashlib.sha256(result).hexdigest(),
        )

    def told(self) -> tuple[dict[str, tuple[str, Options]], dict[str, str]]:
        """Give of each correction the photo's bytes and the options, and the reasons of those that have none."""
        source = source_of(self.folder, licence="mine", category="corrections")
        with ExitStack() as stack:
            found, rejected = corrected(self.folder, source, Options(), self.known.get, stack)
            pairs = {}
            for each in found:
                assert each.mask is not None
                assert each.mask() == f"correction {each.name}".encode()
                pairs[each.name] = (each.image().decode(), each.options)
        assert {(one.source) for one in rejected} <= {"corrections of phone"}
        return pairs, {one.name: one.reason for one in rejected}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Give a house with nothing in it."""
    return House(tmp_path)


def photo_of(house: House, name: str = "a.png") -> str:
    """Give what one correction was brought together with."""
    pairs, rejected = house.told()
    assert not rejected
    return pairs[name][0]


def reason_of(house: House, name: str = "a.png") -> str:
    """Give why one correction was refused."""
    pairs, rejected = house.told()
    assert name not in pairs
    return rejected[name]


class TestJournal:
    """Where the journal knows the result."""

    def test_its_source_is_taken(self, house: House) -> None:
        """Also where another photo would have had the name, and in directories."""
        house.photos("a.jpg", "a.heic", "trip/b.jpg")
        house.corrections("a.png", "trip/b.png")
        house.made("a.png", "a.heic")
        house.made("trip/b.png", "trip/b.jpg")
        pairs, rejected = house.told()
        assert {name: text for name, (text, _) in pairs.items()} == {
            "a.png": "photo in/a.heic",
            "trip/b.png": "photo in/trip/b.jpg",
        }
        assert not rejected

    def test_a_correction_may_have_another_format(self, house: House) -> None:
        """An editor that saves WebP or TIFF keeps the name, not the suffix."""
        house.photos("a.jpg", "a.heic")
        house.corrections("a.webp")
        house.made("a.png", "a.heic")
        assert photo_of(house, "a.webp") == "photo in/a.heic"

    def test_an_archived_source_is_found_by_its_bytes(self, house: House) -> None:
        """Whatever number the archive gave it beside others of its name."""
        house.photos("a.jpg", place="done")
        (house.root / "done" / "a-2.jpg").write_bytes(b"photo in/a.jpg")
        house.corrections("a.png")
        house.made("a.png", "a.jpg")
        assert photo_of(house) == "photo in/a.jpg"

    def test_a_source_that_changed_is_not_taken(self, house: House) -> None:
        """The correction is of the photo as it was."""
        house.photos("a.jpg")
        house.corrections("a.png")
        house.made("a.png", "a.jpg", photo="another.jpg")
        assert reason_of(house) == "has no photo: a.jpg was changed since"

    def test_a_source_that_is_gone_is_told(self, tmp_path: Path) -> None:
        """With the reason, where the folder itself deletes sources."""
        house = House(tmp_path, policy="delete")
        house.corrections("a.png")
        house.made("a.png", "a.jpg")
        assert reason_of(house) == "has no photo: a.jpg is not there any more: the folder deletes its sources"

    def test_a_copy_of_the_result_is_no_correction(self, house: House) -> None:
        """A network would learn its own faults from it."""
        house.photos("a.jpg")
        house.corrections("a.png")
        house.made("a.png", "a.jpg", result=b"correction a.png")
        assert reason_of(house) == "is the result as bgrd made it: nothing was corrected"


class TestNames:
    """Where the journal knows nothing of it."""

    @pytest.mark.parametrize("place", ["in", "done"])
    @pytest.mark.parametrize("name", ["a.png", "a.jpg.png", "a.webp"])
    def test_the_only_photo_of_the_name_is_taken(self, house: House, place: str, name: str) -> None:
        """In the inbox or the archive; by its stem or its whole name."""
        house.photos("a.jpg", "b.jpg", place=place)
        house.corrections(name)
        assert photo_of(house, name) == f"photo {place}/a.jpg"

    def test_two_photos_of_the_name_are_told(self, house: House) -> None:
        """Nobody can tell which was corrected."""
        house.photos("a.jpg", "a.heic")
        house.corrections("a.png")
        assert reason_of(house) == "may be of a.heic or a.jpg: nobody can tell"

    def test_none_is_told(self, house: House) -> None:
        """With where it was looked for."""
        house.photos("sub/a.jpg")
        house.corrections("a.png")
        assert reason_of(house) == "has no photo: none in inbox or archive would give a result of this name"

    def test_names_of_the_folders_own_are_understood(self, tmp_path: Path) -> None:
        """What the folder calls its results is what a correction is called."""
        house = House(tmp_path, Product(name="shop-{stem}-white"))
        house.photos("a.jpg")
        house.corrections("shop-a-white.png", "a.png")
        pairs, rejected = house.told()
        assert pairs["shop-a-white.png"][0] == "photo in/a.jpg"
        assert rejected == {"a.png": "is called like nothing that its folder makes"}

    def test_results_below_the_inbox_are_no_photos(self, tmp_path: Path) -> None:
        """An outbox in the inbox, with the corrections in it, is not searched for photos."""
        house = House(tmp_path, outbox=tmp_path / "in" / "out", corrections=tmp_path / "in" / "out" / "_corrections")
        house.photos("a.jpg", "out/a.jpg")
        write(tmp_path / "in" / "out" / "_corrections", {"a.png": b"correction a.png"})
        assert photo_of(house) == "photo in/a.jpg"


def test_masks_may_be_corrected_too(tmp_path: Path) -> None:
    """By the name the folder gives them; a background or a comparison may not."""
    house = House(tmp_path, *(Product(kind=kind) for kind in ("cutout", "mask", "background")))
    house.photos("a.jpg")
    house.corrections("a.png", "a.mask.png", "a.background.png")
    pairs, rejected = house.told()
    assert {name: options.corrected for name, (_, options) in pairs.items()} == {
        "a.png": "cutout",
        "a.mask.png": "mask",
    }
    assert rejected == {"a.background.png": "is called as a background is; only cut-outs and masks can be corrected"}


@pytest.mark.parametrize(
    ("frame", "scaled"),
    [(Frame(), True), (Frame(max_side=800), True), (Frame(trim=True), False), (Frame(margin=0.1), False)],
)
def test_only_whole_pictures_may_be_scaled(tmp_path: Path, frame: Frame, *, scaled: bool) -> None:
    """What a folder trims or frames has to have its photo's size."""
    house = House(tmp_path, Product(frame=frame))
    house.photos("a.jpg")
    house.corrections("a.png")
    pairs, _ = house.told()
    assert pairs["a.png"][1].scaled is scaled


def test_a_result_of_another_folder_is_not_laid_over_a_photo(house: House) -> None:
    """Two folders that share an outbox share the corrections in it: the journal knows whose result is whose.

    This folder's own photo would have given the same name, had that not been taken.
    """
    house.photos("a.jpg", "b.jpg")
    house.corrections("a.png", "b.png")
    house.made("b.png", "b.jpg")
    theirs = Origin(path=b"a.jpg", source_sha256="01" * 32, sha256="02" * 32)
    journal = {("other", b"a.png"): theirs, ("stranger", b"b.png"): theirs, ("phone", b"b.png"): house.known[b"b.png"]}
    other = replace(house.folder, name="other")
    stranger = replace(house.folder, name="stranger", corrections=house.root / "elsewhere")
    origin = own_origin(house.folder, [house.folder, other, stranger], lambda name, path: journal.get((name, path)))
    source = source_of(house.folder, licence="mine", category="corrections")
    with ExitStack() as stack:
        found, rejected = corrected(house.folder, source, Options(), origin, stack)
    assert [each.name for each in found] == ["b.png"]
    assert [(one.name, one.reason) for one in rejected] == [("a.png", "is a result of folder other: a.png")]


def test_links_among_corrections_are_told(house: House) -> None:
    """As everywhere else."""
    house.photos("a.jpg")
    house.corrections()
    (house.root / "out" / "_corrections").mkdir()
    (house.root / "out" / "_corrections" / "a.png").symlink_to("../a.png")
    assert reason_of(house) == "is a link, and links are not followed"


def test_a_folder_without_corrections_is_told(tmp_path: Path) -> None:
    """Where there is no directory, or none is wanted."""
    house = House(tmp_path)
    with pytest.raises(NoInputError, match=r"folder phone has no corrections: there is no directory .*_corrections"):
        house.told()
    house.folder = replace(house.folder, corrections=None)
    with pytest.raises(NoInputError, match="folder phone has no corrections: its `corrections` is none"):
        house.told()


@pytest.mark.parametrize("place", ["in/out", "elsewhere"])
def test_no_inbox_takes_corrections(tmp_path: Path, place: str) -> None:
    """Not the folder's own, nor the one that its outbox feeds; all else there is taken as before."""
    (tmp_path / "config.toml").write_text(
        f'[[folder]]\nname = "a"\ninbox = "in"\noutbox = "{place}"\n'
        + ('[[folder]]\nname = "b"\ninbox = "elsewhere"\noutbox = "last"\n' if place == "elsewhere" else "")
    )
    write(tmp_path / place, {"_corrections/a.png": cutout(1), "_corrections/sub/b.png": cutout(2), "a.png": cutout(3)})
    write(tmp_path / "in", {"photo.jpg": photo(1), "_corrections/mine.jpg": photo(2)})
    taken = {}
    for folder in folders(load(tmp_path / "config.toml", environ={"HOME": str(tmp_path)})):
        found = walk(folder.inbox, recursive=True, excluded=excluded_of(folder))
        taken[folder.name] = sorted(path for batch in found for path, _ in batch)
    assert taken["a"] == [b"_corrections/mine.jpg", b"photo.jpg"]
    assert taken.get("b", [b"a.png"]) == [b"a.png"]
