"""Sources: opened without following anything, and kept, archived or deleted without ever losing one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bgrd.delivery.ladder
from bgrd.delivery.source import Applied, open_source, unchanged
from bgrd.errors import ChangedFault, DaemonFault, FileFault, FolderFault, FolderUnavailable
from bgrd.job import version_of
from bgrd.kernel import rename_noreplace
from tests.houses.sources import PATH, PICTURE, SHA256, World, answering


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a world on one file system."""
    return World(inbox=tmp_path / "inbox", archive=tmp_path / "archive")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Give an empty directory on another file system than tmp_path."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm as another file system")
    directory = Path(tempfile.mkdtemp(dir=memory))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(params=["near", "far"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Give a world whose archive is on the same, then on another file system."""
    root = tmp_path if request.param == "near" else request.getfixturevalue("elsewhere")
    return World(inbox=tmp_path / "inbox", archive=root / "archive")


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


class TestArchive:
    def test_mirrors_and_says_where(self, either: World) -> None:
        """The source goes to the same path below the archive, with its bytes, time and mode."""
        either.file.chmod(0o640)
        either.version = version_of(either.file.stat())
        where = either.archive / "trip/IMG_1.jpg"
        assert either.apply_open("archive") == Applied(outcome="archived", where=where)
        assert either.found() == {"archive/trip/IMG_1.jpg": PICTURE}
        assert where.stat().st_mtime_ns == either.version.mtime_ns
        assert where.stat().st_mode & 0o777 == 0o640
        assert either.apply("archive") == Applied(outcome="missing")

    def test_never_replaces(self, either: World) -> None:
        """An archived file of the same name stays and the new one is numbered."""
        (either.archive / "trip").mkdir()
        (either.archive / "trip/IMG_1.jpg").write_bytes(b"older")
        (either.archive / "trip/IMG_1-2.jpg").symlink_to("nowhere")
        assert either.apply("archive").where == either.archive / "trip/IMG_1-3.jpg"
        assert either.found() == {"archive/trip/IMG_1.jpg": b"older", "archive/trip/IMG_1-3.jpg": PICTURE}

    def test_any_bytes_are_a_name(self, tmp_path: Path) -> None:
        """Names that are no UTF-8 are archived under the same bytes."""
        name = b"\xff\n.jpg"
        strange = World(inbox=tmp_path / "inbox", archive=tmp_path / "archive", path=name)
        assert strange.apply("archive").where == tmp_path / "archive" / os.fsdecode(name)

    def test_changed_bytes_are_put_back(self, either: World) -> None:
        """Bytes of another hash are not archived and have their name again."""
        either.sha256 = hashlib.sha256(b"other").hexdigest()
        assert either.apply("archive") == Applied(outcome="changed")
        assert either.found() == {"inbox/trip/IMG_1.jpg": PICTURE}

    def test_missing_archive_leaves_the_source(self, either: World) -> None:
        """A missing archive is never made: it may be a share that is not mounted. The source keeps its name."""
        either.archive.rmdir()
        with pytest.raises(FolderUnavailable, match="archive"):
            either.apply_open("archive")
        assert version_of(either.file.stat()) == either.version
        assert not either.archive.exists()

    def test_missing_archive_after_a_crash_gives_the_source_back(self, either: World) -> None:
        """A source hidden by a crash does not stay hidden for as long as the archive is away."""
        either.file.rename(either.hidden)
        either.archive.rmdir()
        with pytest.raises(FolderUnavailable):
            either.apply("archive")
        assert either.found() == {"inbox/trip/IMG_1.jpg": PICTURE}

    def test_file_in_the_directorys_place(self, either: World) -> None:
        """A file in the archive where a directory is needed costs this source only, which stays."""
        (either.archive / "trip").write_bytes(b"")
        with pytest.raises(FileFault, match="trip"):
            either.apply_open("archive")
        assert version_of(either.file.stat()) == either.version

    def test_link_in_the_archive_leads_nowhere(self, either: World, tmp_path: Path) -> None:
        """A link below the archive is not followed out of it."""
        (tmp_path / "outside").mkdir()
        (either.archive / "trip").symlink_to(tmp_path / "outside")
        with pytest.raises(FileFault):
            either.apply_open("archive")
        assert list((tmp_path / "outside").iterdir()) == []

    def test_full_archive_is_noticed_before(
        self, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where a copy would not fit, the source is not touched at all."""
        far = World(inbox=tmp_path / "inbox", archive=elsewhere / "archive")
        room = list(os.statvfs(elsewhere))
        room[4] = 0
        monkeypatch.setattr(os, "fstatvfs", lambda _: os.statvfs_result(room))
        with pytest.raises(FolderFault, match="is full"):
            far.apply_open("archive")
        assert version_of(far.file.stat()) == far.version

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
    def test_full_archive_gives_the_source_back(
        self, number: int, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy that fails half-way leaves the source under its name and nothing in the archive."""
        far = World(inbox=tmp_path / "inbox", archive=elsewhere / "archive")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", answering(number))
            with pytest.raises(FolderFault):
                far.apply_open("archive")
        assert far.found() == {"inbox/trip/IMG_1.jpg": PICTURE}
        assert far.apply("archive").outcome == "archived"

    def test_copy_is_read_back(self, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A copy that reads back differently does not replace the source."""
        far = World(inbox=tmp_path / "inbox", archive=elsewhere / "archive")
        with monkeypatch.context() as patch:
            patch.setattr("bgrd.delivery.archive.sha256_of", lambda _: "0" * 64)
            with pytest.raises(FolderFault, match="Input/output error"):
                far.apply_open("archive")
        assert far.found() == {"inbox/trip/IMG_1.jpg": PICTURE}

    def test_attributes_travel(self, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Extended attributes are copied where they can be, and are no reason to fail where they cannot."""
        far = World(inbox=tmp_path / "inbox", archive=elsewhere / "archive")
        given: dict[object, bytes] = {}

        def take(_: int, name: object, value: bytes) -> None:
            given[name] = value
            raise OSError(errno.EOPNOTSUPP, "no")

        monkeypatch.setattr(os, "listxattr", lambda _: ["user.tag"])
        monkeypatch.setattr(os, "getxattr", lambda *_: b"holiday")
        monkeypatch.setattr(os, "setxattr", take)
        assert far.apply_open("archive").outcome == "archived"
        assert given == {"user.tag": b"holiday"}


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


def test_a_copy_half_made_goes_though_the_source_is_kept_after_all(tmp_path: Path) -> None:
    """A hidden copy that a kill left in the archive is removed also where nothing is archived any more."""
    world = World(inbox=tmp_path / "inbox", archive=tmp_path / "archive")
    world.file.rename(world.hidden)
    copy = world.archive / "trip" / world.hidden.name
    copy.parent.mkdir()
    copy.write_bytes(PICTURE[:1000])
    assert world.apply("keep") == Applied(outcome="kept")
    assert world.found() == {"inbox/trip/IMG_1.jpg": PICTURE}


def test_an_archive_that_is_the_inbox_costs_no_source(tmp_path: Path) -> None:
    """The hidden source itself is never taken for such a copy."""
    world = World(inbox=tmp_path / "inbox", archive=tmp_path / "archive")
    world.file.rename(world.hidden)
    world.archive.rmdir()
    world.archive.symlink_to(world.inbox)
    assert world.apply("keep") == Applied(outcome="kept")
    assert world.file.read_bytes() == PICTURE
