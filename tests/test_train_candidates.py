"""Photos find their masks by name, and what is alone is told."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from bgrd.errors import TrainingError
from bgrd.train.candidates import Rejected, offered
from bgrd.train.entry import Kind
from bgrd.train.shrink import Options
from bgrd.train.sources import Source
from tests.pictures.sets import write, zipped


def told(kind: Kind, *paths: Path) -> tuple[list[tuple[str, bytes, bytes | None]], set[tuple[str, str]]]:
    """Give what a source offers, with what its files hold, and what it does not, with the reason."""
    source = Source(name="s", kind=kind, paths=paths)
    with ExitStack() as stack:
        candidates, rejected = offered(source, Options(), stack)
        found = [(each.name, each.image(), each.mask() if each.mask else None) for each in candidates]
    assert all(one.source == "s" for one in rejected)
    return found, {(one.name, one.reason) for one in rejected}


@pytest.mark.parametrize("top", ["", "cats-main/", "a/b/"])
@pytest.mark.parametrize("made", [write, zipped])
def test_photos_and_masks_of_one_stem_make_a_pair(tmp_path: Path, top: str, made: object) -> None:
    """In a folder or a zip file, below any directory, with directories of their own and whatever suffix."""
    files = {
        f"{top}images/1.jpg": b"photo 1",
        f"{top}images/dogs/1.jpeg": b"photo 2",
        f"{top}masks/1.png": b"mask 1",
        f"{top}masks/dogs/1.webp": b"mask 2",
    }
    path = write(tmp_path / "set", files) if made is write else zipped(tmp_path / "set.zip", files)
    found, rejected = told("pair", path)
    assert found == [
        (f"{top}images/1.jpg", b"photo 1", b"mask 1"),
        (f"{top}images/dogs/1.jpeg", b"photo 2", b"mask 2"),
    ]
    assert not rejected


def test_two_folders_make_pairs(tmp_path: Path) -> None:
    """Photos in one and masks in the other, or a folder and a zip file."""
    photos = write(tmp_path / "photos", {"a.jpg": b"photo", "b.jpg": b"lonely"})
    masks = zipped(tmp_path / "truth.zip", {"a.png": b"mask"})
    found, rejected = told("pair", photos, masks)
    assert found == [("a.jpg", b"photo", b"mask")]
    assert rejected == {("b.jpg", "has no mask")}


def test_two_sources_are_not_taken_for_photos_and_masks(tmp_path: Path) -> None:
    """Who names two whole sources at once would get photos with the masks of others."""
    files = {"images/a.jpg": b"", "masks/a.png": b""}
    one, other = zipped(tmp_path / "a.zip", files), zipped(tmp_path / "b.zip", files)
    with pytest.raises(TrainingError, match=r"a\.zip has images/ and masks/ itself, so it is a source by itself"):
        told("pair", one, other)


def test_what_is_alone_or_astray_is_told(tmp_path: Path) -> None:
    """No photo without mask, no mask without photo, nothing beside the two directories."""
    files = {"images/a.jpg": b"", "masks/b.png": b"", "c.jpg": b"", "images/d.jpg": b"", "masks/d.png": b""}
    found, rejected = told("pair", write(tmp_path / "set", files))
    assert [name for name, _, _ in found] == ["images/d.jpg"]
    assert rejected == {
        ("images/a.jpg", "has no mask"),
        ("masks/b.png", "has no photo"),
        ("c.jpg", "lies neither in images/ nor in masks/"),
    }


def test_of_two_of_one_stem_the_first_is_taken(tmp_path: Path) -> None:
    """Of photos as of masks; the other is told."""
    files = {name: name.encode() for name in ("images/a.jpg", "images/a.png", "masks/a.png", "masks/a.tif")}
    found, rejected = told("pair", write(tmp_path / "set", files))
    assert found == [("images/a.jpg", b"images/a.jpg", b"masks/a.png")]
    assert rejected == {
        ("images/a.png", "has the stem of another that was taken: images/a.jpg"),
        ("masks/a.tif", "has the stem of another that was taken: masks/a.png"),
    }


@pytest.mark.parametrize("kind", ["cutout", "background"])
def test_other_kinds_are_taken_wherever_they_lie(tmp_path: Path, kind: Kind) -> None:
    """Each by itself, also from a directory called masks; links are told."""
    folder = write(tmp_path / "set", {"a.png": b"a", "masks/b.png": b"b"})
    (folder / "c.png").symlink_to("a.png")
    found, rejected = told(kind, folder)
    assert found == [("a.png", b"a", None), ("masks/b.png", b"b", None)]
    assert rejected == {("c.png", "is a link, and links are not followed")}


def test_a_refused_candidate_is_told_by_source_and_name(tmp_path: Path) -> None:
    """As it stands in the list of what was rejected."""
    source = Source(name="s", kind="cutout", paths=(write(tmp_path / "set", {"a.png": b"a"}),))
    with ExitStack() as stack:
        ((candidate,), _) = offered(source, Options(), stack)
    assert candidate.refused("is bad") == Rejected(source="s", name="a.png", reason="is bad")
