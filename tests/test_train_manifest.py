"""The manifest: what is written is read, and what is wrong is told with line and column."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.errors import NoInputError, TrainingError
from bgrd.train.entry import KINDS, SPLITS, Entry
from bgrd.train.manifest import COLUMNS, read_manifest, write_manifest
from tests.pictures.making import UNHURRIED

HEADER = ",".join(COLUMNS) + "\n"
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)
NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: name not in {b".", b".."} and min(name) >= 0x20 and b"/" not in name
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a data set's folder with a photo and its mask."""
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).touch()
    return tmp_path


def manifest(folder: Path, text: str) -> Path:
    """Write a manifest as it stands."""
    path = folder / "manifest.csv"
    path.write_text(text)
    return path


@st.composite
def drawn(draw: st.DrawFn) -> tuple[bytes, str, str, str, str, str]:
    """Draw a name and the texts of an entry."""
    kind, split = draw(st.sampled_from([*KINDS])), draw(st.sampled_from([*SPLITS]))
    return draw(NAMES), kind, draw(TEXTS), draw(TEXTS), draw(TEXTS), split


@UNHURRIED
@given(drawn_entries=st.lists(drawn(), max_size=6, unique_by=lambda one: one[0]), outside=st.booleans())
def test_what_is_written_is_read(drawn_entries: list[tuple[bytes, str, str, str, str, str]], *, outside: bool) -> None:
    """Any entries come back as they were, in their order, with any name a file can have, in the folder or elsewhere."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, "set")
        home = Path(top, "elsewhere") if outside else folder / "images"
        folder.mkdir()
        home.mkdir()
        entries = []
        for name, kind, category, source, licence, split in drawn_entries:
            image = home / os.fsdecode(name)
            image.touch()
            mask = image if kind == "pair" else None
            entry = Entry(
                kind="background",
                image=image,
                mask=mask,
                category=category,
                source=source,
                licence=licence,
                split="test",
            )
            entries.append(replace(entry, kind=kind, split=split))  # type: ignore[arg-type] # sampled from both
        write_manifest(folder / "manifest.csv", entries)
        assert read_manifest(folder / "manifest.csv") == tuple(entries)


def test_paths_are_named_from_the_manifests_folder(folder: Path) -> None:
    """A data set can be moved: no path in it tells where it lay."""
    path = manifest(folder, HEADER + "pair,a.jpg,a.png,cats,mine,CC0-1.0,train\n")
    entries = read_manifest(path)
    write_manifest(path, entries)
    assert path.read_text() == HEADER + "pair,a.jpg,a.png,cats,mine,CC0-1.0,train\n"
    assert entries[0].image == folder / "a.jpg"


def test_a_manifest_that_went_through_a_spreadsheet_is_read(folder: Path) -> None:
    """Byte-order mark, CRLF, quotes and empty lines change nothing."""
    text = "\ufeff" + HEADER + '"pair","a.jpg","a.png","cats","mine","CC0-1.0","train"\n\n'
    (found,) = read_manifest(manifest(folder, text.replace("\n", "\r\n")))
    assert found.category == "cats"
    assert found.split == "train"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("photo,a.jpg,a.png,c,s,l,train", "line 2, column kind: must be pair, cutout, background, is 'photo'"),
        ("pair,b.jpg,a.png,c,s,l,train", "line 2, column image: there is no file 'b.jpg'"),
        ("pair,a.jpg,b.png,c,s,l,train", "line 2, column mask: there is no file 'b.png'"),
        (f"pair,{'x' * 300}.jpg,a.png,c,s,l,train", "line 2, column image: 'xxx"),
        ("pair,,a.png,c,s,l,train", "line 2, column image: there is no file ''"),
        ("pair,a.jpg,,c,s,l,train", "line 2, column mask: a pair needs one"),
        ("cutout,a.png,a.png,c,s,l,train", "line 2, column mask: a cutout has none, is 'a.png'"),
        ("pair,a.jpg,a.png,c,s,l,dev", "line 2, column split: must be train, validation, test, is 'dev'"),
        ("pair,a.jpg,a.png,c,s,l", "line 2, column split: the line has 6 columns in place of 7"),
        ("pair,a.jpg,a.png,c,s,l,train,x", "line 2, column split: the line has 8 columns in place of 7"),
        ('pair,"a.jpg"x,a.png,c,s,l,train', "line 2: is no CSV"),
        (
            "pair,a.jpg,a.png,c,s,l,train\npair,a.jpg,a.png,c,s,l,test",
            "line 3, column split: a.jpg stands in train already",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Path, row: str, told: str) -> None:
    """A wrong row names file, line and column."""
    path = manifest(folder, HEADER + row + "\n")
    with pytest.raises(TrainingError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}, {told}")


@pytest.mark.parametrize("text", ["", "image,mask\na.jpg,a.png\n"])
def test_a_file_that_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    """Without the header nothing is guessed."""
    with pytest.raises(TrainingError, match="line 1: must be kind,image,mask,"):
        read_manifest(manifest(folder, text))


def test_a_missing_manifest_is_a_missing_input(tmp_path: Path) -> None:
    """As any other file that was named and is not there."""
    with pytest.raises(NoInputError, match=r"none\.csv cannot be read: No such file"):
        read_manifest(tmp_path / "none.csv")


def test_control_characters_are_not_written(folder: Path) -> None:
    """What a line of the manifest could not hold is refused before anything is written."""
    (entry,) = read_manifest(manifest(folder, HEADER + "pair,a.jpg,a.png,c,s,l,train\n"))
    with pytest.raises(TrainingError, match="control characters"):
        write_manifest(folder / "other.csv", [replace(entry, licence="two\nlines")])
    assert not (folder / "other.csv").exists()
