"""What runs inside a lane: real lane processes, the real built-in model, small real pictures."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from bgrd.engine.gauge import Gauge
from bgrd.engine.lane import Lane
from bgrd.engine.process import LaneProcess
from bgrd.engine.wire import Answer, Aside, Channel, Drop, Faulted, Finished, Hashed, Hello, Loaded, Work
from bgrd.job import ModelChoice, Recipe
from bgrd.product import Frame, Ground, Product
from tests.houses.inboxes import until
from tests.houses.lanes import JPEG, MASKED, OPEN, Hands, built_in, empty_lane, ready_lane
from tests.pictures.making import encoded, model, noise


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LaneProcess, Hands]]:
    """Give one lane with the built-in model to all tests that leave it as it is."""
    with ready_lane(tmp_path_factory.mktemp("lane")) as pair:
        yield pair


@pytest.fixture
def hands(process: tuple[LaneProcess, Hands]) -> Hands:
    """Give the hands alone."""
    return process[1]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[LaneProcess, Hands]]:
    """Give a lane of one's own, without a model."""
    with empty_lane(tmp_path) as pair:
        yield pair


def test_a_picture_becomes_every_product(hands: Hands) -> None:
    """A JPEG gives a cut-out and a mask of its size; sizes, hashes and stage times are told truly."""
    finished, (cutout, mask) = hands.work(JPEG, recipe=MASKED)
    assert (finished.width, finished.height, finished.format) == (48, 32, "JPEG")
    for path, size, sha256, mode in zip((cutout, mask), finished.sizes, finished.sha256s, ("RGBA", "L"), strict=True):
        data = path.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)
        with Image.open(io.BytesIO(data)) as image:
            assert (image.size, image.mode) == ((48, 32), mode)
    assert {"read", "decode", "prepare", "infer", "matte", "compose", "encode", "fsync", "verify"} <= set(
        finished.seconds
    )
    assert finished.peak_bytes > 2**20


def test_the_hash_is_that_of_the_source(hands: Hands) -> None:
    """What the parent compares is the SHA-256 of exactly the bytes that are worked on, and of the model's file."""
    hands.submit(JPEG)
    hashed = hands.go()
    assert hashed.sha256 == hashlib.sha256(JPEG).hexdigest()
    assert hashed.model_sha256 == built_in().sha256
    hands.expect(Finished)


def test_told_not_to_go_it_writes_nothing(hands: Hands) -> None:
    """Known bytes leave the draft empty, and the lane takes the next job."""
    (draft,) = hands.submit(JPEG)
    hands.channel.send(Answer(job=hands.expect(Hashed).job, go=False))
    hands.expect(Aside)
    hands.work(JPEG)
    assert draft.read_bytes() == b""


def test_told_not_to_go_it_is_silent_about_a_bad_picture(hands: Hands) -> None:
    """The picture is decoded before the answer is there; what is wrong with it is told only to who still asks."""
    hands.submit(b"no picture at all")
    hands.channel.send(Answer(job=hands.expect(Hashed).job, go=False))
    hands.expect(Aside)
    hands.work(JPEG)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"no picture at all", "format"),
        (JPEG[:-200], "incomplete"),
        (b"", "incomplete"),
        (encoded(noise(200, 200), "PNG"), "input"),
    ],
)
def test_a_bad_picture_keeps_the_lane_alive(process: tuple[LaneProcess, Hands], data: bytes, kind: str) -> None:
    """Each is one fault of its kind with a sentence; the next picture is done by the same process."""
    lane, hands = process
    fault = hands.fail(data)
    assert (fault.kind, fault.stage) == (kind, "process")
    assert fault.text
    assert "\n" not in fault.trace, "what a library said, and not where: nothing of ours is wrong"
    hands.work(JPEG)
    assert not lane.reaped()


def test_a_picture_with_holes_is_taken_when_told_so(hands: Hands) -> None:
    """Without the word it is incomplete; with it, it is done, and said to have holes."""
    whole = encoded(noise(96, 96), "JPEG", quality=100, subsampling=0)
    assert len(whole) > 20_000
    head, tail = whole[:2000], whole[-2000:]
    holed = head + bytes(40_000) + tail
    assert hands.fail(holed).kind == "incomplete"
    finished, _ = hands.work(holed, holes=True)
    assert any("holes" in note for note in finished.notes)


