"""What a data set does not take, and what stops it: told, and nothing half made is left."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import pytest
from PIL import Image, ImageChops

from bgrd.errors import CannotCreateError, TrainingError, UsageError
from bgrd.train import prepare as preparing
from bgrd.train.alike import near
from bgrd.train.candidates import Candidate
from bgrd.train.prepare import Plan, prepare
from bgrd.train.shrink import Options
from bgrd.train.sources import Source
from tests.houses.data_sets import contents, made, plan, rejected, source
from tests.pictures.making import encoded
from tests.pictures.sets import cutout, disc, pairs, photo, write, zipped


@pytest.fixture
def everything(tmp_path: Path) -> Plan:
    """Give a plan with each kind, from folder and zip file."""
    shots = zipped(tmp_path / "shots.zip", pairs(*range(20)))
    things = write(tmp_path / "things", {f"{seed}.png": cutout(seed) for seed in range(100, 103)})
    rooms = write(tmp_path / "rooms", {f"{seed}.jpg": photo(seed) for seed in range(200, 204)})
    return plan(
        source(shots, licence="CC0-1.0", category="animals"),
        Source(name="things", kind="cutout", paths=(things,)),
        Source(name="rooms", kind="background", paths=(rooms,)),
    )


def test_each_bad_picture_is_told_and_costs_itself(tmp_path: Path) -> None:
    """Missing, of other sizes, empty, full, reversed or no picture: each has its sentence in rejected.csv."""
    files = pairs(0, 1, 2, 3, 4, 5, 6)
    files["images/001.jpg"] = b"no picture"
    files["masks/002.png"] = disc((48, 48))
    files["masks/003.png"] = Image.new("L", (64, 48))
    files["masks/004.png"] = Image.new("L", (64, 48), 255)
    files["masks/005.png"] = ImageChops.invert(disc())
    del files["masks/006.png"]
    summary = made(plan(source(write(tmp_path / "set", files))), tmp_path / "out")
    assert [entry.image.name for entry in summary.entries] == ["000.jpg"]
    found = {name: reason.partition(":")[0] for _, name, reason in rejected(tmp_path / "out")}
    assert found == {
        "images/001.jpg": "cannot be used",
        "images/002.jpg": "has a mask of another size",
        "images/003.jpg": "has a mask that is empty",
        "images/004.jpg": "has a mask that is full",
        "images/005.jpg": "has a mask that looks reversed",
        "images/006.jpg": "has no mask",
    }
    assert set(contents(tmp_path / "out" / "images")) == {"set/000.jpg"}
    options = Options(side=32, fix_inverted=True)
    turned = made(plan(source(tmp_path / "set"), options=options), tmp_path / "turned")
    assert turned.turned == 1
    assert [entry.image.name for entry in turned.entries] == ["000.jpg", "005.jpg"]


def test_near_duplicates_go_within_and_across_sources(tmp_path: Path) -> None:
    """The first is kept, by the order of sources and names; the others are named with it, and leave no file."""
    first = zipped(tmp_path / "first.zip", pairs(1, 2))
    again = {"images/a.jpg": photo(3), "images/b.jpg": photo(3, (128, 96)), "images/c.jpg": photo(2, (96, 72))}
    masks = {f"masks/{name}.png": disc(size) for name, size in (("a", (64, 48)), ("b", (128, 96)), ("c", (96, 72)))}
    second = write(tmp_path / "second", again | masks)
    out = tmp_path / "out"
    summary = made(plan(source(first), source(second)), out)
    assert [entry.image.name for entry in summary.entries] == ["001.jpg", "002.jpg", "a.jpg"]
    assert rejected(out) == [
        ("second", "images/b.jpg", "is nearly the same as another that was taken: images/a.jpg of second"),
        ("second", "images/c.jpg", "is nearly the same as another that was taken: images/002.jpg of first"),
    ]
    assert set(contents(out / "masks")) == {"first/001.png", "first/002.png", "second/a.png"}


class Pair(tuple[int, int]):
    """A pair that is counted while it is there."""

    __slots__ = ()
    there: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def __new__(cls, pair: tuple[int, int]) -> Self:
        """Count it."""
        Pair.there += 1
        Pair.most = max(Pair.most, Pair.there)
        return super().__new__(cls, pair)

    def __del__(self) -> None:
        Pair.there -= 1


def test_many_near_duplicates_take_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of pictures that are alike are looked at and never kept, beside another set too."""
    monkeypatch.setattr(preparing, "near", lambda hashes, bits: map(Pair, near(hashes, bits)))
    files = {name: picture for seed in range(20) for name, picture in pairs(seed).items()}
    files |= {name: photo(0) for name in files if name.startswith("images")}
    again = source(write(tmp_path / "set", files))
    assert [entry.image.name for entry in made(plan(again), tmp_path / "out").entries] == ["000.jpg"]
    apart = plan(again, apart=(tmp_path / "out" / "manifest.csv",))
    with pytest.raises(TrainingError, match="and 17 more"):
        made(apart, tmp_path / "none")
    assert (Pair.there, Pair.most <= 3) == (0, True)


