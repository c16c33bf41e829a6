"""A run's files and what it is told: recipes, checkpoints, logs, and every way they can be wrong."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bgrd.errors import CannotCreateError, NoInputError, TrainingError
from bgrd.train.checkpoint import FORMAT, Checkpoint, load_checkpoint, save_checkpoint, write_whole
from bgrd.train.curves import draw_curves
from bgrd.train.log import Log, read_log
from bgrd.train.options import Options, find_recipe, parse, read_recipe, recipe_text
from bgrd.train.sampler import MIXTURE
from bgrd.train.validate import Verdict
from tests.pictures.making import UNHURRIED

SAVED = Checkpoint(
    network="lite",
    options=asdict(Options()),
    weights={"a": torch.arange(6.0).view(2, 3)},
    average={"a": torch.zeros(2, 3)},
    average_steps=7,
    optimiser={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": []},
    random=torch.get_rng_state(),
    samples=1234,
    seconds=5.5,
    best=0.75,
    waited=2,
    losses=(1.5, 3),
    data="c0ffee",
)
VERDICT = Verdict(iou=0.5, mae=0.25, by_source={"cats": 0.25, "dogs": 0.75})


@contextmanager
def files_below(limit_bytes: int) -> Iterator[None]:
    """Let no file of this program grow beyond a size, as a full disk would not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    """All it holds is read as it was written, and nothing is left beside it."""
    save_checkpoint(tmp_path / "last.pt", SAVED)
    found = load_checkpoint(tmp_path / "last.pt")
    assert torch.equal(found.weights["a"], SAVED.weights["a"])
    assert torch.equal(found.random, SAVED.random)
    assert replace(found, weights={}, average={}, optimiser={}, random=SAVED.random) == replace(
        SAVED, weights={}, average={}, optimiser={}
    )
    assert os.listdir(tmp_path) == ["last.pt"]


def test_a_full_disk_leaves_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    """What cannot be written whole is not written at all; the message names the file."""
    path = tmp_path / "last.pt"
    save_checkpoint(path, SAVED)
    before = path.read_bytes()
    with files_below(1000), pytest.raises(CannotCreateError, match=r"last\.pt cannot be written: File too large"):
        save_checkpoint(path, replace(SAVED, samples=9999))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["last.pt"]


def test_a_checkpoint_that_is_cut_is_refused(tmp_path: Path) -> None:
    """At whatever length it ends, it is called damaged; nothing else is raised."""
    path = tmp_path / "last.pt"
    save_checkpoint(path, SAVED)
    data = path.read_bytes()
    for length in range(0, len(data), len(data) // 40):
        path.write_bytes(data[:length])
        with pytest.raises(TrainingError, match="damaged, or no file of weights"):
            load_checkpoint(path)


class Danger:
    """What a file must not be able to run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("ran",)


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file made to run something when it is read is refused, and does not."""
    monkeypatch.chdir(tmp_path)
    torch.save({"bgrd": FORMAT, "weights": Danger()}, tmp_path / "bad.pt")
    with pytest.raises(TrainingError, match="damaged, or no file of weights"):
        load_checkpoint(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": {}}, "is no checkpoint of bgrd"),
        ([1, 2], "is no checkpoint of bgrd"),
        ({"bgrd": FORMAT + 1, "other": 1}, "was written by a newer bgrd"),
        ({"bgrd": FORMAT, "network": "lite"}, "is damaged: .*missing"),
    ],
)
def test_other_files_of_torch_are_refused(tmp_path: Path, values: Any, message: str) -> None:
    """A file of another program, of a newer bgrd, or with something missing is told apart."""
    torch.save(values, tmp_path / "x.pt")
    with pytest.raises(TrainingError, match=message):
        load_checkpoint(tmp_path / "x.pt")


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(NoInputError, match=r"last\.pt cannot be read: No such file"):
        load_checkpoint(tmp_path / "last.pt")


OPTIONS = st.builds(
    Options,
    network=st.sampled_from(["lite", "u2netp", "resunet50"]),
    side=st.just((64, 96)),
    at=st.floats(0.01, 0.99).map(lambda share: (0.0, share)),
    batch=st.integers(2, 64),
    samples=st.integers(1, 10**9),
    minutes=st.floats(0, 1000),
    rate=st.floats(1e-6, 1),
    precision=st.sampled_from(["fp32", "bf16"]),
    mixture=st.dictionaries(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8), st.floats(0, 1000)),
)


