"""Pictures and models that crash, hang, bloat or leak a real daemon's lanes: each costs itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.making import encoded, model
from tests.pictures.scenes import check_result, photo
from tests.programs import poisoned
from tests.test_broken_input import IDLE_SECONDS, IDLE_SHARE, processor_share

pytestmark = pytest.mark.timeout(400)

PROGRAM = (sys.executable, poisoned.__file__, "run")
NEIGHBOURS = 99
UNCHARGED = {(State.READY, 0), (State.WAITING, 0)}


def poisoned_photo(word: str) -> bytes:
    """Make a good picture that makes its lane misbehave."""
    return encoded(photo(), "JPEG", comment=poisoned.poison(word))


def lanes_started(daemon: Daemon) -> int:
    """Count the lanes that loaded a model so far."""
    return len({event["lane"] for event in daemon.events("model.loaded")})


def check_at_rest(house: House, daemon: Daemon) -> None:
    """Hold that a daemon uses up nothing, starts nothing, and works on as ever."""
    started, told = lanes_started(daemon), len(daemon.events("job.failed", "job.retry", "job.alone"))
    # A walk over thousands of files may still be due; it is not made again and again.
    daemon.until(lambda: processor_share(daemon, seconds=IDLE_SECONDS) <= IDLE_SHARE)
    assert lanes_started(daemon) == started
    assert len(daemon.events("job.failed", "job.retry", "job.alone")) == told
    good = encoded(photo(seed=99), "JPEG")
    (house.inbox / "last.jpg").write_bytes(good)
    daemon.done(["last.jpg"])
    check_result(house.outbox / "last.png", good)


def test_two_crashes_fail_a_picture(tmp_path: Path) -> None:
    """A picture that ends its lane is failed after two tries, with a sentence; its neighbours are done meanwhile."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 1\n")
    with Daemon(house, program=PROGRAM) as daemon:
        daemon.ready()
        (house.inbox / "bad.jpg").write_bytes(poisoned_photo("crash"))
        for seed in range(4):
            (house.inbox / f"{seed}.jpg").write_bytes(encoded(photo(seed=seed), "JPEG"))
        failed = daemon.heard("job.failed", path="bad.jpg")[0]
        daemon.done([f"{seed}.jpg" for seed in range(4)])
        assert failed["kind"] == "crash"
        assert lanes_started(daemon) <= 3
        assert "SIGSEGV" in (house.failed / "bad.jpg.txt").read_text()
        assert daemon.stop() == 0
    assert {job.path: job.attempts for job in house.jobs()}[b"bad.jpg"] == 2


@pytest.mark.long
def test_poison_costs_itself(tmp_path: Path) -> None:
    """Whatever kind of poison: failed after two tries, memory after one alone; 99 neighbours are done, all rests."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 2\njob_seconds = 16\nmemory_limit = '1400MB'\n")
    crashing, bloating = ("crash", "abort", "exit", "hang", "stuck"), ("bloat", "map")
    with Daemon(house, program=PROGRAM) as daemon:
        daemon.ready()
        for seed in range(NEIGHBOURS):
            (house.inbox / f"{seed}.jpg").write_bytes(encoded(photo(96, 64, seed=seed), "JPEG"))
            if seed % 10 == 0 and seed // 10 < len(crashing + bloating):
                word = (crashing + bloating)[seed // 10]
                (house.inbox / f"{word}.jpg").write_bytes(poisoned_photo(word))
        daemon.done([f"{seed}.jpg" for seed in range(NEIGHBOURS)])
        daemon.heard("job.failed", times=len(crashing + bloating))
        kinds = {event["path"]: event["kind"] for event in daemon.events("job.failed")}
        assert kinds == {f"{word}.jpg": "crash" for word in crashing} | {f"{word}.jpg": "memory" for word in bloating}
        assert len(daemon.events("job.alone")) == len(bloating)
        # Two for the lanes, two for each try; a job that runs alone has a lane of its own and the others' let go.
        assert lanes_started(daemon) <= 2 + 2 * len(crashing) + 4 * len(bloating)
        check_at_rest(house, daemon)
        assert daemon.stop() == 0
    attempts = {job.path.decode(): job.attempts for job in house.jobs()}
    assert {attempts.pop(f"{word}.jpg") for word in crashing} == {2}
    assert {attempts.pop(f"{word}.jpg") for word in bloating} == {1}
    assert set(attempts.values()) == {0}
    notes = {note.name: note.read_text() for note in house.failed.iterdir()}
    assert all("MiB" in notes[f"{word}.jpg.txt"] for word in bloating), notes


@pytest.mark.long
def test_a_leak_is_nobodys_fault(tmp_path: Path) -> None:
    """A lane that keeps memory of each picture is replaced where it has too much; every picture is done, uncharged."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 1\nmemory_limit = '700MB'\n")
    names = [f"{seed}.jpg" for seed in range(24)]
    with Daemon(house, program=PROGRAM) as daemon:
        daemon.ready()
        for name in names:
            (house.inbox / name).write_bytes(poisoned_photo("leak") + name.encode())
        daemon.done(names)
        assert not daemon.events("job.failed")
        assert lanes_started(daemon) > 1, "it has leaked enough"
        assert daemon.stop() == 0
    assert {(job.state, job.attempts) for job in house.jobs()} == {(State.DONE, 0)}