def test_a_correction_wins_over_an_older_mask(tmp_path: Path) -> None:
    """Of a photo that is among the sources too the mask is taken that the user corrected."""
    again = source(write(tmp_path / "again", pairs(1, 2)))
    mine = source(write(tmp_path / "mine", {"1.jpg": photo(1), "1.png": disc(share=0.8)}), name="corrections of mine")
    correction = Candidate(
        source=mine,
        name="1.png",
        image=(tmp_path / "mine" / "1.jpg").read_bytes,
        mask=(tmp_path / "mine" / "1.png").read_bytes,
        options=Options(side=32),
    )
    summary = made(plan(again, candidates=(correction,)), tmp_path / "out")
    assert [(entry.source, entry.image.stem) for entry in summary.entries] == [(mine.name, "1"), ("again", "002")]
    assert rejected(tmp_path / "out") == [
        ("again", "images/001.jpg", "is nearly the same as another that was taken: 1.png of corrections of mine"),
    ]


def test_a_background_that_is_a_photo_is_left_out(tmp_path: Path) -> None:
    """Else its subject would be taught to be background."""
    shots = write(tmp_path / "shots", pairs(1))
    rooms = write(tmp_path / "rooms", {"1.jpg": photo(1), "2.jpg": photo(2)})
    wanted = plan(source(shots), Source(name="rooms", kind="background", paths=(rooms,)))
    assert [entry.image.name for entry in made(wanted, tmp_path / "out").entries] == ["001.jpg", "2.jpg"]


def test_nothing_is_taken_that_another_data_set_has(tmp_path: Path) -> None:
    """What is to be judged by, and what is near it, is not trained on."""
    held = write(
        tmp_path / "held", pairs(1, 2) | {"images/002.jpg": photo(2, (96, 72)), "masks/002.png": disc((96, 72))}
    )
    made(plan(source(held), test=True), tmp_path / "test")
    wanted = plan(source(write(tmp_path / "own", pairs(1, 2, 3))), apart=(tmp_path / "test" / "manifest.csv",))
    summary = made(wanted, tmp_path / "train")
    assert [entry.image.name for entry in summary.entries] == ["003.jpg"]
    assert {reason for _, _, reason in rejected(tmp_path / "train")} == {
        "is nearly the same as a picture of the data set that this one has to stay apart from"
    }


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(photo(1), "JPEG")[:-200]])
def test_a_damaged_picture_to_stay_apart_from_is_told(tmp_path: Path, content: bytes) -> None:
    """Nothing is made that only looks apart."""
    made(plan(source(write(tmp_path / "held", pairs(1))), test=True), tmp_path / "test")
    (tmp_path / "test" / "images" / "held" / "001.jpg").write_bytes(content)
    wanted = plan(source(write(tmp_path / "own", pairs(2))), apart=(tmp_path / "test" / "manifest.csv",))
    with pytest.raises(TrainingError, match=r"001\.jpg is damaged, so nothing can be kept apart from it"):
        made(wanted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    """Their pictures could not be told apart; of two kinds they can."""
    one, other = (write(tmp_path / name / "set", pairs(1)) for name in "ab")
    with pytest.raises(UsageError, match="two sources of pairs are called set"):
        made(plan(source(one), source(other)), tmp_path / "out")
    rooms = write(tmp_path / "c" / "set", {"1.jpg": photo(2)})
    wanted = plan(source(one), Source(name="set", kind="background", paths=(rooms,)))
    assert len(made(wanted, tmp_path / "out").entries) == 2


def test_where_nothing_is_left_nothing_is_made(tmp_path: Path) -> None:
    """The error names the first reasons, and no folder appears."""
    files = {"images/a.jpg": photo(1), "masks/b.png": disc()}
    with pytest.raises(TrainingError, match=r"nothing can be taken: set: images/a\.jpg has no mask; set: masks/b"):
        made(plan(source(write(tmp_path / "set", files))), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="nothing can be taken: there is no picture in what was named"):
        made(plan(source(tmp_path / "empty")), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "set"]


def test_a_folder_with_something_in_it_is_not_touched(everything: Plan, tmp_path: Path) -> None:
    """An empty one is used."""
    write(tmp_path / "full", {"mine.txt": b"mine"})
    with pytest.raises(CannotCreateError, match="full is there already: name a new folder"):
        made(everything, tmp_path / "full")
    assert contents(tmp_path / "full") == {"mine.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    made(everything, tmp_path / "empty")
    assert (tmp_path / "empty" / "manifest.csv").exists()


def test_a_place_that_cannot_be_written_is_told(everything: Plan, tmp_path: Path) -> None:
    """As an output that cannot be made."""
    (tmp_path / "file").touch()
    with pytest.raises(CannotCreateError, match="cannot be written: "):
        made(everything, tmp_path / "file" / "out")


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """Neither the folder nor a hidden one beside it."""
    (tmp_path / "set").mkdir()
    write(tmp_path / "set", pairs(1, 2))

    def stop(done: int, total: int) -> None:
        del total
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(plan(source(tmp_path / "set")), tmp_path / "out", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