@UNHURRIED
@given(OPTIONS)
def test_a_recipe_says_the_same_run_again(tmp_path_factory: pytest.TempPathFactory, options: Options) -> None:
    """Whatever the options are, the file written for them reads as those."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(recipe_text(options), encoding="utf-8")
    assert parse(read_recipe(path), where="recipe") == options
    assert parse(asdict(options), where="checkpoint") == options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "r: there is no option 'colour'"),
        (
            {"network": "vgg"},
            "r: network must be one of lite, lite-large, lite-plain, u2netp, u2net, isnet, resunet50, is 'vgg'",
        ),
        ({"precision": "int8"}, "precision must be one of fp32, bf16"),
        ({"batch": 1}, "batch must be a whole number from 2 to 65536, is 1"),
        ({"batch": 8.5}, "batch must be a whole number"),
        ({"batch": True}, "batch must be a whole number"),
        ({"rate": 0}, "rate must be a number from 1e-09 to 10"),
        ({"rate": "fast"}, "rate must be a number"),
        ({"rate": float("nan")}, "rate must be a number"),
        ({"side": 100}, "side must be multiples of 32 for lite, is [100]"),
        ({"side": []}, "side has 0 values and at has 1"),
        ({"side": [64, 96]}, "side has 2 values and at has 1: one for each"),
        ({"side": [64, 96], "at": [0, 0]}, "at must begin with 0 and grow below 1"),
        ({"side": [64, 96], "at": [0.1, 0.5]}, "at must begin with 0"),
        ({"side": [64, 96], "at": [0, 1]}, "at must begin with 0 and grow below 1"),
        ({"loss": {"beauty": 1}}, "loss has no beauty"),
        ({"loss": 3}, "loss must be a table of numbers"),
        ({"mixture": {"pairs": -1}}, "mixture must be a number from 0"),
    ],
)
def test_wrong_options_are_told(values: dict[str, Any], message: str) -> None:
    """The message names where, which, and what it may be."""
    with pytest.raises(TrainingError) as caught:
        parse(values, where="r")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("lite", "lite"),
        ("lite-further", "lite"),
        ("lite-last", "lite"),
        ("lite-large", "lite-large"),
        ("lite-end", "lite-large"),
    ],
)
def test_the_built_in_recipes(name: str, network: str) -> None:
    """The names of those that come with bgrd stand for files that can be read, with kinds of samples there are."""
    options = parse(read_recipe(find_recipe(name)), where=name)
    assert options.network == network
    assert options.mixture.keys() <= MIXTURE.keys()


def test_no_such_recipe() -> None:
    """A name that is neither is told with those there are."""
    with pytest.raises(NoInputError, match="there is no recipe heavy: name a file, or one of lite"):
        find_recipe("heavy")


@pytest.mark.parametrize("text", [b"side = [", b"\xff\xfe"])
def test_a_recipe_that_is_none(tmp_path: Path, text: bytes) -> None:
    """What is no TOML is told with its file."""
    path = tmp_path / "r.toml"
    path.write_bytes(text)
    with pytest.raises(TrainingError, match=r"r\.toml is no recipe"):
        read_recipe(path)


def line(log: Log, samples: int) -> None:
    """Add a line."""
    log.add(samples=samples, seconds=1.26, side=64, rate=1e-3, loss=0.5, verdict=VERDICT)


def test_a_log_drops_what_is_learnt_again(tmp_path: Path) -> None:
    """Lines past the checkpoint go when a run goes on, those before it stay, and one cut off by a crash goes too."""
    path = tmp_path / "log.csv"
    log = Log(path, ["cats", "dogs"], samples=0)
    for samples in (100, 200, 300):
        line(log, samples)
    path.write_text(path.read_text() + "400,1.")
    assert [each["samples"] for each in read_log(path)] == [100, 200, 300]
    line(Log(path, ["cats", "dogs"], samples=200), 300)
    assert path.read_text().splitlines() == [
        "samples,seconds,side,rate,loss,iou,mae,iou:cats,iou:dogs",
        *[f"{samples},1.3,64,0.001,0.5,0.5,0.25,0.25,0.75" for samples in (100, 200, 300)],
    ]


def test_a_log_is_read_wherever_it_was_cut(tmp_path: Path) -> None:
    """By a crash within a line, at whatever byte: the lines before it are as they were, and the run goes on."""
    path = tmp_path / "log.csv"
    log = Log(path, ["cats", "dogs"], samples=0)
    begins = [len(path.read_bytes())]
    for samples in (100, 200):
        line(log, samples)
        begins.append(len(path.read_bytes()))
    whole, lines = path.read_bytes(), read_log(path)
    for length in range(begins[0], len(whole) + 1):
        path.write_bytes(whole[:length])
        left = sum(length >= end for end in begins[1:])
        assert read_log(path) == lines[:left]
        Log(path, ["cats", "dogs"], samples=200)
        assert path.read_bytes() == whole[: begins[left]]
    path.write_bytes(whole + b"\0" * 20)
    assert read_log(path) == lines


def test_a_run_that_begins_has_an_empty_log(tmp_path: Path) -> None:
    """What lay there is not mixed in."""
    line(Log(tmp_path / "log.csv", ["cats", "dogs"], samples=0), 100)
    Log(tmp_path / "log.csv", ["horses"], samples=0)
    assert read_log(tmp_path / "log.csv") == []


def test_a_log_of_another_data_set_is_refused(tmp_path: Path) -> None:
    """Other sources have other columns."""
    line(Log(tmp_path / "log.csv", ["cats", "dogs"], samples=0), 100)
    with pytest.raises(TrainingError, match="other sources: go on with the same data set"):
        Log(tmp_path / "log.csv", ["cats"], samples=100)


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "samples,seconds,side,rate,loss,iou,mae\nx,1,1,1,1,1,1\n2,1,1,1,1,1,1\n"]
)
def test_a_log_that_is_none(tmp_path: Path, text: str) -> None:
    """It is told, not taken."""
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(TrainingError, match="is no log"):
        read_log(tmp_path / "log.csv")


def test_a_log_on_a_full_disk(tmp_path: Path) -> None:
    """The message names it."""
    log = Log(tmp_path / "log.csv", ["cats", "dogs"], samples=0)
    with files_below(70), pytest.raises(CannotCreateError, match=r"log\.csv cannot be written: File too large"):
        line(log, 100)


def test_curves_are_a_picture(tmp_path: Path) -> None:
    """Also of a run that has judged nothing yet."""
    log = Log(tmp_path / "log.csv", ["cats", "dogs"], samples=0)
    for samples in (100, 200):
        draw_curves(tmp_path / "curves.png", read_log(log.path))
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        line(log, samples)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Nothing is made on the way to a file."""
    with pytest.raises(CannotCreateError, match="x cannot be written: No such file"):
        write_whole(tmp_path / "none" / "x", b"x")
