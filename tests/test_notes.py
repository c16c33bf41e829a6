"""Failure notes: written beside nobody's files, removed only as we wrote them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgrd.delivery.naming import hidden_note
from bgrd.delivery.notes import note_text, remove_note, write_note

PATH = b"trip/IMG_1.jpg"
TEXT = note_text(PATH, reason="the file is empty", when=0.0, advice="send it again")


def _answering(number: int) -> Callable[..., Any]:
    def answer(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return answer


def _files(root: Path) -> list[str]:
    return sorted(str(file.relative_to(root)) for file in root.rglob("*"))


def test_text_says_it_all() -> None:
    """A note names file, reason, time and what to do, in lines of their own."""
    assert "trip/IMG_1.jpg" in TEXT
    assert "Why: the file is empty\nWhen: 1970-01-01 00:00:00 UTC\nWhat to do: send it again\n" in TEXT


def test_names_are_escaped() -> None:
    """A name with newlines, control characters or bytes that are no UTF-8 cannot forge lines."""
    text = note_text(b"x\nWhy: nothing\x1b\xff.jpg", reason="r", when=0.0, advice="a")
    assert r"x\nWhy: nothing\x1b\xff.jpg" in text
    assert text.count("\nWhy:") == 1


def test_written_and_removed(tmp_path: Path) -> None:
    """A note lies at the mirrored path under its root, which is made, and goes with its empty directories."""
    root = tmp_path / "_failed"
    name = write_note(root, PATH, text=TEXT)
    assert name == b"trip/IMG_1.jpg.txt"
    assert (root / "trip/IMG_1.jpg.txt").read_text(encoding="utf-8").startswith(TEXT.rstrip())
    assert remove_note(root, name)
    assert _files(root) == []
    assert root.is_dir()


def test_written_again(tmp_path: Path) -> None:
    """A note of the same file is replaced by its next one, the same text as well as another."""
    for text in (TEXT, TEXT, "other\n"):
        assert write_note(tmp_path, PATH, text=text) == b"trip/IMG_1.jpg.txt"
    assert (tmp_path / "trip/IMG_1.jpg.txt").read_text(encoding="utf-8").startswith("other\n")
    assert _files(tmp_path) == ["trip", "trip/IMG_1.jpg.txt"]


@pytest.mark.parametrize("kind", ["file", "edited", "link", "directory", "other note", "long"])
def test_never_clobbers(kind: str, tmp_path: Path) -> None:
    """What is not our unedited note of this path keeps its name and is not removed either."""
    taken = tmp_path / "x.txt"
    match kind:
        case "file":
            taken.write_bytes(b"theirs")
        case "edited":
            assert write_note(tmp_path, b"x", text=TEXT) == b"x.txt"
            taken.write_bytes(taken.read_bytes().replace(b"empty", b"fine!"))
        case "link":
            (tmp_path / "elsewhere").write_bytes(b"")
            taken.symlink_to("elsewhere")
        case "directory":
            taken.mkdir()
        case "other note":
            assert write_note(tmp_path, b"y", text=TEXT) == b"y.txt"
            (tmp_path / "y.txt").rename(taken)
        case _:
            taken.write_bytes(b"x" * 100_000)
    before = taken.lstat()
    assert write_note(tmp_path, b"x", text=TEXT) == b"x-2.txt"
    assert os.path.samestat(taken.lstat(), before)
    if kind != "other note":
        assert not remove_note(tmp_path, b"x.txt")
    assert os.path.lexists(taken)
    assert remove_note(tmp_path, b"x-2.txt")


def test_removed_only_with_the_recorded_text(tmp_path: Path) -> None:
    """With a text given, a note of another text stays."""
    name = write_note(tmp_path, PATH, text=TEXT)
    assert name is not None
    assert not remove_note(tmp_path, name, text="other")
    assert remove_note(tmp_path, name, text=TEXT)


def test_gone_is_removed(tmp_path: Path) -> None:
    """A note that is gone already, or whose directory is, counts as removed."""
    assert remove_note(tmp_path, b"x.txt")
    assert remove_note(tmp_path, b"a/x.txt")
    assert remove_note(tmp_path / "gone", b"x.txt")


def test_neighbours_keep_their_directory(tmp_path: Path) -> None:
    """Removing one note leaves another in the same directory."""
    for path in (b"a/b/x", b"a/y"):
        write_note(tmp_path, path, text=TEXT)
    assert remove_note(tmp_path, b"a/b/x.txt")
    assert _files(tmp_path) == ["a", "a/y.txt"]


def test_any_bytes_are_a_name(tmp_path: Path) -> None:
    """Names that are no UTF-8 or of 255 bytes get their note."""
    for path in (b"\xff\n/\xfe.jpg", b"x" * 251 + b".jpg"):
        name = write_note(tmp_path, path, text=TEXT)
        assert name is not None
        assert remove_note(tmp_path, name)


def test_leftover_of_a_crash(tmp_path: Path) -> None:
    """A half-written note of a crash is under a hidden name and goes when the note is written again."""
    (tmp_path / os.fsdecode(hidden_note(b"x"))).write_bytes(b"half")
    assert write_note(tmp_path, b"x", text=TEXT) == b"x.txt"
    assert _files(tmp_path) == ["x.txt"]


def test_unwritable_notes_are_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note that cannot be written, or removed, is told by the answer and never raises."""
    assert write_note(tmp_path / "no/such", b"x", text=TEXT) is None
    (tmp_path / "a").write_bytes(b"")
    assert write_note(tmp_path, b"a/x", text=TEXT) is None
    name = write_note(tmp_path, b"x", text=TEXT)
    assert name is not None
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _answering(errno.ENOSPC))
        assert write_note(tmp_path, b"y", text=TEXT) is None
        patch.setattr(os, "unlink", _answering(errno.EACCES))
        with pytest.raises(PermissionError):
            remove_note(tmp_path, name)


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A link below the root is neither written nor removed through."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    assert write_note(outside, b"x", text=TEXT) == b"x.txt"
    (root / "a").symlink_to(outside)
    assert write_note(root, b"a/y", text=TEXT) is None
    remove_note(root, b"a/x.txt")
    assert _files(outside) == ["x.txt"]
