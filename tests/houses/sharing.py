"""A pool whose lanes share one model."""

from __future__ import annotations

import os
import select
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from bgrd.engine.pool import Assignment, Limits, Pool
from bgrd.engine.process import start_device, start_lane
from bgrd.engine.wire import Work
from bgrd.job import ModelChoice, Recipe
from tests.houses.pools import Bench
from tests.houses.ties import POISONED_DEVICE, SIDE
from tests.pictures.making import encoded, model, noise

__all__ = ["BLOATING", "CRASHING", "DISLIKED", "GOOD", "HANGING", "LIMITS", "RECIPE", "Shared", "grey"]

LIMITS = Limits(
    lanes=3,
    threads=1,
    memory_bytes=8 * 2**30,
    model_bytes=4 * 2**30,
    job_seconds=60,
    idle_unload_seconds=300,
    shared=True,
    batch=8,
)
GOOD = encoded(noise(80, 60), "PNG")
RECIPE = replace(Recipe(), refine="none")


def grey(level: int) -> bytes:
    """Make a picture of one colour, which `poisoned_device` knows."""
    return encoded(Image.new("RGB", (80, 60), (level,) * 3), "PNG")


CRASHING, HANGING, BLOATING, DISLIKED = grey(255), grey(0), grey(51), grey(102)


class Shared(Bench):
    """A pool whose lanes share a model that misbehaves at pictures of one colour."""

    def __init__(self, tmp_path: Path, limits: Limits = LIMITS) -> None:
        super().__init__(tmp_path, limits)
        self.gate = tmp_path / "gate"
        self.gate.touch()
        os.environ["PYTHON_GATE"] = str(self.gate)
        poll = self._poll
        self.pool = Pool(
            limits,
            events=self.told,
            clock=time.monotonic,
            watch=lambda fileno: poll.register(fileno, select.POLLIN),
            unwatch=poll.unregister,
            start=start_lane,
            start_device=partial(start_device, (str(POISONED_DEVICE),)),
        )
        self.told.pool = self.pool

    def tiny(self, name: str = "tiny", **spec: object) -> ModelChoice:
        """Give a small model."""
        return self.model(name, model(spec={"name": name, "side": SIDE, **spec}))

    def work(self, data: bytes, *, alone: bool = False, model: ModelChoice | None = None) -> int:
        """Submit a real picture; gives the job."""
        self._jobs += 1
        source, target = self.path / f"s{self._jobs}", self.path / f"t{self._jobs}"
        source.write_bytes(data)
        descriptors = (os.open(source, os.O_RDONLY), os.open(target, os.O_RDWR | os.O_CREAT))
        self._open += descriptors
        model = model or self.tiny()
        work = Work(
            job=self._jobs,
            model=model.name,
            recipe=RECIPE.to_json(),
            size=len(data),
            max_pixels=10**6,
            memory_bytes=2**31,
        )
        assert self.pool.submit(Assignment(work=work, model=model, descriptors=descriptors, alone=alone))
        return self._jobs

    @property
    def device(self) -> int:
        """The one process that runs a model."""
        (pid,) = self.pool._devices.pids
        return pid

    def together(self, *pictures: bytes, first: bytes = GOOD) -> list[int]:
        """Have one worked on, and these wait behind it in their order, then let go; gives all jobs."""
        self.gate.unlink()
        jobs = [self.work(first)]
        self.until(lambda: bool(self.pool._devices.pids) and self.states()[:1] == ["running"])
        for picture in pictures:
            jobs.append(self.work(picture))
            self.until(lambda: self.states() == ["running"] + ["waiting"] * (len(jobs) - 1))
        self.gate.touch()
        return jobs

    def states(self) -> list[str]:
        """Give what the lanes' tensors do, in the order in which the lanes were tied."""
        (device,) = self.pool._devices._devices
        return [device.slate.state(line.number) for line in device.lines]

    def done(self, *jobs: int) -> bool:
        """Say whether these jobs are finished."""
        return {*jobs} <= {message.job for message in self.told.finished_jobs}
