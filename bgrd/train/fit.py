"""One training run from its first sample to its last, as it reads.

A run is a folder: `last.pt` to go on from, `best.pt` by validation, `log.csv`, `curves.png`, and `recipe.toml`, which
says the same run again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from bgrd.errors import CannotCreateError, TrainingError, UsageError
from bgrd.train.checkpoint import Checkpoint, save_checkpoint, write_whole
from bgrd.train.curves import draw_curves
from bgrd.train.feed import Samples, batches
from bgrd.train.learner import Learner, NotFiniteError, check_device
from bgrd.train.log import Log, read_log
from bgrd.train.networks.rows import normalised
from bgrd.train.options import FREE, Options, parse, recipe_text, values_of
from bgrd.train.progress import Progress
from bgrd.train.schedule import rate, side_at
from bgrd.train.stop import Stop
from bgrd.train.validate import Held, Verdict, judge

__all__ = ["End", "Fit", "options_of"]

End = Literal["done", "early", "stopped"]
"""Why a run ended: all samples seen, no better for too long, or asked to."""

_SHOWN_AT_ONCE = 8


@dataclass(slots=True)
class _Place:
    """Where a run stands; what a checkpoint says of it."""

    samples: int = 0
    seconds: float = 0.0
    best: float = -1.0
    waited: int = 0
    losses: tuple[float, int] = (0.0, 0)


class Fit:
    """A run: `draw` gives what draws samples of a side, `held` are the pictures it is judged on."""

    def __init__(
        self,
        options: Options,
        *,
        draw: Callable[[int], Samples],
        held: Sequence[Held],
        out: Path,
        progress: Progress,
        data: str = "",
    ) -> None:
        """Make a run at its beginning; `data` is what its checkpoints call the pictures.

        Raises UsageError where this machine lacks what it asks for.
        """
        check_device(options)
        # As many as processors, whatever the workers take: a sample takes a third of the time that a step does.
        self._threads = options.threads or len(os.sched_getaffinity(0))
        # What learns has threads of its own; they would wait for others of torch's that share its small operations.
        torch.set_num_threads(1)
        self.options = options
        self.learner = Learner(options, threads=self._threads)
        self.place = _Place()
        self._draw, self._held, self._out, self._progress = draw, held, out, progress
        self.data = data
        # Whose weights, as a checkpoint has it; {} where they were drawn.
        self.begun_with: Mapping[str, Any] | None = {}

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint was made."""
        self.learner.restore(checkpoint)
        self.begun_with = checkpoint.begun_with
        self.place = _Place(
            samples=checkpoint.samples,
            seconds=checkpoint.seconds,
            best=checkpoint.best,
            waited=checkpoint.waited,
            losses=checkpoint.losses,
        )

    def shown(self, count: int) -> Iterator[torch.Tensor]:
        """Give the pictures of the first samples as the network is fed, (8, 3, H, W), on its device.

        `count` is a multiple of 8. Raises what drawing raises.
        """
        draw = self._draw(self.options.side[0])
        for pixels, _opacity in batches(draw, range(count), batch=_SHOWN_AT_ONCE, workers=0):
            yield normalised(pixels.to(self.learner.device), self.learner.row)

    def run(self) -> End:
        """Learn until the end, one is asked for, or there is nothing more to gain.

        Raises TrainingError where the loss is no number any more, a worker died or a device's memory ran out,
        and CannotCreateError where nothing can be written.
        """
        self._prepare_folder()
        with Stop() as stop:
            end = self._learn(stop)
            self._save()
        return end

    def _prepare_folder(self) -> None:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{self._out} cannot be made: {error.strerror}"
            raise CannotCreateError(message) from error
        write_whole(self._out / "recipe.toml", (_beginning(self.begun_with) + recipe_text(self.options)).encode())
        sources = sorted({each.source for each in self._held})
        self._log = Log(self._out / "log.csv", sources, samples=self.place.samples)

    def _learn(self, stop: Stop) -> End:
        """Go through all sides, and judge what was not judged yet. Raises TrainingError as `run`."""
        end: End = "done"
        try:
            while self._done() < 1 and end == "done":
                end = self._phase(stop)
            if end == "done" and self.place.losses[1]:
                self._validate()
        except torch.OutOfMemoryError as error:
            again = "go on with --resume" if self._last.exists() else "begin again"
            message = (
                f"the {self.options.device} device has too little memory left for --batch {self.options.batch} at "
                f"{self._side()} px: {self._saved()}; free some and {again}, or begin another run with a smaller "
                "--batch or --side"
            )
            raise TrainingError(message) from error
        except RuntimeError as error:
            # torch tells so from a signal handler, at whatever line the run is; of what was raised in a worker, which
            # is no death, it says "Caught RuntimeError in DataLoader worker process".
            if not str(error).startswith("DataLoader worker (pid"):
                raise
            message = "a process that draws samples died, perhaps for want of memory; go on with --resume"
            raise TrainingError(message) from error
        return end

    def _phase(self, stop: Stop) -> End:
        """Learn from samples of one side, until another side's turn comes."""
        options, place = self.options, self.place
        side = self._side()
        last = options.steps * options.batch if not options.minutes else 10**12
        fed = batches(
            self._draw(side),
            range(place.samples, last),
            batch=options.batch,
            workers=options.workers,
            pinned=options.device == "cuda",
        )
        saved = begun = time.monotonic()
        for pixels, opacity in fed:
            self._step(pixels, opacity)
            now = time.monotonic()
            place.seconds += now - begun
            if place.samples // options.validate_every > (place.samples - options.batch) // options.validate_every:
                self._validate()
                self._save()
                saved = time.monotonic()
            elif now - saved > 60 * options.save_minutes:
                self._save()
                saved = time.monotonic()
            if stop.asked:
                return "stopped"
            if options.patience and place.waited >= options.patience:
                return "early"
            if self._side() != side or self._done() >= 1:
                break
            begun = time.monotonic()
        return "done"

    def _step(self, pixels: torch.Tensor, opacity: torch.Tensor) -> None:
        place = self.place
        try:
            loss = self.learner.step(pixels, opacity, rate=self._rate())
        except NotFiniteError as error:
            message = (
                f"the loss is no number any more at sample {place.samples}: {self._saved()}; "
                "begin anew with a smaller --rate, or with --precision fp32"
            )
            raise TrainingError(message) from error
        place.samples += len(pixels)
        place.losses = (place.losses[0] + loss, place.losses[1] + 1)
        self._progress.step(self._done(), samples=place.samples, loss=loss)

    def _validate(self) -> None:
        """Judge what would be exported, log it, draw the curves, and keep it where it is the best so far."""
        place = self.place
        torch.set_num_threads(self._threads)
        verdict: Verdict = judge(self.learner.judged(), self.learner.row, self._held, device=self.learner.device)
        torch.set_num_threads(1)
        loss = place.losses[0] / max(1, place.losses[1])
        place.losses = (0.0, 0)
        self._log.add(
            samples=place.samples,
            seconds=place.seconds,
            side=self._side(),
            rate=self._rate(),
            loss=loss,
            verdict=verdict,
        )
        draw_curves(self._out / "curves.png", read_log(self._log.path))
        place.waited += 1
        if verdict.iou > place.best:
            place.best, place.waited = verdict.iou, 0
            save_checkpoint(self._out / "best.pt", self._checkpoint())
        self._progress.judged(samples=place.samples, loss=loss, iou=verdict.iou, mae=verdict.mae, best=place.best)

    def _save(self) -> None:
        save_checkpoint(self._last, self._checkpoint())

    @property
    def _last(self) -> Path:
        return self._out / "last.pt"

    def _saved(self) -> str:
        """Say, as part of a sentence, what there is to go on from."""
        return f"{self._last} is from before" if self._last.exists() else "no checkpoint was written yet"

    def _checkpoint(self) -> Checkpoint:
        learner, place = self.learner, self.place
        return Checkpoint(
            network=self.options.network,
            options=asdict(self.options),
            weights=learner.network.state_dict(),
            average=learner.average.weights,
            average_steps=learner.average.steps,
            optimiser=learner.optimiser.state_dict(),
            random=torch.get_rng_state(),
            samples=place.samples,
            seconds=place.seconds,
            best=place.best,
            waited=place.waited,
            losses=place.losses,
            data=self.data,
            begun_with=None if self.begun_with is None else dict(self.begun_with),
            start=learner.start,
        )

    def _done(self) -> float:
        """Give the share of the run that is done."""
        if self.options.minutes:
            return self.place.seconds / (60 * self.options.minutes)
        return self.place.samples / (self.options.steps * self.options.batch)

    def _side(self) -> int:
        return side_at(self._done(), self.options.side, self.options.at)

    def _rate(self) -> float:
        options = self.options
        return rate(self._done(), peak=options.rate, warm_up=options.warm_up, least=options.least_rate)


def _beginning(begun_with: Mapping[str, Any] | None) -> str:
    """Give the line of a recipe that says whose weights a run began with: no option says so."""
    if not begun_with:
        return ""
    # As JSON writes it a name can neither end the line nor hold what no TOML may.
    return f"# begun with {begun_with['by']} {json.dumps(begun_with['file'])}, sha256 {begun_with['sha256']}\n"


def options_of(checkpoint: Checkpoint, path: Path, given: Mapping[str, Any]) -> Options:
    """Give the options to go on with: the checkpoint's, but for what may change.

    Raises UsageError where others were given, TrainingError where the checkpoint's own are wrong.
    """
    options = parse(checkpoint.options, where=str(path))
    for name, value in values_of(given, where="command line").items():
        if name not in FREE and value != getattr(options, name):
            message = f"--{name.replace('_', '-')} cannot change while a run goes on; begin another with --init {path}"
            raise UsageError(message)
    return parse(given, where="command line", base=options)
