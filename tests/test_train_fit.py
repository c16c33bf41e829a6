"""Training: what is learnt, and that a run goes on as if it had never been left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bgrd.errors import TrainingError, UsageError
from bgrd.train.checkpoint import Checkpoint, load_checkpoint
from bgrd.train.fit import Fit
from bgrd.train.learner import NotFiniteError
from bgrd.train.log import read_log
from bgrd.train.options import Device, Options, Precision, parse, read_recipe
from bgrd.train.validate import Held

pytestmark = pytest.mark.usefixtures("one_thread", "no_curves")

SHORT = Options(
    side=(32, 64),
    at=(0.0, 0.5),
    batch=4,
    samples=48,
    validate_every=24,
    rate=3e-3,
    workers=0,
    threads=1,
    average=0.9,
)


@dataclass(frozen=True, slots=True)
class Discs:
    """Draws a bright disc on a dark, grainy ground."""

    side: int

    def sample(self, index: int, /) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        rng = np.random.default_rng((11, index))
        across = np.linspace(-1, 1, self.side)
        centre, radius = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.3, 0.7)
        inside = np.hypot(across[:, None] - centre[0], across - centre[1]) < radius
        picture = rng.integers(0, 90, (self.side, self.side, 3)) + np.where(inside, 130, 0)[..., None]
        return picture.astype(np.uint8), np.where(inside, 255, 0).astype(np.uint8)


@dataclass(slots=True)
class Told:
    """Keeps what a run tells; `at` does something once so many samples were learnt."""

    at: int = -1
    then: Callable[[], None] = lambda: None
    ious: list[float] = field(default_factory=list)

    def step(self, done: float, *, samples: int, loss: float) -> None:
        if samples == self.at:
            self.then()

    def judged(self, *, samples: int, loss: float, iou: float, mae: float, best: float) -> None:
        self.ious.append(iou)


def held(side: int, count: int = 4) -> list[Held]:
    """Give discs never learnt from."""
    drawn = [Discs(side).sample(10**6 + number) for number in range(count)]
    return [
        Held(
            source=f"source{number % 2}",
            pixels=torch.from_numpy(picture.transpose(2, 0, 1).copy()),
            opacity=torch.from_numpy(mask)[None],
        )
        for number, (picture, mask) in enumerate(drawn)
    ]


def fit(out: Path, options: Options = SHORT, told: Told | None = None) -> Fit:
    """Make a run on discs."""
    return Fit(options, draw=Discs, held=held(max(options.side)), out=out, progress=told or Told())


def stop() -> None:
    """Ask this program to end, as Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def equal(first: Checkpoint, second: Checkpoint) -> bool:
    """Tell whether two checkpoints hold the same bits, but for the time they took."""
    tensors = [
        (first.weights, second.weights),
        (first.average, second.average),
        *[(first.optimiser["state"][number], second.optimiser["state"][number]) for number in first.optimiser["state"]],
    ]
    same = all(torch.equal(one[name], two[name]) for one, two in tensors for name in one)
    return same and (first.samples, first.best, first.waited) == (second.samples, second.best, second.waited)


def test_a_run_learns(tmp_path: Path) -> None:
    """A few hundred discs are enough to beat both constant guesses, everything and nothing, by far."""
    told = Told()
    options = replace(SHORT, side=(32,), at=(0.0,), batch=8, samples=240, validate_every=240)
    assert fit(tmp_path, options, told).run() == "done"
    everything = float(np.mean([(each.opacity > 127).float().mean().item() for each in held(32)]))
    assert everything < 0.6
    assert told.ious[-1] > everything + 0.2


@pytest.mark.parametrize(
    ("when", "threads", "batch"), [(24, 1, 4), (40, 2, 8), pytest.param(8, 1, 4, marks=pytest.mark.long)]
)
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, when: int, threads: int, batch: int) -> None:
    """Stopped before a validation, at one and at the change of side, and after both, it ends bit for bit so."""
    options = replace(SHORT, threads=threads, batch=batch)
    assert fit(tmp_path / "whole", options).run() == "done"
    assert fit(tmp_path / "broken", options, told=Told(at=when, then=stop)).run() == "stopped"
    torch.randn(7)
    left = load_checkpoint(tmp_path / "broken" / "last.pt")
    assert left.samples == when
    again = fit(tmp_path / "broken", options)
    again.resume(left)
    assert again.run() == "done"
    for name in ("last.pt", "best.pt"):
        assert equal(load_checkpoint(tmp_path / "whole" / name), load_checkpoint(tmp_path / "broken" / name))
    lines = [read_log(tmp_path / name / "log.csv") for name in ("whole", "broken")]
    assert [each["samples"] for each in lines[0]] == [24, 48]
    without = [[{**line, "seconds": 0.0} for line in each] for each in lines]
    assert without[0] == without[1]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    """The message names the sample, and the checkpoint from before stays as it was."""
    told = Told(at=24)
    run = fit(tmp_path, SHORT, told)

    def spoil() -> None:
        run.learner.step = broken  # type: ignore[method-assign]

    def broken(*_: object, **__: object) -> float:
        raise NotFiniteError

    told.then = spoil
    with pytest.raises(TrainingError, match=r"no number any more at sample 24: .*last\.pt is from before"):
        run.run()
    assert load_checkpoint(tmp_path / "last.pt").samples == 24


