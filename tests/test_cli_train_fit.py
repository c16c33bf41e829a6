"""`bgrd train fit` from the command line: a small run on a data set made by code, and what is said of mistakes."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bgrd.cli.main import entry, main
from bgrd.cli.train_progress import RunProgress
from bgrd.errors import TrainingError
from bgrd.models.store import PACKAGED
from bgrd.train.checkpoint import digest, load_checkpoint, save_checkpoint
from bgrd.train.feed import batches
from bgrd.train.log import read_log
from bgrd.train.manifest import read_manifest, write_manifest
from bgrd.train.validate import held_back
from tests.pictures.discs import disc_set

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ["--side", "32", "--batch", "4", "--samples", "8", "--validate-every", "4", "--workers", "0", "--threads", "1"]


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run that is over."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "fit", str(data), "--out", str(out), *QUICK]) == os.EX_OK
    return out


def test_a_run_from_beginning_to_end(done: Path) -> None:
    """Its folder holds what was learnt, and a line for each judgement."""
    assert {path.name for path in done.iterdir()} == {"best.pt", "curves.png", "last.pt", "log.csv", "recipe.toml"}
    assert [line["samples"] for line in read_log(done / "log.csv")] == [4, 8]
    assert load_checkpoint(done / "last.pt").samples == 8


def test_a_small_set_is_learnt_in_seconds(tmp_path: Path) -> None:
    """From manifest to best.pt: a few hundred parts of thirty discs are enough to beat both constant guesses by far.

    Everything has the IoU of the share that is subject, and nothing has none.
    """
    place = tmp_path / "set"
    place.mkdir()
    recipe = tmp_path / "pairs.toml"
    recipe.write_text("rate = 3e-3\naverage = 0.9\n[mixture]\npairs = 1\n", encoding="utf-8")
    flags = ["--side", "32", "--batch", "8", "--samples", "320", "--validate-every", "320", *QUICK[-4:]]
    disc_set(place, train=30, validation=6)
    assert (
        main(["train", "fit", str(place), "--out", str(tmp_path / "run"), "--recipe", str(recipe), *flags]) == os.EX_OK
    )
    held = held_back(read_manifest(place / "manifest.csv"), side=32, most=6)
    everything = float(np.mean([(each.opacity > 127).float().mean().item() for each in held]))
    assert everything < 0.6
    assert load_checkpoint(tmp_path / "run" / "best.pt").best > everything + 0.2


def test_without_a_terminal_there_is_a_line_for_each_judgement(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No bar, no control characters: samples, loss, overlap, difference; the end says where the result is."""
    assert main(["train", "fit", str(data), "--out", str(tmp_path / "run"), *QUICK]) == os.EX_OK
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert [line.split()[0] for line in lines] == ["4", "8"]
    assert all("loss" in line and "IoU" in line and "MAE" in line for line in lines)
    assert said.out == f"done: {tmp_path}/run/best.pt is the best by validation, {tmp_path}/run/last.pt the last\n"


