"""`bgrd bench`: what a model takes on this machine, which lanes suit it, and a picture of that."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bgrd.allotment import Allotment, allotment, file_bytes, models_in_use
from bgrd.benchmark import Bench, Effort, measured, pictures_in, specimens
from bgrd.cli.bench_tables import drawing, tables
from bgrd.cli.counting import counting
from bgrd.config.load import custom_models, default_recipe, load
from bgrd.config.settings import Settings
from bgrd.engine import experience
from bgrd.engine.capacity import busy_seconds
from bgrd.engine.demand import PICTURE_BYTES
from bgrd.engine.supply import find_grounds
from bgrd.errors import CannotCreateError, ConfigError, GroundFault, ModelFault, NoInputError
from bgrd.escape import line
from bgrd.job import ModelChoice
from bgrd.lock import holder
from bgrd.models.index import note_speeds
from bgrd.models.providers import shares
from bgrd.models.store import find
from bgrd.telemetry.log import configure
from bgrd.trialrun import Worker

__all__ = ["command"]

_THOROUGH = Effort(seconds=8.0, rounds=2)
_QUICK = Effort(seconds=1.5, rounds=1)
_RUNNING = "bgrd is running and may disturb this, so it is not remembered: stop it and measure again"
_SHARED = (
    "the model runs once for all lanes here (shared_session, providers), so this is not remembered: "
    "set shared_session to off to measure lanes that hold it"
)
_DISTURBED = 0.1
"""The share of the machine that other programs may use before the figures say more of them than of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A model, what the settings give it, and what was found."""

    choice: ModelChoice
    given: Allotment
    bench: Bench


def command(options: argparse.Namespace) -> int:
    """Measure, tell and remember; gives 0. Raises BgrdError."""
    settings = load(options.config, any_model=bool(options.model))
    configure(log_format=settings.log_format, log_level="error", stream=sys.stderr)
    if options.picture is not None:
        _writable(options.picture)
    names = options.model or [choice.name for choice in models_in_use(settings)]
    choices = {choice.name: choice for choice in [_found(settings, name) for name in names]}
    console = Console(stderr=True, highlight=False, emoji=False)
    notes = [_RUNNING] if holder(settings.state_directory) is not None else []
    if shares(settings.shared_session, settings.providers or ()):
        notes.append(_SHARED)
    for note in notes:
        _say(console, note)
    found, others = _measured(options, settings, [*choices.values()], console)
    if others > _DISTURBED:
        notes.append(f"other programs used {others:.0%} of the machine, so this is not remembered: measure in peace")
        _say(console, notes[-1])
    remembered = not notes and _remembered(settings, found, console)
    _tell(options, found, notes, remembered=remembered)
    return os.EX_OK


def _found(settings: Settings, name: str) -> ModelChoice:
    """Look a model up. Raises NoInputError, with what to do, where it is not there."""
    try:
        return find(name, custom=custom_models(settings), directory=settings.models_directory)
    except ModelFault as fault:
        raise NoInputError(str(fault)) from fault


def _measured(
    options: argparse.Namespace, settings: Settings, choices: Sequence[ModelChoice], console: Console
) -> tuple[list[_Measured], float]:
    """Measure every model; gives the share of the machine that other programs used meanwhile, too."""
    effort = _QUICK if options.quick else _THOROUGH
    sources = specimens() if options.pictures is None else nullcontext(pictures_in(options.pictures))
    before, started = busy_seconds() - _own_seconds(), time.monotonic()
    with counting(console, wanted=not options.no_progress, foretold=False) as bar, sources as paths:
        found = [_bench(settings, choice, paths, effort, bar) for choice in choices]
    others = busy_seconds() - _own_seconds() - before
    return found, others / max(1e-6, time.monotonic() - started) / (os.cpu_count() or 1)


def _bench(settings: Settings, choice: ModelChoice, paths: Sequence[Path], effort: Effort, bar: Progress) -> _Measured:
    """Measure one model."""
    given = allotment(settings, [choice])
    recipe = replace(default_recipe(settings), model=choice.name)
    try:
        grounds = find_grounds(recipe, max_pixels=settings.max_pixels)
    except GroundFault as fault:
        raise ConfigError(str(fault)) from fault
    worker = Worker(
        limits=given.limits,
        model=choice,
        recipe=recipe,
        sources=paths,
        max_pixels=settings.max_pixels,
        grounds=grounds,
    )
    task = bar.add_task(line(choice.name), total=None)

    def progress(what: str, done: int, total: int) -> None:
        bar.update(task, description=escape(line(f"{choice.name}: {what}")), completed=done, total=total)

    def lane_bytes(resident: int) -> int:
        taken = replace(given.demand, model_bytes=resident)
        return (taken.elsewhere() if given.limits.shared else taken).lane_bytes(PICTURE_BYTES)

    found = measured(worker, given.capacity, effort, lane_bytes=lane_bytes, progress=progress)
    bar.remove_task(task)
    return _Measured(choice=choice, given=given, bench=found)


def _remembered(settings: Settings, found: Sequence[_Measured], console: Console) -> bool:
    """Write down what was found, for the next start and for `bgrd models list`; False where that cannot be."""
    try:
        settings.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        note_speeds(settings.models_directory, {each.choice.name: each.bench.stages["infer"] for each in found})
    except (OSError, CannotCreateError) as error:
        _say(console, f"not remembered: {error}")
        return False
    identity = experience.identity(found[0].given.capacity.processors)
    noted = experience.noted(settings.state_directory, identity, partial(_learnt, found=found))
    if experience.recall(settings.state_directory, identity) != noted:
        _say(console, f"not remembered: {line(str(settings.state_directory))} cannot be written")
        return False
    return True


def _learnt(known: experience.Experience, *, found: Sequence[_Measured]) -> experience.Experience:
    for each in found:
        bench, best = each.bench, (each.bench.best.lanes, each.bench.best.threads)
        size = file_bytes(each.choice) or 0
        known = known.loaded(sha256=bench.sha256, name=bench.model, size=size, resident_bytes=bench.resident_bytes)
        known = known.benched(bench.sha256, milliseconds=bench.milliseconds, best=best)
    return known


def _tell(
    options: argparse.Namespace,
    found: Sequence[_Measured],
    notes: Sequence[str],
    *,
    remembered: bool,
) -> None:
    """Print what was found, and draw it where that is wanted."""
    if options.json:
        facts = [_facts(each) for each in found]
        json.dump({"notes": list(notes), "remembered": remembered, "models": facts}, sys.stdout, indent=2)
        print()
    else:
        console = Console(highlight=False, emoji=False)
        for each in found:
            for part in tables(each.bench, each.given, remembered=remembered):
                console.print(part, soft_wrap=isinstance(part, str))
    if options.picture is not None:
        try:
            options.picture.write_text(drawing([each.bench for each in found]))
        except OSError as error:
            message = f"{options.picture} cannot be written: {os.strerror(error.errno or 0)}"
            raise CannotCreateError(message) from error


def _facts(found: _Measured) -> dict[str, Any]:
    limits = found.given.limits
    return {
        **asdict(found.bench),
        "memory_limit_bytes": limits.memory_bytes,
        "now": {"lanes": limits.lanes, "threads": limits.threads},
    }


def _writable(path: Path) -> None:
    """Raise CannotCreateError where a picture could not be written, before anything is measured."""
    place = path.parent
    if path.is_dir() or not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        message = f"{path} cannot be written"
        raise CannotCreateError(message)


def _own_seconds() -> float:
    """Give the processor time of this program and of its lanes that have ended."""
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in own)


def _say(console: Console, sentence: str) -> None:
    console.print(escape(line(sentence)), soft_wrap=True)
