"""`bgrd train export`: a checkpoint becomes a model that says where it comes from, or nothing is made."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from bgrd.cli.train_export import add, run
from bgrd.errors import BgrdError, CannotCreateError, NoInputError, TrainingError, UsageError
from bgrd.models.add import add as install
from bgrd.models.session import Session
from bgrd.train import origin
from bgrd.train.checkpoint import Checkpoint, save_checkpoint
from bgrd.train.entry import Entry
from bgrd.train.export import PROVENANCE_KEY
from bgrd.train.manifest import write_manifest
from bgrd.train.networks.lite import Lite
from bgrd.train.networks.rows import NETWORKS, Network
from tests.houses.small_networks import SPEC, Tiny, kinds, lived_in

pytestmark = pytest.mark.usefixtures("rows", "one_thread")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the tiny network among those that can be trained."""
    row = Network(name="tiny", build=Tiny, side=96, multiple=8, mean=SPEC.mean, std=SPEC.std)
    monkeypatch.setattr(origin, "NETWORKS", {"tiny": row})


def export(*arguments: str | Path) -> int:
    """Run it."""
    top = argparse.ArgumentParser()
    add(top.add_subparsers())
    return run(top.parse_args(["export", *map(str, arguments)]))


def checkpoint(path: Path, **changes: Any) -> Path:
    """Write a checkpoint of the tiny network."""
    weights = lived_in(Tiny()).state_dict()
    values: dict[str, Any] = {
        "network": "tiny",
        "options": {"side": [96, 64], "seed": 7},
        "weights": {},
        "average": weights,
        "average_steps": 1,
        "optimiser": {},
        "random": torch.get_rng_state(),
        "samples": 1234,
        "seconds": 5.0,
        "best": 0.5,
        "waited": 0,
        "losses": (0.0, 0),
    }
    save_checkpoint(path, Checkpoint(**(values | changes)))
    return path


@pytest.fixture(scope="module")
def run_pt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a checkpoint."""
    return checkpoint(tmp_path_factory.mktemp("run") / "best.pt")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give twelve pairs of two sources."""
    place = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    entries = []
    for number in range(12):
        image, mask = place / f"{number}.png", place / f"{number}-mask.png"
        Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(image)
        Image.new("L", (40, 48), 255).save(mask)
        source = "ours" if number % 2 else "theirs"
        entries.append(
            Entry(
                kind="pair",
                image=image,
                mask=mask,
                category="noise",
                source=source,
                licence="CC0-1.0" if source == "ours" else "MIT",
                split="validation" if number < 2 else "train",
            )
        )
    write_manifest(place / "manifest.csv", entries)
    return place


def manifest_sum(dataset: Path) -> str:
    """Give what a run on a data set writes into its checkpoints."""
    return hashlib.sha256((dataset / "manifest.csv").read_bytes()).hexdigest()


def provenance(path: Path) -> dict[str, Any]:
    """Give what a file says of where it comes from."""
    texts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    found: dict[str, Any] = json.loads(texts[PROVENANCE_KEY])
    return found


