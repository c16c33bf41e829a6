"""What /proc tells of processes that a test started, directly or not."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

__all__ = [
    "MARK",
    "begun",
    "begun_since",
    "bound",
    "carries",
    "children",
    "command",
    "everyone",
    "letter",
    "open_files",
    "signals",
    "threadless",
]

MARK = "PYTHON_HOUSE_OF_THE_TEST"
"""Of the family of variables that a lane inherits."""
"""The variable by which processes are found again, whosever children they have become."""


def everyone() -> list[int]:
    """Give the ids of all processes."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def carries(pid: int, mark: str) -> bool:
    """Say whether a living process has the mark; one that ended and was not waited for has no environment."""
    with suppress(OSError):
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def command(pid: int) -> bytes:
    """Give a process's command line, empty where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    return b""


def begun_since(before: Iterable[threading.Thread]) -> set[str]:
    """Give the names of threads that run now and did not before; what earlier tests left may end meanwhile."""
    return {thread.name for thread in {*threading.enumerate()} - {*before}}


def letter(pid: int) -> str:
    """Give a process's state letter; X where it is gone."""
    return next(iter(_fields(pid)), "X")


def children(pid: int) -> list[int]:
    """Give the ids of a process's living children."""
    return [child for child in everyone() if _fields(child)[1:2] == [str(pid)]]


def signals(pid: int, kind: str) -> set[int]:
    """Give the signals a process blocks (`SigBlk`) or ignores (`SigIgn`)."""
    bits = int(Path(f"/proc/{pid}/status").read_text().partition(f"{kind}:")[2].split()[0], 16)
    return {number for number in signal.valid_signals() if bits >> (number - 1) & 1}


def threadless(monkeypatch: pytest.MonkeyPatch, name: str = "") -> None:
    """Have the system start no more threads whose name begins so, as a limit on processes does."""
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if self.name.startswith(name):
            text = "can't start new thread"
            raise RuntimeError(text)
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start)


def bound(*program: str) -> tuple[str, ...]:
    """Give a program for which permissions hold even where the tests run as root; skips where that takes a tool."""
    if os.geteuid() != 0:
        return program
    if shutil.which("setpriv") is None:
        pytest.skip("permissions do not hold for root, and setpriv is not installed")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--", *program)


def begun(pid: int, source: Path, *, below: Path) -> bool:
    """Say whether a process has `source` open and has written nothing yet to any other file below a directory."""
    found = False
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = link.readlink()
                if target == source:
                    found = True
                elif target.is_relative_to(below) and link.stat().st_size:
                    return False
    return found


def _fields(pid: int) -> list[str]:
    """Give what /proc tells of a process behind its name, [] where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def open_files() -> list[str]:
    """Give this process's open descriptors; what earlier tests left to the garbage collector is not counted."""
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))
