"""One shared model as the parent keeps it: its process, the lanes that use it, and what its end means to each."""

from __future__ import annotations

from dataclasses import dataclass, field

from bgrd.engine import blame
from bgrd.engine.process import LaneProcess
from bgrd.engine.request import Client
from bgrd.engine.slate import Slate
from bgrd.engine.slot import Slot
from bgrd.engine.wire import Faulted, Load, Loaded, WireError, close_all
from bgrd.errors import FAULTS, DeviceFault, Fault, UnknownFault
from bgrd.escape import line as escaped
from bgrd.job import ModelChoice

__all__ = ["Line", "SharedModel"]


@dataclass(slots=True, eq=False)
class Line:
    """What ties a lane to a shared model; `fault` is what the end of the model's process means to the lane."""

    model: SharedModel
    slot: Slot
    number: int
    fault: Fault | None = None

    @property
    def busy(self) -> bool:
        """Whether the lane works with this model, or waits for it to be loaded."""
        return self.model.need.name in {*self.slot.loading, self.slot.model}

    @property
    def waits(self) -> bool:
        """Whether the lane's tensor is with the model's process, waiting or worked on."""
        return not self.model.ended and self.model.slate.state(self.number) != "away"


@dataclass(slots=True, eq=False)
class SharedModel:
    """The process of one model; `run` is the run that was under way when it was looked at last, and since when."""

    process: LaneProcess
    need: ModelChoice
    slate: Slate
    oom_kills: int
    used_at: float
    lines: list[Line] = field(default_factory=list)
    loaded: bool = False
    ended: bool = False
    run: int = 0
    run_since: float = 0.0

    @property
    def idle(self) -> bool:
        """Whether no lane works with it."""
        return not any(line.busy for line in self.lines)

    def send(self, message: Load | Client, descriptors: tuple[int, ...]) -> None:
        """Send; a process that is gone is noticed when its socket is read."""
        try:
            self.process.channel.send(message, descriptors, wait=False)
        except (BrokenPipeError, ConnectionResetError):
            return
        except BlockingIOError:
            self.process.kill()  # it reads nothing: waiting for it would hold up everybody

    def hear(self) -> Fault | None:
        """Take in what its process sent; gives the fault by which it ended, or is to be ended, None while it is well.

        Until the model is loaded it is the model that is at fault.
        """
        fault = self._heard()
        if fault is None or self.loaded or isinstance(fault, _Told):
            return fault.fault if isinstance(fault, _Told) else fault
        return blame.while_loading(self.need.name, fault)

    def toll(self, fault: Fault) -> bool:
        """Note what its end by this fault means to each lane; gives whether it worked for several at once then.

        The one it worked for gets the fault itself. Of several nobody knows whose it was, and who only waited has
        nothing to do with it: they are tried again, alone.
        """
        running, name = self.slate.running(), self.need.name
        for line in self.lines:
            if not self.loaded or running == [line.number]:
                line.fault = fault
            else:
                line.fault = DeviceFault(f"the process of model {name} ended while it worked for others: {fault}")
            line.slot.lose(name)
        return len(running) > 1

    def too_long(self, now: float, *, limit_seconds: float) -> bool:
        """Whether one run takes longer than this; `now` is compared with when it was first seen."""
        if (run := self.slate.run) != self.run:
            self.run, self.run_since = run, now
        return run != 0 and now - self.run_since >= limit_seconds

    def _heard(self) -> Fault | _Told | None:
        try:
            received = self.process.channel.receive()
        except WireError as error:
            return UnknownFault(f"its process sent nonsense: {error}")
        except OSError:
            received = None
        if received is None:
            return blame.for_death(self.process, oom_kills=self.oom_kills, idle=self.idle)
        message, descriptors = received
        close_all(descriptors)
        match message:
            case Loaded() if not self.loaded:
                self.loaded = True
                return None
            case Faulted() if not self.loaded:
                return _Told(FAULTS.get(message.kind, UnknownFault)(escaped(message.text)))
            case _:
                return UnknownFault(f"its process sent nonsense: {type(message).__name__}")


@dataclass(frozen=True, slots=True)
class _Told:
    """A fault in the process's own words."""

    fault: Fault
