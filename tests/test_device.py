"""The process of a shared model: real ones, with real models; good lanes, bad lanes and dead ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bgrd.engine.remote import RemoteSession
from bgrd.engine.request import Client, Infer, Ready, Refused, Room
from bgrd.engine.wire import Answer, Channel, Faulted, Loaded, Message
from bgrd.errors import DeviceFault, ModelFault, UnknownFault
from bgrd.models.session import Session
from tests.houses.inboxes import until
from tests.houses.ties import POISONED_DEVICE, SIDE, Tied, picture
from tests.pictures.making import model

SPEC = {"name": "tiny", "side": SIDE, "output": "second"}
DATA = model(spec=SPEC, names=("first", "second"))
NUMBER = 6


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


def test_a_tensor_comes_back_as_from_a_session_of_ones_own(tied: Tied, whole: Session) -> None:
    """To the bit, again and again, and the spec is settled; of two outputs the one that is meant."""
    session = tied.session()
    assert isinstance(tied.reply, Loaded)
    assert (session.sha256, session.providers) == (tied.reply.sha256, ["cpu"])
    assert (session.spec.output, session.spec.side, session.element_type) == (0, SIDE, "float32")
    for seed in range(3):
        outputs = session.run(picture(seed))
        assert len(outputs) == 1
        assert np.array_equal(outputs[0], whole.run(picture(seed))[1])


def test_lanes_side_by_side_get_their_own(tied: Tied, whole: Session) -> None:
    """Many at once, each many times: nobody gets another's picture."""

    def work(number: int) -> bool:
        session = tied.session()
        seeds = range(100 * number, 100 * number + 20)
        return all(np.allclose(session.run(picture(seed))[0], whole.run(picture(seed))[1], atol=1e-5) for seed in seeds)

    with ThreadPoolExecutor(NUMBER) as pool:
        assert all(pool.map(work, range(NUMBER)))


def test_what_waits_goes_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path, whole: Session) -> None:
    """While one is worked on the others wait, and then go in batches of what is allowed, within a 255th of alone."""
    gated = Gated(tmp_path, monkeypatch, path, batch=3)
    sessions = [gated.tied.session() for _ in range(NUMBER)]
    got = gated.together([picture(seed) for seed in range(NUMBER)], sessions)
    assert gated.runs == [1, 3, 2]
    for seed, output in enumerate(got):
        assert isinstance(output, np.ndarray), output
        assert np.abs(output - whole.run(picture(seed))[1]).max() < 0.5 / 255
    assert gated.tied.close() == "ended with status 0"


def test_shapes_that_differ_do_not_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model of free size those of one shape go, then those of the next."""
    path = tmp_path / "free.onnx"
    path.write_bytes(model(spec={"name": "tiny", "side": SIDE, "fit": "short_side"}))
    gated = Gated(tmp_path, monkeypatch, path)
    sessions = [gated.tied.session() for _ in range(5)]
    tensors = [picture(seed, width=SIDE if seed % 2 else 96) for seed in range(5)]
    got = gated.together(tensors, sessions)
    assert gated.runs == [1, 2, 2]
    assert [output.shape[3] for output in got if isinstance(output, np.ndarray)] == [96, SIDE, 96, SIDE, 96]
    assert gated.tied.close() == "ended with status 0"


def test_a_batch_that_fails_is_retried_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """The picture that the model does not like gets the fault; its neighbours are worked on, and fewer go together."""
    gated = Gated(tmp_path, monkeypatch, path)
    sessions = [gated.tied.session() for _ in range(5)]
    tensors = [picture(seed) for seed in range(5)]
    tensors[2] = np.full_like(tensors[2], 102 / 255)
    got = gated.together(tensors, sessions)
    assert [type(each) for each in got] == [np.ndarray, np.ndarray, ModelFault, np.ndarray, np.ndarray]
    assert gated.runs == [1, 4, 1, 1, 1, 1]
    gated.together([picture(seed) for seed in range(5)], sessions)
    assert gated.runs[6:] == [1, 2, 2]
    assert gated.tied.close() == "ended with status 0"


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


def test_lanes_that_come_and_go_leave_nothing(tied: Tied) -> None:
    """Whether they asked, waited or did neither: no descriptor and no number is left of them."""
    first = tied.session()
    for _ in range(2):  # what the first left behind for a moment is gone by the second
        first.run(picture(0))
    before = os.listdir(f"/proc/{tied.process.pid}/fd")
    for number in range(30):
        session = tied.session()
        if number % 3 == 0:
            session.run(picture(number))
        elif number % 3 == 1:
            session._place(3 * SIDE * SIDE * 4)
            session._send(Infer(shape=[1, 3, SIDE, SIDE]))
        session.close()
    first.run(picture(1))
    until(lambda: len(os.listdir(f"/proc/{tied.process.pid}/fd")) == len(before))
    assert tied.slate.running() == []
    assert [number for number in range(1, 40) if tied.slate._place(number) is not None] == [1]


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


@pytest.mark.parametrize("when", ["idle", "in a run"])
def test_it_ends_with_its_parents_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path, when: str
) -> None:
    """Whatever it does at that moment, and whoever is still tied to it."""
    gated = Gated(tmp_path, monkeypatch, path)
    session = gated.tied.session()
    with ThreadPoolExecutor(1) as pool:
        if when == "in a run":
            gated._gate.unlink()
        run = pool.submit(session.run, picture(1))
        until(lambda: gated.tied.slate.running() == [1] or run.done())
        gated.tied.process.channel.close()
        assert gated.tied.process.wait_or_kill(20) == "ended with status 0"
        assert isinstance(run.exception(20), DeviceFault if when == "in a run" else type(None))
    gated.tied.close()


def test_a_killed_one_is_told_to_its_lanes(path: Path) -> None:
    """A lane that has the model in use, and one that begins to use it, hear that the process has ended."""
    other = Tied(path)
    session = other.session()
    session.run(picture(1))
    os.kill(other.process.pid, signal.SIGKILL)
    with pytest.raises(DeviceFault, match="has ended"):
        session.run(picture(1))
    assert other.process.wait_or_kill(20) == "was killed"
    ours, theirs = Channel.pair()
    theirs.close()
    with pytest.raises(DeviceFault, match="has ended"):
        RemoteSession(ours, name="tiny")
    ours.close()
    other.close()


@pytest.mark.parametrize(("data", "sha256"), [(b"no model", None), (DATA, "0" * 64)])
def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path, data: bytes, sha256: str | None) -> None:
    """The parent hears why, in the model's words, and the process ends by itself."""
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    tied = Tied(path, sha256=sha256)
    assert isinstance(tied.reply, Faulted)
    assert (tied.reply.kind, tied.reply.job) == ("model", 0)
    assert "damaged" in tied.reply.text
    assert tied.process.wait_or_kill(20) == "ended with status 0"
    tied.process.channel.close()


def test_it_can_gain_no_privileges(tied: Tied) -> None:
    """What it runs may be a stranger's file: no program it could start would have more than it has."""
    assert "NoNewPrivs:\t1\n" in Path(f"/proc/{tied.process.pid}/status").read_text()
