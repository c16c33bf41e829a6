"""The process of a shared model: real ones, with real models and good lanes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bgrd.engine.remote import RemoteSession
from bgrd.engine.request import Infer
from bgrd.engine.wire import Channel, Faulted, Loaded
from bgrd.errors import DeviceFault, ModelFault
from bgrd.models.session import Session
from tests.houses.inboxes import until
from tests.houses.ties import SIDE, Gated, Tied, picture
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