TWO_FOLDERS = """
[[model]]
name = "{name}"
path = "{path}"

[[folder]]
name = "sick"
inbox = "{home}/sick"
outbox = "{home}/sick-out"
model = "{name}"

[[folder]]
name = "well"
inbox = "{home}/bgr/inbox"
outbox = "{home}/bgr/outbox"
"""


def with_model(house: House, name: str, data: bytes = b"") -> Path:
    """Serve a second folder with a model of this name; gives its inbox."""
    path = house.root / f"{name}.onnx"
    path.write_bytes(data or model(spec={"name": name, "side": 64}))
    for folder in ("sick", "sick-out"):
        (house.home / folder).mkdir()
    house.configure(TWO_FOLDERS.format(name=name, path=path, home=house.home))
    return house.home / "sick"


def test_a_model_that_ends_its_lane_blocks_its_folder(tmp_path: Path) -> None:
    """No picture is charged, the reason is told, lanes are not started again and again, the other folder goes on."""
    house = House(tmp_path / "house").folders()
    inbox = with_model(house, "crashing")
    with Daemon(house, program=PROGRAM) as daemon:
        blocked = daemon.heard("folder.blocked", folder="sick")[0]
        assert blocked["kind"] == "model"
        assert "loading model crashing failed" in blocked["reason"]
        for seed in range(5):
            (inbox / f"{seed}.jpg").write_bytes(encoded(photo(seed=seed), "JPEG"))
            (house.inbox / f"{seed}.jpg").write_bytes(encoded(photo(seed=seed), "JPEG"))
        daemon.done([f"{seed}.jpg" for seed in range(5)])
        assert not daemon.events("job.failed", "job.retry")
        daemon.until(lambda: processor_share(daemon, seconds=IDLE_SECONDS) <= IDLE_SHARE)
        assert daemon.stop() == 0
    assert {(job.state, job.attempts) for job in house.jobs() if job.folder == "sick"} <= UNCHARGED


def test_a_model_that_fails_on_pictures_blocks_nobody(tmp_path: Path) -> None:
    """What a model that passed its trial does to a picture is that picture's affair: charged, and tried again later."""
    house = House(tmp_path / "house").folders()
    inbox = with_model(house, "spoiling")
    with Daemon(house, program=PROGRAM) as daemon:
        daemon.ready()
        (inbox / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
        retried = daemon.heard("job.retry", path="a.jpg")[0]
        assert retried["kind"] == "unknown"
        assert "failed to run" in retried["reason"]
        assert not daemon.events("folder.blocked")
        assert daemon.stop() == 0


def endless_model() -> bytes:
    """Make a model that goes round a loop some 10^18 times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Mul", ["before", "factor"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    return _made(
        [helper.make_node("Loop", ["rounds", "true", "image"], ["alpha"], body=body)],
        [
            numpy_helper.from_array(np.asarray(2**60), "rounds"),
            numpy_helper.from_array(np.asarray(True), "true"),  # noqa: FBT003 - a constant of the graph
            numpy_helper.from_array(np.asarray(0.5, np.float32), "factor"),
        ],
    )


def greedy_model() -> bytes:
    """Make a model that wants a terabyte of zeros."""
    return _made(
        [
            helper.make_node("ConstantOfShape", ["wanted"], ["much"]),
            helper.make_node("ReduceMax", ["much"], ["most"], keepdims=0),
            helper.make_node("Add", ["image", "most"], ["alpha"]),
        ],
        [numpy_helper.from_array(np.asarray([2**38]), "wanted")],
    )


def _made(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> bytes:
    picture = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "h", "w"]) for name in ("image", "alpha"))
    taken, given = picture
    graph = helper.make_graph(nodes, "sick", [taken], [given], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {"bgrd": json.dumps({"name": "sick", "side": 512})})
    serialised: bytes = made.SerializeToString()
    return serialised


@pytest.mark.parametrize(
    ("make", "word", "seconds"), [(endless_model, "longer than", 6), (greedy_model, "memory", 120)]
)
def test_a_model_that_hangs_or_bloats_blocks_its_folder(
    make: Callable[[], bytes], word: str, seconds: int, tmp_path: Path
) -> None:
    """A real model file that never ends, or asks for a terabyte: blocked with that reason, the other folder goes on."""
    house = House(tmp_path / "house").folders()
    inbox = with_model(house, "sick", make())
    with Daemon(house, program=PROGRAM, environment={"POISONED_START_SECONDS": f"{seconds}"}) as daemon:
        blocked = daemon.heard("folder.blocked", folder="sick")[0]
        assert blocked["kind"] == "model"
        assert word in blocked["reason"]
        (inbox / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
        (house.inbox / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
        daemon.done(["a.jpg"])
        assert not daemon.events("job.failed", "job.retry")
        assert daemon.stop() == 0
    assert {(job.state, job.attempts) for job in house.jobs() if job.folder == "sick"} <= UNCHARGED
