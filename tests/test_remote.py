"""A model in another process as a lane sees it, with an other end that says what it likes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from bgrd.engine.region import Region
from bgrd.engine.remote import RemoteSession
from bgrd.engine.request import Inferred, Ready, Refused, Room
from bgrd.engine.wire import Answer, Channel, Message
from bgrd.errors import DeviceFault, Fault, MemoryFault, ModelFault, UnknownFault
from tests.houses.ties import picture

SHAPE = [1, 1, 64, 64]
READY = Ready(
    spec={"name": "tiny", "side": 64, "output": 3, "mean": [0.1, 0.2, 0.3]},
    element_type="float32",
    sha256="0" * 64,
    resident_bytes=5,
    providers=["cpu"],
    notes=["it is well"],
)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Give the lane's end and the other."""
    made = Channel.pair()
    yield made
    for end in made:
        end.close()


def room(size: int) -> Callable[[Channel], None]:
    """Give a place of this size."""

    def give(channel: Channel) -> None:
        region, descriptor = Region.made(size)
        channel.send(Room(size=region.size), (descriptor,))
        os.close(descriptor)

    return give


def small(channel: Channel) -> None:
    """Give a place that is too small."""
    _region, descriptor = Region.made(1)
    channel.send(Room(size=100), (descriptor,))
    os.close(descriptor)


def babble(channel: Channel) -> None:
    """Say what is no message."""
    channel._socket.send(b"{")


def say(message: Message) -> Callable[[Channel], None]:
    """Say this."""
    return lambda channel: channel.send(message)


def result(shape: list[int], *, element_type: str = "float32", size: int = 2**16) -> Callable[[Channel], None]:
    """Say that what came of it lies in a new place."""

    def give(channel: Channel) -> None:
        _region, descriptor = Region.made(size)
        channel.send(Inferred(shape=shape, element_type=element_type, size=size), (descriptor,))
        os.close(descriptor)

    return give


def run(ends: tuple[Channel, Channel], *answers: Callable[[Channel], None]) -> Any:
    """Have one tensor run by an end that gives these answers, each to one message, and then goes."""
    ours, theirs = ends
    theirs.send(READY)

    def serve() -> None:
        for answer in answers:
            assert theirs.receive() is not None
            answer(theirs)
        theirs.receive()
        theirs.close()

    session = RemoteSession(ours, name="tiny")
    with ThreadPoolExecutor(1) as pool:
        served: Future[None] = pool.submit(serve)
        try:
            return session.run(picture(1))
        finally:
            session.close()
            served.result(20)


def test_what_the_process_says_of_the_model_is_taken(ends: tuple[Channel, Channel]) -> None:
    """Its spec, but for the output, as only the one that is meant comes; type, hash, size, providers and notes."""
    ends[1].send(READY)
    session = RemoteSession(ends[0], name="tiny")
    assert (session.spec.side, session.spec.mean, session.spec.output) == (64, (0.1, 0.2, 0.3), 0)
    assert (session.element_type, session.sha256, session.resident_bytes) == ("float32", "0" * 64, 5)
    assert (session.providers, session.notes) == (["cpu"], ["it is well"])


def test_a_tensor_goes_and_comes(ends: tuple[Channel, Channel]) -> None:
    """There is room for it, and what came of it is looked up where it is said to lie."""
    (output,) = run(ends, room(3 * 64 * 64 * 4), result(SHAPE))
    assert (list(output.shape), output.dtype.name) == (SHAPE, "float32")


GONE = "has ended"
ANSWERS: dict[str, tuple[list[Callable[[Channel], None]], type[Fault], str]] = {
    "gone at once": ([], DeviceFault, GONE),
    "gone in a run": ([room(2**16)], DeviceFault, GONE),
    "too little room": ([small], UnknownFault, "gave no room"),
    "no room": ([say(Room(size=2**20))], UnknownFault, "gave no room"),
    "no place": (
        [room(2**16), say(Inferred(shape=SHAPE, element_type="float32", size=2**16))],
        UnknownFault,
        "no place",
    ),
    "too much": ([room(2**16), result([1, 1, 640, 640])], UnknownFault, "is more than"),
    "no shape": ([room(2**16), result([0, 1])], UnknownFault, "no tensor"),
    "no type": ([room(2**16), result(SHAPE, element_type="float64")], UnknownFault, "no tensor"),
    "something else": ([say(Answer(job=1, go=True))], UnknownFault, "sent Answer, not Room"),
    "nonsense": ([babble], UnknownFault, "sent nonsense"),
    "model": ([room(2**16), say(Refused(kind="model", text="it failed"))], ModelFault, "it failed"),
    "memory": ([say(Refused(kind="memory", text="there is none"))], MemoryFault, "there is none"),
    "unknown": ([say(Refused(kind="of no kind", text="who knows"))], UnknownFault, "who knows"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_it_says_is_a_fault_or_a_result(ends: tuple[Channel, Channel], name: str) -> None:
    """An end that goes is told apart from one that refuses and from one that talks nonsense; nothing is read beyond."""
    answers, fault, text = ANSWERS[name]
    with pytest.raises(fault, match=text) as caught:
        run(ends, *answers)
    assert type(caught.value) is fault


@pytest.mark.parametrize(("message", "fault"), [(Refused(kind="model", text="no"), ModelFault), (None, DeviceFault)])
def test_a_model_that_cannot_be_had_is_told(
    ends: tuple[Channel, Channel], message: Message | None, fault: type[Fault]
) -> None:
    """The process refuses, or ends before it has loaded the model."""
    if message is not None:
        ends[1].send(message)
    ends[1].close()
    with pytest.raises(fault):
        RemoteSession(ends[0], name="tiny")