def test_a_recipe_repeats_the_run(data: Path, done: Path, tmp_path: Path) -> None:
    """The recipe that a run leaves gives the same weights again."""
    again = tmp_path / "again"
    assert main(["train", "fit", str(data), "--out", str(again), "--recipe", str(done / "recipe.toml")]) == os.EX_OK
    first, second = (load_checkpoint(each / "last.pt").average for each in (done, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stopped_run_says_how_to_go_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130 and the command that resumes; that command finishes the run."""
    out = tmp_path / "a run"
    step = RunProgress.step

    def stopping(self: RunProgress, done: float, *, samples: int, loss: float) -> None:
        step(self, done, samples=samples, loss=loss)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunProgress, "step", stopping)
    assert main(["train", "fit", str(data), "--out", str(out), *QUICK]) == 130
    said = capsys.readouterr().out
    assert said == f"stopped and saved; go on with: bgrd train fit {data} --out '{out}' --resume\n"
    monkeypatch.setattr(RunProgress, "step", step)
    assert load_checkpoint(out / "last.pt").samples == 4
    assert main(shlex.split(said.partition(": bgrd ")[2])) == os.EX_OK
    assert load_checkpoint(out / "last.pt").samples == 8


def test_another_run_begins_with_these_weights(data: Path, done: Path, tmp_path: Path) -> None:
    """With a rate of nearly nothing it ends with the mean that it began with."""
    out = tmp_path / "tuned"
    flags = ["--init", str(done / "best.pt"), "--rate", "1e-9"]
    assert main(["train", "fit", str(data), "--out", str(out), *QUICK, *flags]) == os.EX_OK
    given, found = load_checkpoint(done / "best.pt"), load_checkpoint(out / "last.pt")
    assert torch.allclose(given.average["stem.0.weight"], found.weights["stem.0.weight"], atol=1e-6)
    assert not torch.equal(given.weights["stem.0.weight"], found.weights["stem.0.weight"])


def test_the_built_in_model_is_learnt_on_with(data: Path, tmp_path: Path) -> None:
    """By its name; it says itself of which network it is."""
    out = tmp_path / "tuned"
    assert main(["train", "fit", str(data), "--out", str(out), *QUICK, "--init", "bgrd-lite"]) == os.EX_OK
    found = load_checkpoint(out / "last.pt")
    assert found.begun_with is not None
    assert (found.network, found.begun_with["file"]) == ("lite-large", "bgrd-lite.onnx")
    assert found.begun_with["sha256"] == digest(PACKAGED / "bgrd-lite.onnx")


def test_samples_are_shown(data: Path, tmp_path: Path) -> None:
    """Without a run: a sheet of what would be learnt from."""
    sheet = tmp_path / "sheet.png"
    assert main(["train", "fit", str(data), "--side", "32", "--show-samples", str(sheet)]) == os.EX_OK
    with Image.open(sheet) as image:
        assert image.width % 32 == image.height % 32 == 0
    assert list(tmp_path.iterdir()) == [sheet]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command that goes wrong; gives its exit code and what it says."""
    code = main(["train", "fit", *arguments])
    said = capsys.readouterr().err
    assert said.startswith("bgrd: ")
    assert said.count("\n") == 1
    return code, said


def test_mistakes_of_the_command_line(
    data: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is one sentence that says what to do, and the run that is there stays as it is."""
    before = (done / "last.pt").read_bytes()
    set_, run, new = str(data), str(done), str(tmp_path / "new")
    fewer = tmp_path / "fewer.csv"
    write_manifest(fewer, read_manifest(data / "manifest.csv")[:-1])
    for arguments, code, words in (
        ([set_], 64, "Name a folder for the run with --out"),
        ([set_, "--out", run], 64, "last.pt is there already: go on with --resume, or name another --out"),
        ([set_, "--out", run, "--resume", "--batch", "8"], 64, "--batch cannot change while a run goes on"),
        ([set_, "--out", run, "--resume", "--side", "64,96"], 64, "--side cannot change while a run goes on"),
        ([set_, "--out", run, "--resume", "--recipe", "lite"], 64, "leave --recipe out"),
        ([str(fewer), "--out", run, "--resume"], 64, f"is not what {run} began with"),
        ([set_, "--out", new, "--resume"], 66, "last.pt cannot be read: No such file"),
        ([set_, "--out", new, "--network", "vgg"], 65, "network must be one of lite, lite-large, lite-plain, u2netp"),
        ([set_, "--out", new, "--recipe", "heavy"], 66, "there is no recipe heavy"),
        ([set_, "--out", new, "--encoder-weights", run], 64, "the network lite has no encoder"),
        ([set_, "--out", new, "--network", "u2netp", "--init", f"{run}/best.pt"], 65, "is of the network lite, not"),
        ([set_, "--out", new, "--init", "bgrd-light"], 66, "bgrd-light"),
        ([set_, "--out", new, "--init", f"{new}.onnx"], 66, "new.onnx cannot be read: No such file"),
        ([new, "--out", new], 66, "cannot be read: No such file"),
        ([set_, "--out", run, "--resume", "--show-samples", f"{new}.png"], 64, "--recipe RUN/recipe.toml says what"),
        ([set_, "--side", "32", "--show-samples", f"{new}/x.png"], 73, "x.png cannot be written"),
    ):
        found, said = refused(capsys, *arguments)
        assert (found, words in said) == (code, True), said
    assert (done / "last.pt").read_bytes() == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("flag", "value"), [("--side", "big"), ("--at", "0;1"), ("--batch", "many")])
def test_values_that_are_none(
    flag: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no number ends as every wrong command line does, and is named."""
    monkeypatch.setattr("sys.argv", ["bgrd", "train", "fit", "x", "--out", "y", flag, value])
    with pytest.raises(SystemExit) as caught:
        entry()
    assert caught.value.code == 64
    assert value in capsys.readouterr().err


def test_a_checkpoint_of_another_network(
    data: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One whose weights do not fit its network is called damaged."""
    save_checkpoint(tmp_path / "last.pt", replace(load_checkpoint(done / "last.pt"), weights={}, average={}))
    code, said = refused(capsys, str(data), "--out", str(tmp_path), "--resume")
    assert (code, "last.pt does not fit the network lite" in said) == (65, True)


def test_a_worker_that_dies_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, as for want of memory, it ends the run with a sentence, and what was saved can be gone on with."""

    def dying(*_: object, **__: object) -> Iterator[object]:
        message = "DataLoader worker (pid 77) is killed by signal: Killed."
        raise RuntimeError(message)

    monkeypatch.setattr("bgrd.train.fit.batches", dying)
    code, said = refused(capsys, str(data), "--out", str(tmp_path / "run"), *QUICK)
    assert code == 65
    assert said == "bgrd: a process that draws samples died, perhaps for want of memory; go on with --resume\n"


class Dying:
    """Kills the process that draws."""

    def sample(self, index: int, /) -> tuple[np.ndarray, np.ndarray]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise TrainingError


def test_torch_says_it_so() -> None:
    """The words by which a dead worker is known are torch's."""
    with pytest.raises(RuntimeError, match=r"^DataLoader worker \(pid"):
        list(batches(Dying(), range(4), batch=4, workers=1))


def test_a_fault_in_a_worker_is_no_death(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised there keeps its traceback, and nobody is told to go on: the same sample would fail again."""

    def failing(*_: object, **__: object) -> Iterator[object]:
        message = "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback"
        raise RuntimeError(message)

    monkeypatch.setattr("bgrd.train.fit.batches", failing)
    with pytest.raises(RuntimeError, match="Caught RuntimeError"):
        main(["train", "fit", str(data), "--out", str(tmp_path / "run"), *QUICK])
