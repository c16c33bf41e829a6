"""One run of real lanes for `bgrd bench`: so many lanes with so many threads, and what each picture took."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bgrd.engine.capacity import Limits
from bgrd.engine.wire import Finished, Loaded
from bgrd.errors import Fault
from bgrd.job import GroundChoice, ModelChoice, Recipe
from bgrd.once import Once, Task

__all__ = ["Run", "Worker"]


@dataclass(slots=True, kw_only=True)
class Run:
    """What came of a run: for each picture in the order they ended its number, second and stages.

    `peak_bytes` is the most one lane took, `reasons` why pictures failed, by their number. `fault` is the model's.
    """

    lanes: int
    threads: int
    ended: list[tuple[int, float, dict[str, float]]] = field(default_factory=list)
    peak_bytes: int = 0
    loaded: Loaded | None = None
    reasons: dict[int, str] = field(default_factory=dict)
    fault: Fault | None = None

    def rate(self, work: Sequence[float]) -> float:
        """Give the seconds of work done in a second, where picture number i is worth `work[i]`; 0 without any.

        Between the moments when all lanes had begun and when the first had nothing left to do: loading a model and the
        last pictures' stragglers are no part of a long day's rate.
        """
        first, last = self.lanes - 1, len(self.ended) - self.lanes
        if last <= first:
            return 0.0
        done = sum(work[number] for number, _second, _stages in self.ended[first + 1 : last + 1])
        return done / max(1e-9, self.ended[last][1] - self.ended[first][1])

    @property
    def shared_bytes(self) -> int:
        """What the process took that ran the model for all lanes; 0 where each held it itself."""
        return self.loaded.resident_bytes if self.loaded is not None and self.loaded.device else 0

    def milliseconds(self, stage: str) -> float:
        """Give the median milliseconds of a stage; 0 where no picture came to it."""
        taken = sorted(stages[stage] for _number, _second, stages in self.ended if stage in stages)
        return taken[len(taken) // 2] * 1000.0 if taken else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What all runs have in common: model, recipe and pictures."""

    limits: Limits
    model: ModelChoice
    recipe: Recipe
    sources: Sequence[Path]
    max_pixels: int
    grounds: tuple[GroundChoice, ...] = ()

    def run(self, *, lanes: int, threads: int, pictures: int) -> Run:
        """Work on so many pictures, the sources in turn; results are thrown away as they come.

        Raises CannotCreateError where they cannot be written.
        """
        run = Run(lanes=lanes, threads=threads)
        with tempfile.TemporaryDirectory(prefix="bgrd-bench-") as output:
            once = _Timed(self, run, Path(output))
            once.run([self._task(number) for number in range(pictures)])
        return run

    def _task(self, number: int) -> Task:
        """Give picture `number` a name of its own: thousands of results of one name would be numbered."""
        source = self.sources[number % len(self.sources)].absolute()
        return Task(root=source.parent, path=b"%06d" % number, real=source)


class _Timed(Once):
    """A run that notes when each picture ended, and keeps no result."""

    def __init__(self, worker: Worker, run: Run, output: Path) -> None:
        super().__init__(
            # Not nice: somebody waits for it, and what else the machine does would tell in every figure.
            limits=replace(worker.limits, lanes=run.lanes, threads=run.threads, nice=0),
            model=worker.model,
            recipe=worker.recipe,
            output=output,
            max_pixels=worker.max_pixels,
            progress=self._drop_result,
            grounds=worker.grounds,
        )
        self._noted = run
        self._sources = len(worker.sources)

    def finished(self, message: Finished, lane: int) -> None:
        """Note what it took."""
        number = int(self._active[message.job].task.path) % self._sources
        self._noted.ended.append((number, time.perf_counter(), dict(message.seconds)))
        self._noted.peak_bytes = max(self._noted.peak_bytes, message.peak_bytes)
        super().finished(message, lane)

    def model_loaded(self, message: Loaded, lane: int) -> None:
        """Keep the first lane's word on it."""
        super().model_loaded(message, lane)
        if message.model == self._model.name:
            self._noted.loaded = self._noted.loaded or message

    def model_faulted(self, model: str, fault: Fault) -> None:
        """Keep why no picture can be done."""
        del model
        self._noted.fault = fault

    def _drop_result(self, task: Task, reason: str | None) -> None:
        if reason is not None:
            self._noted.reasons[int(task.path) % self._sources] = reason
        for path in self.outcome.results.pop(task, ()):
            os.unlink(path)
