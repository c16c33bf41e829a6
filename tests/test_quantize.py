"""int8 variants made of the user's own photos."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bgrd.cli import install
from bgrd.cli.main import main
from bgrd.errors import ModelFileError, NoInputError
from bgrd.job import ModelChoice
from bgrd.models.anatomy import dissect
from bgrd.models.index import read, speeds
from bgrd.models.quantize import Photos, measure, photos_in, quantise
from bgrd.models.store import find
from tests.pictures.making import corners, encoded, model, noise
from tests.pictures.networks import u2net

SPEC = {"name": "small", "side": 32, "licence": "MIT"}


def network(*, opset: int = 17) -> bytes:
    """Make a small real network: two convolutions of eight channels, and one output that is sure of itself."""
    random = np.random.default_rng(1)
    kernels = {
        "first": random.normal(0, 0.3, (8, 3, 3, 3)),
        "second": random.normal(0, 0.2, (8, 8, 3, 3)),
        "last": random.normal(0, 0.5, (1, 8, 1, 1)),
    }
    nodes, at = [], "image"
    for name, kernel in kernels.items():
        pads = [kernel.shape[2] // 2] * 4
        nodes.append(helper.make_node("Conv", [at, name], [f"{name}.out"], pads=pads))
        active = "Sigmoid" if name == "last" else "Relu"
        at = "alpha" if name == "last" else f"{name}.active"
        nodes.append(helper.make_node(active, [f"{name}.out"], [at]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, 32, 32])],
        [numpy_helper.from_array(kernel.astype(np.float32), name) for name, kernel in kernels.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    data: bytes = made.SerializeToString()
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of eight pictures and some other files."""
    place = tmp_path / "photos"
    place.mkdir()
    for number in range(8):
        image = noise(40, 30, seed=number) if number % 2 else corners(60 + number, 48)
        (place / f"{number}.png").write_bytes(encoded(image, "PNG"))
    (place / "notes.txt").write_text("no picture")
    (place / ".hidden.png").write_bytes(encoded(corners(), "PNG"))
    (place / "album").mkdir()
    return place


def chosen(tmp_path: Path, data: bytes) -> ModelChoice:
    """Write a model down, with its spec beside it."""
    (tmp_path / "small.onnx").write_bytes(data)
    return ModelChoice(name="small", path=tmp_path / "small.onnx", spec=dict(SPEC))


def test_every_fourth_photo_is_held_back(folder: Path) -> None:
    """What is measured on was never shown, and what is no picture is left out."""
    photos = photos_in(folder)
    assert [path.name for path in photos.held_back] == ["0.png", "4.png"]
    assert [path.stem for path in photos.shown] == ["1", "2", "3", "5", "6", "7"]


def test_large_folders_are_taken_from_evenly(tmp_path: Path) -> None:
    """Of many photos some are taken, from the first to the last."""
    data = encoded(corners(8, 8), "PNG")
    for number in range(150):
        (tmp_path / f"{number:03}.png").write_bytes(data)
    photos = photos_in(tmp_path)
    names = sorted(int(path.stem) for path in (*photos.shown, *photos.held_back))
    assert len(names) == 64
    assert max(after - before for before, after in itertools.pairwise(names)) <= 3
    assert names[0] == 0
    assert names[-1] >= 146


def test_too_few_photos(tmp_path: Path) -> None:
    """Three pictures say too little, and a folder that is none says nothing."""
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encoded(corners(), "PNG"))
    with pytest.raises(NoInputError, match="has 3 pictures; 4 are the least"):
        photos_in(tmp_path)
    with pytest.raises(NoInputError, match="cannot be read"):
        photos_in(tmp_path / "none")


@pytest.mark.parametrize("opset", [11, 17])
def test_a_network_becomes_int8(opset: int, folder: Path, tmp_path: Path) -> None:
    """Weights become bytes, by channel, in graphs of old opsets too; the file describes itself and thinks the same."""
    choice, photos, draft = chosen(tmp_path, network(opset=opset)), photos_in(folder), tmp_path / "draft.onnx"
    quantise(choice, photos, draft)
    made = onnx.load(draft)
    shapes = [tuple(tensor.dims) for tensor in made.graph.initializer if tensor.data_type == TensorProto.INT8]
    assert sorted(shape for shape in shapes if len(shape) == 4) == [(1, 8, 1, 1), (8, 3, 3, 3), (8, 8, 3, 3)]
    assert '"side": 32' in (dissect(draft).spec or "")
    worth = measure(choice, draft, photos)
    assert 0.0 < worth.mean < worth.p99 < 25.0