def test_a_checkpoint_becomes_a_model(
    run_pt: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is installed as it is, knows its last side, its licence, its recipe, and what it learnt from."""
    out = tmp_path / "mine.onnx"
    assert export(run_pt, "--out", out, "--licence", "Apache-2.0", "--data", dataset) == 0
    assert "from torch, 1.0e-04 allowed" in capsys.readouterr().out
    added = install(out, name=None, directory=tmp_path / "models")
    assert (added.name, added.licence, added.tried) == ("mine", "Apache-2.0", True)
    session = Session(out.read_bytes(), spec=None, threads=1, name="mine")
    assert (session.spec.side, session.spec.fit, session.spec.mean) == (64, "square", SPEC.mean)
    found = provenance(out)
    assert (found["network"], found["samples"], found["recipe"]["seed"]) == ("tiny", 1234, 7)
    assert found["data"] == [
        {"source": "theirs", "licence": "MIT", "pictures": 5},
        {"source": "ours", "licence": "CC0-1.0", "pictures": 5},
    ]


def test_what_is_fed_can_be_said(run_pt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Side, fit, name and version come from the command line; what is missing is told."""
    out = tmp_path / "mine.onnx"
    export(run_pt, "--out", out, "--side", "128", "--fit", "short_side", "--name", "other", "--version", "3")
    spec = Session(out.read_bytes(), spec=None, threads=1, name="mine").spec
    assert (spec.name, spec.side, spec.fit, spec.version) == ("other", 128, "short_side", 3)
    told = capsys.readouterr().out
    assert all(word in told for word in ("--data DATASET", "--licence TEXT"))


def test_only_what_it_learnt_from_is_written_into_it(dataset: Path, tmp_path: Path) -> None:
    """One of the data sets named has to be the checkpoint's own, by its manifest; others may stand beside it.

    A checkpoint that does not say what it learnt from, as older ones, is believed.
    """
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(dataset / "0.png", other)
    entry = Entry(
        kind="background",
        image=other / "0.png",
        mask=None,
        category="noise",
        source="first",
        licence="CC0-1.0",
        split="train",
    )
    write_manifest(other / "manifest.csv", [entry])
    out, run_pt = tmp_path / "mine.onnx", checkpoint(tmp_path / "known.pt", data=manifest_sum(dataset))
    with pytest.raises(UsageError, match=f"--data {other}: the checkpoint learnt from another data set"):
        export(run_pt, "--out", out, "--data", other)
    assert not out.exists()
    export(run_pt, "--out", out, "--data", other, "--data", dataset)
    assert [each["source"] for each in provenance(out)["data"]] == ["first", "theirs", "ours"]
    export(checkpoint(tmp_path / "older.pt"), "--out", out, "--data", other)
    assert [each["source"] for each in provenance(out)["data"]] == ["first"]


@pytest.mark.parametrize("extra", [[], ["--float-ends"], ["--method", "percentile"]])
def test_int8_says_what_it_costs(
    run_pt: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    """Every convolution is quantised, but for the ends where that is wanted; the file still describes itself."""
    plain, out = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    export(run_pt, "--out", plain)
    export(run_pt, "--out", out, "--int8", "--calibration", dataset, *extra)
    assert "of 255 on average" in capsys.readouterr().out
    before, after = kinds(plain.read_bytes()), kinds(out.read_bytes())
    assert after["Conv"] == before["Conv"]
    assert after["DequantizeLinear"] > before["Conv"]
    weights = {
        node.input[1].endswith("_DequantizeLinear_Output")
        for node in onnx.load(out).graph.node
        if node.op_type == "Conv"
    }
    assert weights == ({True, False} if "--float-ends" in extra else {True})
    session = Session(out.read_bytes(), spec=None, threads=1, name="small")
    session.trial()
    assert provenance(out)["int8"]["float_ends"] is bool(extra == ["--float-ends"])


def test_packed_and_asked_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is a quarter as large, gives a mirror image the mirrored answer, and says how it was made."""
    monkeypatch.setattr(origin, "NETWORKS", NETWORKS)
    run_pt = checkpoint(tmp_path / "lite.pt", network="lite", average=lived_in(Lite()).state_dict())
    plain, out = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    export(run_pt, "--out", plain)
    export(run_pt, "--out", out, "--pack", "--both-ways")
    assert re.search("1,3.* weights packed: opacity differs by .* of 255 on average", capsys.readouterr().out)
    assert out.stat().st_size < 0.3 * plain.stat().st_size
    assert (provenance(plain)["both_ways"], provenance(out)["both_ways"]) == (False, True)
    assert provenance(out)["packed"] > 1_300_000
    session = Session(out.read_bytes(), spec=None, threads=1, name="small")
    session.trial()
    tensor = np.random.default_rng(1).standard_normal((1, 3, 64, 64)).astype(np.float32)
    there, back = session.run(tensor)[0], session.run(np.ascontiguousarray(tensor[..., ::-1]))[0]
    assert np.ptp(there) > 1e-3
    assert np.abs(there - back[..., ::-1]).max() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["{run}", "--out", "{place}/mine.pt"], UsageError, "must end in .onnx"),
        (["{run}", "--out", "{place}/no/mine.onnx"], CannotCreateError, "cannot be written"),
        (["{place}/none.pt", "--out", "{place}/mine.onnx"], NoInputError, "none.pt cannot be read"),
        (["{data}/manifest.csv", "--out", "{place}/mine.onnx"], TrainingError, "no file of weights"),
        (["deeplabv9", "--out", "{place}/mine.onnx"], UsageError, "torchvision has no such network"),
        (["{run}", "--out", "{place}/mine.onnx", "--weights", "{run}"], UsageError, "goes with a name of torchvision"),
        (["{run}", "--out", "{place}/mine.onnx", "--int8"], UsageError, "--calibration"),
        (["{run}", "--out", "{place}/mine.onnx", "--calibration", "{data}"], UsageError, "goes with --int8"),
        (["{run}", "--out", "{place}/mine.onnx", "--method", "entropy"], UsageError, "--method goes with --int8"),
        (["{run}", "--out", "{place}/mine.onnx", "--float-ends"], UsageError, "--float-ends goes with --int8"),
        (["{run}", "--out", "{place}/mine.onnx", "--pack"], TrainingError, "no convolution has float32 weights enough"),
        (
            ["{run}", "--out", "{place}/mine.onnx", "--pack", "--int8", "--calibration", "{data}"],
            UsageError,
            "choose one",
        ),
        (
            ["fcn_resnet50", "--out", "{place}/mine.onnx", "--both-ways"],
            UsageError,
            "--both-ways goes with a checkpoint",
        ),
        (["fcn_resnet50", "--out", "{place}/mine.onnx", "--pack"], UsageError, "--pack goes with a checkpoint"),
        (["{run}", "--out", "{place}/mine.onnx", "--side", "50"], UsageError, "50 is not a multiple of 8"),
        (["{run}", "--out", "{place}/mine.onnx", "--data", "{place}"], NoInputError, "manifest.csv cannot be read"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: Sequence[str], error: type[BgrdError], words: str, run_pt: Path, dataset: Path, tmp_path: Path
) -> None:
    """Each wrong argument ends in a sentence, and leaves no file."""
    with pytest.raises(error, match=words):
        export(*(each.format(run=run_pt, data=dataset, place=tmp_path) for each in arguments))
    assert not list(tmp_path.iterdir())


def test_a_strange_checkpoint_is_told(tmp_path: Path) -> None:
    """A network nobody knows, and weights of another one, are named."""
    with pytest.raises(TrainingError, match="a network 'huge', which is not known"):
        export(checkpoint(tmp_path / "strange.pt", network="huge"), "--out", tmp_path / "mine.onnx")
    with pytest.raises(TrainingError, match="does not hold the weights of Tiny"):
        export(checkpoint(tmp_path / "empty.pt", average={}), "--out", tmp_path / "mine.onnx")


def test_too_few_pictures_cannot_calibrate(run_pt: Path, dataset: Path, tmp_path: Path) -> None:
    """Ranges of a handful of pictures are nobody's."""
    only = (dataset / "manifest.csv").read_text().splitlines()[:4]
    for name in {cell for row in only[1:] for cell in row.split(",")[1:3]}:
        (tmp_path / name).write_bytes((dataset / name).read_bytes())
    (tmp_path / "manifest.csv").write_text("\n".join(only) + "\n")
    with pytest.raises(TrainingError, match="3 pairs for training or validation"):
        export(run_pt, "--out", tmp_path / "mine.onnx", "--int8", "--calibration", tmp_path)
    assert not (tmp_path / "mine.onnx").exists()
