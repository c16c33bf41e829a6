"""A data set is made whole, the same every time, and says what became of every picture."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from bgrd.errors import CannotCreateError, TrainingError, UsageError
from bgrd.train.draft import Namer
from bgrd.train.entry import Entry
from bgrd.train.manifest import read_manifest
from bgrd.train.prepare import Plan, Summary, prepare
from bgrd.train.shrink import Options
from bgrd.train.sources import Source
from tests.pictures.making import encoded
from tests.pictures.sets import cutout, disc, pairs, photo, write, zipped


def source(path: Path, **given: object) -> Source:
    """Give a source of pairs called after its place."""
    return replace(Source(name=path.stem, kind="pair", paths=(path,)), **given)  # type: ignore[arg-type]


def plan(*sources: Source, **given: object) -> Plan:
    """Give a plan with nothing special."""
    return replace(Plan(sources=sources, options=Options(side=32)), **given)  # type: ignore[arg-type]


def made(wanted: Plan, out: Path) -> Summary:
    """Make a data set without telling how far it is."""
    return prepare(wanted, out, progress=lambda _done, _total: None)


def rejected(out: Path) -> list[tuple[str, str, str]]:
    """Read why pictures were left out."""
    with (out / "rejected.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["source", "name", "reason"]
    return [(source, name, reason) for source, name, reason in rows]


def contents(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_a_data_set_has_everything(everything: Plan, tmp_path: Path) -> None:
    """Manifest, pictures by kind, the chart and the list of what was left out; sizes, modes and splits are right."""
    out = tmp_path / "sets" / "new"
    summary = made(everything, out)
    assert {path.name for path in out.iterdir()} == {
        *("manifest.csv", "rejected.csv", "categories.png", "images", "masks", "cutouts", "backgrounds")
    }
    assert read_manifest(out / "manifest.csv") == summary.entries
    kinds = [entry.kind for entry in summary.entries]
    assert [kinds.count(kind) for kind in ("pair", "cutout", "background")] == [20, 3, 4]
    assert [entry.split for entry in summary.entries if entry.source == "shots"].count("validation") == 2
    first = summary.entries[0]
    assert first.image == out / "images/shots/000.jpg"
    assert first.mask == out / "masks/shots/000.png"
    assert (first.category, first.licence) == ("animals", "CC0-1.0")
    for entry in summary.entries:
        with Image.open(entry.image) as image:
            assert max(image.size) == 32
            assert image.mode == ("RGBA" if entry.kind == "cutout" else "RGB")
            if entry.mask is not None:
                with Image.open(entry.mask) as mask:
                    assert (mask.size, mask.mode) == (image.size, "L")
    with Image.open(out / "categories.png") as chart:
        chart.load()
        assert min(chart.size) > 100
    assert rejected(out) == []
    assert not [path for path in out.parent.iterdir() if path != out]


def test_the_same_input_gives_the_same_bytes(everything: Plan, tmp_path: Path) -> None:
    """Every file of two runs is the same, chart and manifest too; another seed holds others back."""
    made(everything, tmp_path / "one")
    made(everything, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    made(replace(everything, seed=1), tmp_path / "three")
    assert contents(tmp_path / "one")["manifest.csv"] != contents(tmp_path / "three")["manifest.csv"]


def test_all_of_it_may_be_for_judging(everything: Plan, tmp_path: Path) -> None:
    """With `test` nothing is trained on."""
    assert {entry.split for entry in made(replace(everything, test=True), tmp_path / "out").entries} == {"test"}
    assert {entry.split for entry in made(replace(everything, validation=0.0), tmp_path / "all").entries} == {"train"}


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


def test_groups_stay_on_one_side(tmp_path: Path) -> None:
    """Pictures whose names begin alike, where the source says so, are all trained on or all held back."""
    files: dict[str, Image.Image] = {}
    for seed in range(30):
        name = f"{'abcdefghij'[seed // 3]}_{seed % 3}"
        files |= {f"images/{name}.jpg": photo(seed), f"masks/{name}.png": disc()}
    wanted = plan(source(write(tmp_path / "films", files), group="[a-z]+"), validation=0.3)
    sides: dict[str, set[str]] = {}
    for entry in made(wanted, tmp_path / "out").entries:
        sides.setdefault(entry.image.name[0], set()).add(entry.split)
    assert all(len(each) == 1 for each in sides.values())
    assert sorted(next(iter(each)) for each in sides.values()) == ["train"] * 7 + ["validation"] * 3


def test_categories_follow_the_names(tmp_path: Path) -> None:
    """A source of several kinds of things says so by patterns."""
    files = write(tmp_path / "set", {"car1.jpg": photo(1), "dog.jpg": photo(2)})
    wanted = plan(Source(name="s", kind="background", paths=(files,), categories=(("car*", "vehicles"),)))
    assert [entry.category for entry in made(wanted, tmp_path / "out").entries] == ["vehicles", "various"]


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


def test_progress_counts_every_picture(everything: Plan, tmp_path: Path) -> None:
    """Up to the number of those that were looked at."""
    told: list[tuple[int, int]] = []
    prepare(everything, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 27) for done in range(1, 28)]


def test_odd_names_become_plain_ones(tmp_path: Path) -> None:
    """Whatever a stranger called pictures, files have harmless names, and the list of the rejected is harmless text."""
    odd = os.fsdecode(b"\xff\x1b[31m.png")
    files: dict[str, Image.Image | bytes] = {
        "..a b;c.png": cutout(1),
        "猫.png": cutout(2),
        odd: cutout(3),
        "bad\n.png": b"",
    }
    wanted = plan(Source(name="x y", kind="cutout", paths=(write(tmp_path / "set", files),)))
    del files["..a b;c.png"]  # hidden
    summary = made(wanted, tmp_path / "out")
    assert sorted(entry.image.relative_to(tmp_path / "out").as_posix() for entry in summary.entries) == [
        "cutouts/x_y/___31m.png",
        "cutouts/x_y/猫.png",
    ]
    assert rejected(tmp_path / "out")[0][1] == r"bad\n.png"


@given(names=st.lists(st.text(min_size=1, max_size=9) | st.text("a猫𐌰.", min_size=99, max_size=99), max_size=5))
def test_names_are_distinct_and_plain(names: list[str]) -> None:
    """Any names give file names that differ without regard to case, are not hidden, and fit."""
    namer = Namer()
    found = [namer.name("images", "s", name) for name in names]
    assert len({name.casefold() for name in found}) == len(found)
    for name in found:
        home, _, last = name.partition("/")
        assert home == "s"
        assert 0 < len(last.encode()) <= 130
        assert not last.startswith(".")
        assert all(character.isalnum() or character in "._-" for character in last)


def test_an_entry_of_the_summary_is_where_it_says(everything: Plan, tmp_path: Path) -> None:
    """Also where the data set was named by a relative path."""
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        summary = made(everything, Path("out"))
    finally:
        os.chdir(before)
    paths = [path for entry in summary.entries for path in _paths(entry)]
    assert all(path.is_absolute() and path.is_file() for path in paths)


def _paths(entry: Entry) -> list[Path]:
    return [path for path in (entry.image, entry.mask) if path is not None]
