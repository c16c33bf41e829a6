"""Putting a hidden source into the archive; the protocol around it is tested with `source`."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

import bgrd.delivery.archive
from bgrd.delivery.archive import ensure_room, store
from bgrd.delivery.beneath import opened_directory

SHA256 = hashlib.sha256(b"picture").hexdigest()


def _far(*_: object, **__: object) -> bool:
    raise OSError(errno.EXDEV, "another file system")


def _store(inbox: Path, archive: Path, *, sha256: str | None = SHA256) -> bytes | None:
    with (inbox / ".hidden").open("rb") as file, opened_directory(inbox) as source, opened_directory(archive) as home:
        return store(b".hidden", b"a/x.jpg", source=source, home=home, fd=file.fileno(), sha256=sha256)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Give an inbox with one hidden source."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox/.hidden").write_bytes(b"picture")
    return tmp_path / "inbox"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Give an empty archive."""
    (tmp_path / "archive").mkdir()
    return tmp_path / "archive"


def test_within_a_file_system_it_is_a_rename(inbox: Path, archive: Path) -> None:
    """The very file goes to the archive."""
    inode = (inbox / ".hidden").stat().st_ino
    assert _store(inbox, archive) == b"x.jpg"
    assert (archive / "x.jpg").stat().st_ino == inode
    assert list(inbox.iterdir()) == []


def test_file_that_is_there_already(inbox: Path, archive: Path) -> None:
    """A second name of the same file in the archive, as a crash leaves it, is the outcome."""
    (archive / "x.jpg").write_bytes(b"older")
    os.link(inbox / ".hidden", archive / "x-2.jpg")
    assert _store(inbox, archive) == b"x-2.jpg"
    assert sorted(os.listdir(archive)) == ["x-2.jpg", "x.jpg"]


class TestAcross:
    @pytest.fixture(autouse=True)
    def _across(self, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = bgrd.delivery.archive.__dict__["move"]
        here = inbox.stat().st_ino

        def move(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> bool:
            if os.fstat(source_dir).st_ino == here:
                return _far()
            return bool(real(source, target, source_dir=source_dir, target_dir=target_dir))

        monkeypatch.setattr(bgrd.delivery.archive, "move", move)

    def test_copies_and_leaves_the_source_to_the_caller(self, inbox: Path, archive: Path) -> None:
        """Across file systems the source stays until the caller has made the copy durable."""
        assert _store(inbox, archive) == b"x.jpg"
        assert (archive / "x.jpg").read_bytes() == b"picture"
        assert (inbox / ".hidden").exists()

    def test_copy_of_an_earlier_try_is_not_doubled(self, inbox: Path, archive: Path) -> None:
        """Bytes and time of a copy that is there already make it the outcome; other bytes do not."""
        (archive / "x.jpg").write_bytes(b"PICTURE")
        found = (inbox / ".hidden").stat()
        os.utime(archive / "x.jpg", ns=(0, found.st_mtime_ns))
        assert _store(inbox, archive) == b"x-2.jpg"
        assert _store(inbox, archive) == b"x-2.jpg"
        assert sorted(os.listdir(archive)) == ["x-2.jpg", "x.jpg"]

    def test_wrong_bytes_leave_nothing(self, inbox: Path, archive: Path) -> None:
        """Bytes of another hash are not archived and leave no hidden file."""
        assert _store(inbox, archive, sha256="0" * 64) is None
        assert os.listdir(archive) == []

    def test_without_a_hash_the_copy_is_still_compared(self, inbox: Path, archive: Path) -> None:
        """A copy is compared with what was read also where no hash was recorded."""
        assert _store(inbox, archive, sha256=None) == b"x.jpg"


def test_room_is_no_question_within_a_file_system(inbox: Path, archive: Path) -> None:
    """A rename needs no room, however large the file."""
    with opened_directory(inbox) as source, opened_directory(archive) as home:
        ensure_room(home, source=source, size=2**62)
