"""Sources: opened without following anything, and known by what they are."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgrd.delivery.source import Applied, open_source, unchanged
from bgrd.errors import ChangedFault, DaemonFault, FileFault, FolderUnavailable
from bgrd.job import version_of
from tests.houses.sources import PATH, PICTURE, World


class TestOpenSource:
    def test_gives_the_bytes_and_the_version(self, world: World) -> None:
        """A regular file is opened for reading with the version it has, and is not inherited by programs."""
        opened = open_source(world.inbox, PATH)
        assert opened.version == world.version
        assert os.read(opened.fd, 7) == b"picture"
        assert not os.get_inheritable(opened.fd)
        os.close(opened.fd)

    def test_any_bytes_are_a_name(self, tmp_path: Path) -> None:
        """Names that are no UTF-8, have newlines or 255 bytes are opened like others."""
        for name in (b"\xff\xfe.jpg", b"a\nb.jpg", b"-rf .jpg", b"x" * 251 + b".jpg"):
            (tmp_path / os.fsdecode(name)).write_bytes(b"x")
            os.close(open_source(tmp_path, name).fd)

    @pytest.mark.parametrize("kind", ["missing", "link", "fifo", "directory", "link above", "file above"])
    def test_what_is_no_regular_file_has_changed(self, kind: str, tmp_path: Path) -> None:
        """Nothing but a regular file reached without links is opened, and nothing is waited for."""
        inbox = tmp_path / "inbox"
        (inbox / "a").mkdir(parents=True)
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/x").write_bytes(b"secret")
        match kind:
            case "link":
                (inbox / "a/x").symlink_to(tmp_path / "outside/x")
            case "fifo":
                os.mkfifo(inbox / "a/x")
            case "directory":
                (inbox / "a/x").mkdir()
            case "link above":
                (inbox / "a").rmdir()
                (inbox / "a").symlink_to(tmp_path / "outside")
            case "file above":
                (inbox / "a").rmdir()
                (inbox / "a").write_bytes(b"")
        with pytest.raises(ChangedFault, match="a/x is no longer there"):
            open_source(inbox, b"a/x")

    def test_missing_inbox_is_unavailable(self, tmp_path: Path) -> None:
        """A missing inbox is the folder's trouble and not the file's."""
        with pytest.raises(FolderUnavailable, match="is not there"):
            open_source(tmp_path / "gone", b"a/x")

    @pytest.mark.parametrize(
        ("number", "fault"),
        [(errno.EACCES, FileFault), (errno.EIO, FileFault), (errno.ESTALE, FileFault), (errno.EMFILE, DaemonFault)],
    )
    def test_unreadable_source_waits(
        self, number: int, fault: type[Exception], world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A source that cannot be read is that file's trouble; running out of descriptors is the daemon's."""
        real = os.open

        def refuse(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if path == b"IMG_1.jpg":
                raise OSError(number, os.strerror(number))
            return real(path, flags, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            with pytest.raises(fault):
                open_source(world.inbox, PATH)

    def test_forbidden_directory_is_the_files_trouble(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A sub-directory that may not be entered costs its files and not the folder."""
        real = os.open

        def refuse(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if path == b"trip":
                raise OSError(errno.EACCES, "no")
            return real(path, flags, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            with pytest.raises(FileFault, match="Permission denied"):
                open_source(world.inbox, PATH)


class TestUnchanged:
    def test_untouched(self, world: World) -> None:
        """A source nobody touched is unchanged, also after it was read."""
        opened = open_source(world.inbox, PATH)
        os.read(opened.fd, 100)
        assert unchanged(world.inbox, PATH, opened)
        os.close(opened.fd)

    @pytest.mark.parametrize("change", ["append", "replace", "remove", "remove directory", "chmod", "link"])
    def test_every_change_shows(self, change: str, world: World) -> None:
        """Other bytes, another file, another kind of file or none at all: none of it is unchanged."""
        opened = open_source(world.inbox, PATH)
        match change:
            case "append":
                with world.file.open("ab") as file:
                    file.write(b"x")
            case "replace":
                other = world.inbox / "other"
                other.write_bytes(PICTURE)
                shutil.copystat(world.file, other)
                other.rename(world.file)
            case "chmod":
                world.file.chmod(0o600)
            case "remove directory":
                shutil.rmtree(world.file.parent)
            case _:
                world.file.rename(world.inbox / "moved")
                if change == "link":
                    world.file.symlink_to(world.inbox / "moved")
        assert not unchanged(world.inbox, PATH, opened)
        os.close(opened.fd)


class TestKeep:
    def test_touches_nothing(self, world: World) -> None:
        """Under keep the source stays exactly as it is."""
        assert world.apply_open("keep") == Applied(outcome="kept")
        assert version_of(world.file.stat()) == world.version

    def test_puts_back_what_another_policy_left_hidden(self, world: World) -> None:
        """A source hidden by a crash under another policy is put back when the policy is keep now."""
        world.file.rename(world.hidden)
        assert world.apply("keep") == Applied(outcome="kept")
        assert world.found() == {"inbox/trip/IMG_1.jpg": PICTURE}


def test_version_is_what_lstat_tells(world: World) -> None:
    """A version holds size, both times and the inode."""
    found = world.file.stat()
    assert version_of(found) == replace(
        world.version,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        inode=found.st_ino,
    )


def test_a_kept_source_leaves_a_hidden_file_of_another_alone(world: World) -> None:
    """A file that has this job's hidden name while the source has its own is neither moved nor renamed."""
    world.hidden.write_bytes(b"of another")
    before = world.found()
    assert world.apply_open("keep") == Applied(outcome="kept")
    assert world.apply("keep") == Applied(outcome="kept")
    assert world.found() == before