def test_a_part_never_written_is_no_picture_yet(hands: Hands) -> None:
    """A bitmap whose room was taken and not all filled decodes, to black: it waits, and its zeros count if told so."""
    data, hole = encoded(noise(99, 99), "BMP"), slice(2 * 4096, 3 * 4096)
    hands.submit(data, unwritten=hole)
    hands.go()
    assert hands.expect(Faulted).kind == "sparse"
    hands.submit(data, unwritten=hole, holes=True)
    hands.go()
    assert any("never written" in note for note in hands.expect(Finished).notes)


def test_a_source_of_another_size_has_changed(hands: Hands) -> None:
    """More or fewer bytes than the parent saw: not this version any more."""
    for wrong in (len(JPEG) - 1, len(JPEG) + 1):
        hands.submit(JPEG, size=wrong)
        fault = hands.expect(Faulted)
        assert (fault.kind, fault.stage) == ("changed", "read")


def test_a_source_that_cannot_be_read_is_the_files_trouble(hands: Hands) -> None:
    """An error of the file system while reading is no fault of the picture."""
    directory = os.open(hands.root, os.O_RDONLY)
    draft = os.open(hands.root / "draft", os.O_RDWR | os.O_CREAT)
    work = Work(job=77, model="bgrd-lite", recipe=Recipe().to_json(), size=1, max_pixels=1, memory_bytes=2**32)
    hands.channel.send(work, (directory, draft))
    os.close(directory)
    os.close(draft)
    fault = hands.expect(Faulted)
    assert (fault.job, fault.kind, fault.stage) == (77, "file", "read")
    assert os.strerror(errno.EISDIR) in fault.text


def test_no_descriptor_stays_open(process: tuple[LaneProcess, Hands]) -> None:
    """After any number of jobs, good and bad, the lane has three streams to nowhere, its socket and its two gauges."""
    lane, hands = process
    for _ in range(3):
        hands.work(JPEG, recipe=MASKED)
        hands.fail(b"bad")
    until(lambda: len(os.listdir(f"/proc/{lane.pid}/fd")) == 6)
    open_now = sorted(os.readlink(f"/proc/{lane.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{lane.pid}/fd"))
    assert open_now[:3] == [os.devnull] * 3
    assert open_now[3:5] == [f"/proc/{lane.pid}/clear_refs", f"/proc/{lane.pid}/status"]
    assert open_now[5].startswith("socket:")


def test_a_damaged_model_is_told_and_remembered(fresh: tuple[LaneProcess, Hands], tmp_path: Path) -> None:
    """Its own reason is given for the model and for the job that came with it; a good file mends it."""
    _, hands = fresh
    damaged = bytearray(built_in().path.read_bytes())
    damaged[1000:3000] = bytes(2000)
    (tmp_path / "damaged.onnx").write_bytes(damaged)
    hands.load(replace(built_in(), path=tmp_path / "damaged.onnx"))
    hands.submit(JPEG)
    refused, fault = hands.expect(Faulted), hands.expect(Faulted)
    assert (refused.job, refused.model, refused.kind) == (0, "bgrd-lite", "model")
    assert "damaged" in refused.text
    assert (fault.job, fault.kind, fault.text) == (1, "model", refused.text)
    hands.load(built_in())
    hands.expect(Loaded)
    hands.work(JPEG)


@pytest.mark.parametrize("data", [b"", b"no model", JPEG])
def test_what_is_no_model_is_the_models_fault(fresh: tuple[LaneProcess, Hands], tmp_path: Path, data: bytes) -> None:
    """Any bytes at all under a model's name end in a sentence, not in the lane's death."""
    _, hands = fresh
    (tmp_path / "odd.onnx").write_bytes(data)
    hands.load(ModelChoice(name="odd", path=tmp_path / "odd.onnx"))
    assert hands.expect(Faulted).kind == "model"


def test_a_wrong_hash_is_refused_before_anything_is_built(fresh: tuple[LaneProcess, Hands]) -> None:
    """A file that is not the one in the catalogue is not run; both hashes are named."""
    _, hands = fresh
    hands.load(replace(built_in(), sha256="ab" * 32))
    fault = hands.expect(Faulted)
    assert (fault.job, fault.kind, fault.stage) == (0, "model", "load")
    assert "ab" * 32 in fault.text
    assert str(built_in().sha256) in fault.text


