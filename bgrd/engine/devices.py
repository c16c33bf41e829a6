"""The processes of shared models seen from the parent: start, tie lanes to them, time out, blame, let go.

One process for a model (`engine.device`), a line to it for each lane that uses the model. Whom it works for stands on
its slate, so that when it dies or hangs exactly those it worked for are told apart from those that only waited: one
alone is charged as for its own lane, of several nobody is, and each is tried again with nothing beside it.
"""

from __future__ import annotations

import math
import os
import select
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from bgrd.engine import blame
from bgrd.engine.capacity import Limits
from bgrd.engine.listener import PoolEvents
from bgrd.engine.process import BURY_SECONDS, LaneProcess, Leaving, kernel_oom_kills, start_device
from bgrd.engine.request import Client
from bgrd.engine.shared import Line, SharedModel
from bgrd.engine.slate import Slate
from bgrd.engine.slot import LOOK_SECONDS, Slot
from bgrd.engine.supply import Need, files_of, load_of
from bgrd.engine.wire import Channel, Faulted, WireError
from bgrd.errors import FAULTS, DaemonFault, DeviceFault, Fault, UnknownFault
from bgrd.job import ModelChoice

__all__ = ["Devices"]

_MOST = 8
"""Processes at once: a lane may have no more than 64 descriptors."""
_LINGER_SECONDS = 5.0
"""How long one that no lane uses stays: the next lane is on its way where one has just been ended."""


