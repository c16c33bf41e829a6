"""A data set is made whole, the same every time, and says where everything is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.train.draft import Namer
from bgrd.train.entry import Entry
from bgrd.train.manifest import read_manifest
from bgrd.train.prepare import Plan, prepare
from bgrd.train.sources import Source
from tests.houses.data_sets import contents, made, plan, rejected, source
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
