"""What a running daemon costs, sampled from /proc while it works, and whether any of it grows."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

__all__ = ["LIMITS", "WARM_JOBS", "Limit", "Sample", "Sampler", "Trend", "trend"]

WARM_JOBS = 2000
_FEWEST = 4
_TICKS = os.sysconf("SC_CLK_TCK")
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the daemon: `phase` is what the load was doing, memory in bytes, `cpu` in seconds so far."""

    second: float
    phase: str
    resident: int
    private: int
    descriptors: int
    threads: int
    watches: int
    cpu: float
    lanes: int
    lanes_resident: int
    journal: int
    open_jobs: int
    ended_jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much a gauge may grow at rest: so much an hour, but never less than `noise` over a run.

    `cold` is the noise of a run that is too short to leave its first WARM_JOBS jobs out: SQLite alone keeps up to 2 MB
    of pages, which fill with the journal.
    """

    gauge: str
    per_hour: float
    noise: float
    cold: float


LIMITS = (
    Limit(gauge="private", per_hour=8 * _MEBIBYTE, noise=1.5 * _MEBIBYTE, cold=5 * _MEBIBYTE),
    Limit(gauge="resident", per_hour=8 * _MEBIBYTE, noise=1.5 * _MEBIBYTE, cold=5 * _MEBIBYTE),
    Limit(gauge="descriptors", per_hour=0, noise=0.5, cold=0.5),
    Limit(gauge="threads", per_hour=0, noise=0.5, cold=0.5),
    Limit(gauge="watches", per_hour=0, noise=0.5, cold=0.5),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a gauge went at rest: medians of the first and second half, slope an hour, growth over the run."""

    gauge: str
    first: float
    second: float
    per_hour: float
    growth: float
    allowed: float

    @property
    def grows(self) -> bool:
        """Whether that is more than allowed."""
        return self.growth > self.allowed


class Sampler:
    """Takes a sample every second on a thread of its own until `stop`; `phase` is set by whoever makes the load."""

    def __init__(self, pid: int, *, journal: Path, lanes: Callable[[], list[int]], jobs: Callable[[], tuple[int, int]]):
        self.samples: list[Sample] = []
        self.phase = "start"
        self._pid = pid
        self._journal = journal
        self._lanes = lanes
        self._jobs = jobs
        self._over = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Take no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(1.0):
            with suppress(OSError):  # it has ended, or is about to
                self.samples.append(self._sample())

    def _sample(self) -> Sample:
        process = Path(f"/proc/{self._pid}")
        lanes = self._lanes()
        open_jobs, ended = self._jobs()
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return Sample(
            second=time.monotonic() - self._began,
            phase=self.phase,
            resident=_kibibytes(process / "status", "VmRSS") * 1024,
            private=sum(_kibibytes(process / "smaps_rollup", key) for key in ("Private_Clean", "Private_Dirty")) * 1024,
            descriptors=len(os.listdir(process / "fd")),
            threads=_kibibytes(process / "status", "Threads"),
            watches=_watches(process),
            cpu=(int(fields[11]) + int(fields[12])) / _TICKS,
            lanes=len(lanes),
            lanes_resident=sum(_resident(lane) for lane in lanes),
            journal=sum(path.stat().st_size for path in self._journal.parent.glob(self._journal.name + "*")),
            open_jobs=open_jobs,
            ended_jobs=ended,
        )


def trend(samples: Sequence[Sample], limit: Limit) -> Trend:
    """Compare rests with rests: the median of each is one point; the slope is the median of all pairs' (Theil-Sen).

    The first fifth of the points is left out, and what lies before WARM_JOBS jobs had ended where enough remains:
    caches fill. Raises ValueError where fewer than four points are left.
    """
    points = _rests(samples, limit.gauge)
    points = points[len(points) // 5 :]
    warm_at = next((sample.second for sample in samples if sample.ended_jobs >= WARM_JOBS), math.inf)
    warm = [point for point in points if point[0] >= warm_at]
    points, noise = (warm, limit.noise) if len(warm) >= _FEWEST else (points, limit.cold)
    if len(points) < _FEWEST:
        message = "too few rests to tell anything: run longer"
        raise ValueError(message)
    slopes = [(after - before) / (late - early) for (early, before), (late, after) in combinations(points, 2)]
    half, slope = len(points) // 2, median(slopes)
    span = points[-1][0] - points[0][0]
    return Trend(
        gauge=limit.gauge,
        first=median(value for _, value in points[:half]),
        second=median(value for _, value in points[half:]),
        per_hour=slope * 3600,
        growth=slope * span,
        allowed=max(limit.per_hour * span / 3600, noise),
    )


def _rests(samples: Sequence[Sample], gauge: str) -> list[tuple[float, float]]:
    """Give second and median of each uninterrupted rest."""
    rests: list[list[tuple[float, float]]] = []
    resting = False
    for sample in samples:
        if sample.phase == "rest":
            if not resting:
                rests.append([])
            rests[-1].append((sample.second, float(asdict(sample)[gauge])))
        resting = sample.phase == "rest"
    return [(median(second for second, _ in rest), median(value for _, value in rest)) for rest in rests]


def _kibibytes(path: Path, key: str) -> int:
    """Give the number behind a key, 0 where there is none."""
    for line in path.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def _resident(pid: int) -> int:
    with suppress(OSError):
        return _kibibytes(Path(f"/proc/{pid}/status"), "VmRSS") * 1024
    return 0


def _watches(process: Path) -> int:
    """Count the inotify watches of all its descriptors."""
    found = 0
    for file in (process / "fdinfo").iterdir():
        with suppress(OSError):
            found += sum(line.startswith("inotify ") for line in file.read_text().splitlines())
    return found
