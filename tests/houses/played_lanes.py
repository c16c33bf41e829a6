"""Lanes that are played in the test's own process: what a source's first word says is its fate.

good    a result          half    incomplete until it ends in "|rest"
bad     an input fault    odd     an unknown fault
crash   the lane ends     big     too much memory
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bgrd.engine.capacity import Limits
from bgrd.engine.pool import Assignment
from bgrd.engine.supply import Need
from bgrd.engine.wire import Loaded
from bgrd.errors import CrashFault, Fault, IncompleteFault, InputFault, MemoryFault, UnknownFault
from tests.houses.workshop import finished, hashed

__all__ = ["REST", "Lanes", "fate", "result_of"]

_pread = os.pread
"""A lane is another process: what fails for the parent works for it."""

REST = b"|rest"
_FATES: dict[bytes, Callable[[str], Fault]] = {
    b"bad": InputFault,
    b"odd": UnknownFault,
    b"crash": CrashFault,
    b"big": MemoryFault,
    b"half": IncompleteFault,
}


def fate(data: bytes) -> Fault | None:
    """Give the fault that these bytes end in, None where a result is made of them."""
    if data.endswith(REST):
        return None
    made = _FATES.get(data.split(b" ")[0])
    return None if made is None else made("its first word says so")


def result_of(data: bytes) -> bytes:
    """Give what a lane makes of these bytes."""
    return b"result of " + hashlib.sha256(data).hexdigest().encode()


@dataclass(eq=False)
class _Lane:
    """A lane at work."""

    assignment: Assignment
    stage: str = "read"
    data: bytes = b""

    @property
    def job(self) -> int:
        return self.assignment.work.job


@dataclass
class Lanes:
    """A pool of two played lanes; has the shape of `Pool`. `begun` is told each job that is to go on, and its bytes."""

    begun: Callable[[int, bytes], None] = lambda _job, _data: None
    events: Any = None
    limits: Limits = field(
        default_factory=lambda: Limits(
            lanes=2, threads=1, memory_bytes=2**30, model_bytes=2**30, job_seconds=120, idle_unload_seconds=300
        )
    )
    busy_lanes: list[_Lane] = field(default_factory=list)

    @property
    def loading(self) -> bool:
        return False

    @property
    def pids(self) -> tuple[int, ...]:
        return ()

    @property
    def busy(self) -> int:
        return len(self.busy_lanes)

    @property
    def free(self) -> int:
        alone = any(lane.assignment.alone for lane in self.busy_lanes)
        return 0 if alone else self.limits.lanes - self.busy

    def memory_limit(self, *, alone: bool) -> int:
        return self.limits.memory_bytes

    def tick(self, now: float) -> float | None:
        return None

    def warm(self, *needs: Need) -> bool:
        for need in needs:
            self.events.model_loaded(Loaded(model=need.name, sha256="0" * 64, seconds=0.0, resident_bytes=1), 1)
        return True

    def submit(self, assignment: Assignment) -> bool:
        full = len(self.busy_lanes) >= self.limits.lanes or any(lane.assignment.alone for lane in self.busy_lanes)
        if full or (assignment.alone and self.busy_lanes):
            return False
        self.busy_lanes.append(_Lane(assignment))
        return True

    def answer(self, job: int, *, go: bool) -> None:
        for lane in self.busy_lanes:
            if lane.job == job and lane.stage == "answer":
                lane.stage = "work"
                if not go:
                    self.busy_lanes.remove(lane)
                else:
                    self.begun(job, lane.data)
                return

    def cancel(self, job: int) -> bool:
        found = [lane for lane in self.busy_lanes if lane.job == job]
        for lane in found:
            self.busy_lanes.remove(lane)
        return bool(found)

    def kill(self) -> list[int]:
        jobs = [lane.job for lane in self.busy_lanes]
        self.busy_lanes.clear()
        return jobs

    def advance(self, index: int) -> bool:
        """Have one of the lanes that can go on do its next step; False where none can."""
        able = [lane for lane in self.busy_lanes if lane.stage != "answer"]
        if not able:
            return False
        lane = able[index % len(able)]
        if lane.stage == "read":
            lane.data = _pread(lane.assignment.descriptors[0], 1 << 20, 0)
            lane.stage = "answer"
            self.events.hashed(hashed(lane.job, lane.data))
        else:
            self._finish(lane)
        return True

    def fault(self, index: int, fault: Fault) -> int:
        """Have one of the lanes end in a fault, whatever it does; gives its job, 0 where none works."""
        if not self.busy_lanes:
            return 0
        lane = self.busy_lanes.pop(index % len(self.busy_lanes))
        self.events.faulted(lane.job, fault, "lane", "")
        return lane.job

    def _finish(self, lane: _Lane) -> None:
        self.busy_lanes.remove(lane)
        fault = fate(lane.data)
        if fault is not None:
            self.events.faulted(lane.job, fault, "work", "")
            return
        content = result_of(lane.data)
        for draft in lane.assignment.descriptors[1:]:
            os.pwrite(draft, content, 0)
        self.events.finished(finished(lane.job, *[content for _ in lane.assignment.descriptors[1:]]), 1)
