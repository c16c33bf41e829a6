"""The outbox: results appear complete or not at all and never in place of a file that is not ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bgrd.delivery.ladder
import bgrd.delivery.replace
from bgrd.delivery.ladder import LADDER
from bgrd.delivery.outbox import Draft, Outbox
from tests.houses.outboxes import NEW, OLD, drafted, files_below, outbox_at
from tests.houses.sources import answering
from tests.houses.workshop import digest
from tests.kernel.processes import open_files


@pytest.fixture(params=LADDER)
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Outbox:
    """Give an outbox on every rung in turn."""
    return outbox_at(tmp_path, ladder=(request.param,))


class TestEveryRung:
    def test_publishes(self, each: Outbox, tmp_path: Path) -> None:
        """A result appears under its name with all its bytes, in directories made for it, and nothing else does."""
        draft = drafted(each, b"a/b/x.png")
        assert not [name for name in files_below(tmp_path) if ".bgrd-7-0.tmp" not in name]
        assert each.publish(draft, b"a/b/x.png")
        each.sync(b"a/b/x.png")
        each.discard(draft)
        assert files_below(tmp_path) == {"a/b/x.png": NEW}
        assert each.sha256(b"a/b/x.png") == digest(NEW)

    def test_never_clobbers(self, each: Outbox, tmp_path: Path) -> None:
        """A taken name is refused, whoever has it, and the next one can be tried."""
        (tmp_path / "x.png").write_bytes(b"theirs")
        draft = drafted(each, b"x.png")
        assert not each.publish(draft, b"x.png")
        assert each.publish(draft, b"x.jpg.png")
        each.discard(draft)
        assert files_below(tmp_path) == {"x.png": b"theirs", "x.jpg.png": NEW}

    def test_replaces_its_own(self, each: Outbox, tmp_path: Path) -> None:
        """An earlier result that has the recorded hash is replaced as a whole."""
        (tmp_path / "a").mkdir()
        (tmp_path / "a/x.png").write_bytes(OLD)
        draft = drafted(each, b"a/x.png")
        assert each.replace(draft, b"a/x.png", sha256=digest(OLD))
        each.discard(draft)
        assert files_below(tmp_path) == {"a/x.png": NEW}

    def test_edited_result_is_kept(self, each: Outbox, tmp_path: Path) -> None:
        """An earlier result that was edited is kept, and the draft can still be published elsewhere."""
        (tmp_path / "x.png").write_bytes(b"edited")
        draft = drafted(each, b"x.png")
        assert not each.replace(draft, b"x.png", sha256=digest(OLD))
        assert each.publish(draft, b"x.jpg.png")
        each.discard(draft)
        assert files_below(tmp_path) == {"x.png": b"edited", "x.jpg.png": NEW}

    def test_result_edited_while_looked_at(self, each: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A result that is edited after it was hashed is kept."""
        (tmp_path / "x.png").write_bytes(OLD)
        draft = drafted(each, b"x.png")
        real = bgrd.delivery.replace.__dict__["give_name"]

        def edited(draft: Draft, *, directory: int) -> bytes:
            (tmp_path / "x.png").write_bytes(b"edited")
            return bytes(real(draft, directory=directory))

        monkeypatch.setattr("bgrd.delivery.replace.give_name", edited)
        assert not each.replace(draft, b"x.png", sha256=digest(OLD))
        assert each.publish(draft, b"x.jpg.png")
        each.discard(draft)
        assert files_below(tmp_path) == {"x.png": b"edited", "x.jpg.png": NEW}

    def test_discard_leaves_nothing(self, each: Outbox, tmp_path: Path) -> None:
        """A discarded draft leaves no file and no descriptor, and may be discarded again."""
        before = len(open_files())
        draft = drafted(each, b"x.png")
        each.discard(draft)
        each.discard(draft)
        assert files_below(tmp_path) == {}
        assert len(open_files()) == before

    def test_directory_moved_away_while_working(self, each: Outbox, tmp_path: Path) -> None:
        """A result goes to its place below the outbox, not to where its directory was moved meanwhile."""
        root = tmp_path / "outbox"
        root.mkdir()
        outbox = outbox_at(root, ladder=each._ladder)
        draft = drafted(outbox, b"a/x.png")
        (root / "a").rename(tmp_path / "moved")
        assert outbox.publish(draft, b"a/x.png")
        outbox.discard(draft)
        assert files_below(root) == {"a/x.png": NEW}
        assert files_below(tmp_path / "moved") == {}

    def test_any_bytes_are_a_name(self, each: Outbox, tmp_path: Path) -> None:
        """Names that are no UTF-8, have newlines or 255 bytes are published as they are."""
        for name in (b"\xff\n.png", b"-x .png", b"y" * 251 + b".png"):
            draft = drafted(each, b"d\xff/" + name)
            assert each.publish(draft, b"d\xff/" + name)
            each.discard(draft)
            assert each.sha256(b"d\xff/" + name) == digest(NEW)

    def test_probe_leaves_nothing(self, each: Outbox, tmp_path: Path) -> None:
        """A probe of a healthy outbox passes, finds the rung and leaves nothing."""
        each.probe()
        each.probe()
        assert each.rung == each._ladder[0]
        assert files_below(tmp_path) == {}

    @pytest.mark.parametrize("how", ["publish", "replace"])
    def test_crash_at_any_call(self, how: str, each: Outbox, tmp_path: Path) -> None:
        """Killed at any call, the target is whole old, whole new or absent, and the sweep removes the rest."""
        for at in range(1, 200):
            for file in tmp_path.rglob("*"):
                file.unlink()
            if how == "replace":
                (tmp_path / "x.png").write_bytes(OLD)
            draft = drafted(each, b"x.png")
            if not _killed(at, partial(_put, each, draft, how)):
                break
            os.close(draft.fd)
            os.close(draft.directory)
            found = files_below(tmp_path)
            assert found.get("x.png") in ({OLD, NEW} if how == "replace" else {None, NEW})
            each.sweep([7])
            assert set(files_below(tmp_path)) <= {"x.png"}
        assert 3 < at < 199


class _Killed(BaseException):
    """The process ended here."""


def _put(outbox: Outbox, draft: Draft, how: str) -> None:
    if how == "publish":
        assert outbox.publish(draft, b"x.png")
    else:
        assert outbox.replace(draft, b"x.png", sha256=digest(OLD))
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


def test_rung_is_each_file_systems_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file system mounted below the outbox is tried by itself."""
    outbox = outbox_at(tmp_path)
    found = [outbox.rung]
    monkeypatch.setattr(os, "link", answering(errno.EPERM))
    found.append(outbox.rung)
    outbox._rungs = {device + 1: rung for device, rung in outbox._rungs.items()}
    found.append(outbox.rung)
    assert found == ["unnamed", "unnamed", "hidden+renameat2"]