ON_A_PICTURE = Recipe(products=(Product(ground=Ground(kind="picture")), Product(frame=Frame(max_side=12))))


def test_a_cut_out_stands_on_a_picture_it_was_sent(fresh: tuple[LaneProcess, Hands]) -> None:
    """By its name; its hash is told with the source's; products of other sizes are verified by their own."""
    _, hands = fresh
    hands.load(built_in())
    hands.expect(Loaded)
    below = encoded(Image.new("RGB", (9, 9), (0, 0, 255)), "PNG")
    hands.load_ground(below)
    assert hands.expect(Loaded).sha256 == hashlib.sha256(below).hexdigest()
    results = hands.submit(JPEG, recipe=ON_A_PICTURE, grounds=["ground/1"])
    assert hands.go().grounds == [hashlib.sha256(below).hexdigest()]
    finished = hands.expect(Finished)
    assert (finished.width, finished.height) == (48, 32)
    with Image.open(results[0]) as shown, Image.open(results[1]) as small:
        assert (shown.mode, shown.size, small.size) == ("RGB", (48, 32), (12, 8))


def test_what_is_no_picture_is_nothing_to_stand_on(fresh: tuple[LaneProcess, Hands]) -> None:
    """Refused when it is sent, with no job to blame; a job for it is the folder's fault, and the lane lives on."""
    _, hands = fresh
    hands.load(built_in())
    hands.expect(Loaded)
    hands.load_ground(b"no picture")
    refused = hands.expect(Faulted)
    assert (refused.job, refused.model, refused.kind) == (0, "ground/1", "format")
    hands.load_ground(JPEG, max_pixels=5)
    assert "too large" in hands.expect(Faulted).text
    hands.submit(JPEG, recipe=ON_A_PICTURE, grounds=["ground/1"])
    fault = hands.expect(Faulted)
    assert (fault.kind, fault.stage) == ("ground", "")
    assert "too large" in fault.text
    hands.work(JPEG)


def test_a_dropped_ground_is_gone(fresh: tuple[LaneProcess, Hands]) -> None:
    """As a model is."""
    _, hands = fresh
    hands.load(built_in())
    hands.expect(Loaded)
    hands.load_ground(JPEG)
    hands.expect(Loaded)
    hands.channel.send(Drop(model="ground/1"))
    hands.submit(JPEG, recipe=ON_A_PICTURE, grounds=["ground/1"])
    assert "not loaded" in hands.expect(Faulted).text


def test_a_dropped_model_is_gone(fresh: tuple[LaneProcess, Hands], tmp_path: Path) -> None:
    """Its memory is given back; a job for it is the model's fault until it is loaded again."""
    _, hands = fresh
    (tmp_path / "tiny.onnx").write_bytes(model(spec={"name": "tiny", "side": 32}))
    hands.load(ModelChoice(name="tiny", path=tmp_path / "tiny.onnx"))
    hands.expect(Loaded)
    hands.work(JPEG, recipe=Recipe(model="tiny"))
    hands.channel.send(Drop(model="tiny"))
    hands.submit(JPEG, recipe=Recipe(model="tiny"))
    fault = hands.expect(Faulted)
    assert fault.kind == "model"


def test_it_decodes_while_the_answer_is_on_its_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An answer that is sent only once decoding has begun comes early enough."""
    ours, theirs = Channel.pair()

    def begun(*_: object, **__: object) -> None:
        ours.send(Answer(job=1, go=False))
        ours._socket.shutdown(socket.SHUT_WR)

    monkeypatch.setattr("bgrd.engine.lane.begin", begun)
    hands = Hands(tmp_path, ours)
    hands.submit(JPEG)
    with Gauge() as gauge:
        lane = Lane(theirs, cage=OPEN, gauge=gauge)
        lane._stock._models["bgrd-lite"] = Mock(), "0" * 64
        lane.serve()
    hands.expect(Hello)
    hands.expect(Hashed)
    hands.expect(Aside)
    theirs.close()
    assert ours.receive() is None
    ours.close()
