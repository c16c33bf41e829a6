"""What runs in the process of a model that several lanes share: its session, and a queue of tensors before it.

Started as `python -m bgrd.engine.device SOCKET PARENT`, for one model: what the model does to this process, it does to
no other model. It sees no picture, only tensors whose shape it has checked, and so it may keep what the driver of a
device needs; where the processor runs the model it opens no file any more. While one run is under way the main thread
takes requests in; then all that wait and are of one shape go together. It ends with the parent's end of the socket.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgrd.engine.batch import together
from bgrd.engine.birth import born, silence
from bgrd.engine.cage import enter_loosely
from bgrd.engine.caller import Asked, Caller, Nonsense
from bgrd.engine.gauge import Gauge
from bgrd.engine.loading import loaded
from bgrd.engine.request import Client, Ready
from bgrd.engine.slate import Slate
from bgrd.engine.wire import Channel, Faulted, Load, Loaded, WireError, close_all
from bgrd.errors import Fault, MemoryFault, ModelFault, UnknownFault
from bgrd.models.providers import CAGED
from bgrd.models.session import Session
from bgrd.models.several import several

__all__ = ["Device", "main"]

_TEXT_LIMIT = 1_000


class Device:
    """Serves lanes with one session: the thread that calls `serve` takes requests in, another works them."""

    def __init__(self, channel: Channel, session: Session, *, slate: Slate, ready: Ready, most: int) -> None:
        self._channel = channel
        self._session = session
        self._slate = slate
        self._ready = ready
        self._most = most
        self._runs = 0
        self._callers: dict[int, Caller] = {}
        self._waiting: list[Asked] = []
        self._worked_for: list[Caller] = []
        self._turn = threading.Condition()
        self._poll = select.poll()

    def serve(self) -> None:
        """Work until the parent closes its end."""
        self._poll.register(self._channel, select.POLLIN)
        threading.Thread(target=self._work, name="runs", daemon=True).start()
        while True:
            for fileno, _event in self._poll.poll():
                if fileno != self._channel.fileno():
                    self._hear(self._callers[fileno])
                elif not self._meet():
                    return

    def _meet(self) -> bool:
        """Take one more lane in; False where the parent has ended."""
        received = self._channel.receive()
        if received is None:
            return False
        message, descriptors = received
        if not isinstance(message, Client) or len(descriptors) != 1:
            close_all(descriptors)
            return False
        channel = Channel.adopt(descriptors[0])
        caller = Caller(message.number, channel, spec=self._session.spec, element_type=self._session.element_type)
        self._callers[channel.fileno()] = caller
        self._poll.register(channel, select.POLLIN)
        with self._turn:
            try:
                if self._slate.put(caller.number, "away"):
                    channel.send(self._ready, wait=False)
                    return True
            except OSError:
                pass  # it has ended already
            self._drop(caller)
        return True

    def _hear(self, caller: Caller) -> None:
        """Take what a lane sent; one that sends nonsense, or has ended, is served no more."""
        try:
            received = caller.channel.receive()
        except (WireError, OSError):
            received = None
        with self._turn:
            if received is None:
                self._drop(caller)
                return
            message, descriptors = received
            close_all(descriptors)
            try:
                asked = caller.take(message)
            except Nonsense as error:
                self._refuse(caller, UnknownFault(f"the process working on it asked for nonsense: {error}"))
                self._drop(caller)
            except OSError as error:
                self._refuse(caller, MemoryFault(f"there is no room for its tensor: {error.strerror}"))
            else:
                if asked is not None:
                    self._slate.put(caller.number, "waiting")
                    self._waiting.append(asked)
                    self._turn.notify()

    def _drop(self, caller: Caller) -> None:
        if not caller.gone:
            caller.gone = True
            del self._callers[caller.channel.fileno()]
            self._poll.unregister(caller.channel)
            caller.channel.close()
            self._waiting = [asked for asked in self._waiting if asked.caller is not caller]
            if caller not in self._worked_for:  # else its tensor may be the one that ends this process yet
                self._slate.strike(caller.number)

    def _refuse(self, caller: Caller, fault: Fault) -> None:
        with suppress(OSError):  # it has ended; its socket says so next
            caller.refuse(fault)

    def _work(self) -> None:
        """Run what waits, for ever. Should this thread end, so does the process: nobody may wait for it."""
        try:
            while True:
                with self._turn:
                    while not self._waiting:
                        self._turn.wait()
                    chosen = together(self._waiting, most=self._most)
                    self._waiting = [asked for asked in self._waiting if asked not in chosen]
                self._serve(chosen)
                chosen = []  # else the memory of a lane that has ended stays until somebody else's turn
        finally:
            os._exit(os.EX_SOFTWARE)

    def _serve(self, chosen: Sequence[Asked]) -> None:
        """Run these together; where that fails, each alone, and fewer together from then on."""
        try:
            outputs = self._run(chosen)
        except Fault as fault:
            if len(chosen) == 1:
                self._tell(chosen[0].caller, fault)
                return
            self._most = max(1, len(chosen) // 2)
            for asked in chosen:
                self._serve([asked])
            return
        for number, asked in enumerate(chosen):
            self._tell(asked.caller, outputs[number : number + 1] if len(chosen) > 1 else outputs)

    def _run(self, chosen: Sequence[Asked]) -> NDArray[Any]:
        """Run one batch; the slate says whose for as long as that takes. Raises Fault."""
        try:
            # Copied even for one: a lane may write to its tensor whenever it likes.
            batch = np.concatenate([asked.tensor for asked in chosen])
        except MemoryError as error:
            text = "there is not enough memory for its tensor"
            raise MemoryFault(text) from error
        self._mark(chosen, running=True)
        self._runs += 1
        self._slate.begin(self._runs)
        try:
            outputs = self._session.run_bound(batch)
        finally:
            self._slate.end()
            self._mark(chosen, running=False)
        if len(chosen) > 1 and len(outputs) != len(chosen):
            text = f"the model made {len(outputs)} of {len(chosen)} pictures"
            raise ModelFault(text)
        return outputs

    def _mark(self, chosen: Sequence[Asked], *, running: bool) -> None:
        """Note for whom a run is, or was; a lane that ended meanwhile stays on the slate as long as that."""
        with self._turn:
            for asked in chosen:
                if not asked.caller.gone:
                    self._slate.put(asked.caller.number, "running" if running else "waiting")
                elif not running:
                    self._slate.strike(asked.caller.number)
            self._worked_for = [asked.caller for asked in chosen if running and not asked.caller.gone]

    def _tell(self, caller: Caller, outcome: NDArray[Any] | Fault) -> None:
        with self._turn:
            if caller.gone:
                return
            self._slate.put(caller.number, "away")
            try:
                if isinstance(outcome, Fault):
                    caller.refuse(outcome)
                else:
                    caller.answer(outcome)
            except (OSError, ValueError) as error:
                self._refuse(caller, UnknownFault(f"what came of it cannot be handed over: {error}"))


def _opened(channel: Channel, load: Load, descriptors: Sequence[int], *, gauge: Gauge) -> Device:
    """Load and try the model, tell the parent. Raises Fault."""
    *files, slate = descriptors
    started = time.perf_counter()
    session, sha256 = loaded(load, files, caged=False)
    session.trial()
    most, note = several(session, load.batch)
    resident_bytes = gauge.resident_bytes()
    notes = [each[:_TEXT_LIMIT] for each in (*session.notes, note) if each]
    channel.send(
        Loaded(
            model=load.model,
            sha256=sha256,
            seconds=time.perf_counter() - started,
            resident_bytes=resident_bytes,
            providers=session.providers,
            notes=notes,
        )
    )
    ready = Ready(
        spec=session.spec.to_json(),
        element_type=session.element_type,
        sha256=sha256,
        resident_bytes=resident_bytes,
        providers=session.providers,
        notes=notes,
    )
    return Device(channel, session, slate=Slate(slate), ready=ready, most=most)


def _serve(channel: Channel, gauge: Gauge) -> None:
    """Take the model that the parent sends, then lanes."""
    received = channel.receive()
    if received is None:
        return
    load, descriptors = received
    if not isinstance(load, Load) or len(descriptors) < 2:
        return
    enter_loosely(opens_files=not CAGED.issuperset(load.providers))
    try:
        device = _opened(channel, load, descriptors, gauge=gauge)
    except Fault as fault:
        channel.send(Faulted(job=0, model=load.model, kind=fault.kind, text=str(fault)[:_TEXT_LIMIT], stage="load"))
        return
    finally:
        close_all(descriptors)
    device.serve()


def main(arguments: list[str]) -> int:
    """Run the process."""
    if (channel := born(arguments)) is None:
        return os.EX_OK
    silence(range(2))  # no picture has a say here, so what a driver complains of, or Python, may be seen
    with Gauge() as gauge:
        _serve(channel, gauge)
    # Not the interpreter's end, which would wait for a run, or trip over one.
    os._exit(os.EX_OK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
