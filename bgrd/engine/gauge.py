"""What a lane can tell of its own memory after it has lost every way to open a file."""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["Gauge"]


class Gauge:
    """The kernel's figures for this process, by files that are opened once; used with `with`."""

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        self._reset = -1
        with suppress(OSError):
            self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._status)
        if self._reset >= 0:
            os.close(self._reset)

    def resident_bytes(self) -> int:
        """Give the resident size now."""
        return self._read(b"VmRSS:")

    def peak_bytes(self) -> int:
        """Give the highest resident size since `reset_peak`."""
        return self._read(b"VmHWM:")

    def reset_peak(self) -> None:
        """Start the kernel's peak counter anew (proc(5), clear_refs 5); best effort, it only informs."""
        with suppress(OSError):
            os.write(self._reset, b"5")

    def _read(self, name: bytes) -> int:
        for line in os.pread(self._status, 8192, 0).splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        return 0
