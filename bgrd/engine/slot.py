"""One lane as the pool keeps it: its process, the models it holds, what it works on and until when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from bgrd.engine.capacity import Limits
from bgrd.engine.process import LaneProcess
from bgrd.engine.supply import Need, files_of, ground_fault, load_of
from bgrd.engine.wire import Answer, Drop, Hello, Load, Work
from bgrd.errors import Fault, GroundFault
from bgrd.job import GroundChoice, ModelChoice
from bgrd.kernel import blocked_in_file_call

__all__ = ["LOOK_SECONDS", "Assignment", "Slot", "Stage", "best"]

_START_SECONDS = 120.0
"""How long a lane may take to start and load its model before it counts as hung."""

LOOK_SECONDS = 0.25
"""How often the memory of a busy lane is looked at: not at each turn of the main loop, it means reading files."""

_SPARE_BYTES = 64 * 2**20

Stage = Literal["idle", "load", "read", "answer", "aside", "work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One job for a lane: its message and the descriptors that go with it, which stay the caller's."""

    work: Work
    model: ModelChoice
    descriptors: tuple[int, ...]
    alone: bool = False
    grounds: tuple[GroundChoice, ...] = ()

    @property
    def needs(self) -> tuple[Need, ...]:
        """What the lane has to hold."""
        return (self.model, *self.grounds)


