"""A pool of null lanes on a poll loop, with files for sources and results, that collects what it is told."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bgrd.engine.pool import Assignment, Limits, Pool
from bgrd.engine.process import start_lane
from bgrd.engine.wire import Finished, Hashed, Loaded, Work
from bgrd.errors import Fault
from bgrd.job import GroundChoice, ModelChoice, Recipe

__all__ = ["LIMITS", "Bench", "Told", "start_null_lane"]

_NULL_LANE = Path(__file__).parents[1] / "programs/null_lane.py"
LIMITS = Limits(lanes=2, threads=1, memory_bytes=8 * 2**30, model_bytes=2**30, job_seconds=60, idle_unload_seconds=300)
start_null_lane = partial(start_lane, (str(_NULL_LANE),))


@dataclass
class Told:
    """Collects what the pool tells and answers every hash at once."""

    pool: Pool | None = None
    go: bool = True
    hashes: list[Hashed] = field(default_factory=list)
    finished_jobs: list[Finished] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    devices: list[int] = field(default_factory=list)
    missing: list[list[str]] = field(default_factory=list)
    losses: list[tuple[int, str, str]] = field(default_factory=list)
    broken: dict[str, Fault] = field(default_factory=dict)

    def lane_started(self, lane: int, missing: Sequence[str]) -> None:
        self.missing.append(list(missing))

    def hashed(self, message: Hashed) -> None:
        self.hashes.append(message)
        assert self.pool is not None
        self.pool.answer(message.job, go=self.go)

    def finished(self, message: Finished, lane: int) -> None:
        self.finished_jobs.append(message)
        self.lanes.append(lane)

    def faulted(self, job: int, fault: Fault, stage: str, trace: str) -> None:
        self.faults[job] = fault

    def model_loaded(self, message: Loaded, lane: int) -> None:
        self.loaded.append(message.model)
        self.devices.append(message.device)

    def lost(self, process: int, fault: Fault, *, model: str = "") -> None:
        self.losses.append((process, str(fault), model))

    def model_faulted(self, model: str, fault: Fault) -> None:
        self.broken[model] = fault


class Bench:
    """A pool on a poll loop, with files for sources and results."""

    def __init__(self, tmp_path: Path, limits: Limits = LIMITS) -> None:
        self.told = Told()
        self.path = tmp_path
        self._poll = select.poll()
        self._jobs = 0
        self.pool = Pool(
            limits,
            events=self.told,
            clock=time.monotonic,
            watch=lambda fileno: self._poll.register(fileno, select.POLLIN),
            unwatch=self._poll.unregister,
            start=start_null_lane,
        )
        self.told.pool = self.pool
        self._open: list[int] = []

    def model(self, name: str = "m", content: bytes = b"good") -> ModelChoice:
        path = self.path / f"{name}.onnx"
        path.write_bytes(content)
        return ModelChoice(name=name, path=path)

    def ground(self, name: str, content: bytes = b"good") -> GroundChoice:
        path = self.path / f"{name}.jpg"
        path.write_bytes(content)
        return GroundChoice(name=f"ground/{name}", path=path, max_pixels=1)

    def submit(
        self,
        content: bytes,
        *,
        model: ModelChoice | None = None,
        alone: bool = False,
        grounds: tuple[GroundChoice, ...] = (),
    ) -> tuple[int, Path]:
        """Submit one job; gives its id and where its result will be."""
        self._jobs += 1
        source, target = self.path / f"s{self._jobs}", self.path / f"t{self._jobs}"
        source.write_bytes(content)
        descriptors = (os.open(source, os.O_RDONLY), os.open(target, os.O_RDWR | os.O_CREAT))
        self._open += descriptors
        model = model or self.model()
        work = Work(
            job=self._jobs,
            model=model.name,
            recipe=Recipe().to_json(),
            size=len(content),
            max_pixels=100,
            memory_bytes=2**30,
            grounds=[ground.name for ground in grounds],
        )
        assignment = Assignment(work=work, model=model, descriptors=descriptors, alone=alone, grounds=grounds)
        assert self.pool.submit(assignment)
        return self._jobs, target

    def until(self, condition: Callable[[], bool], *, seconds: float = 30) -> None:
        """Turn the loop until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "timed out"
            for fileno, _event in self._poll.poll(50):
                self.pool.handle(fileno)
            self.pool.tick(time.monotonic())

    def close(self) -> None:
        self.pool.close()
        for descriptor in self._open:
            os.close(descriptor)
