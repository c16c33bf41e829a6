"""Training: what is learnt, and that a run goes on as if it had never been left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bgrd.errors import TrainingError
from bgrd.train.checkpoint import Checkpoint, load_checkpoint
from bgrd.train.fit import Fit
from bgrd.train.log import read_log
from bgrd.train.options import Options
from bgrd.train.validate import Held

SHORT = Options(
    side=(32, 64),
    at=(0.0, 0.5),
    batch=4,
    samples=48,
    validate_every=16,
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


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Leave torch's threads and generator as they were."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


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
    options = replace(SHORT, side=(32,), at=(0.0,), batch=8, samples=320, validate_every=320)
    assert fit(tmp_path, options, told).run() == "done"
    everything = float(np.mean([(each.opacity > 127).float().mean().item() for each in held(32)]))
    assert everything < 0.6
    assert told.ious[-1] > everything + 0.2


@pytest.mark.parametrize("when", [4, 20, 24, 32])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, when: int) -> None:
    """Stopped in the middle, before, after and between validations and at a change of side, it ends bit for bit so."""
    assert fit(tmp_path / "whole").run() == "done"
    assert fit(tmp_path / "broken", told=Told(at=when, then=stop)).run() == "stopped"
    torch.randn(7)
    left = load_checkpoint(tmp_path / "broken" / "last.pt")
    assert left.samples == when
    again = fit(tmp_path / "broken")
    again.resume(left)
    assert again.run() == "done"
    for name in ("last.pt", "best.pt"):
        assert equal(load_checkpoint(tmp_path / "whole" / name), load_checkpoint(tmp_path / "broken" / name))
    lines = [read_log(tmp_path / name / "log.csv") for name in ("whole", "broken")]
    assert [each["samples"] for each in lines[0]] == [16, 32, 48]
    without = [[{**line, "seconds": 0.0} for line in each] for each in lines]
    assert without[0] == without[1]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    """The message names the sample, and the last good checkpoint stays as it was."""
    told = Told()
    run = fit(tmp_path, replace(SHORT, save_minutes=0.0), told)

    def spoil() -> None:
        with torch.no_grad():
            next(run.learner.network.parameters()).fill_(torch.nan)

    told.at, told.then = 20, spoil
    with pytest.raises(TrainingError, match=r"no number any more at sample 20: .*last\.pt is from before"):
        run.run()
    kept = load_checkpoint(tmp_path / "last.pt")
    assert kept.samples <= 20
