"""What processes cost, as the kernel counts: processor time, wake-ups, memory."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "cost", "memory"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some processes have used so far: seconds of processor time, and how often one of their threads woke."""

    seconds: float
    wakeups: int

    def __sub__(self, other: Cost) -> Cost:
        return Cost(seconds=self.seconds - other.seconds, wakeups=self.wakeups - other.wakeups)


def cost(*pids: int) -> Cost:
    """Give what these processes have cost so far; 0 of those that are gone."""
    seconds, wakeups = 0.0, 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / _TICKS
            wakeups += sum(_field(task / "status", "voluntary_ctxt_switches") for task in _tasks(pid))
    return Cost(seconds=seconds, wakeups=wakeups)


def memory(pid: int, key: str = "VmRSS") -> int:
    """Give the bytes of memory a process holds, or with `VmHWM` the most it held; 0 where it is gone."""
    with suppress(OSError):
        return _field(Path(f"/proc/{pid}/status"), key) * 1024
    return 0


def _tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def _field(path: Path, key: str) -> int:
    for line in path.read_text().splitlines():
        name, _colon, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    return 0