def test_convolutions_of_few_channels_are_made_wide(folder: Path, tmp_path: Path) -> None:
    """No convolution keeps a bias in floats, which would keep all of it in floats; those of few channels have 16."""
    quantise(chosen(tmp_path, u2net(32)), photos_in(folder), draft := tmp_path / "draft.onnx")
    graph = onnx.load(draft).graph
    made = {name: node for node in graph.node for name in node.output}
    kernels = {tensor.name: [*tensor.dims[:1]] for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    unpacked = [made[name] for node in convolutions for name in node.input[1:]]
    assert {node.op_type for node in unpacked} == {"DequantizeLinear"}
    widths = [kernels[made[node.input[1]].input[0]] for node in convolutions]
    assert sorted(widths) == [[1], *[[16]] * (len(widths) - 1)]  # the last of all looks at one pixel at a time


def test_what_onnxruntime_mutters_is_not_told(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A graph with weights it cannot take by channel is quantised without a word on the terminal."""
    caplog.set_level(logging.WARNING)
    quantise(chosen(tmp_path, u2net(32)), photos_in(folder), tmp_path / "draft.onnx")
    assert caplog.messages == []
    logging.getLogger().warning("heard again")
    assert caplog.messages == ["heard again"]


def test_models_are_timed_in_turn(folder: Path, tmp_path: Path) -> None:
    """The median of each model's runs is told: a hiccup of the machine is neither's."""
    choice, photos, draft = chosen(tmp_path, network()), photos_in(folder), tmp_path / "draft.onnx"
    quantise(choice, photos, draft)
    # The start, then before and after each run of the first and the second model; the first run of all hangs.
    steps = itertools.chain([0.0, 0.0, 9.0, 0.0, 0.004], itertools.cycle([0.0, 0.010, 0.0, 0.004]))
    times = itertools.accumulate(steps)
    alone = Photos(shown=photos.shown, held_back=photos.held_back[:1])
    worth = measure(choice, draft, alone, clock=lambda: next(times))
    assert worth.milliseconds == pytest.approx(10.0, rel=0.7)
    assert worth.milliseconds > worth.milliseconds_int8


def test_what_cannot_be_made_int8(folder: Path, tmp_path: Path) -> None:
    """A half-precision model is refused, and whatever else goes wrong is one sentence."""
    photos, draft = photos_in(folder), tmp_path / "draft.onnx"
    with pytest.raises(ModelFileError, match="only float32"):
        quantise(chosen(tmp_path, model(sides=(32, 32), element=TensorProto.FLOAT16)), photos, draft)
    choice = chosen(tmp_path, network())
    with pytest.raises(ModelFileError, match="cannot be made int8"):
        quantise(choice, photos, tmp_path / "no" / "draft.onnx")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty home's directory of models; whatever is made there counts as faster."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(install, "_WORTH_IT", float("inf"))
    (tmp_path / "small.onnx").write_bytes(network())
    config = tmp_path / ".config/bgrd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[[model]]\nname = "small"\npath = "~/small.onnx"\nside = 32\n')
    return tmp_path / ".local/share/bgrd/models"


def made(name: str, folder: Path, *more: str) -> int:
    """Make a variant; gives the exit code."""
    return main(["models", "quantize", name, "--calibrate", str(folder), *more])


def test_a_variant_is_installed_once_it_is_accepted(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Speed and difference are told; nothing is installed without an answer, with --accept the variant is there."""
    assert made("small", folder) == 1
    said = capsys.readouterr().out
    assert "ms a picture" in said
    assert "differs by" in said
    assert "--accept installs it" in said
    assert [path.name for path in home.iterdir()] == []
    assert made("bgrd-lite", folder, "--accept") == 0
    assert 'model = "bgrd-lite:int8"' in capsys.readouterr().out
    choice = find("bgrd-lite:int8", custom={}, directory=home)
    assert choice.path == home / "bgrd-lite.int8.onnx"
    assert choice.path.stat().st_size < 6_000_000
    assert list(read(home)) == ["bgrd-lite:int8"]
    assert speeds(home).keys() == {"bgrd-lite", "bgrd-lite:int8"}
    assert main(["models", "verify"]) == 0


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("YES ", 0), ("", 1), ("n", 1), (None, 1)])
def test_somebody_on_a_terminal_is_asked(
    answer: str | None, code: int, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a yes is one; an end of the input is none."""

    def asked(question: str) -> str:
        assert question == "install it as small:int8? [y/N] "
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", asked)
    assert made("small", folder) == code
    assert bool(read(home)) == (code == 0)
    if code == 0:
        assert find("small:int8", custom={}, directory=home).spec == {"name": "small", "side": 32}


def test_what_is_not_faster_is_not_installed(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precision is not given up for nothing, also where it was accepted beforehand."""
    monkeypatch.setattr(install, "_WORTH_IT", 0.0)
    assert made("small", folder, "--accept") == 1
    assert "it is not faster on this machine: not installed" in capsys.readouterr().out
    assert [path.name for path in home.iterdir()] == []


def test_one_variant_is_made_at_a_time(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second command is refused while one is at work, and clears away what a killed one left."""
    place = home / ".quantize"
    place.mkdir(parents=True)
    (place / "int8.onnx").write_bytes(b"half")
    fd = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert made("small", folder) == 75
    finally:
        os.close(fd)
    assert "another bgrd is making a variant" in capsys.readouterr().err
    assert (place / "int8.onnx").exists()
    assert made("small", folder) == 1
    assert [path.name for path in home.iterdir()] == []


def test_what_cannot_be_quantised_is_told(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variant, a model that is not there, and a missing extra have their sentences."""
    assert made("u2net:int8", folder) == 64
    assert "is a variant already" in capsys.readouterr().err
    assert made("u2net", folder) == 66
    assert "run `bgrd models pull u2net`" in capsys.readouterr().err
    monkeypatch.setattr(install, "find_spec", lambda _name: None)
    assert made("small", folder) == 64
    assert "pip install 'bgrd[quantize]'" in capsys.readouterr().err
