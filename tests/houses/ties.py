"""The process of a shared model and what a lane or the parent says to it, for tests that are neither."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgrd.engine.process import LaneProcess, start_device
from bgrd.engine.remote import RemoteSession
from bgrd.engine.request import Client
from bgrd.engine.slate import Slate
from bgrd.engine.wire import Channel, Faulted, Load, Loaded

__all__ = ["POISONED_DEVICE", "SIDE", "Tied", "picture"]

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
