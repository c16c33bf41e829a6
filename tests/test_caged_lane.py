"""Real lanes in their real cage: all they do still works, and what a picture could do with them does not."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from bgrd.engine.process import LaneProcess, start_lane
from bgrd.engine.wire import Faulted, Hello, Load, Loaded, Work
from bgrd.job import ModelChoice, Recipe
from bgrd.product import Frame, Ground, Product, Shadow
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.lanes import Hands, built_in
from tests.pictures.making import cmyk_profile, encoded, exif_with, grey_profile, model, noise, profile
from tests.pictures.scenes import check_result, phone_photo
from tests.pictures.sixteen import Rows, noisy, png16, read16, tiff16

HOSTILE_LANE = Path(__file__).parent / "programs/hostile_lane.py"
WITH_HOSTILE_LANES = Path(__file__).parent / "programs/hostile_daemon.py"

EVERY_PRODUCT = Recipe(
    products=(
        Product(),
        Product(kind="mask"),
        Product(format="webp", quality=80, level=2),
        Product(level=7),
        Product(ground=Ground(kind="colour", colour=(255, 255, 255))),
        Product(format="avif", level=0),
        Product(kind="background", format="tiff"),
        Product(
            format="jpeg",
            level=9,
            ground=Ground(kind="blur"),
            shadow=Shadow(opacity=0.5),
            frame=Frame(trim=True, margin=0.1, canvas=(60, 80)),
        ),
        Product(kind="compare", format="webp", quality=50, level=4, frame=Frame(max_side=50)),
        Product(ground=Ground(kind="picture", fit="contain"), frame=Frame(canvas=(80, 80))),
        Product(depth="source"),
        Product(kind="mask", format="tiff", depth="source"),
    )
)

PICTURE = noise(90, 70)
EXTRAS: dict[str, Any] = {
    "icc_profile": profile(),
    "exif": exif_with({274: 6, 271: "maker"}, exif={37510: b"x"}, gps={1: "N"}),
}
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF")
LOADED_LATE: dict[str, tuple[str, Image.Image, dict[str, Any]]] = {
    **{name: (name, PICTURE, {} if name in {"BMP", "GIF"} else EXTRAS) for name in FORMATS},
    "progressive": ("JPEG", PICTURE, {"progressive": True}),
    "cmyk": ("JPEG", PICTURE.convert("CMYK"), {"icc_profile": cmyk_profile()}),
    "lab": ("TIFF", PICTURE.convert("LAB"), {"compression": "tiff_lzw"}),
    "fax": ("TIFF", PICTURE.convert("1"), {"compression": "group4"}),
    "zstd": ("TIFF", PICTURE, {"compression": "zstd"}),
    "lzma": ("TIFF", PICTURE, {"compression": "lzma"}),
    "floats": ("TIFF", PICTURE.convert("F"), {}),
    "deep": ("PNG", PICTURE.convert("I;16"), {}),
    "deep colour": ("PNG", PICTURE, {}),
    "deep packed": ("TIFF", PICTURE, {}),
    "grey": ("PNG", PICTURE.convert("L"), {"icc_profile": grey_profile()}),
    "palette": ("PNG", PICTURE.convert("P"), {"transparency": 3}),
    "frames": ("GIF", PICTURE, {"save_all": True, "append_images": [noise(90, 70, seed=2)]}),
    "opacity": ("WEBP", PICTURE.convert("RGBA"), {"lossless": True}),
    "garbage profile": ("JPEG", PICTURE, {"icc_profile": b"garbage" * 50}),
}
"""What has a decoder, a thread pool, a writer or a table of its own, which may be loaded when it is first needed."""
DEEP: dict[str, Callable[[Rows], bytes]] = {
    "deep colour": png16,
    "deep packed": partial(tiff16, compression=8, predictor=True),
}


@pytest.fixture(scope="module")
def caged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LaneProcess, Hands]]:
    """Give a lane in its cage whose model runs on four threads."""
    lane = start_lane()
    hands = Hands(tmp_path_factory.mktemp("lane"), lane.channel)
    hello = hands.expect(Hello)
    assert "no new privileges" in hello.holds
    load(hands, built_in(), threads=4)
    hands.expect(Loaded)
    yield lane, hands
    lane.channel.close()
    assert lane.wait_or_kill(20) == "ended with status 0"


def load(hands: Hands, choice: ModelChoice, *, threads: int) -> None:
    """Send a model to run on so many threads."""
    descriptor = os.open(choice.path, os.O_RDONLY)
    message = Load(model=choice.name, sha256=choice.sha256, spec=choice.spec, threads=threads)
    hands.channel.send(message, (descriptor,))
    os.close(descriptor)


def heif(image: Image.Image) -> bytes:
    """Write a HEIC, where the decoder is installed."""
    stream = io.BytesIO()
    pytest.importorskip("pillow_heif").from_pillow(image).save(stream)
    return stream.getvalue()


@pytest.mark.parametrize("name", LOADED_LATE)
def test_every_format_and_product_works_in_the_cage(caged: tuple[LaneProcess, Hands], name: str) -> None:
    """Whole it becomes every product; cut short it is told in a sentence; the lane lives on."""
    lane, hands = caged
    kind, image, options = LOADED_LATE[name]
    data = heif(image) if kind == "HEIF" else encoded(image, kind, **options)
    deep = DEEP.get(name)
    data = deep(noisy(90, 70, 4)) if deep else data
    hands.load_ground(data)
    hands.expect(Loaded)
    finished, results = hands.work(data, recipe=EVERY_PRODUCT, grounds=["ground/1"])
    assert len(finished.sizes) == len(results) == len(EVERY_PRODUCT.products)
    if deep:
        cut, mask = (read16(path.read_bytes()) for path in results[-2:])
        assert [[pixel[3:] for pixel in row] for row in cut] == mask
    hands.submit(data[: len(data) // 2])
    hands.go()
    hands.channel.receive()
    assert not lane.reaped()


def test_an_error_nobody_foresaw_is_told_with_its_place(caged: tuple[LaneProcess, Hands], tmp_path: Path) -> None:
    """The trace names files and lines although no source can be read any more."""
    _, hands = caged
    data = encoded(PICTURE, "PNG")
    (tmp_path / "source").write_bytes(data)
    # A recipe that no parent sends: from_json has nothing to say about it.
    work = Work(job=99, model="bgrd-lite", recipe={}, size=len(data), max_pixels=10_000, memory_bytes=2**32)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "draft").open("w+b") as draft:
        hands.channel.send(work, (source.fileno(), draft.fileno()))
    hands.go()
    fault = hands.expect(Faulted)
    assert fault.kind == "unknown"
    assert re.search(r"bgrd/job\.py:\d+ in from_json\n", fault.trace)
    assert fault.trace.rstrip().endswith(fault.text)


def test_a_model_cannot_bring_other_files_in(caged: tuple[LaneProcess, Hands], tmp_path: Path) -> None:
    """Weights that a model says lie in a file elsewhere are not read, whatever that file is."""
    _, hands = caged
    (tmp_path / "secret").write_bytes(np.full(3, 4.0, np.float32).tobytes())
    proto = onnx.load_from_string(model(spec={"name": "thief", "side": 32}))
    kernel = next(tensor for tensor in proto.graph.initializer if tensor.name == "kernel")
    kernel.ClearField("raw_data")
    kernel.data_location = onnx.TensorProto.EXTERNAL
    kernel.external_data.add(key="location", value=str(tmp_path / "secret"))
    (tmp_path / "thief.onnx").write_bytes(proto.SerializeToString())
    load(hands, ModelChoice(name="thief", path=tmp_path / "thief.onnx"), threads=1)
    assert hands.expect(Faulted).kind == "model"


def test_a_result_beyond_its_limit_is_the_pictures_fault(caged: tuple[LaneProcess, Hands]) -> None:
    """Where a result grows past what a picture's result can be, the picture fails and the folder is not blocked."""
    lane, hands = caged
    lane.limit(memory_bytes=4 * 2**30, file_bytes=1000, processor_seconds=600)
    fault = hands.fail(encoded(PICTURE, "PNG"))
    assert (fault.kind, "larger" in fault.text) == ("input", True)
    lane.limit(memory_bytes=4 * 2**30, file_bytes=2**30, processor_seconds=600)
    hands.work(encoded(PICTURE, "PNG"))


