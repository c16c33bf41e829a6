"""One lane as the process that runs its model knows it: what it asks, and where its tensors lie.

A lane that a picture has taken over may ask anything: it is held to its spec, and what cannot be is its own end here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bgrd.engine.region import Region
from bgrd.engine.request import Infer, Inferred, Refused, Room
from bgrd.engine.wire import Channel, Message
from bgrd.errors import Fault
from bgrd.models.spec import ModelSpec

__all__ = ["Asked", "Caller", "Nonsense", "most_bytes"]

_TEXT_LIMIT = 1_000
_LONGEST_RATIO = 4
"""By which `imaging.prepare` bounds the long side."""


class Nonsense(ValueError):
    """What came can be no request."""


def most_bytes(spec: ModelSpec) -> int:
    """Give what the largest tensor takes that a picture can become for this model."""
    longest = spec.side * (1 if spec.fit == "square" else _LONGEST_RATIO)
    return 3 * spec.side * longest * 4


def _check(shape: Sequence[int], spec: ModelSpec) -> None:
    """Raise Nonsense where this is not the shape of one picture for this model."""
    fine = len(shape) == 4 and shape[0] == 1
    if fine:
        channels, height, width = (shape[1], shape[2], shape[3]) if spec.layout == "NCHW" else (*shape[3:], *shape[1:3])
        longest = spec.side * _LONGEST_RATIO
        fine = channels == 3 and (
            height == width == spec.side
            if spec.fit == "square"
            else min(height, width) == spec.side and max(height, width) in range(0, longest + 1, spec.multiple)
        )
    if not fine:
        raise Nonsense(f"a tensor of {list(shape)[:8]}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A tensor that waits or is worked on, where it lies: the lane can still change it, and nothing of its shape."""

    caller: Caller
    tensor: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Batch, then the rest by the model's layout."""
        return self.tensor.shape


class Caller:
    """A lane's number, socket and memory; `asking` says that it has not had its answer yet."""

    def __init__(self, number: int, channel: Channel, *, spec: ModelSpec, element_type: str) -> None:
        self.number = number
        self.channel = channel
        self.asking = False
        self.gone = False
        self._spec = spec
        self._element_type = element_type
        self._incoming: Region | None = None
        self._outgoing: Region | None = None

    def take(self, message: Message) -> Asked | None:
        """Give room for a tensor where it wants some, or the tensor that it wants worked on.

        Raises Nonsense, and OSError where there is no room or it is gone.
        """
        if self.asking:
            raise Nonsense("a request before the answer to the last")
        match message:
            case Room():
                self._give_room(message.size)
                return None
            case Infer():
                _check(message.shape, self._spec)
                asked = Asked(caller=self, tensor=self._array(message.shape))
                self.asking = True
                return asked
            case _:
                raise Nonsense(type(message).__name__)

    def answer(self, output: NDArray[Any]) -> None:
        """Put down what came of its tensor and tell it. Raises OSError."""
        made = None
        self.asking = False
        try:
            if self._outgoing is None or self._outgoing.size < output.nbytes:
                self._outgoing, made = Region.made(output.nbytes)
            self._outgoing.array(output.shape, output.dtype.name)[...] = output
            said = Inferred(shape=list(output.shape), element_type=output.dtype.name, size=self._outgoing.size)
            self.channel.send(said, () if made is None else (made,), wait=False)
        finally:
            if made is not None:
                os.close(made)

    def refuse(self, fault: Fault) -> None:
        """Tell it that nothing came of its tensor. Raises OSError."""
        self.asking = False
        self.channel.send(Refused(kind=fault.kind, text=str(fault)[:_TEXT_LIMIT]), wait=False)

    def _give_room(self, size: int) -> None:
        had = 0 if self._incoming is None else self._incoming.size
        if not had < size <= most_bytes(self._spec):
            raise Nonsense(f"a tensor of {size} bytes")
        # Always twice as much, so that all that a lane can keep of them is little more than the largest.
        self._incoming, descriptor = Region.made(1 << (size - 1).bit_length())
        try:
            self.channel.send(Room(size=self._incoming.size), (descriptor,), wait=False)
        finally:
            os.close(descriptor)

    def _array(self, shape: Sequence[int]) -> NDArray[Any]:
        if self._incoming is None:
            raise Nonsense("a tensor without a place")
        try:
            return self._incoming.array(shape, self._element_type)
        except ValueError as error:
            raise Nonsense(str(error)) from error
