"""Sources that are deleted, without ever losing one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil

import pytest

import bgrd.delivery.ladder
from bgrd.delivery.source import Applied
from bgrd.errors import FileFault, FolderUnavailable
from bgrd.job import version_of
from bgrd.kernel import rename_noreplace
from tests.houses.sources import PICTURE, SHA256, World, answering


class TestDelete:
    def test_deletes_what_was_read(self, world: World) -> None:
        """The file that was read is deleted, and asking again finds it missing."""
        assert world.apply_open("delete") == Applied(outcome="deleted")
        assert world.found() == {}
        assert world.apply("delete") == Applied(outcome="missing")

    def test_after_a_restart_the_hash_decides(self, world: World) -> None:
        """Without the descriptor the bytes must have the hash; right inode, size and time are not enough."""
        world.sha256 = hashlib.sha256(b"other").hexdigest()
        assert world.apply("delete") == Applied(outcome="changed")
        world.sha256 = None
        assert world.apply("delete") == Applied(outcome="changed")
        assert world.found() == {"inbox/trip/IMG_1.jpg": PICTURE}
        world.sha256 = SHA256
        assert world.apply("delete") == Applied(outcome="deleted")

    def test_replaced_between_open_and_policy(self, world: World) -> None:
        """A file that took the source's place while it was processed is not deleted, whatever it looks like."""

        def replaced() -> None:
            other = world.inbox / "other"
            other.write_bytes(bytes(len(PICTURE)))
            shutil.copystat(world.file, other)
            other.rename(world.file)

        assert world.apply_open("delete", before=replaced) == Applied(outcome="changed")
        assert world.found() == {"inbox/trip/IMG_1.jpg": bytes(len(PICTURE))}

    @pytest.mark.parametrize("restart", [False, True])
    def test_overwritten_with_its_time_restored(self, world: World, *, restart: bool) -> None:
        """Bytes changed in place, with size and time put back, are found out by their hash."""

        def overwritten() -> None:
            with world.file.open("r+b") as file:
                file.write(b"PICTURE")
            os.utime(world.file, ns=(10**18, world.version.mtime_ns))

        if restart:
            overwritten()
            assert world.apply("delete") == Applied(outcome="changed")
        else:
            assert world.apply_open("delete", before=overwritten) == Applied(outcome="changed")
        assert world.file.read_bytes().startswith(b"PICTURE")

    def test_changed_mode_is_not_changed_bytes(self, world: World) -> None:
        """A chmod while it was processed keeps nobody from deleting bytes that are the right ones."""
        outcome = world.apply_open("delete", before=lambda: world.file.chmod(0o640)).outcome
        assert outcome == "deleted"

    def test_still_open_for_writing(self, world: World) -> None:
        """A source some program can still write to is put back."""
        with world.file.open("ab"):
            assert world.apply_open("delete") == Applied(outcome="changed")
        assert world.found() == {"inbox/trip/IMG_1.jpg": PICTURE}
        world.version = version_of(world.file.stat())
        assert world.apply_open("delete") == Applied(outcome="deleted")

    def test_file_system_without_leases(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the kernel cannot tell who writes, the comparison alone decides."""
        monkeypatch.setattr("fcntl.fcntl", answering(errno.EINVAL))
        assert world.apply_open("delete") == Applied(outcome="deleted")

    def test_network_mount(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a network mount every file seems open for writing: it is not asked, and the comparison decides."""
        monkeypatch.setattr("fcntl.fcntl", answering(errno.EAGAIN))
        assert world.apply_open("delete") == Applied(outcome="changed")
        world.version = version_of(world.file.stat())
        monkeypatch.setattr("bgrd.delivery.source.is_network", lambda _mount: True)
        assert world.apply_open("delete") == Applied(outcome="deleted")

    def test_renamed_onto_while_being_hidden(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that takes the name between the look and the hiding comes back under its name."""
        real = rename_noreplace

        def late(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> None:
            monkeypatch.undo()
            (world.inbox / "other").write_bytes(b"new")
            (world.inbox / "other").rename(world.file)
            real(source, target, source_dir=source_dir, target_dir=target_dir)

        monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", late)
        assert world.apply_open("delete") == Applied(outcome="changed")
        assert world.found() == {"inbox/trip/IMG_1.jpg": b"new"}

    def test_link_in_the_sources_place(self, world: World) -> None:
        """A link that took the source's name is neither followed nor removed."""

        def linked() -> None:
            world.file.rename(world.inbox / "moved.jpg")
            world.file.symlink_to(world.inbox / "moved.jpg")

        assert world.apply_open("delete", before=linked) == Applied(outcome="changed")
        assert world.file.is_symlink()
        assert (world.inbox / "moved.jpg").read_bytes() == PICTURE

    @pytest.mark.parametrize("gone", ["file", "directory"])
    def test_missing_source(self, gone: str, world: World) -> None:
        """A source that went away by itself is missing, and no error."""
        if gone == "file":
            world.file.unlink()
        else:
            shutil.rmtree(world.file.parent)
        assert world.apply("delete") == Applied(outcome="missing")
        assert world.apply("archive") == Applied(outcome="missing")
        assert list(world.archive.iterdir()) == []

    def test_missing_inbox_is_not_a_missing_source(self, world: World) -> None:
        """An inbox that is gone says nothing about its sources."""
        world.inbox.rename(world.inbox.with_name("unmounted"))
        with pytest.raises(FolderUnavailable):
            world.apply("delete")

    def test_hidden_leftover_of_another_file_is_put_back(self, world: World) -> None:
        """A hidden file that is not this source comes back beside it, and neither is deleted."""
        world.hidden.write_bytes(b"stranger")
        assert world.apply("delete") == Applied(outcome="changed")
        assert world.found() == {"inbox/trip/IMG_1.jpg": PICTURE, "inbox/trip/IMG_1-2.jpg": b"stranger"}

    def test_new_file_dropped_after_a_crash(self, world: World) -> None:
        """A new file that took the name of a source hidden by a crash stays, and the hidden one is deleted."""
        world.file.rename(world.hidden)
        world.file.write_bytes(b"new")
        assert world.apply("delete") == Applied(outcome="deleted")
        assert world.found() == {"inbox/trip/IMG_1.jpg": b"new"}

    def test_forbidden_directory(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A source that may not be moved is that file's trouble and stays."""
        with monkeypatch.context() as patch:
            patch.setattr(bgrd.delivery.ladder, "rename_noreplace", answering(errno.EACCES))
            with pytest.raises(FileFault, match="Permission denied"):
                world.apply_open("delete")
        assert world.found() == {"inbox/trip/IMG_1.jpg": PICTURE}