def test_private_memory_is_limited_inside_the_cage(caged: tuple[LaneProcess, Hands]) -> None:
    """Under a limit set from outside a picture fails for memory, the lane lives, and the next limit may be higher."""
    lane, hands = caged
    lane.limit(memory_bytes=2**20, file_bytes=2**30, processor_seconds=600)
    hands.submit(bytes(50 * 2**20))
    assert hands.expect(Faulted).kind == "memory"
    lane.limit(memory_bytes=4 * 2**30, file_bytes=2**30, processor_seconds=600)
    hands.work(encoded(PICTURE, "PNG"))


def test_a_lane_has_given_up_what_it_says(caged: tuple[LaneProcess, Hands]) -> None:
    """The kernel knows the lane as filtered and without new privileges, at the root directory, with few descriptors."""
    lane, _ = caged
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{lane.pid}/status").read_text().splitlines() if ":" in line
    )
    assert status["NoNewPrivs"].strip() == "1"
    if os.uname().machine in {"x86_64", "aarch64"}:
        assert status["Seccomp"].strip() == "2"
    assert os.readlink(f"/proc/{lane.pid}/cwd") == "/"
    assert resource.prlimit(lane.pid, resource.RLIMIT_CORE) == (0, 0)
    assert resource.prlimit(lane.pid, resource.RLIMIT_NOFILE) == (64, 64)


