"""The one-shot run on named files: no journal, no lock, no source policy; the same lanes and recipe as the daemon."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bgrd.delivery.naming import candidates
from bgrd.delivery.outbox import Draft, Outbox
from bgrd.delivery.source import open_source
from bgrd.engine.cage import weakened
from bgrd.engine.loop import Loop
from bgrd.engine.niceness import niced
from bgrd.engine.pool import Assignment, Limits, Pool
from bgrd.engine.process import start_device, start_lane
from bgrd.engine.wire import Finished, Hashed, Loaded, Work
from bgrd.errors import CannotCreateError, CrashFault, DeviceFault, Fault, FolderUnavailable, MemoryFault, NoInputError
from bgrd.escape import shown
from bgrd.intake.ignore import classify
from bgrd.intake.lease import shows_picture
from bgrd.intake.scan import excluded_below, walk
from bgrd.job import GroundChoice, ModelChoice, Recipe

__all__ = ["Failure", "Once", "Outcome", "Task", "left_out", "tasks_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One picture: `path` below `root`, and below the output the result mirrors `path`.

    `real` is the file itself where the user named a link to it: a link that is named is followed.
    """

    root: Path
    path: bytes
    real: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A picture that could not be done, and why."""

    task: Task
    reason: str


@dataclass(slots=True)
class Outcome:
    """What a run came to: results by task, failures, seconds of work per stage summed over all.

    `loose` is what was to hold its lanes in and does not on this system, by name and reason, where that leaves a gap.
    `notes` say what was decided when the model was loaded, `loaded` is the first lane's word on it. `peak_bytes` is the
    most that a lane took.
    """

    results: dict[Task, list[Path]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    wall_seconds: float = 0.0
    loose: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    loaded: Loaded | None = None
    peak_bytes: int = 0


@dataclass(slots=True)
class _Active:
    task: Task
    source: int
    drafts: list[Draft]
    alone: bool = False


def tasks_of(files: Iterable[Path], *, output: Path | None = None) -> list[Task]:
    """Turn what the user named into tasks, each once: a file as it is, a folder with all pictures below it.

    Where `output` lies strictly below a folder, it is left out there: it holds the results of earlier runs. Where it is
    the folder itself all pictures in it are meant; this run's results are not, as they come later.
    Raises NoInputError for what is not there.
    """
    try:
        return list(dict.fromkeys(task for file in files for task in _tasks_at(file, output)))
    except OSError as error:
        name = shown(os.fsencode(error.filename or ""))
        text = f"{name} cannot be looked at: {os.strerror(error.errno or 0)}"
        raise NoInputError(text) from error
    except FolderUnavailable as fault:
        raise NoInputError(str(fault)) from fault


def _tasks_at(file: Path, output: Path | None) -> Iterator[Task]:
    name = shown(os.fsencode(file))
    if file.is_dir():
        excluded = left_out(file, output)
        for batch in walk(file, recursive=True, excluded=excluded, sync_conflicts=False):
            yield from (Task(root=file, path=path) for path, _version in batch if _is_picture(file, path))
    elif file.is_file():
        real = file.resolve() if file.is_symlink() else None
        yield Task(root=file.absolute().parent, path=os.fsencode(file.name), real=real)
    else:
        text = f"there is no file {name}" if not file.exists() else f"{name} is neither a file nor a folder"
        raise NoInputError(text)


def left_out(folder: Path, output: Path | None) -> frozenset[bytes]:
    """Give what of a folder is not taken, since results go there; as it is written and as it is behind links."""
    return excluded_below(folder.absolute(), [output.absolute()]) if output is not None else frozenset()


def _is_picture(root: Path, path: bytes) -> bool:
    """Say whether a file in a folder is meant: by its suffix, or where that says nothing by its first bytes."""
    kind = classify(path.rpartition(b"/")[2])
    return kind == "picture" or (kind == "unknown" and shows_picture(os.fsencode(root), path))


class Once:
    """Works a list of tasks to its end. `progress` is called after each with its failure, or None.

    `grounds` are the recipe's pictures as they were found.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        model: ModelChoice,
        recipe: Recipe,
        output: Path,
        max_pixels: int,
        progress: Callable[[Task, str | None], None],
        grounds: tuple[GroundChoice, ...] = (),
    ) -> None:
        self._recipe = recipe
        self._model = model
        self._grounds = grounds
        self._max_pixels = max_pixels
        self._progress = progress
        self._outbox = Outbox(output, mode=None, group=None, min_free=0)
        self._active: dict[int, _Active] = {}
        self._alone: deque[Task] = deque()
        self.outcome = Outcome()
        self._loop = Loop()
        self._pool = Pool(
            limits,
            events=self,
            clock=time.monotonic,
            watch=self._loop.watch,
            unwatch=self._loop.unwatch,
            start=lambda: niced(start_lane(), limits.nice),
            start_device=lambda: niced(start_device(), limits.nice),
        )

    def run(self, tasks: Sequence[Task]) -> Outcome:
        """Work all tasks; gives what came of them. Raises CannotCreateError when nothing can be written."""
        try:
            self._outbox.probe()
        except Fault as fault:
            raise CannotCreateError(str(fault)) from fault
        started = time.perf_counter()
        waiting, number = deque(tasks), 0
        try:
            while waiting or self._active or self._alone:
                while waiting and self._pool.free:
                    number += 1
                    self._begin(number, waiting.popleft(), alone=False)
                if self._alone and not self._active and not waiting:
                    number += 1
                    self._begin(number, self._alone.popleft(), alone=True)
                if not self._active:
                    continue  # what was begun last could not even be opened: no lane will ever wake us
                for fileno in self._loop.wait(self._pool.tick(time.monotonic())):
                    self._pool.handle(fileno)
        finally:
            self._pool.kill()
            self._pool.close()
            for active in list(self._active.values()):
                self._drop(active)
            self._loop.close()
        self.outcome.wall_seconds = time.perf_counter() - started
        return self.outcome

    def _begin(self, number: int, task: Task, *, alone: bool) -> None:
        """Open and submit one task."""
        try:
            root, path = (
                (task.root, task.path) if task.real is None else (task.real.parent, os.fsencode(task.real.name))
            )
            opened = open_source(root, path)
        except Fault as fault:
            self._fail(task, str(fault))
            return
        active = _Active(task=task, source=opened.fd, drafts=[], alone=alone)
        try:
            active.drafts.extend(self._drafts(task, number))
            work = Work(
                job=number,
                model=self._model.name,
                recipe=self._recipe.to_json(),
                size=opened.version.size,
                max_pixels=self._max_pixels,
                memory_bytes=self._pool.memory_limit(alone=alone),
                grounds=[ground.name for ground in self._grounds],
            )
            descriptors = (active.source, *(draft.fd for draft in active.drafts))
            self._active[number] = active
            self._pool.submit(
                Assignment(work=work, model=self._model, descriptors=descriptors, alone=alone, grounds=self._grounds)
            )
        except Fault as fault:
            self._end(number, active, str(fault))

    def _drafts(self, task: Task, number: int) -> Iterator[Draft]:
        products = self._recipe.products
        for index, product in enumerate(products):
            target = next(candidates(task.path, product, only=len(products) == 1))
            yield self._outbox.create(target, job_id=number, index=index)

    # What the pool tells (PoolEvents).

    def lane_started(self, lane: int, missing: Sequence[str]) -> None:
        """Note what the lanes lack where that matters: they lack the same."""
        del lane
        self.outcome.loose = tuple(missing) if weakened(missing) else ()

    def hashed(self, message: Hashed) -> None:
        """Go on: a one-shot run knows no earlier results."""
        self._pool.answer(message.job, go=True)

    def finished(self, message: Finished, lane: int) -> None:
        """Give the results the first free names."""
        del lane
        active = self._active[message.job]
        self.outcome.peak_bytes = max(self.outcome.peak_bytes, message.peak_bytes)
        for stage, seconds in message.seconds.items():
            self.outcome.stage_seconds[stage] = self.outcome.stage_seconds.get(stage, 0.0) + seconds
        try:
            self.outcome.results[active.task] = list(self._publish(active))
        except Fault as fault:
            self._end(message.job, active, str(fault))
        else:
            self._end(message.job, active, None)

    def faulted(self, job: int, fault: Fault, stage: str, trace: str) -> None:
        """Note the failure; what did not work beside others, and may alone, is tried alone at the end."""
        del stage, trace
        active = self._active[job]
        if isinstance(fault, MemoryFault | DeviceFault) and not active.alone:
            self._alone.append(active.task)
            self._drop(self._active.pop(job))
        else:
            self._end(job, active, str(fault) if not isinstance(fault, CrashFault) else f"bgrd failed on it: {fault}")

    def model_loaded(self, message: Loaded, lane: int) -> None:
        """Note what is to be said of the model; of a ground there is nothing. The job follows."""
        del lane
        if message.model == self._model.name:
            self.outcome.notes = tuple(message.notes)
            self.outcome.loaded = self.outcome.loaded or message

    def model_faulted(self, model: str, fault: Fault) -> None:
        """Nothing to do: the job that wanted it gets the fault."""

    def lost(self, process: int, fault: Fault, *, model: str = "") -> None:
        """Nothing to do: the next job has another."""

    def _publish(self, active: _Active) -> Iterator[Path]:
        products = self._recipe.products
        for draft, product in zip(active.drafts, products, strict=True):
            for target in candidates(active.task.path, product, only=len(products) == 1):
                if self._outbox.publish(draft, target):
                    self._outbox.sync(target)
                    yield self._outbox.root / os.fsdecode(target)
                    break

    def _end(self, number: int, active: _Active, reason: str | None) -> None:
        self._active.pop(number, None)
        self._drop(active)
        if reason is None:
            self._progress(active.task, None)
        else:
            self._fail(active.task, reason)

    def _fail(self, task: Task, reason: str) -> None:
        self.outcome.failures.append(Failure(task=task, reason=reason))
        self._progress(task, reason)

    def _drop(self, active: _Active) -> None:
        for draft in active.drafts:
            self._outbox.discard(draft)
        os.close(active.source)
