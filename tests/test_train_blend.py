"""A result between what a run began with and what it learnt: judged so, exported so, gone on with so."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor

from bgrd.cli.main import main
from bgrd.errors import TrainingError, UsageError
from bgrd.train.average import blended
from bgrd.train.begin import begin
from bgrd.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from bgrd.train.export import PROVENANCE_KEY
from bgrd.train.networks.rows import NETWORKS, build
from bgrd.train.origin import from_checkpoint
from tests.houses.small_runs import QUICK, Silent, torch_apart, wish

pytestmark = pytest.mark.usefixtures("one_thread", "no_curves")


@pytest.fixture(scope="module")
def first(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the checkpoint of a run that others begin with."""
    out = tmp_path_factory.mktemp("first")
    with torch_apart():
        begin(wish(data, out), Silent()).run()
    return out / "last.pt"


def tuned(data: Path, first: Path, out: Path, *, samples: int = 8) -> Checkpoint:
    """Give what a run leaves that keeps three quarters of what it began with."""
    given = QUICK | {"blend": 0.25, "rate": 0.01, "seed": 2, "samples": samples}
    begin(wish(data, out, given=given, init=first), Silent()).run()
    return load_checkpoint(out / "last.pt")


def test_between_two_networks() -> None:
    """Of each weight so much of the way; what counts batches is the later one's."""
    start = {"weight": torch.tensor([1.0, 2.0]), "batches": torch.tensor(3)}
    weights = {"weight": torch.tensor([3.0, 2.0]), "batches": torch.tensor(7)}
    found = blended(start, weights, 0.25)
    assert found["weight"].tolist() == [1.5, 2.0]
    assert int(found["batches"]) == 7
    assert blended(start, weights, 1.0)["weight"].tolist() == [3.0, 2.0]


def test_a_run_is_judged_and_exported_between(data: Path, first: Path, tmp_path: Path) -> None:
    """Its checkpoint keeps both ends; what is exported, and what another run begins with, lies between them."""
    found = tuned(data, first, tmp_path / "run")
    name = "stem.0.weight"
    start, end = load_checkpoint(first).average[name], found.average[name]
    assert found.start is not None
    assert torch.equal(found.start[name], start)
    assert not torch.allclose(start, end)
    middle = 0.75 * start + 0.25 * end
    path = tmp_path / "run" / "last.pt"
    origin = from_checkpoint(path, lambda spec: spec)
    assert torch.allclose(origin.network.state_dict()[name], middle)
    assert origin.provenance["recipe"]["blend"] == 0.25
    more = begin(wish(data, tmp_path / "more", given=QUICK, init=path), Silent())
    assert torch.allclose(more.learner.network.state_dict()[name], middle)
    again = begin(wish(data, tmp_path / "run", resume=True), Silent())
    assert torch.allclose(again.learner.judged().state_dict()[name], middle)
    assert again.learner.network.state_dict()[name].tolist() == found.weights[name].tolist()


def test_a_run_that_went_on_keeps_what_it_began_with(data: Path, first: Path, tmp_path: Path) -> None:
    """Not what it was resumed with: stopped after half of it the result is that of an unbroken one."""
    unbroken = tuned(data, first, tmp_path / "unbroken", samples=16)
    given = QUICK | {"blend": 0.25, "rate": 0.01, "seed": 2, "samples": 16}
    half = begin(wish(data, tmp_path / "run", given=given, init=first), Silent())
    step = half.learner.step

    def stopping(pixels: Tensor, opacity: Tensor, *, rate: float) -> float:
        found = step(pixels, opacity, rate=rate)
        if half.place.samples == 4:
            os.kill(os.getpid(), 15)
        return found

    half.learner.step = stopping  # type: ignore[method-assign]
    assert half.run() == "stopped"
    begin(wish(data, tmp_path / "run", resume=True), Silent()).run()
    found = load_checkpoint(tmp_path / "run" / "last.pt")
    assert all(torch.equal(value, found.result()[name]) for name, value in unbroken.result().items())


def test_another_share_is_exported(data: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without learning anew; the file says which. All of what was learnt is the running mean."""
    found = tuned(data, first, tmp_path / "run")
    network = build(NETWORKS["lite"], seed=0)
    for share, expected in (("1", found.average), ("0.5", blended(found.start or {}, found.average, 0.5))):
        out = tmp_path / f"{share}.onnx"
        arguments = ["train", "export", str(tmp_path / "run" / "last.pt"), "--out", str(out), "--blend", share]
        assert main(arguments) == os.EX_OK
        network.load_state_dict(expected)
        model = onnx.load(str(out))
        told = {each.key: each.value for each in model.metadata_props}
        assert f'"blend": {float(share)}' in told[PROVENANCE_KEY]
        origin = from_checkpoint(tmp_path / "run" / "last.pt", lambda spec: spec, blend=float(share))
        assert all(
            torch.equal(value, network.state_dict()[name]) for name, value in origin.network.state_dict().items()
        )
    capsys.readouterr()
    for arguments, words in (
        ([str(first), "--blend", "0.5"], f"{first}: the run kept nothing to blend with"),
        ([str(first), "--blend", "0"], "--blend 0.0: must be from 0.001 to 1"),
        (["fcn_resnet50", "--blend", "0.5"], "--blend goes with a checkpoint"),
    ):
        assert main(["train", "export", *arguments, "--out", str(tmp_path / "no.onnx")]) == os.EX_USAGE
        assert words in capsys.readouterr().err


def test_without_a_beginning_there_is_nothing_to_blend_with(tmp_path: Path) -> None:
    """The recipe for some dozens of pictures says so before any is read, where it was forgotten."""
    with pytest.raises(UsageError, match="name them with --init"):
        begin(wish(tmp_path / "nowhere", tmp_path, given=QUICK, recipe="tune"), Silent())


def test_a_checkpoint_whose_ends_are_of_two_networks_is_damaged(data: Path, first: Path, tmp_path: Path) -> None:
    """It is told when it is read, for whatever purpose."""
    found = tuned(data, first, tmp_path / "run")
    path = tmp_path / "run" / "last.pt"
    cut = {name: value[:3] if value.ndim else value for name, value in found.average.items()}
    for start in ({}, cut):
        save_checkpoint(path, replace(found, start=start))
        with pytest.raises(TrainingError, match=r"last\.pt is damaged"):
            load_checkpoint(path)
