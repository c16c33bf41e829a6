"""How a run begins with an exported file: what it takes from it, what it keeps of it, and what is none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import helper

from bgrd.errors import BgrdError, ModelFileError, NoInputError, TrainingError
from bgrd.models.anatomy import METADATA_KEY
from bgrd.models.session import Session
from bgrd.train.begin import begin
from bgrd.train.checkpoint import digest, load_checkpoint
from bgrd.train.export import PROVENANCE_KEY, described, graph_of
from bgrd.train.networks.mirrored import Mirrored
from bgrd.train.origin import from_checkpoint
from bgrd.train.pack import packed
from tests.houses.small_runs import QUICK, Silent, torch_apart, wish

pytestmark = pytest.mark.usefixtures("one_thread", "no_curves")


@pytest.fixture(scope="module")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what a run learnt as a file for the daemon, packed and asked both ways as the built-in one."""
    folder = tmp_path_factory.mktemp("exported")
    with torch_apart():
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
    """A `lite-large` grows from the file of a `lite`, at the side it is told, and answers as that."""
    run = begin(wish(data, tmp_path, given=QUICK | {"network": "lite-large", "blend": 0.5}, init=exported), Silent())
    assert (run.options.network, run.options.side) == ("lite-large", (32,))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = Session(exported.read_bytes(), spec=None, threads=1, name="it").run(images.numpy())[0]
    with torch.no_grad():
        found = torch.sigmoid(Mirrored(run.learner.network.eval())(images)[0]).numpy()
    assert found == pytest.approx(expected, abs=1e-3)
    assert run.learner.start is not None
    assert run.learner.start.keys() == run.learner.network.state_dict().keys()
    with pytest.raises(TrainingError, match=r"model\.onnx is of the network lite, not lite-plain"):
        begin(wish(data, tmp_path, given=QUICK | {"network": "lite-plain"}, init=exported), Silent())


def test_what_a_file_lacks_is_decided_by_the_seed(data: Path, exported: Path, tmp_path: Path) -> None:
    """What the normalisations are shown, and the heads of the coarse levels; the weights are the file's."""
    runs = [begin(wish(data, tmp_path, given=QUICK | {"seed": seed}, init=exported), Silent()) for seed in (1, 1, 2)]
    first, same, other = (run.learner.network.state_dict() for run in runs)
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    for name, equal in (("heads.3.weight", True), ("heads.0.weight", False), ("stem.1.running_mean", False)):
        assert torch.equal(first[name], other[name]) == equal


def test_many_samples_are_shown_whatever_a_batch_is(data: Path, exported: Path, tmp_path: Path) -> None:
    """A batch for a graphics processor is larger than all that is shown."""
    run = begin(wish(data, tmp_path, given=QUICK | {"batch": 128}, init=exported), Silent())
    assert sum(len(images) for images in run.shown(64)) == 64


def test_a_photo_that_is_damaged_is_not_the_file_s_fault(data: Path, exported: Path, tmp_path: Path) -> None:
    """It is named, and the file is not."""
    copy = tmp_path / "set"
    shutil.copytree(data, copy)
    run = begin(wish(copy, tmp_path / "run", given=QUICK | {"mixture": {"pairs": 1}}, init=exported), Silent())
    assert run.begun_with
    # Those for validation come first, and are read for themselves.
    for photo in sorted(copy.glob("*.jpg"))[2:]:
        photo.write_bytes(photo.read_bytes()[:200])
    with pytest.raises(BgrdError) as caught:
        begin(wish(copy, tmp_path / "run", given=QUICK | {"mixture": {"pairs": 1}}, init=exported), Silent())
    assert str(copy) in str(caught.value)
    assert exported.name not in str(caught.value)


def test_other_files_are_told(data: Path, exported: Path, tmp_path: Path) -> None:
    """None there, none of ONNX, one that says nothing of itself, one of a network that is not trained here."""
    path = tmp_path / "it.onnx"

    def refused() -> str:
        with pytest.raises((TrainingError, NoInputError, ModelFileError)) as caught:
            begin(wish(data, tmp_path / "run", init=path), Silent())
        return str(caught.value)

    assert refused() == f"{path} cannot be read: No such file or directory"
    path.write_bytes(b"no model")
    assert refused().startswith(f"{path}: ")
    model = onnx.load(str(exported))
    told = {each.key: each.value for each in model.metadata_props}
    for changed, words in (
        ({PROVENANCE_KEY: ""}, " is no file that `bgrd train export` made of a network of bgrd's"),
        ({PROVENANCE_KEY: "[1]"}, " is no file that `bgrd train export` made of a network of bgrd's"),
        ({PROVENANCE_KEY: '{"network": "deeplabv3_resnet50"}'}, " is no file that `bgrd train export` made of a"),
        ({PROVENANCE_KEY: '{"network": "u2netp"}'}, " cannot be learnt on with: its graph is not the one"),
        ({METADATA_KEY: ""}, ": its spec.name: is missing"),
    ):
        helper.set_model_props(model, told | changed)
        onnx.save(model, str(path))
        assert refused().startswith(f"{path}{words}")
    helper.set_model_props(model, told)
    # Whole in its frame and damaged within: the last node reads what nobody gives.
    model.graph.node[-1].input[0] = "nothing"
    onnx.save(model, str(path))
    assert refused().startswith(f"{path} cannot be learnt on with: ")