class Devices:
    """The processes of all shared models. Everything here runs on the pool's thread."""

    def __init__(
        self,
        *,
        events: PoolEvents,
        clock: Callable[[], float],
        watch: Callable[[int], None],
        unwatch: Callable[[int], None],
        start: Callable[[], LaneProcess] = start_device,
    ) -> None:
        self._events = events
        self._clock = clock
        self._watch = watch
        self._unwatch = unwatch
        self._start = start
        self._devices: list[SharedModel] = []
        self._lines: dict[tuple[int, str], Line] = {}
        self._single: set[str] = set()
        self._numbers = 0
        self._look_at = -math.inf
        self._leaving = Leaving()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of those that live."""
        return tuple(device.process.pid for device in self._devices)

    def pid(self, slot: Slot, model: str) -> int:
        """Give the process that runs a lane's model for it and others, 0 where the lane runs it itself."""
        line = self._lines.get((slot.process.pid, model))
        return 0 if line is None else line.model.process.pid

    def supply(self, slot: Slot, need: Need, limits: Limits) -> None:
        """Have a lane take a model or ground; where models are shared, have it use the process that runs it.

        Raises DaemonFault, and ModelFault or GroundFault where a file cannot be read.
        """
        self._hang_up(slot, need.name)
        if not limits.shared or not isinstance(need, ModelChoice):
            slot.load(need, limits)
            return
        # By the file, not the name: of another file under its name lanes may have tensors there still.
        device = next((device for device in self._devices if device.need == need), None) or self._begin(need, limits)
        try:
            ours, theirs = Channel.pair()
        except OSError as error:
            raise DaemonFault(f"a lane cannot be tied to its model: {error.strerror}") from error
        self._numbers += 1
        line = Line(model=device, slot=slot, number=self._numbers)
        device.used_at = self._clock()
        device.lines.append(line)
        self._lines[slot.process.pid, need.name] = line
        try:
            device.send(Client(number=line.number), (ours.fileno(),))
            slot.take_up(need, replace(load_of(need, limits), remote=True), (theirs.fileno(),))
        finally:
            ours.close()
            theirs.close()

    def leave(self, slot: Slot) -> None:
        """Forget a lane that has ended or is to end."""
        for pid, model in list(self._lines):
            if pid == slot.process.pid:
                self._hang_up(slot, model)

    def handle(self, fileno: int) -> bool:
        """Take in what such a process sent; False where the socket is none of theirs."""
        for device in self._devices:
            if device.process.channel.fileno() == fileno:
                self._hear(device)
                return True
        return False

    def meaning(self, slot: Slot, message: Faulted) -> Fault:
        """Give the fault that a lane tells; where it says that its model's process ended, what that means to it.

        Raises WireError where that process is well: then it is the lane that is not.
        """
        fault = FAULTS.get(message.kind, UnknownFault)(message.text)
        if not isinstance(fault, DeviceFault):
            return fault
        line = self._lines.get((slot.process.pid, message.model or slot.model))
        # The lane's word may come before the end of the process does: the kernel closes one socket after the other.
        while line is not None and not line.model.ended and _speaks(line.model):
            self._hear(line.model)
        if line is None or line.fault is None:
            raise WireError("the process of its model is well")
        return line.fault

    def excuses(self, slot: Slot, limits: Limits) -> bool:
        """Whether a lane that is late only waits for a model: its process has a limit of its own for each run.

        The process of a model that is not loaded after all that time is ended.
        """
        for name in slot.loading:
            line = self._lines.get((slot.process.pid, name))
            if line is not None and not line.model.loaded and not line.model.ended:
                self._blame(line.model, blame.for_lateness("load", limit_seconds=slot.limit_seconds))
        line = self._lines.get((slot.process.pid, slot.model))
        if slot.stage != "work" or line is None or not line.waits:
            return False
        slot.delays += 1
        return slot.delays <= limits.lanes + 1  # it never stands behind more than that

    def tick(self, now: float, limits: Limits) -> list[float]:
        """Enforce the limits of time and memory; gives when to be called again although all is idle."""
        look = now >= self._look_at
        if look:
            self._look_at = now + LOOK_SECONDS
        for device in [*self._devices]:
            if not device.ended:
                device.used_at = device.used_at if device.idle else now
                self._enforce(device, now, limits, look=look)
        wanted = [device.used_at + _LINGER_SECONDS for device in self._devices if not device.lines]
        return [*wanted, now + LOOK_SECONDS] if self._leaving.any_left() else wanted

    def kill(self) -> None:
        """End all at once."""
        for device in [*self._devices]:
            self._remove(device)
        self._single.clear()

    def close(self) -> None:
        """Let all end and wait for them."""
        for device in [*self._devices]:
            self._remove(device)
        self._leaving.wait()

    def _begin(self, need: ModelChoice, limits: Limits) -> SharedModel:
        """Start the process of a model and send it the file. Raises DaemonFault, ModelFault."""
        self._make_room(limits)
        with ExitStack() as opened:
            descriptors = opened.enter_context(files_of(need))
            try:
                slate, descriptor = Slate.made()
                opened.callback(os.close, descriptor)
                process = self._start()
            except OSError as error:
                raise DaemonFault(f"the process of a model cannot be started: {error.strerror or error}") from error
            now = self._clock()
            device = SharedModel(process=process, need=need, slate=slate, oom_kills=kernel_oom_kills(), used_at=now)
            self._devices.append(device)
            self._watch(process.channel.fileno())
            batch = 1 if need.name in self._single else limits.batch
            # All the processors that the lanes have: they wait for it, and it has one run at a time.
            message = replace(load_of(need, limits), threads=limits.lanes * limits.threads, batch=batch)
            device.send(message, (*descriptors, descriptor))
        return device

    def _make_room(self, limits: Limits) -> None:
        """Let those go that nobody works with where there are too many. Raises DaemonFault where that is not enough."""
        while len(self._devices) >= _MOST or (self._devices and self._bytes() >= limits.device_bytes):
            if not self._let_one_go():
                break
        if len(self._devices) >= _MOST:
            raise DaemonFault(f"more than {_MOST} shared models are in use at once")

    def _let_one_go(self) -> bool:
        """Let the one go that was used longest ago, of those that nobody works with; False where there is none."""
        idle = [device for device in self._devices if device.idle]
        if idle:
            self._let_go(min(idle, key=lambda device: device.used_at))
        return bool(idle)

    def _let_go(self, device: SharedModel) -> None:
        for line in list(device.lines):
            line.slot.lose(device.need.name)
            self._hang_up(line.slot, device.need.name)
        self._remove(device)

    def _bytes(self) -> int:
        return sum(device.process.private_bytes() for device in self._devices)

    def _blame(self, device: SharedModel, fault: Fault) -> None:
        """End a process for what it did; until its model is loaded it is the model that is at fault."""
        self._end(device, fault if device.loaded else blame.while_loading(device.need.name, fault))

    def _hear(self, device: SharedModel) -> None:
        if (fault := device.hear()) is not None:
            self._end(device, fault)

    def _end(self, device: SharedModel, fault: Fault) -> None:
        """End a process by a fault, and note what that means to each of its lanes; where no job tells of it, we do."""
        if device.idle:
            self._events.lost(device.process.pid, fault, model=device.need.name)
        if device.toll(fault):
            self._single.add(device.need.name)  # it is not to happen again and again
        self._remove(device)

    def _enforce(self, device: SharedModel, now: float, limits: Limits, *, look: bool) -> None:
        """End a process that is late, that no lane has used for a while, or, where it is time to `look`, too big."""
        limit = limits.device_bytes
        if device.too_long(now, limit_seconds=limits.job_seconds):
            self._blame(device, blame.for_lateness("work", limit_seconds=limits.job_seconds))
        elif look and device.lines and self._bytes() > limit and (len(self._devices) == 1 or not self._let_one_go()):
            self._blame(device, blame.for_size(device.process.private_bytes(), limit_bytes=limit))
        elif not device.lines and now - device.used_at >= _LINGER_SECONDS:
            self._remove(device)

    def _hang_up(self, slot: Slot, model: str) -> None:
        line = self._lines.pop((slot.process.pid, model), None)
        if line is not None and line in line.model.lines:
            line.model.lines.remove(line)
            line.model.used_at = self._clock()

    def _remove(self, device: SharedModel) -> None:
        """End it at once: nothing is lost with it, and one that hangs would not hear of it."""
        device.ended = True
        self._unwatch(device.process.channel.fileno())
        self._devices.remove(device)
        device.process.channel.close()
        device.slate.close()
        device.process.kill()
        self._leaving.add(device.process)


def _speaks(device: SharedModel) -> bool:
    """Wait a moment for a word, or the end, of a process."""
    poll = select.poll()  # not `select`, which knows only the first thousand descriptors
    poll.register(device.process.channel, select.POLLIN)
    return bool(poll.poll(BURY_SECONDS * 1000))
