"""What a folder's committer tells the dispatcher: frozen values that cross from its thread to the main loop.

`Report` is where the dispatcher passes on what is worth telling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bgrd.job import Job

__all__ = [
    "Blocked",
    "Broken",
    "Closed",
    "Delayed",
    "Event",
    "Fed",
    "Idle",
    "Judged",
    "Outcome",
    "Prepared",
    "Report",
    "Resumed",
]

Outcome = Literal["done", "known", "failed", "wait", "retry", "alone", "withdraw", "requeue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job is claimed and its descriptors are open."""

    folder: str
    job: Job
    source: int
    drafts: tuple[int, ...]
    accept_holes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing can be claimed now; `next_due` is the wall-clock second at which that changes by itself."""

    folder: str
    next_due: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The answer to a lane's hash: go on, or the result is already there."""

    folder: str
    job_id: int
    go: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A job has left the engine; `facts` go into the log."""

    folder: str
    job: Job
    outcome: Outcome
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """The folder cannot be worked on; it is probed until it can."""

    folder: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The folder is well again; `released` waiting jobs are ready."""

    folder: str
    released: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """The journal cannot be written now; the folder waits for it."""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The folder's thread met an error nobody foresaw, or a journal that will not come back; the daemon must end."""

    folder: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """There may be work: the folder's walker has admitted some, or a fetch has stepped over what vanished."""

    folder: str


Event = Fed | Delayed | Prepared | Idle | Judged | Closed | Blocked | Resumed | Broken


class Report(Protocol):
    """Where the engine's events go: log, counters, progress bar."""

    def __call__(self, event: str, **facts: Any) -> None:
        """Take one event with its facts."""