@dataclass(slots=True)
class Slot:
    """A lane's state.

    `models` are those it holds with their bytes, the one used longest ago first; grounds too. `choices` says which file
    was loaded last under each name.

    `stage` is what it does: nothing, loading a model, reading the source, waiting for the parent's answer to the
    hash, working, or, told not to, putting aside a picture it still decodes: what happens to it until then no other
    job is to blame for. Each but the first has a deadline. `alone` says that what it does, a picture it puts aside
    too, may take all the memory. `delays` counts how often its job was found waiting for a
    model's process when it was late.
    """

    process: LaneProcess
    idle_since: float
    oom_kills: int = 0
    greeted: bool = False
    models: dict[str, int] = field(default_factory=dict)
    choices: dict[str, Need] = field(default_factory=dict)
    loading: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    assignment: Assignment | None = None
    alone: bool = False
    stage: Stage = "idle"
    delays: int = 0
    deadline: float | None = None
    limit_seconds: float = 0.0
    look_at: float = -math.inf

    @property
    def idle(self) -> bool:
        """Whether it has neither a job nor a model under way."""
        return self.stage == "idle"

    @property
    def vacant(self) -> bool:
        """Whether neither a job nor a model has a stake in it: it is idle, or puts aside a picture nobody wants."""
        return self.assignment is None and not self.loading

    @property
    def job(self) -> int | None:
        """The id of its job."""
        return None if self.assignment is None else self.assignment.work.job

    @property
    def model(self) -> str:
        """The name of its job's model."""
        return "" if self.assignment is None else self.assignment.model.name

    @property
    def held(self) -> bool:
        """Whether its job waits for a file system, and not for this lane."""
        return self.stage == "read" or (self.stage == "work" and blocked_in_file_call(self.process.pid))

    def look_due(self, now: float) -> bool:
        """Say whether to look now at what it has taken; then not again for a while."""
        due = not self.idle and now >= self.look_at
        if due:
            self.look_at = now + LOOK_SECONDS
        return due

    def greet(self, message: Hello) -> list[str]:
        """Note that the lane runs; gives what was to hold it in and does not, by name and reason."""
        self.greeted = True
        return [name for name in (*message.missing, self.process.unlimited()) if name]

    def confine(self, limits: Limits, *, memory_bytes: int) -> None:
        """Set the limits of what the lane does next; where the system refuses, that was told when it was started.

        Files: a result of deep pixels without compression, with all that its source could have brought along. Time:
        what loading, reading and working may take; the deadlines come first and these hold where we are held up.
        """
        work = self.assignment.work if self.assignment is not None else None
        file_bytes = _SPARE_BYTES if work is None else _SPARE_BYTES + 8 * work.max_pixels + 2 * work.size
        seconds = (_START_SECONDS + 2 * limits.job_seconds) * (limits.threads + 1)
        with suppress(PermissionError):
            self.process.limit(memory_bytes=memory_bytes, file_bytes=file_bytes, processor_seconds=seconds)

    def holds(self, need: Need) -> bool:
        """Say whether a model or ground is loaded or being loaded, and not another file under its name."""
        there = need.name in self.models or need.name in self.loading
        return there and self.choices.get(need.name) == need

    def enter(self, stage: Stage, *, now: float, limit_seconds: float) -> None:
        """Begin a stage; loading has a limit of its own, being idle has none."""
        self.stage = stage
        self.limit_seconds = _START_SECONDS if stage == "load" else limit_seconds
        self.deadline = None if stage == "idle" else now + self.limit_seconds
        if stage == "idle":
            self.idle_since = now

    def go_on(self, *, now: float, limit_seconds: float) -> None:
        """Begin what comes first of what it has to do: load, read, nothing."""
        self.alone = self.assignment is not None and self.assignment.alone
        stage: Stage = "load" if self.loading else "idle" if self.assignment is None else "read"
        self.enter(stage, now=now, limit_seconds=limit_seconds)

    def send(self, message: Load | Drop | Work | Answer, descriptors: tuple[int, ...] = ()) -> None:
        """Send; a lane that is gone is noticed when its socket is read, where its job is charged."""
        try:
            self.process.channel.send(message, descriptors, wait=False)
        except (BrokenPipeError, ConnectionResetError):
            return
        except BlockingIOError:
            self.process.kill()  # it reads nothing: waiting for it would hold up everybody

    def lacked(self, needs: Sequence[Need]) -> list[Need]:
        """Give those that are neither held nor being loaded."""
        return [need for need in needs if not self.holds(need)]

    def load(self, need: Need, limits: Limits) -> None:
        """Send the files of a model or ground as descriptors. Raises ModelFault or GroundFault, DaemonFault."""
        with files_of(need) as descriptors:
            self.take_up(need, load_of(need, limits), descriptors)

    def take_up(self, need: Need, message: Load, descriptors: tuple[int, ...]) -> None:
        """Send what makes the lane take a model or ground, and note it."""
        self.models.pop(need.name, None)
        self.lost.discard(need.name)  # it takes the place of the one before
        self.choices[need.name] = need
        self.loading.append(need.name)
        self.send(message, descriptors)

    def lose(self, name: str) -> None:
        """Have the lane use a model or ground no more; it is told once it is idle: at work it waits for answers."""
        self.models.pop(name, None)
        self.choices.pop(name, None)  # a ground that changes has a new name each time
        self.lost.add(name)
        self.drop_lost()

    def drop_lost(self) -> None:
        """Have an idle lane drop what it is to use no more."""
        while self.idle and self.lost:
            self.send(Drop(model=self.lost.pop()))

    def of_ground(self, fault: Fault, name: str = "") -> Fault:
        """Give a fault that a lane told of a ground with the picture's path, which it does not know; others as is.

        Without a name it is of the first that the lane's job lacks.
        """
        if not name and isinstance(fault, GroundFault) and self.assignment is not None:
            name = next((need.name for need in self.lacked(self.assignment.grounds)), "")
        ground = self.choices.get(name)
        return ground_fault(ground.path, fault) if isinstance(ground, GroundChoice) else fault

    def finish(self) -> None:
        """Take the job off; the model it used, and what its cut-outs stand on, are the last to be shed."""
        for need in () if self.assignment is None else self.assignment.needs:
            if need.name in self.models:
                self.models[need.name] = self.models.pop(need.name)
        self.assignment = None
        self.delays = 0

    def shed(self, share_bytes: int) -> None:
        """Drop the models used longest ago while an idle lane holds more than `share_bytes` of them."""
        while self.idle and len(self.models) > 1 and sum(self.models.values()) > share_bytes:
            self.lose(next(iter(self.models)))
        self.drop_lost()


def best(idle: Sequence[Slot], model: Need, *, more: bool) -> Slot | None:
    """Choose among idle lanes: one that holds the model, none where there may be `more`, else the least laden."""
    for slot in idle:
        if slot.holds(model):
            return slot
    return None if more else min(idle, key=lambda slot: (len(slot.models), slot.idle_since))
