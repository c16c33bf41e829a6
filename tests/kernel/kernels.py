"""A kernel that ends the process, or fails a call, at a chosen system call: kill -9 and bad disks, in-process."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest

import bgrd.delivery.ladder

__all__ = ["How", "Kernel", "Killed"]

How = Literal["before", "after", "error"]

_CALLS = [
    "open",
    "dup",
    "mkdir",
    "rename",
    "link",
    "unlink",
    "rmdir",
    "fsync",
    "stat",
    "fstat",
    "fstatvfs",
    "pread",
    "write",
    "utime",
    "fchmod",
    "listxattr",
    "setxattr",
]


class Killed(BaseException):
    """The process ended here; nothing that follows may change anything."""


class Kernel:
    """Counts system calls and ends the process, or fails one call, at the n-th.

    "before" and "after" say whether the n-th call still happened. After a kill every further call is refused, so
    that no `finally` tidies up what a killed process would have left; only descriptors are closed. "error" fails
    the n-th call once, with `number`, and goes on.
    """

    def __init__(self, at: int, *, how: How, number: int = errno.EIO) -> None:
        self._at = at
        self._how = how
        self._number = number
        self._count = 0
        self._dead = False
        self._thread = 0
        self.reached = False

    @property
    def kills(self) -> bool:
        """Whether it ends the process."""
        return self._how != "error"

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Serve `os` until the patch is undone, to the thread that asks for it."""
        self._thread = threading.get_ident()
        for name in _CALLS:
            patch.setattr(os, name, self.watched(getattr(os, name)))
        patch.setattr(
            bgrd.delivery.ladder, "rename_noreplace", self.watched(bgrd.delivery.ladder.__dict__["rename_noreplace"])
        )

    def watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Give the call as this kernel serves it."""

        def watched(*arguments: Any, **options: Any) -> Any:
            if threading.get_ident() != self._thread:
                return call(*arguments, **options)
            if self._dead:
                raise Killed
            self._count += 1
            if self._count != self._at:
                return call(*arguments, **options)
            self.reached = True
            if self._how == "error":
                raise OSError(self._number, os.strerror(self._number))
            self._dead = True
            if self._how == "after":
                answer = call(*arguments, **options)
                if call.__name__ in {"open", "dup"}:
                    os.close(answer)
            raise Killed

        return watched
