"""From a data set and what the user said to a run: anew, from another run's weights, or where it was left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bgrd.errors import CannotCreateError, TrainingError, UsageError
from bgrd.lock import hold_run
from bgrd.train.ancestor import Ancestor, fitting, named, read_ancestor
from bgrd.train.checkpoint import load_checkpoint, load_weights
from bgrd.train.entry import Entry
from bgrd.train.fit import Fit, options_of
from bgrd.train.manifest import read_manifest
from bgrd.train.networks.residual import ResUNet
from bgrd.train.networks.rows import NETWORKS
from bgrd.train.options import Options, find_recipe, parse, read_recipe
from bgrd.train.progress import Progress
from bgrd.train.sampler import MIXTURE, Sampler
from bgrd.train.stock import Stock
from bgrd.train.validate import held_back

__all__ = ["Wish", "alone", "begin", "sampler", "wanted"]

_SHOWN = 64
"""Samples that a network from an exported file is shown, for its normalisations: their spread is known to a few
hundredths then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user said: options on the command line (`given`), over those of a recipe; at most one way to begin."""

    data: Path
    out: Path
    given: Mapping[str, Any]
    recipe: str | None = None
    resume: bool = False
    init: Path | None = None
    encoder: Path | None = None


def wanted(wish: Wish) -> Options:
    """Give the options of a run that begins. Raises TrainingError, NoInputError.

    Network and side that nobody said are those of the run it begins with; without one the side is the network's own.
    The mixture is written out, so that the run keeps it and can tell it.
    """
    return _wanted(wish, None if wish.init is None else read_ancestor(wish.init))


def _wanted(wish: Wish, ancestor: Ancestor | None) -> Options:
    said: Mapping[str, Any] = {}
    base = Options()
    if wish.recipe is not None:
        path = find_recipe(wish.recipe)
        said = read_recipe(path)
        base = parse(said, where=str(path))
    options = parse(wish.given, where="command line", base=base)
    settled = {*said, *wish.given}
    if ancestor is not None and ancestor.network in NETWORKS and "network" not in settled:
        options = replace(options, network=ancestor.network)
    if ancestor is not None and ancestor.side is not None and "side" not in settled:
        options = parse({"side": ancestor.side}, where=str(ancestor.path), base=options)
    elif "side" not in settled:
        options = replace(options, side=(NETWORKS[options.network].side,))
    return replace(options, mixture=options.mixture or {kind: float(share) for kind, share in MIXTURE.items()})


def sampler(data: Path, options: Options) -> Sampler:
    """Give what draws samples of a run's last side. Raises NoInputError, TrainingError."""
    return _drawing(_entries(data), options)(options.side[-1])


def _drawing(entries: tuple[Entry, ...], options: Options) -> Callable[[int], Sampler]:
    stock = Stock.load(entries)
    # Empty where a run goes on that began before mixtures were written out.
    return lambda side: Sampler(stock, options.mixture or MIXTURE, side=side, seed=options.seed)


def _entries(data: Path) -> tuple[Entry, ...]:
    return read_manifest(_manifest(data))


def _manifest(data: Path) -> Path:
    return data / "manifest.csv" if data.is_dir() else data


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder of a run and keep other runs out of it, where its file system can; an empty one goes again.

    Raises BusyError where another run is at work there, CannotCreateError.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}"
        raise CannotCreateError(message) from error
    try:
        held = hold_run(folder)
    except OSError as error:
        message = f"{folder} cannot be used: {error.strerror}"
        raise CannotCreateError(message) from error
    try:
        with held or nullcontext():
            yield
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


def begin(wish: Wish, progress: Progress) -> Fit:
    """Make the run. Raises UsageError, NoInputError, TrainingError."""
    last = wish.out / "last.pt"
    if wish.resume:
        checkpoint = load_checkpoint(last)
        options = options_of(checkpoint, last, wish.given)
        fit = _fit(wish, options, progress)
        if checkpoint.data not in {"", fit.data}:
            message = f"{wish.data} is not what {wish.out} began with; begin another run with --init {last}"
            raise UsageError(message)
        with fitting(last, options.network):
            fit.resume(checkpoint)
        return fit
    _refuse_another(wish.out)
    ancestor = None if wish.init is None else read_ancestor(wish.init)
    options = _wanted(wish, ancestor)
    # Before the pictures are read, which takes a while.
    _refuse_beginning(options, ancestor)
    fit = _fit(wish, options, progress)
    if ancestor is not None:
        weights = ancestor.weights(fit.learner.device, options.seed, lambda: fit.shown(_SHOWN))
        with fitting(ancestor.path, options.network):
            fit.learner.begin_with(ancestor.network, weights)
        fit.begun_with = ancestor.told
    if wish.encoder is not None:
        _load_encoder(fit, wish.encoder)
        fit.begun_with = {"by": "--encoder-weights", **named(wish.encoder)}
    return fit


def _refuse_beginning(options: Options, ancestor: Ancestor | None) -> None:
    """Raise TrainingError where a run is to begin with another network's weights, UsageError where it lacks some."""
    able = (options.network, *NETWORKS[options.network].grows_from)
    if ancestor is not None and ancestor.network not in able:
        message = f"{ancestor.path} is of the network {ancestor.network}, not {' or '.join(able)}"
        raise TrainingError(message)
    if ancestor is None and options.blend < 1:
        message = "blend keeps some of the weights that a run begins with: name them with --init"
        raise UsageError(message)


def _refuse_another(out: Path) -> None:
    """Raise UsageError where a folder holds what another run has learnt: a new one would write over it."""
    if (out / "last.pt").exists():
        message = f"{out / 'last.pt'} is there already: go on with --resume, or name another --out"
        raise UsageError(message)
    if (out / "best.pt").exists():
        message = f"{out / 'best.pt'} is there already, of a run that left no last.pt: name another --out"
        raise UsageError(message)


def _fit(wish: Wish, options: Options, progress: Progress) -> Fit:
    entries = _entries(wish.data)
    held = held_back(entries, side=max(options.side), most=options.validate_most)
    data = hashlib.sha256(_manifest(wish.data).read_bytes()).hexdigest()
    draw = _drawing(entries, options)
    return Fit(options, draw=draw, held=held, out=wish.out, progress=progress, data=data)


def _load_encoder(fit: Fit, path: Path) -> None:
    """Put weights into the encoder. Raises UsageError where the network has none, NoInputError, TrainingError."""
    network = fit.learner.network
    if not isinstance(network, ResUNet):
        message = f"--encoder-weights: the network {fit.options.network} has no encoder of torchvision's"
        raise UsageError(message)
    weights = load_weights(path)
    try:
        network.encoder.load(weights)
    except TrainingError as error:
        message = f"{path} {error}"
        raise TrainingError(message) from error
    fit.learner.refresh()
