"""What a data set does not take, and what stops it: told, and nothing half made is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from bgrd.errors import CannotCreateError, TrainingError, UsageError
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
