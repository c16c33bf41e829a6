"""A model that another process runs, as a lane sees it: like a session, fed through shared memory.

A lane in its cage opens nothing for it: it is handed a socket and pieces of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from bgrd.engine.region import Region
from bgrd.engine.request import Infer, Inferred, Ready, Refused, Room
from bgrd.engine.wire import Channel, Message, WireError, close_all
from bgrd.errors import FAULTS, DeviceFault, UnknownFault
from bgrd.models.spec import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RemoteSession"]

_Kind = TypeVar("_Kind", bound=Message)


class RemoteSession:
    """Has the model run by the process at the other end of `channel`, which it closes when it goes.

    Waits until the model is loaded there. Raises DeviceFault where that process ends, else the fault it tells.
    """

    def __init__(self, channel: Channel, *, name: str) -> None:
        self._channel = channel
        self._name = name
        self._incoming: Region | None = None
        self._outgoing: Region | None = None
        ready, descriptors = self._expect(Ready)
        close_all(descriptors)
        self.spec = replace(parse(ready.spec, where=f"model {name}"), output=0)
        self.element_type = ready.element_type
        self.sha256 = ready.sha256
        self.resident_bytes = ready.resident_bytes
        self.providers = ready.providers
        self.notes = ready.notes

    def run(self, tensor: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Run one tensor; gives the one output that the spec means, which holds until the next run. Raises Fault."""
        region = self._place(tensor.nbytes)
        region.array(tensor.shape, self.element_type)[...] = tensor
        self._send(Infer(shape=list(tensor.shape)))
        answer, descriptors = self._expect(Inferred)
        try:
            if descriptors:
                self._incoming = Region(descriptors[0], answer.size)
        finally:
            close_all(descriptors)
        if self._incoming is None:
            raise UnknownFault(f"the process that runs model {self._name} gave no place for what came of it")
        try:
            return [self._incoming.array(answer.shape, answer.element_type)]
        except ValueError as error:
            raise UnknownFault(f"the process that runs model {self._name} gave {error}") from error

    def close(self) -> None:
        """Leave that process."""
        self._channel.close()

    def _place(self, size: int) -> Region:
        """Give where a tensor of this size goes; asks for another place where it is too large for the one before."""
        if self._outgoing is None or self._outgoing.size < size:
            self._outgoing = None
            self._send(Room(size=size))
            room, descriptors = self._expect(Room)
            try:
                if not descriptors or room.size < size:
                    raise UnknownFault(f"the process that runs model {self._name} gave no room for {size} bytes")
                self._outgoing = Region(descriptors[0], room.size)
            finally:
                close_all(descriptors)
        return self._outgoing

    def _send(self, message: Message) -> None:
        with self._ended():
            self._channel.send(message)

    def _expect(self, kind: type[_Kind]) -> tuple[_Kind, list[int]]:
        with self._ended():
            received = self._channel.receive()
        if received is None:
            raise self._gone()
        message, descriptors = received
        if isinstance(message, kind):
            return message, descriptors
        close_all(descriptors)
        if isinstance(message, Refused):
            raise FAULTS.get(message.kind, UnknownFault)(message.text)
        text = f"the process that runs model {self._name} sent {type(message).__name__}, not {kind.__name__}"
        raise UnknownFault(text)

    @contextmanager
    def _ended(self) -> Iterator[None]:
        try:
            yield
        except WireError as error:
            raise UnknownFault(f"the process that runs model {self._name} sent nonsense: {error}") from error
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> DeviceFault:
        return DeviceFault(f"the process that runs model {self._name} has ended")
