"""Mounts of a test's own: file systems that are small, full, read-only or gone, seen by nobody else.

The test's main thread and whatever it starts share a mount namespace for as long as `own_mounts` is held; what was
mounted in it goes with its last process.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

__all__ = ["MOUNTS", "Disk", "own_mounts"]

_CLONE_NEWNS = 0x00020000
_CLONE_FS = 0x00000200

MOUNTS = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="mounting takes a mount namespace, which takes root",
)
"""For tests that mount."""


@contextmanager
def own_mounts() -> Iterator[None]:
    """Mount for ourselves alone until the block ends; no thread started in it may outlive it."""
    libc = ctypes.CDLL(None, use_errno=True)
    before, place = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), Path.cwd()
    try:
        _ask(libc.unshare(_CLONE_NEWNS))
        try:
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            yield
        finally:
            # Threads that libraries began meanwhile share our root directory, which keeps us from going back.
            _ask(libc.unshare(_CLONE_FS))
            _ask(libc.setns(before, _CLONE_NEWNS))
            os.chdir(place)
    finally:
        os.close(before)


def _ask(answer: int) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Disk:
    """A small file system in memory, mounted at `path`; use it within `own_mounts`."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", ",".join(("mode=700", *options)), "none", str(path)]
        subprocess.run(command, check=True)

    @property
    def _room_bytes(self) -> int:
        room = os.statvfs(self.path)
        return room.f_bavail * room.f_frsize

    @property
    def _ballast(self) -> Path:
        return self.path / ".ballast"

    def fill(self, *, spare_bytes: int = 0) -> None:
        """Leave no more room than that."""
        with self._ballast.open("ab", buffering=0) as ballast:
            while (left := self._room_bytes - spare_bytes) > 0:
                with suppress(OSError):  # somebody else was faster
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, left)

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink()

    def remount(self, *options: str) -> None:
        """Change how it is mounted, as in "ro"."""
        subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(self.path)], check=True)