class Greedy(torch.nn.Module):
    """Wants more memory than a graphics processor has."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        message = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 1.00 GiB"
        raise torch.OutOfMemoryError(message)


def test_a_device_without_memory_ends_the_run(tmp_path: Path) -> None:
    """While it learns and while it judges: a sentence names batch and side, and what there is to go on from."""
    told = Told(at=24)
    run = fit(tmp_path / "learning", SHORT, told)
    told.then = lambda: run.learner._shards._networks.__setitem__(0, Greedy())
    words = (
        r"too little memory left for --batch 4 at 64 px: .*last\.pt is from before; free some and go on with --resume"
    )
    with pytest.raises(TrainingError, match=words):
        run.run()
    assert load_checkpoint(tmp_path / "learning" / "last.pt").samples == 24
    judging = fit(tmp_path / "judging", replace(SHORT, validate_every=10**6))
    judging.learner.judged = Greedy  # type: ignore[method-assign]
    with pytest.raises(
        TrainingError, match="no checkpoint was written yet; free some and begin again, or begin another"
    ):
        judging.run()


def test_a_run_without_gain_ends_early(tmp_path: Path) -> None:
    """Where the best cannot be beaten, so many judgements are waited for as `patience` says, and all is kept."""
    run = fit(tmp_path, replace(SHORT, side=(32,), at=(0.0,), patience=2, validate_every=8, samples=400))
    run.place.best = 1.0
    assert run.run() == "early"
    assert load_checkpoint(tmp_path / "last.pt").samples == 16
    assert not (tmp_path / "best.pt").exists()


def test_a_run_by_the_clock_ends(tmp_path: Path) -> None:
    """Given minutes in place of samples it ends when those are over, judged and saved."""
    told = Told()
    assert fit(tmp_path, replace(SHORT, minutes=0.02, validate_every=10**6), told).run() == "done"
    found = load_checkpoint(tmp_path / "last.pt")
    assert found.seconds >= 1.2
    assert len(told.ious) == 1


def test_the_folder_says_the_run_again(tmp_path: Path) -> None:
    """What a run was told lies in it as a recipe, beside its checkpoints, log and curves."""
    assert fit(tmp_path / "a" / "run").run() == "done"
    names = {path.name for path in (tmp_path / "a" / "run").iterdir()}
    assert names == {"best.pt", "curves.png", "last.pt", "log.csv", "recipe.toml"}
    assert parse(read_recipe(tmp_path / "a" / "run" / "recipe.toml"), where="x") == SHORT


def test_a_second_signal_forces(tmp_path: Path) -> None:
    """Asked twice before a step is over, the run ends at once; afterwards signals are what they were."""
    before = signal.getsignal(signal.SIGINT)

    def twice() -> None:
        stop()
        stop()

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, told=Told(at=8, then=twice)).run()
    assert signal.getsignal(signal.SIGINT) is before


def test_device_and_precision_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine lacks is refused before anything is made."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda: torch sees no such device"):
        fit(tmp_path / "x", replace(SHORT, device="cuda"))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(UsageError, match="--precision bf16: this cpu cannot"):
        fit(tmp_path / "x", replace(SHORT, precision="bf16"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("device", get_args(Device))
def test_pictures_are_pinned_for_a_graphics_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    """There they are fetched while it works; on a processor pinning would only copy them once more."""
    asked: list[object] = []

    def empty(*_: object, pinned: bool, **__: object) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        asked.append(pinned)
        yield from ()
        raise KeyboardInterrupt

    run = fit(tmp_path)
    run.options = replace(run.options, device=device)
    monkeypatch.setattr("bgrd.train.fit.batches", empty)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert asked == [device == "cuda"]


def test_a_step_asks_the_device_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and slope are read together: whatever is read from a graphics processor makes it wait."""
    learner = fit(tmp_path).learner
    pixels = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    opacity = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    asked: list[str] = []

    def counted(name: str, known: Callable[[torch.Tensor], object]) -> Callable[[torch.Tensor], object]:
        def told(tensor: torch.Tensor) -> object:
            asked.append(name)
            return known(tensor)

        return told

    for name in ("item", "tolist", "__float__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    learner.step(pixels, opacity, rate=1e-3)
    assert asked == ["tolist"]


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="needs a processor with bfloat16")
def test_half_precision_learns_nearly_the_same(tmp_path: Path) -> None:
    """A step in bfloat16 gives the loss of one in float32 but for its rounding."""
    drawn = [Discs(64).sample(number) for number in range(4)]
    pixels = torch.stack([torch.from_numpy(picture.transpose(2, 0, 1).copy()) for picture, _ in drawn])
    opacity = torch.stack([torch.from_numpy(mask)[None] for _, mask in drawn])
    found = [
        fit(tmp_path, replace(SHORT, precision=kind)).learner.step(pixels, opacity, rate=1e-3)
        for kind in get_args(Precision)
    ]
    assert found[0] == pytest.approx(found[1], rel=0.02)
    assert found[0] != found[1]
