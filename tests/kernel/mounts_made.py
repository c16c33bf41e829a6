"""A mount namespace for a test: its daemon and its mounts see each other, and the machine sees neither."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.houses.houses import PATIENCE_SECONDS
from tests.houses.inboxes import until
from tests.kernel.processes import letter

__all__ = ["Mounts", "Share", "needs_fuse", "needs_mounts"]

_SERVER = Path(__file__).parents[1] / "programs/answering_share.py"


@cache
def _mounts() -> bool:
    words = ["unshare", "-m", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"]
    with suppress(OSError):
        return os.geteuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0
    return False


needs_mounts = pytest.mark.skipif(not _mounts(), reason="needs root, unshare and the right to mount")
needs_fuse = pytest.mark.skipif(
    not (_mounts() and os.access("/dev/fuse", os.R_OK | os.W_OK)), reason="needs root, /dev/fuse and the right to mount"
)


class Mounts:
    """A mount namespace between `with` and its end, held by a process that sleeps."""

    def __init__(self) -> None:
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        words = ("unshare", "-m", "--propagation", "private", "sh", "-c", "echo; exec sleep infinity")
        self._holder = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        self._holder.stdout.readline()  # the namespace is there
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._holder is not None
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    @property
    def pid(self) -> int:
        """The process that holds the namespace."""
        assert self._holder is not None, "it was never entered"
        return self._holder.pid

    def inside(self, *words: str | Path) -> tuple[str, ...]:
        """Give the command line that runs a program in the namespace."""
        return ("nsenter", "-t", str(self.pid), "-m", "--", *map(str, words))

    @property
    def program(self) -> Sequence[str]:
        """The daemon, in the namespace."""
        return self.inside(sys.executable, "-m", "bgrd", "run")

    def run(self, *words: str | Path) -> str:
        """Run a command in the namespace to its end; gives its output."""
        done = subprocess.run(self.inside(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tmpfs(self, point: Path, *, source: str = "share") -> None:
        """Mount an empty tmpfs."""
        self.run("mount", "-t", "tmpfs", source, point)

    def bind(self, back: Path, point: Path) -> None:
        """Mount a directory at another place: what is unmounted comes back with what was in it."""
        self.run("mount", "--bind", back, point)

    def unmount(self, point: Path) -> None:
        """Unmount, though somebody has a file open there."""
        self.run("umount", "--lazy", point)

    def at(self, path: Path) -> Path:
        """Give the path by which the test itself reaches a path of the namespace."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    @contextmanager
    def share(self, back: Path, point: Path) -> Iterator[Share]:
        """Mount a FUSE file system that shows the directory `back` and can be made to hang."""
        share = Share(self, back, point)
        share.connect()
        try:
            yield share
        finally:
            share.close()


class Share:
    """The server of a FUSE file system, which does as it is told."""

    def __init__(self, mounts: Mounts, back: Path, point: Path) -> None:
        self._mounts = mounts
        self._back = back
        self._point = point
        self._order = back.with_name(f"{back.name}.order")
        self._server: subprocess.Popen[str] | None = None

    def connect(self) -> None:
        """Mount it, answering; again, once it was broken off and unmounted."""
        if self._server is not None:
            self.close()
        self._order.write_text("")
        words = self._mounts.inside(sys.executable, _SERVER, self._back, self._point, self._order)
        self._server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "mounted\n"

    def withhold(self, *kinds: str) -> None:
        """Answer requests of these kinds no more, of any kind where none is named."""
        self._write(" ".join(kinds or ("all",)))

    def held(self, kind: str) -> None:
        """Wait until a request of this kind is withheld."""
        kept = self._order.with_suffix(".held")
        until(lambda: kept.exists() and kind in kept.read_text().split(), seconds=PATIENCE_SECONDS)

    def answer(self) -> None:
        """Answer everything again, what was withheld first."""
        self._write("")

    def freeze(self) -> None:
        """Take no request any more."""
        self.server.send_signal(signal.SIGSTOP)
        until(lambda: letter(self.server.pid) == "T", seconds=PATIENCE_SECONDS)

    def thaw(self) -> None:
        """Take them again."""
        self.server.send_signal(signal.SIGCONT)

    def break_off(self) -> None:
        """End the server: whoever waits or asks is told that the share is not connected."""
        self.server.kill()
        self.server.wait()

    def close(self) -> None:
        """End the server if it still runs, so that nobody waits for it."""
        self.break_off()
        assert self.server.stdout is not None
        self.server.stdout.close()

    @property
    def server(self) -> subprocess.Popen[str]:
        """The server's process."""
        assert self._server is not None, "it was never mounted"
        return self._server

    def _write(self, order: str) -> None:
        aside = self._order.with_suffix(".new")
        aside.write_text(order)
        aside.replace(self._order)
