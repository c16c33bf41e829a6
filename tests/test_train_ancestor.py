"""How a run begins with an exported file: what it takes from it, what it keeps of it, and what is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import helper

from bgrd.errors import NoInputError, TrainingError
from bgrd.models.anatomy import METADATA_KEY
from bgrd.train.begin import begin
from bgrd.train.checkpoint import digest, load_checkpoint
from bgrd.train.export import PROVENANCE_KEY, described, graph_of
from bgrd.train.networks.mirrored import Mirrored
from bgrd.train.origin import from_checkpoint
from bgrd.train.pack import packed
from tests.houses.small_runs import QUICK, Silent, wish

pytestmark = pytest.mark.usefixtures("one_thread", "no_curves")


@pytest.fixture(scope="module")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what a run learnt as a file for the daemon, packed and asked both ways as the built-in one."""
    folder = tmp_path_factory.mktemp("exported")
    begin(wish(data, folder / "run"), Silent()).run()
    found = from_checkpoint(folder / "run" / "last.pt", lambda spec: replace(spec, side=64))
    path = folder / "model.onnx"
    path.write_bytes(
        packed(described(graph_of(Mirrored(found.network), found.spec), found.spec, found.provenance)).data
    )
    return path


def test_a_run_begins_with_an_exported_file(data: Path, exported: Path, tmp_path: Path) -> None:
    """It takes network and side from it, says what it began with as for a checkpoint, and goes on as any."""
    given = {name: value for name, value in QUICK.items() if name != "side"}
    run = begin(wish(data, tmp_path / "more", given=given, init=exported), Silent())
    assert (run.options.network, run.options.side) == ("lite", (64,))
    checkpoint = load_checkpoint(exported.parent / "run" / "last.pt")
    name = "stages.3.0.wide.0.weight"
    scale = checkpoint.average[name].abs().amax()
    norm = name.replace("0.weight", "1")
    factor = checkpoint.average[f"{norm}.weight"] / (checkpoint.average[f"{norm}.running_var"] + 1e-5).sqrt()
    expected = checkpoint.average[name] * factor[:, None, None, None]
    assert torch.allclose(run.learner.network.state_dict()[name], expected, atol=float(scale) / 100)
    begun = run.begun_with
    assert begun is not None
    assert (begun["by"], begun["file"], begun["sha256"]) == ("--init", "model.onnx", digest(exported))
    assert (begun["network"], begun["samples"], begun["begun_with"]) == ("lite", 8, {})
    assert begun["manifest_sha256"] == digest(data / "manifest.csv")
    run.run()
    recipe = (tmp_path / "more" / "recipe.toml").read_text(encoding="utf-8")
    assert recipe.startswith(f'# begun with --init "model.onnx", sha256 {digest(exported)}\n')
    # Once begun it needs the file no more.
    assert begin(wish(data, tmp_path / "more", resume=True), Silent()).begun_with == begun


def test_what_was_said_counts_for_more_than_the_file(data: Path, exported: Path, tmp_path: Path) -> None:
    """A `lite-large` grows from the file of a `lite`, at the side it is told."""
    run = begin(wish(data, tmp_path, given=QUICK | {"network": "lite-large"}, init=exported), Silent())
    assert (run.options.network, run.options.side) == ("lite-large", (32,))
    with pytest.raises(TrainingError, match=r"model\.onnx is of the network lite, not lite-plain"):
        begin(wish(data, tmp_path, given=QUICK | {"network": "lite-plain"}, init=exported), Silent())


def test_the_same_file_is_begun_with_in_the_same_way(data: Path, exported: Path, tmp_path: Path) -> None:
    """What the normalisations are shown is decided by the run's seed, and a file has no heads for the coarse levels."""
    first, second = (begin(wish(data, tmp_path, init=exported), Silent()).learner.network for _ in range(2))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_other_files_are_told(data: Path, exported: Path, tmp_path: Path) -> None:
    """None there, none of ONNX, one that says nothing of itself, one of a network that is not trained here."""
    path = tmp_path / "it.onnx"

    def refused() -> str:
        with pytest.raises((TrainingError, NoInputError)) as caught:
            begin(wish(data, tmp_path / "run", init=path), Silent())
        return str(caught.value)

    assert refused() == f"{path} cannot be read: No such file or directory"
    path.write_bytes(b"no model")
    assert refused().startswith(f"{path}: ")
    model = onnx.load(str(exported))
    told = {each.key: each.value for each in model.metadata_props}
    for kept in ({}, {METADATA_KEY: told[METADATA_KEY]}, {PROVENANCE_KEY: told[PROVENANCE_KEY]}):
        helper.set_model_props(model, kept)
        onnx.save(model, str(path))
        assert str(path) in refused()
    helper.set_model_props(model, told | {PROVENANCE_KEY: '{"network": "deeplabv3_resnet50"}'})
    onnx.save(model, str(path))
    assert refused().startswith(f"{path} is of no network that bgrd trains")
    helper.set_model_props(model, told | {PROVENANCE_KEY: '{"network": "u2netp"}'})
    onnx.save(model, str(path))
    assert refused().startswith(f"{path} cannot be learnt on with: its graph is not the one")
    assert not (tmp_path / "run").exists()
