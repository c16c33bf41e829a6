"""The outbox: results appear complete or not at all and never in place of a file that is not ours."""

from __future__ import annotations

import errno
import grp
import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Barrier, Thread, get_native_id
from typing import Any

import pytest

import bgrd.delivery.ladder
import bgrd.delivery.replace
from bgrd.delivery.ladder import LADDER, Rung
from bgrd.delivery.outbox import Draft, Outbox
from bgrd.errors import DaemonFault, FileFault, FolderFault, FolderUnavailable
from tests.kernel.processes import open_files

OLD, NEW = b"old result", b"new result"


def _outbox(
    root: Path,
    *,
    ladder: tuple[Rung, ...] = LADDER,
    mode: int | None = None,
    group: str | None = None,
    min_free: int = 0,
) -> Outbox:
    return Outbox(root, mode=mode, group=group, min_free=min_free, ladder=ladder)


def _draft(outbox: Outbox, target: bytes, content: bytes = NEW) -> Draft:
    draft = outbox.create(target, job_id=7, index=0)
    os.write(draft.fd, content)
    os.fsync(draft.fd)
    return draft


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _answering(number: int) -> Callable[..., Any]:
    def answer(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return answer


def _files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.fixture(params=LADDER)
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Outbox:
    """Give an outbox on every rung in turn."""
    return _outbox(tmp_path, ladder=(request.param,))


class TestEveryRung:
    def test_publishes(self, each: Outbox, tmp_path: Path) -> None:
        """A result appears under its name with all its bytes, in directories made for it, and nothing else does."""
        draft = _draft(each, b"a/b/x.png")
        assert not [name for name in _files(tmp_path) if ".bgrd-7-0.tmp" not in name]
        assert each.publish(draft, b"a/b/x.png")
        each.sync(b"a/b/x.png")
        each.discard(draft)
        assert _files(tmp_path) == {"a/b/x.png": NEW}
        assert each.sha256(b"a/b/x.png") == _hash(NEW)

    def test_never_clobbers(self, each: Outbox, tmp_path: Path) -> None:
        """A taken name is refused, whoever has it, and the next one can be tried."""
        (tmp_path / "x.png").write_bytes(b"theirs")
        draft = _draft(each, b"x.png")
        assert not each.publish(draft, b"x.png")
        assert each.publish(draft, b"x.jpg.png")
        each.discard(draft)
        assert _files(tmp_path) == {"x.png": b"theirs", "x.jpg.png": NEW}

    def test_replaces_its_own(self, each: Outbox, tmp_path: Path) -> None:
        """An earlier result that has the recorded hash is replaced as a whole."""
        (tmp_path / "a").mkdir()
        (tmp_path / "a/x.png").write_bytes(OLD)
        draft = _draft(each, b"a/x.png")
        assert each.replace(draft, b"a/x.png", sha256=_hash(OLD))
        each.discard(draft)
        assert _files(tmp_path) == {"a/x.png": NEW}

    def test_edited_result_is_kept(self, each: Outbox, tmp_path: Path) -> None:
        """An earlier result that was edited is kept, and the draft can still be published elsewhere."""
        (tmp_path / "x.png").write_bytes(b"edited")
        draft = _draft(each, b"x.png")
        assert not each.replace(draft, b"x.png", sha256=_hash(OLD))
        assert each.publish(draft, b"x.jpg.png")
        each.discard(draft)
        assert _files(tmp_path) == {"x.png": b"edited", "x.jpg.png": NEW}

    def test_result_edited_while_looked_at(self, each: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A result that is edited after it was hashed is kept."""
        (tmp_path / "x.png").write_bytes(OLD)
        draft = _draft(each, b"x.png")
        real = bgrd.delivery.replace.__dict__["give_name"]

        def edited(draft: Draft, *, directory: int) -> bytes:
            (tmp_path / "x.png").write_bytes(b"edited")
            return bytes(real(draft, directory=directory))

        monkeypatch.setattr("bgrd.delivery.replace.give_name", edited)
        assert not each.replace(draft, b"x.png", sha256=_hash(OLD))
        assert each.publish(draft, b"x.jpg.png")
        each.discard(draft)
        assert _files(tmp_path) == {"x.png": b"edited", "x.jpg.png": NEW}

    def test_discard_leaves_nothing(self, each: Outbox, tmp_path: Path) -> None:
        """A discarded draft leaves no file and no descriptor, and may be discarded again."""
        before = len(open_files())
        draft = _draft(each, b"x.png")
        each.discard(draft)
        each.discard(draft)
        assert _files(tmp_path) == {}
        assert len(open_files()) == before

    def test_directory_moved_away_while_working(self, each: Outbox, tmp_path: Path) -> None:
        """A result goes to its place below the outbox, not to where its directory was moved meanwhile."""
        root = tmp_path / "outbox"
        root.mkdir()
        outbox = _outbox(root, ladder=each._ladder)
        draft = _draft(outbox, b"a/x.png")
        (root / "a").rename(tmp_path / "moved")
        assert outbox.publish(draft, b"a/x.png")
        outbox.discard(draft)
        assert _files(root) == {"a/x.png": NEW}
        assert _files(tmp_path / "moved") == {}

    def test_any_bytes_are_a_name(self, each: Outbox, tmp_path: Path) -> None:
        """Names that are no UTF-8, have newlines or 255 bytes are published as they are."""
        for name in (b"\xff\n.png", b"-x .png", b"y" * 251 + b".png"):
            draft = _draft(each, b"d\xff/" + name)
            assert each.publish(draft, b"d\xff/" + name)
            each.discard(draft)
            assert each.sha256(b"d\xff/" + name) == _hash(NEW)

    def test_probe_leaves_nothing(self, each: Outbox, tmp_path: Path) -> None:
        """A probe of a healthy outbox passes, finds the rung and leaves nothing."""
        each.probe()
        each.probe()
        assert each.rung == each._ladder[0]
        assert _files(tmp_path) == {}

    @pytest.mark.parametrize("how", ["publish", "replace"])
    def test_crash_at_any_call(self, how: str, each: Outbox, tmp_path: Path) -> None:
        """Killed at any call, the target is whole old, whole new or absent, and the sweep removes the rest."""
        for at in range(1, 200):
            for file in tmp_path.rglob("*"):
                file.unlink()
            if how == "replace":
                (tmp_path / "x.png").write_bytes(OLD)
            draft = _draft(each, b"x.png")
            if not _killed(at, partial(_put, each, draft, how)):
                break
            os.close(draft.fd)
            os.close(draft.directory)
            found = _files(tmp_path)
            assert found.get("x.png") in ({OLD, NEW} if how == "replace" else {None, NEW})
            each.sweep([7])
            assert set(_files(tmp_path)) <= {"x.png"}
        assert 3 < at < 199


class _Killed(BaseException):
    """The process ended here."""


def _put(outbox: Outbox, draft: Draft, how: str) -> None:
    if how == "publish":
        assert outbox.publish(draft, b"x.png")
    else:
        assert outbox.replace(draft, b"x.png", sha256=_hash(OLD))
    outbox.sync(b"x.png")
    outbox.discard(draft)


def _killed(at: int, action: Callable[[], None]) -> bool:
    """Run an action that ends before its `at`-th system call, nothing after it having any effect; False if it ran."""
    count = 0

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= at:
                raise _Killed
            return call(*arguments, **options)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "dup", "link", "rename", "unlink", "stat", "fstat", "pread", "fsync"):
            patch.setattr(os, name, watched(getattr(os, name)))
        patch.setattr(
            bgrd.delivery.ladder, "rename_noreplace", watched(bgrd.delivery.ladder.__dict__["rename_noreplace"])
        )
        try:
            action()
        except _Killed:
            return True
    return False


class TestPlaces:
    def test_links_lead_nowhere(self, tmp_path: Path) -> None:
        """A link below the outbox is neither written through nor read through."""
        root, outside = tmp_path / "outbox", tmp_path / "outside"
        root.mkdir()
        outside.mkdir()
        (outside / "x.png").write_bytes(OLD)
        (root / "a").symlink_to(outside)
        (root / "x.png").symlink_to(outside / "x.png")
        outbox = _outbox(root)
        with pytest.raises(FileFault, match=r"a/x\.png cannot be put"):
            outbox.create(b"a/x.png", job_id=7, index=0)
        assert outbox.sha256(b"a/x.png") is None
        assert outbox.sha256(b"x.png") is None
        draft = _draft(outbox, b"x.png")
        assert not outbox.replace(draft, b"a/x.png", sha256=_hash(OLD))
        assert not outbox.replace(draft, b"x.png", sha256=_hash(OLD))
        assert not outbox.publish(draft, b"x.png")
        outbox.discard(draft)
        assert _files(outside) == {"x.png": OLD}

    def test_root_may_be_a_link(self, tmp_path: Path) -> None:
        """The outbox itself may be a link: that is what the user configured."""
        (tmp_path / "real").mkdir()
        (tmp_path / "outbox").symlink_to("real")
        _outbox(tmp_path / "outbox").probe()

    @pytest.mark.parametrize("target", [b"../x.png", b"/x.png", b"a/../../x.png", b""])
    def test_paths_out_of_the_outbox_are_refused(self, target: bytes, tmp_path: Path) -> None:
        """A target that could leave the outbox is a programming error."""
        with pytest.raises(ValueError, match="not a path below a root"):
            _outbox(tmp_path).create(target, job_id=7, index=0)

    def test_file_in_a_directorys_place(self, tmp_path: Path) -> None:
        """A file where a directory is needed costs that job only."""
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(FileFault, match="Not a directory"):
            _outbox(tmp_path).create(b"a/x.png", job_id=7, index=0)
        assert _outbox(tmp_path).sha256(b"a/x.png") is None

    def test_missing_results(self, tmp_path: Path) -> None:
        """What is not there has no hash and is not replaced."""
        outbox = _outbox(tmp_path)
        (tmp_path / "directory.png").mkdir()
        for target in (b"x.png", b"a/x.png", b"directory.png"):
            assert outbox.sha256(target) is None
        draft = _draft(outbox, b"x.png")
        assert not outbox.replace(draft, b"a/x.png", sha256=_hash(OLD))
        outbox.discard(draft)

    @pytest.mark.parametrize("call", ["probe", "rung", "create", "publish", "replace", "sync", "sha256", "sweep"])
    def test_missing_outbox_is_unavailable(self, call: str, tmp_path: Path) -> None:
        """An outbox that is gone is unavailable whatever is asked of it, and is never made."""
        root = tmp_path / "outbox"
        root.mkdir()
        outbox = _outbox(root)
        draft = _draft(outbox, b"a/x.png")
        (root / "a").rmdir()
        root.rmdir()
        calls: dict[str, Callable[[], object]] = {
            "probe": outbox.probe,
            "rung": lambda: outbox.rung,
            "create": lambda: outbox.create(b"a/x.png", job_id=7, index=1),
            "publish": lambda: outbox.publish(draft, b"a/x.png"),
            "replace": lambda: outbox.replace(draft, b"a/x.png", sha256=""),
            "sync": lambda: outbox.sync(b"a/x.png"),
            "sha256": lambda: outbox.sha256(b"a/x.png"),
            "sweep": lambda: outbox.sweep([7]),
        }
        with pytest.raises(FolderUnavailable, match="is not there"):
            calls[call]()
        outbox.discard(draft)
        assert not root.exists()


class TestProbe:
    def test_too_little_room(self, tmp_path: Path) -> None:
        """Less free space than is to be kept blocks the folder, and the sentence has both numbers."""
        with pytest.raises(FolderFault, match=r"has \d+ MB free and \d+ MB are kept free"):
            _outbox(tmp_path, min_free=2**62).probe()

    def test_file_system_that_does_not_tell(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file system that reports no blocks at all is not taken for full."""
        monkeypatch.setattr(os, "fstatvfs", lambda _: os.statvfs_result([0] * 10))
        _outbox(tmp_path, min_free=1).probe()

    @pytest.mark.parametrize("call", ["open", "write", "fsync", "scandir"])
    @pytest.mark.parametrize(
        ("number", "fault", "words"),
        [
            (errno.ENOSPC, FolderFault, "is full"),
            (errno.EDQUOT, FolderFault, "quota"),
            (errno.EROFS, FolderFault, "read-only"),
            (errno.EACCES, FolderFault, "permissions"),
            (errno.ESTALE, FolderUnavailable, "not there"),
            (errno.EMFILE, DaemonFault, "resources"),
        ],
    )
    def test_trouble_is_told(
        self,
        call: str,
        number: int,
        fault: type[Exception],
        words: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Whatever keeps results from being written is told in a sentence, and leaves nothing behind."""
        with monkeypatch.context() as patch:
            patch.setattr(os, call, _answering(number))
            with pytest.raises(fault, match=words):
                _outbox(tmp_path).probe()
        assert _files(tmp_path) == {}

    def test_no_rung(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An outbox on which nothing can be published safely is refused by name, with each rung's answer."""
        monkeypatch.setattr(os, "link", _answering(errno.EPERM))
        monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", _answering(errno.EINVAL))
        with pytest.raises(FolderFault, match=re.escape(str(tmp_path)) + r".*hidden\+renameat2: Invalid argument"):
            _outbox(tmp_path).probe()

    def test_forbidden_outbox(self, tmp_path: Path) -> None:
        """An outbox this user may not write blocks the folder."""
        tmp_path.chmod(0o500)
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(FolderFault, match="permissions"):
            _outbox(tmp_path).probe()
        tmp_path.chmod(0o700)


class TestOwnership:
    def test_mode(self, tmp_path: Path) -> None:
        """Results get the mode, new directories the same with search and our own access; others are left alone."""
        (tmp_path / "a").mkdir(mode=0o711)
        (tmp_path / "a").chmod(0o2711)
        outbox = _outbox(tmp_path, mode=0o440)
        draft = _draft(outbox, b"a/b/x.png")
        assert outbox.publish(draft, b"a/b/x.png")
        outbox.discard(draft)
        assert (tmp_path / "a/b/x.png").stat().st_mode & 0o7777 == 0o440
        assert (tmp_path / "a/b").stat().st_mode & 0o7777 == 0o2750
        assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o2711

    def test_umask(self, tmp_path: Path) -> None:
        """Without a mode the umask decides."""
        outbox = _outbox(tmp_path)
        before = os.umask(0o027)
        try:
            draft = _draft(outbox, b"x.png")
        finally:
            os.umask(before)
        assert os.fstat(draft.fd).st_mode & 0o777 == 0o640
        outbox.discard(draft)

    def test_group(self, tmp_path: Path) -> None:
        """Results and new directories get the group."""
        group = next((grp.getgrgid(number) for number in sorted({*os.getgroups(), os.getegid()})), None)
        assert group is not None
        outbox = _outbox(tmp_path, group=group.gr_name)
        draft = _draft(outbox, b"a/x.png")
        assert os.fstat(draft.fd).st_gid == (tmp_path / "a").stat().st_gid == group.gr_gid
        outbox.discard(draft)

    def test_unknown_group(self, tmp_path: Path) -> None:
        """A group this machine does not know blocks the folder by name."""
        with pytest.raises(FolderFault, match=r"no-such-group.*does not exist"):
            _outbox(tmp_path, group="no-such-group").probe()
        with pytest.raises(FolderFault, match="no-such-group"):
            _outbox(tmp_path, group="no-such-group").create(b"x.png", job_id=7, index=0)
        assert _files(tmp_path) == {}

    def test_group_of_others(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A group this user is no member of blocks the folder with that reason."""
        monkeypatch.setattr(os, "fchown", _answering(errno.EPERM))
        with pytest.raises(FolderFault, match="not a member"):
            _outbox(tmp_path, group=grp.getgrgid(os.getegid()).gr_name).probe()

    def test_mtime(self, tmp_path: Path) -> None:
        """A result can carry its source's time, to the nanosecond."""
        outbox = _outbox(tmp_path)
        draft = _draft(outbox, b"x.png")
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
        assert _outbox(tmp_path).sweep([7, 8]) == len(gone)
        assert sorted(_files(tmp_path)) == sorted(kept)

    def test_only_some_directories(self, tmp_path: Path) -> None:
        """With directories given nothing else is looked at, and missing ones are passed over."""
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / ".bgrd-7-0.tmp").write_bytes(b"")
        assert _outbox(tmp_path).sweep([7], directories=[b"a", b"missing", b"a"]) == 1
        assert list(_files(tmp_path)) == ["b/.bgrd-7-0.tmp"]

    def test_probes_of_the_dead(self, tmp_path: Path) -> None:
        """A probe's leftover goes once its process is gone."""
        mine = f".bgrd-probe-{get_native_id()}.tmp"
        for name in (mine, ".bgrd-probe-999999999.tmp", ".bgrd-probe-999999999.tmp.named"):
            (tmp_path / name).write_bytes(b"")
        _outbox(tmp_path).sweep([])
        assert list(_files(tmp_path)) == [mine]

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
            assert _outbox(tmp_path).sweep([7]) == 1


def test_rung_is_each_file_systems_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file system mounted below the outbox is tried by itself."""
    outbox = _outbox(tmp_path)
    found = [outbox.rung]
    monkeypatch.setattr(os, "link", _answering(errno.EPERM))
    found.append(outbox.rung)
    outbox._rungs = {device + 1: rung for device, rung in outbox._rungs.items()}
    found.append(outbox.rung)
    assert found == ["unnamed", "unnamed", "hidden+renameat2"]


def test_discard_survives_a_dead_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discarding never raises and always closes, so that a dead share costs no descriptors."""
    before = len(open_files())
    outbox = _outbox(tmp_path, ladder=("hidden+link",))
    draft = _draft(outbox, b"x.png")
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", _answering(errno.ESTALE))
        outbox.discard(draft)
    assert len(open_files()) == before
    with suppress(FileNotFoundError):
        (tmp_path / ".bgrd-7-0.tmp").unlink()


def test_folders_that_share_an_outbox_try_it_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread has its own hidden names: both find the best way, whatever the other does in between."""
    both = Barrier(2, timeout=60)
    found: list[Rung] = []
    original = bgrd.delivery.ladder.publish_draft

    def publish(draft: Draft, name: bytes, *, directory: int) -> bool:
        both.wait()  # each has removed what an earlier try left, and neither has its name
        published = original(draft, name, directory=directory)
        both.wait()
        return published

    monkeypatch.setattr(bgrd.delivery.ladder, "publish_draft", publish)
    threads = [Thread(target=lambda: found.append(_outbox(tmp_path).rung)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [LADDER[0], LADDER[0]]
    assert not list(tmp_path.iterdir())
