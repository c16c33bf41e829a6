"""The process of a shared model among bad lanes and dead ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from bgrd.engine.request import Client, Infer, Ready, Refused, Room
from bgrd.engine.wire import Answer, Channel, Message
from bgrd.errors import DeviceFault, UnknownFault
from bgrd.models.session import Session
from tests.houses.inboxes import until
from tests.houses.ties import SIDE, Gated, Tied, picture
from tests.pictures.making import model

SPEC = {"name": "tiny", "side": SIDE, "output": "second"}
DATA = model(spec=SPEC, names=("first", "second"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the file of a tiny model with two outputs, of which the second counts."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def tied(path: Path) -> Iterator[Tied]:
    """Give a process that holds it."""
    made = Tied(path)
    yield made
    assert made.close() == "ended with status 0"


@pytest.fixture
def whole() -> Session:
    """Give the same model in this process."""
    session = Session(DATA, spec=None, threads=1, name="tiny")
    session.trial()
    return session


def infer(shape: list[int]) -> Callable[[Channel], None]:
    """Say that a tensor of this shape is there."""
    return lambda channel: channel.send(Infer(shape=shape))


def room(size: int) -> Callable[[Channel], None]:
    """Want so many bytes."""
    return lambda channel: channel.send(Room(size=size))


def in_room(*messages: Message) -> Callable[[Channel], None]:
    """Have room for one tensor, and then say these."""

    def say(channel: Channel) -> None:
        channel.send(Room(size=3 * SIDE * SIDE * 4))
        received = channel.receive()
        assert received is not None
        os.close(received[1][0])
        with suppress(BrokenPipeError, ConnectionResetError):  # it need not hear the rest of the nonsense
            for message in messages:
                channel.send(message)

    return say


BAD: dict[str, Callable[[Channel], object]] = {
    "no room": infer([1, 3, SIDE, SIDE]),
    "room without end": room(2**50),
    "no bytes": room(0),
    "room again and again": in_room(Room(size=3 * SIDE * SIDE * 4)),
    "two pictures": in_room(Infer(shape=[2, 3, SIDE, SIDE])),
    "another side": in_room(Infer(shape=[1, 3, SIDE, SIDE // 2])),
    "four channels": in_room(Infer(shape=[1, 4, SIDE, SIDE])),
    "channels last": in_room(Infer(shape=[1, SIDE, SIDE, 3])),
    "no dimensions": in_room(Infer(shape=[])),
    "too many dimensions": in_room(Infer(shape=[1] * 5000)),
    "twice": in_room(*[Infer(shape=[1, 3, SIDE, SIDE])] * 30),
    "a parent's message": lambda channel: channel.send(Client(number=1)),
    "a lane's message": lambda channel: channel.send(Answer(job=1, go=True)),
    "no JSON": lambda channel: channel._socket.send(b"\xff{"),
    "too long": lambda channel: channel._socket.send(b"[" * 100_000),
    "descriptors": lambda channel: channel.send(Room(size=0), (0, 1, 2)),
}


@pytest.mark.parametrize("name", BAD)
def test_a_lane_that_talks_nonsense_is_served_no_more(tied: Tied, whole: Session, name: str) -> None:
    """A lane that a picture took over loses its model, and the others notice nothing."""
    good, bad = tied.session(), tied.channel()
    good.run(picture(1))
    received = bad.receive()
    assert received is not None
    assert isinstance(received[0], Ready)
    with suppress(BrokenPipeError, ConnectionResetError):  # it may be served no more before it has said all
        BAD[name](bad)
    refused = []
    while (received := bad.receive()) is not None:
        refused += [received[0]] if isinstance(received[0], Refused) else []
        for descriptor in received[1]:
            os.close(descriptor)
    assert len(refused) == 1 or name in {"no JSON", "too long"}
    assert all(each.kind == "unknown" and "nonsense" in each.text for each in refused)
    assert np.array_equal(good.run(picture(1))[0], whole.run(picture(1))[1])
    assert tied.session().run(picture(2))[0].shape == (1, 1, SIDE, SIDE)


def test_a_lane_that_dies_while_it_is_worked_for_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """Its run is finished for nobody; those that waited behind it are worked on."""
    gated = Gated(tmp_path, monkeypatch, path)
    first, second, third = (gated.tied.session() for _ in range(3))
    gated._gate.unlink()
    for number, session in enumerate((first, second), 1):
        session._place(picture(1).nbytes).array((1, 3, SIDE, SIDE), "float32")[...] = picture(1)
        session._send(Infer(shape=[1, 3, SIDE, SIDE]))
        until(lambda number=number: gated.tied.slate.state(number) != "away")  # type: ignore[misc]
        until(lambda: gated.tied.slate.running() == [1])
    for session in (first, second):
        session.close()
    until(lambda: gated.tied.slate.state(2) == "away")
    gated._gate.touch()
    assert third.run(picture(1))[0].shape == (1, 1, SIDE, SIDE)
    assert gated.runs == [1, 1]
    assert gated.tied.close() == "ended with status 0"


def test_the_slate_tells_whom_it_worked_for_when_it_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """A tensor that ends the process: all lanes hear of it, and the slate names those it was in a batch with."""
    gated = Gated(tmp_path, monkeypatch, path, batch=2)
    sessions = [gated.tied.session() for _ in range(5)]
    tensors = [picture(seed) for seed in range(5)]
    tensors[2] = np.ones_like(tensors[2])
    got = gated.together(tensors, sessions)
    assert isinstance(got[0], np.ndarray)
    running = gated.tied.slate.running()
    assert len(running) == 2
    assert 3 in running
    assert all(isinstance(got[number - 1], DeviceFault) for number in running)
    assert gated.tied.close() == "died of SIGSEGV"


def test_a_lane_that_ended_may_be_to_blame_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """It stays on the slate until its run is over: whoever is in a batch with it is not taken for the only one."""
    gated = Gated(tmp_path, monkeypatch, path)
    first, second = gated.tied.session(), gated.tied.session()
    gated._gate.unlink()
    for number, session in enumerate((first, second), 1):
        session._place(picture(1).nbytes).array((1, 3, SIDE, SIDE), "float32")[...] = picture(1)
        session._send(Infer(shape=[1, 3, SIDE, SIDE]))
        until(lambda number=number: gated.tied.slate.state(number) != "away")  # type: ignore[misc]
        until(lambda: gated.tied.slate.running() == [1])
    first.close()
    second.close()
    until(lambda: gated.tied.slate.state(2) == "away")  # it has heard of the first one's end before
    assert gated.tied.slate.running() == [1]
    gated._gate.touch()
    until(lambda: gated.tied.slate.running() == [])
    assert gated.tied.slate._place(1) is None
    assert gated.tied.close() == "ended with status 0"


def test_a_tensor_that_no_picture_becomes_is_nonsense(tmp_path: Path) -> None:
    """Of a model that keeps the aspect the short side is given: a lane cannot have four times the largest run."""
    path = tmp_path / "free.onnx"
    path.write_bytes(model(spec={"name": "tiny", "side": SIDE, "fit": "short_side"}))
    tied = Tied(path)
    assert tied.session().run(picture(1, width=4 * SIDE))[0].shape == (1, 1, SIDE, 4 * SIDE)
    for height, width in ((4 * SIDE, 4 * SIDE), (SIDE, 5 * SIDE), (SIDE, SIDE + 1), (SIDE // 2, SIDE)):
        session = tied.session()
        with pytest.raises(UnknownFault, match="nonsense"):
            session.run(np.zeros((1, 3, height, width), np.float32))
        session.close()
    assert tied.close() == "ended with status 0"
