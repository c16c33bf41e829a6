"""The process of a shared model and what a lane or the parent says to it, for tests that are neither."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bgrd.engine.process import LaneProcess, start_device
from bgrd.engine.remote import RemoteSession
from bgrd.engine.request import Client
from bgrd.engine.slate import Slate
from bgrd.engine.wire import Channel, Faulted, Load, Loaded
from tests.houses.inboxes import until

__all__ = ["POISONED_DEVICE", "SIDE", "Gated", "Tied", "picture"]

POISONED_DEVICE = Path(__file__).parents[1] / "programs/poisoned_device.py"
SIDE = 64


def picture(seed: int, *, width: int = SIDE) -> NDArray[Any]:
    """Make a tensor that looks like no other."""
    return np.random.default_rng(seed).random((1, 3, SIDE, width), np.float32)


class Tied:
    """A process that holds a model, started for a test; `reply` is what it said of loading it."""

    def __init__(self, model: Path, *arguments: str, batch: int = 8, sha256: str | None = None) -> None:
        self.process: LaneProcess = start_device(arguments) if arguments else start_device()
        self.slate, descriptor = Slate.made()
        file = os.open(model, os.O_RDONLY)
        load = Load(model="tiny", sha256=sha256, spec=None, threads=1, batch=batch)
        self.process.channel.send(load, (file, descriptor))
        os.close(file)
        os.close(descriptor)
        received = self.process.channel.receive()
        self.reply = None if received is None else received[0]
        assert self.reply is None or isinstance(self.reply, Loaded | Faulted)
        self._ends: list[Channel] = []

    def channel(self) -> Channel:
        """Tie one more lane; gives its end, on which nothing was read yet."""
        ours, theirs = Channel.pair()
        self._ends.append(ours)
        self.process.channel.send(Client(number=len(self._ends)), (theirs.fileno(),))
        theirs.close()
        return ours

    def session(self) -> RemoteSession:
        """Tie one more lane and wait until it may use the model."""
        return RemoteSession(self.channel(), name="tiny")

    def close(self) -> str:
        """Close the parent's end, then the lanes'; gives how the process ended."""
        self.process.channel.close()
        ended = self.process.wait_or_kill(20)
        for end in self._ends:
            end.close()
        return ended


class Gated:
    """A process whose runs wait for a gate, and that writes down how many pictures each had."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, path: Path, *, batch: int = 8) -> None:
        self._gate, self._runs = root / "gate", root / "runs"
        self._gate.touch()
        monkeypatch.setenv("PYTHON_GATE", str(self._gate))
        monkeypatch.setenv("PYTHON_RUNS", str(self._runs))
        self.tied = Tied(path, str(POISONED_DEVICE), batch=batch)
        self._runs.unlink(missing_ok=True)  # those of its trial

    def together(
        self, tensors: Sequence[NDArray[Any]], sessions: Sequence[RemoteSession]
    ) -> list[NDArray[Any] | BaseException]:
        """Have the first worked on alone until all others wait, then let go; gives what each got."""
        with ThreadPoolExecutor(len(tensors)) as pool:
            self._gate.unlink()
            try:
                first = pool.submit(sessions[0].run, tensors[0])
                until(lambda: self.tied.slate.running() == [1])
                rest = [pool.submit(sessions[place].run, tensors[place]) for place in range(1, len(tensors))]
                until(lambda: all(self.tied.slate.state(number + 2) == "waiting" for number in range(len(rest))))
            finally:
                self._gate.touch()
            return [done.exception() or done.result()[0].copy() for done in (first, *rest)]

    @property
    def runs(self) -> list[int]:
        """How many pictures each run had."""
        return [int(line) for line in self._runs.read_text().split()]