def test_a_hostile_picture_gets_nowhere(tmp_path: Path) -> None:
    """A picture that has taken its lane over tries everything: it fails, its neighbours are done, nothing leaks."""
    house = House(tmp_path / "house").folders()
    other = house.home / "other"
    for name in ("in", "out"):
        (other / name).mkdir(parents=True)
    (other / "in/secret.jpg").write_bytes(b"a secret of somebody else's, and no picture")
    house.configure(
        '[[folder]]\nname = "default"\ninbox = "~/bgr/inbox"\noutbox = "~/bgr/outbox"\n'
        '[[folder]]\nname = "other"\ninbox = "~/other/in"\noutbox = "~/other/out"\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        facts = {
            "home": str(house.home),
            "secret": str(other / "in/secret.jpg"),
            "tcp": tcp.getsockname()[1],
            "path": "/run/nobody-listens",
            "abstract": "nobody-listens",
        }
        before = {path for path in house.home.rglob("*") if ".local" not in path.parts}
        program = (sys.executable, str(WITH_HOSTILE_LANES), str(HOSTILE_LANE), json.dumps(facts), "run")
        with Daemon(house, program=program) as daemon:
            daemon.ready()
            (house.inbox / "hostile.jpg").write_bytes(phone_photo(seed=2) + b"HOSTILE")
            neighbours = {f"{seed}.jpg": phone_photo(seed=seed) for seed in (3, 4, 5)}
            for name, data in neighbours.items():
                (house.inbox / name).write_bytes(data)
            (failed,) = daemon.heard("job.failed", path="hostile.jpg")
            daemon.done(neighbours)
            assert not daemon.events("lane.loose")
            assert daemon.stop() == 0
        tcp.settimeout(0)
        with pytest.raises(BlockingIOError):
            tcp.accept()
    outcomes = json.loads(failed["reason"].partition("tried ")[2])
    assert outcomes["fill the disk"] == "EFBIG"
    assert {name: outcome for name, outcome in outcomes.items() if outcome not in {"EPERM", "EFBIG"}} == {}
    for name, data in neighbours.items():
        check_result(house.outbox / f"{Path(name).stem}.png", data)
    made = {path for path in house.home.rglob("*") if ".local" not in path.parts} - before
    assert {path.name for path in made if path.is_relative_to(house.outbox)} == {
        "3.png",
        "4.png",
        "5.png",
        "_failed",
        "hostile.jpg.txt",
    }
    assert {path for path in made if not path.is_relative_to(house.outbox) and path.parent != house.inbox} == set(
        (other / "out").rglob("*")
    )
    assert not [path for path in house.results(house.outbox).values() if b"a secret" in path.read_bytes()]
