"""The lanes seen from the parent: start, feed, time out, replace, let go; knows which lane holds which model.

Lanes are `python -m bgrd.engine.lane` processes, never forked from the parent: a segfault, a hang or a leak
is one lane's and one job's affair. Ready-made pools (concurrent.futures, billiard, loky, pebble) carry
pickles between processes; ours carries open descriptors, so that no picture byte passes the parent and no
path reaches a lane.

Everything here runs on one thread, the main loop's; the daemon's lanes are started on another (`engine.starter`).
That one has to live as long as they do: PR_SET_PDEATHSIG follows the thread that started a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bgrd.engine import blame
from bgrd.engine.capacity import Limits
from bgrd.engine.devices import Devices
from bgrd.engine.listener import PoolEvents
from bgrd.engine.process import LaneProcess, Leaving, kernel_oom_kills, start_device, start_lane
from bgrd.engine.scrutiny import heard
from bgrd.engine.slot import LOOK_SECONDS, Assignment, Slot, best
from bgrd.engine.supply import Need
from bgrd.engine.wire import Answer, Aside, Faulted, Finished, Hashed, Hello, Loaded, Message, WireError
from bgrd.errors import DaemonFault, Fault, MemoryFault, UnknownFault

__all__ = ["Assignment", "Limits", "Pool", "PoolEvents"]


class Pool:
    """A bounded set of lanes. `watch(fileno)` and `unwatch(fileno)` tie lane sockets to the owner's selector."""

    def __init__(
        self,
        limits: Limits,
        *,
        events: PoolEvents,
        clock: Callable[[], float],
        watch: Callable[[int], None],
        unwatch: Callable[[int], None],
        start: Callable[[], LaneProcess] = start_lane,
        start_device: Callable[[], LaneProcess] = start_device,
    ) -> None:
        self.limits = limits
        self._events = events
        self._clock = clock
        self._watch = watch
        self._unwatch = unwatch
        self._start = start
        self._slots: dict[int, Slot] = {}
        self._leaving = Leaving()
        self._devices = Devices(events=events, clock=clock, watch=watch, unwatch=unwatch, start=start_device)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the living lanes."""
        return tuple(slot.process.pid for slot in self._slots.values())

    @property
    def busy(self) -> int:
        """How many lanes have a job or a model under way."""
        return sum(not slot.idle for slot in self._slots.values())

    @property
    def loading(self) -> bool:
        """Whether a model is being loaded."""
        return any(slot.loading for slot in self._slots.values())

    @property
    def free(self) -> int:
        """How many more jobs could start right now."""
        if any(slot.alone for slot in self._slots.values()):
            return 0
        return self.limits.lanes - self.busy

    def memory_limit(self, *, alone: bool) -> int:
        """Give the bytes one lane may take; all of them for a job that runs alone."""
        return self.limits.lane_bytes // (1 if alone else self.limits.lanes)

    def submit(self, assignment: Assignment) -> bool:
        """Start the job in the best lane; False where none is free, or an `alone` job has to wait for the others.

        Raises DaemonFault when no lane can be started, ModelFault or GroundFault when a file it needs cannot be read.
        """
        if self.free < 1 or (assignment.alone and self.busy):
            return False
        for idle in list(self._slots.values()) if assignment.alone else ():
            self._remove(idle, kill=False)  # what earlier pictures left in a lane is not to be this one's undoing
        slot = self._choose(assignment.model)
        self._supply(slot, assignment.needs)
        slot.assignment = assignment
        # To load a model may take more than the picture is allowed; what follows is narrowed down when that is done.
        memory_bytes = self.limits.memory_bytes if slot.loading else assignment.work.memory_bytes
        slot.confine(self.limits, memory_bytes=memory_bytes)
        self._go_on(slot)
        slot.send(assignment.work, assignment.descriptors)
        return True

    def answer(self, job: int, *, go: bool) -> None:
        """Answer a lane that said `hashed`, if it still waits; without `go` it is free once it put the job aside."""
        slot = self._slot_of(job)
        if slot is None or slot.stage != "answer":
            return
        slot.send(Answer(job=job, go=go))
        if not go:
            slot.finish()
        slot.enter("work" if go else "aside", now=self._clock(), limit_seconds=self.limits.job_seconds)

    def warm(self, *needs: Need) -> bool:
        """Load a model, then its folder's grounds, for a trial; False where no lane is free now. Raises as `submit`."""
        if self.free < 1:
            return False
        slot = self._choose(needs[0])
        for name in [need.name for need in needs if slot.holds(need)]:
            self._events.model_loaded(Loaded(model=name, sha256="", seconds=0.0, resident_bytes=0), slot.process.pid)
        if slot.lacked(needs):
            slot.confine(self.limits, memory_bytes=self.limits.memory_bytes)
            self._supply(slot, needs)
            self._go_on(slot)
        return True

    def handle(self, fileno: int) -> None:
        """Take in what a lane, or a shared model's process, sent; called when its socket is readable.

        A lane that says what cannot be true is ended, and its job or model faulted.
        """
        slot = self._slots.get(fileno)
        if slot is None:
            self._devices.handle(fileno)
            return
        try:
            if (message := heard(slot)) is not None:
                self._take(slot, message)
            else:
                self._end(slot, blame.for_death(slot.process, oom_kills=slot.oom_kills, idle=slot.vacant))
        except WireError as error:
            self._end(slot, UnknownFault(f"the process working on it sent nonsense: {error}"))

    def _take(self, slot: Slot, message: Message) -> None:
        match message:
            case Hello():
                self._events.lane_started(slot.process.pid, slot.greet(message))
            case Loaded():
                self._loaded(slot, message)
            case Hashed():
                if slot.assignment is not None:  # its model is loaded, and it begins to decode
                    slot.confine(self.limits, memory_bytes=slot.assignment.work.memory_bytes)
                slot.enter("answer", now=self._clock(), limit_seconds=self.limits.job_seconds)
                self._events.hashed(message)
            case Aside():
                self._go_on(slot)
            case Finished():
                self._release(slot)
                self._events.finished(message, slot.process.pid)
            case Faulted():
                self._faulted(slot, message)

    def tick(self, now: float) -> float | None:
        """Enforce time, memory and idle limits; gives the time at which it wants to be called again, or None."""
        wanted = self._devices.tick(now, self.limits)
        for slot in list(self._slots.values()):
            self._enforce(slot, now)
        wanted += [slot.deadline for slot in self._slots.values() if slot.deadline is not None]
        wanted += [slot.idle_since + self.limits.idle_unload_seconds for slot in self._slots.values() if slot.idle]
        if self._leaving.any_left() or self.busy:
            wanted.append(now + LOOK_SECONDS)
        return min(wanted, default=None)

    def cancel(self, job: int) -> bool:
        """End the lane that works on a job, which nobody is charged for; False where none does."""
        if (slot := self._slot_of(job)) is not None:
            self._remove(slot, kill=True)
        return slot is not None

    def let_go(self, job: int, *, unanswered: bool) -> bool:
        """Free the lane that a dead share holds with this job, uncharged; `unanswered`: or that waits for an answer."""
        slot = self._slot_of(job)
        if slot is not None and unanswered and slot.stage == "answer":
            self.answer(job, go=False)
            return True
        return slot is not None and slot.held and self.cancel(job)

    def kill(self) -> list[int]:
        """End every lane at once; gives the jobs that were cut off, which nobody is charged for."""
        jobs = [slot.job for slot in self._slots.values() if slot.job is not None]
        for slot in list(self._slots.values()):
            self._remove(slot, kill=True)
        self._devices.kill()
        return jobs

    def close(self) -> None:
        """Let all lanes end and wait for them; those that do not within a few seconds are killed."""
        for slot in list(self._slots.values()):
            self._remove(slot, kill=not slot.idle)
        self._devices.close()
        self._leaving.wait()

    def _enforce(self, slot: Slot, now: float) -> None:
        """End a lane that is late, too big, or has been idle long enough."""
        limit, threads = self.memory_limit(alone=slot.alone), self.limits.threads
        if slot.deadline is not None and now >= slot.deadline:
            self._late(slot)
        elif slot.look_due(now) and (fault := blame.for_excess(slot.process, limit_bytes=limit, threads=threads)):
            self._end(slot, fault)
        elif slot.idle and now - slot.idle_since >= self.limits.idle_unload_seconds:
            self._remove(slot, kill=False)

    def _late(self, slot: Slot) -> None:
        fault = blame.for_lateness(slot.stage, limit_seconds=slot.limit_seconds)
        if slot.stage == "answer" and slot.job is not None:
            job = slot.job
            self.answer(job, go=False)
            self._events.faulted(job, fault, "answer", "")
        elif self._devices.excuses(slot, self.limits):
            slot.enter("work", now=self._clock(), limit_seconds=self.limits.job_seconds)
        else:
            self._end(slot, fault)

    def _slot_of(self, job: int) -> Slot | None:
        return next((slot for slot in self._slots.values() if slot.job == job), None)

    def _choose(self, model: Need) -> Slot:
        """Choose the best idle lane, or begin one."""
        idle = [slot for slot in self._slots.values() if slot.idle]
        return best(idle, model, more=len(self._slots) < self.limits.lanes) or self._begin()

    def _supply(self, slot: Slot, needs: Sequence[Need]) -> None:
        """Have the lane load what it lacks. Raises as `submit`; what was sent before is under way then."""
        try:
            for need in slot.lacked(needs):
                self._devices.supply(slot, need, self.limits)
        except Fault:
            self._go_on(slot)
            raise

    def _begin(self) -> Slot:
        try:
            process = self._start()
        except OSError as error:
            raise DaemonFault(f"a lane process cannot be started: {error.strerror or error}") from error
        slot = Slot(process=process, idle_since=self._clock(), oom_kills=kernel_oom_kills())
        self._slots[process.channel.fileno()] = slot
        self._watch(process.channel.fileno())
        return slot

    def _loaded(self, slot: Slot, message: Loaded) -> None:
        slot.loading.remove(message.model)
        device = self._devices.pid(slot, message.model)
        slot.models[message.model] = 0 if device else message.resident_bytes
        self._go_on(slot)
        self._events.model_loaded(replace(message, device=device), slot.process.pid)

    def _faulted(self, slot: Slot, message: Faulted) -> None:
        fault = self._devices.meaning(slot, message)
        if message.job == 0:
            slot.loading.remove(message.model)
            self._go_on(slot)
            self._events.model_faulted(message.model, slot.of_ground(fault, message.model))
            return
        fault = slot.of_ground(fault)
        limit = self.memory_limit(alone=slot.alone)
        self._release(slot)
        if isinstance(fault, MemoryFault) and message.kind == fault.kind:
            fault = blame.with_limit(fault, limit_bytes=limit)
            self._remove(slot, kill=False)  # it may be short of memory because of what it did before
        self._events.faulted(message.job, fault, message.stage, message.trace)

    def _release(self, slot: Slot) -> None:
        """Take the job off the lane."""
        slot.finish()
        self._go_on(slot)

    def _go_on(self, slot: Slot) -> None:
        """Have the lane begin what is next, and let it keep no more models than its share."""
        slot.go_on(now=self._clock(), limit_seconds=self.limits.job_seconds)
        slot.shed(self.limits.model_bytes // self.limits.lanes)

    def _end(self, slot: Slot, fault: Fault) -> None:
        """Kill and remove a lane; its job gets the fault, or where a model was being loaded that model."""
        self._remove(slot, kill=True)
        if slot.loading:
            fault = slot.of_ground(blame.while_loading(slot.loading[0], fault), slot.loading[0])
        for model in slot.loading:
            self._events.model_faulted(model, fault)
        if slot.job is not None:
            self._events.faulted(slot.job, fault, "load" if slot.loading else "lane", "")
        if slot.vacant:
            self._events.lost(slot.process.pid, fault)

    def _remove(self, slot: Slot, *, kill: bool) -> None:
        fileno = slot.process.channel.fileno()
        self._unwatch(fileno)
        del self._slots[fileno]
        slot.process.channel.close()
        self._devices.leave(slot)
        if kill:
            slot.process.kill()
        self._leaving.add(slot.process)
