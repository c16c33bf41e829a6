"""Whose results are, and what is swept: modes, groups, and what an ended job left."""

from __future__ import annotations

import errno
import grp
import os
from pathlib import Path
from threading import get_native_id
from typing import Any

import pytest

from bgrd.errors import FolderFault
from tests.houses.outboxes import drafted, files_below, outbox_at
from tests.houses.sources import answering


class TestOwnership:
    def test_mode(self, tmp_path: Path) -> None:
        """Results get the mode, new directories the same with search and our own access; others are left alone."""
        (tmp_path / "a").mkdir(mode=0o711)
        (tmp_path / "a").chmod(0o2711)
        outbox = outbox_at(tmp_path, mode=0o440)
        draft = drafted(outbox, b"a/b/x.png")
        assert outbox.publish(draft, b"a/b/x.png")
        outbox.discard(draft)
        assert (tmp_path / "a/b/x.png").stat().st_mode & 0o7777 == 0o440
        assert (tmp_path / "a/b").stat().st_mode & 0o7777 == 0o2750
        assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o2711

    def test_umask(self, tmp_path: Path) -> None:
        """Without a mode the umask decides."""
        outbox = outbox_at(tmp_path)
        before = os.umask(0o027)
        try:
            draft = drafted(outbox, b"x.png")
        finally:
            os.umask(before)
        assert os.fstat(draft.fd).st_mode & 0o777 == 0o640
        outbox.discard(draft)

    def test_group(self, tmp_path: Path) -> None:
        """Results and new directories get the group."""
        group = next((grp.getgrgid(number) for number in sorted({*os.getgroups(), os.getegid()})), None)
        assert group is not None
        outbox = outbox_at(tmp_path, group=group.gr_name)
        draft = drafted(outbox, b"a/x.png")
        assert os.fstat(draft.fd).st_gid == (tmp_path / "a").stat().st_gid == group.gr_gid
        outbox.discard(draft)

    def test_unknown_group(self, tmp_path: Path) -> None:
        """A group this machine does not know blocks the folder by name."""
        with pytest.raises(FolderFault, match=r"no-such-group.*does not exist"):
            outbox_at(tmp_path, group="no-such-group").probe()
        with pytest.raises(FolderFault, match="no-such-group"):
            outbox_at(tmp_path, group="no-such-group").create(b"x.png", job_id=7, index=0)
        assert files_below(tmp_path) == {}

    def test_group_of_others(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A group this user is no member of blocks the folder with that reason."""
        monkeypatch.setattr(os, "fchown", answering(errno.EPERM))
        with pytest.raises(FolderFault, match="not a member"):
            outbox_at(tmp_path, group=grp.getgrgid(os.getegid()).gr_name).probe()

    def test_mtime(self, tmp_path: Path) -> None:
        """A result can carry its source's time, to the nanosecond."""
        outbox = outbox_at(tmp_path)
        draft = drafted(outbox, b"x.png")
        outbox.set_mtime(draft, 10**18 + 7)
        assert outbox.publish(draft, b"x.png")
        outbox.discard(draft)
        assert (tmp_path / "x.png").stat().st_mtime_ns == 10**18 + 7


class TestSweep:
    def test_removes_only_these_jobs(self, tmp_path: Path) -> None:
        """Hidden files of the given jobs go, at any depth; all else stays, whatever it looks like."""
        (tmp_path / "a/b").mkdir(parents=True)
        (tmp_path / ".bgrd-7-9.tmp").mkdir()
        (tmp_path / "link").symlink_to("a")
        gone = ["a/b/.bgrd-7-0.tmp", ".bgrd-7-12.tmp", "a/.bgrd-8-0.tmp"]
        kept = [".bgrd-9-0.tmp", "a/.bgrd-77-0.tmp", ".bgrd-7-0.tmp.png", "x.png", "a/.bgrd-src-7"]
        for name in gone + kept:
            (tmp_path / name).write_bytes(b"")
        assert outbox_at(tmp_path).sweep([7, 8]) == len(gone)
        assert sorted(files_below(tmp_path)) == sorted(kept)

    def test_only_some_directories(self, tmp_path: Path) -> None:
        """With directories given nothing else is looked at, and missing ones are passed over."""
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / ".bgrd-7-0.tmp").write_bytes(b"")
        assert outbox_at(tmp_path).sweep([7], directories=[b"a", b"missing", b"a"]) == 1
        assert list(files_below(tmp_path)) == ["b/.bgrd-7-0.tmp"]

    def test_probes_of_the_dead(self, tmp_path: Path) -> None:
        """A probe's leftover goes once its process is gone."""
        mine = f".bgrd-probe-{get_native_id()}.tmp"
        for name in (mine, ".bgrd-probe-999999999.tmp", ".bgrd-probe-999999999.tmp.named"):
            (tmp_path / name).write_bytes(b"")
        outbox_at(tmp_path).sweep([])
        assert list(files_below(tmp_path)) == [mine]

    def test_unreadable_directory_is_passed_over(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that may not be listed keeps its leftovers and the others are swept."""
        (tmp_path / "a").mkdir()
        (tmp_path / ".bgrd-7-0.tmp").write_bytes(b"")
        real = os.open

        def refuse(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if path == b"a":
                raise OSError(errno.EACCES, "no")
            return real(path, flags, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            assert outbox_at(tmp_path).sweep([7]) == 1
