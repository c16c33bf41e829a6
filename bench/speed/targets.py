"""What is to be reached, a row each: ratios within one run, and what a job, a drop or a second may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound on one figure: `at` least or most so much. `unit` is what stands behind the number."""

    key: str
    text: str
    at: Literal["least", "most"]
    bound: float
    unit: str = ""

    @property
    def scenario(self) -> str:
        """Which scenario measures it."""
        return self.key.partition(".")[0]

    def met(self, value: float) -> bool:
        """Say whether a figure keeps it."""
        return value >= self.bound if self.at == "least" else value <= self.bound


_ROWS = (
    Target(key="folder.daemon", text="32 photos, warm daemon: share of the limit", at="least", bound=0.92),
    Target(key="scaling.share", text="one core to all of them: share of what they could add", at="least", bound=0.9),
    Target(key="peer.u2netp", text="32 photos, U-2-Netp's file: faster than `rembg p`", at="least", bound=4, unit="x"),
    Target(key="peer.lite", text="32 photos, `bgrd-lite`'s file: faster than `rembg p`", at="least", bound=4, unit="x"),
    Target(key="peer.int8", text="32 photos, U-2-Netp as int8: faster than `rembg p`", at="least", bound=8, unit="x"),
    Target(key="latency.median", text="drop to result over the stages, median", at="most", bound=40, unit="ms"),
    Target(key="latency.p99", text="drop to result over the stages, 99 of 100", at="most", bound=120, unit="ms"),
    Target(key="start.ready", text="start to READY", at="most", bound=1, unit="s"),
    Target(key="start.help", text="`bgrd --help`", at="most", bound=0.25, unit="s"),
    Target(key="idle.share_1000", text="idle, 1,000 files kept: of a core", at="most", bound=0.1, unit="%"),
    Target(key="backlog.idle", text="idle, 100,000 files kept: of a core", at="most", bound=0.3, unit="%"),
    Target(key="idle.wakeups", text="idle: wake-ups a second", at="most", bound=1),
    Target(key="idle.resident", text="idle, lanes let go: resident", at="most", bound=60, unit="MB"),
    Target(key="backlog.first", text="100,000 files at the start: first result", at="most", bound=5, unit="s"),
    Target(key="backlog.cost", text="100,000 files: the daemon's own cost of a job", at="most", bound=3, unit="ms"),
    Target(key="backlog.growth", text="100,000 files: that cost over what it is at 10,000", at="most", bound=1.1),
    Target(key="backlog.memory", text="100,000 files: growth of the daemon's memory", at="most", bound=50, unit="MB"),
    Target(key="large.predicted", text="48 megapixels: a lane's peak over what is predicted", at="most", bound=1),
    Target(key="memory.limit", text="large photos: the lanes' peak over `memory_limit`", at="most", bound=1),
)
TARGETS = {row.key: row for row in _ROWS}
"""By the figure's key, in the order of the README's table."""
