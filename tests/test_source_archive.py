"""Sources that are archived, without ever losing one."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from bgrd.delivery.source import Applied
from bgrd.errors import FileFault, FolderFault, FolderUnavailable
from bgrd.job import version_of
from tests.houses.sources import PICTURE, World, answering


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
