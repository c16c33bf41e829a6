"""What this process and its lanes may use: processors by affinity and cgroup quota, memory by cgroup and machine.

Sources: sched(7), cgroups(7), cgroup-v2 `cpu.max` and `memory.max`, cgroup-v1 `cpu.cfs_quota_us` and
`memory.limit_in_bytes`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Capacity", "Limits", "busy_seconds", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Whole processors (at least 1) and bytes of memory this process may use."""

    processors: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the lanes may take. Bytes and seconds; `memory_bytes` and `model_bytes` are for all lanes together.

    `providers` are what models run on, () for auto; whether they may do without one of them is `provider_fallback`.
    `nice` is the niceness lanes have at least.
    `shared` says that a model runs in a process of its own for all lanes, `batch` pictures at once at most.
    """

    lanes: int
    threads: int
    memory_bytes: int
    model_bytes: int
    job_seconds: float
    idle_unload_seconds: float
    providers: tuple[str, ...] = ()
    provider_fallback: bool = False
    nice: int = 0
    shared: bool = False
    batch: int = 1

    @property
    def device_bytes(self) -> int:
        """What the processes of shared models may take; a quarter is left to the lanes, whatever models may have."""
        return min(self.model_bytes, self.memory_bytes * 3 // 4) if self.shared else 0

    @property
    def lane_bytes(self) -> int:
        """What all lanes together may take."""
        return self.memory_bytes - self.device_bytes


def measure(*, root: Path = Path("/"), affinity: int | None = None) -> Capacity:
    """Read what the kernel allows. `root` stands for `/` (proc and sys below it), `affinity` for the real mask."""
    processors = affinity if affinity is not None else len(os.sched_getaffinity(0))
    memory = _machine_bytes(root)
    for group in _groups(root):
        if (quota := _quota(group)) is not None:
            processors = min(processors, max(1, round(quota)))
        if (limit := _memory_limit(group)) is not None:
            memory = min(memory, limit)
    return Capacity(processors=max(1, processors), memory_bytes=memory)


def busy_seconds(*, root: Path = Path("/")) -> float:
    """Give the processor time all programs have used since the machine was started; 0 where the kernel does not tell.

    Source: proc(5), /proc/stat; waiting for disks is none, and what guests use is told twice.
    """
    try:
        ticks = [int(word) for word in (root / "proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return 0.0
    idle = sum(ticks[3:5])
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def _machine_bytes(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    text = "/proc/meminfo has no MemTotal"
    raise OSError(text)


def _groups(root: Path) -> list[Path]:
    """Give the cgroup directories from ours up to the root of each hierarchy that limits processors or memory."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    mounted = root / "sys/fs/cgroup"
    groups: list[Path] = []
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if controllers == "":
            tops = [mounted, mounted / "unified"]
        else:
            tops = [mounted / name for name in controllers.split(",") if name in {"cpu", "memory"}]
        parts = [part for part in path.split("/") if part]
        for top in tops:
            groups += [top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    return groups


def _quota(group: Path) -> float | None:
    """Give the processors a group may use, None where it is not limited."""
    words = _read(group / "cpu.max").split()
    if len(words) == 2 and words[0] != "max":
        return int(words[0]) / int(words[1])
    quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def _memory_limit(group: Path) -> int | None:
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        text = _read(group / name)
        if text and text != "max":
            return int(text)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
