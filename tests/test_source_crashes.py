"""Source policies killed, or failed, at every single system call."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest

import bgrd.delivery.ladder
from bgrd.delivery.source import Applied, open_source
from bgrd.errors import FileFault, FolderFault
from bgrd.job import Policy
from tests.houses.sources import PICTURE, World, answering
from tests.kernel.kernels import How, Kernel, Killed


def _crashed(world: World, policy: Policy, kernel: Kernel, *, opened: bool) -> Applied | FolderFault | FileFault | None:
    """Apply a policy on a kernel that crashes or fails; None for a crash."""
    with pytest.MonkeyPatch.context() as patch:
        source = open_source(world.inbox, world.path) if opened else None
        kernel.install(patch)
        try:
            return world.apply(policy, source)
        except Killed:
            return None
        except (FolderFault, FileFault) as fault:
            return fault
        finally:
            if source is not None:
                os.close(source.fd)


def _weakened(able: str, patch: pytest.MonkeyPatch) -> None:
    if able != "renameat2":
        patch.setattr(bgrd.delivery.ladder, "rename_noreplace", answering(errno.EINVAL))
        bgrd.delivery.ladder.__dict__["rename_noreplace"].__name__ = "rename_noreplace"
    if able == "neither":
        refuse = answering(errno.EPERM)
        refuse.__name__ = "link"
        patch.setattr(os, "link", refuse)


@pytest.mark.parametrize("able", ["renameat2", "link", "neither"])
@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("scene", ["right", "changed", "dropped again"])
@pytest.mark.parametrize(("policy", "place"), [("archive", "near"), ("archive", "far"), ("delete", "near")])
class TestCrashes:
    def test_every_point(
        self,
        policy: Policy,
        scene: str,
        how: How,
        able: str,
        place: str,
        tmp_path: Path,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Killed at any system call and asked again, a policy ends as it should and loses or doubles nothing."""
        _weakened(able, monkeypatch)
        other = tmp_path if place == "near" else request.getfixturevalue("elsewhere")
        at, finished = 0, False
        while not finished:
            at += 1
            world = World(inbox=tmp_path / f"inbox{at}", archive=other / f"archive{at}")
            if scene == "changed":
                world.sha256 = hashlib.sha256(b"other").hexdigest()
            kernel = Kernel(at, how=how)
            _crashed(world, policy, kernel, opened=scene == "right")
            finished = not kernel.reached
            if scene == "dropped again" and not world.file.exists():
                world.file.write_bytes(b"new")
            self._ask_again(world, policy, scene)
            shutil.rmtree(world.inbox)
            shutil.rmtree(world.archive)
        assert at > 8

    @staticmethod
    def _ask_again(world: World, policy: Policy, scene: str) -> None:
        applied = world.apply(policy)
        found = world.found()
        assert not [name for name in found if ".bgrd-" in name], found
        if scene == "changed":
            assert found == {"inbox/trip/IMG_1.jpg": PICTURE}
            assert applied.outcome == "changed"
            return
        news = {"inbox/trip/IMG_1.jpg": b"new"} if scene == "dropped again" and world.file.exists() else {}
        kept = {"archive/trip/IMG_1.jpg": PICTURE} if policy == "archive" else {}
        assert found == news | kept
        assert applied.outcome in {"archived", "deleted", "missing", "changed"}


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINVAL])
@pytest.mark.parametrize(("policy", "place"), [("archive", "near"), ("archive", "far"), ("delete", "near")])
def test_any_call_may_fail(
    policy: Policy, place: str, number: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whichever single call fails, the source is there once at the least, and asking again ends it properly."""
    other = tmp_path if place == "near" else request.getfixturevalue("elsewhere")
    at, reached = 0, True
    while reached:
        at += 1
        world = World(inbox=tmp_path / f"inbox{at}", archive=other / f"archive{at}")
        kernel = Kernel(at, how="error", number=number)
        answer = _crashed(world, policy, kernel, opened=True)
        reached = kernel.reached
        found = world.found()
        if isinstance(answer, Applied) and answer.outcome == "deleted":
            assert found == {}
        else:
            assert PICTURE in found.values() or (policy == "delete" and found == {})
        world.apply(policy)
        found = world.found()
        assert not [name for name in found if ".bgrd-" in name], (at, found)
        if policy == "archive":
            assert set(found.values()) == {PICTURE}
        shutil.rmtree(world.inbox)
        shutil.rmtree(world.archive)
    assert at > 8
