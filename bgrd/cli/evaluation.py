"""Judges a model, and another beside it, on the pictures of a data set; tells, writes and draws what was found."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from bgrd import __version__
from bgrd.cli.counting import counting
from bgrd.cli.evaluation_tables import tables
from bgrd.cli.installed import installed, is_name
from bgrd.config.load import load
from bgrd.config.settings import Settings
from bgrd.errors import CannotCreateError, ModelFault, ModelFileError, UsageError
from bgrd.escape import line
from bgrd.job import ModelChoice
from bgrd.models.anatomy import dissected
from bgrd.models.catalogue import ROWS
from bgrd.train.bootstrap import DRAWS
from bgrd.train.entry import Entry
from bgrd.train.evaluate import Judge, Judged, pairs_of, sampled
from bgrd.train.manifest import read_manifest
from bgrd.train.sheets import draw_worst, write_sides
from bgrd.train.verdict import MEASURES, Row, compared, rows, worse

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Judge, tell, write and draw; gives 0. Raises BgrdError."""
    settings = load(options.config, any_model=True)
    entries = _chosen(options)
    _prepare_outputs(options)
    judge, *others = [_judge(choice) for choice in _models(options, settings)]
    other = others[0] if others else None
    found = _judged(judge, entries, options, sides=options.sides)
    found_of_other = _judged(other, entries, options, sides=None) if other else []
    groups = rows(found, seed=options.seed)
    differences = compared(found, found_of_other, seed=options.seed) if other else []
    console = Console(highlight=False, emoji=False)
    for part in tables(judge.name, groups, other.name if other else "", differences):
        console.print(part, soft_wrap=isinstance(part, str))
    if options.json is not None:
        facts = _facts(options, judge, found, groups)
        if other is not None:
            facts["against"] = _of_other(other, found_of_other, differences, options.seed)
        with _written(options.json):
            options.json.write_text(json.dumps(facts, indent=1) + "\n")
    if options.sheet is not None:
        with _written(options.sheet):
            draw_worst(options.sheet, judge, found)
    return os.EX_OK


def _chosen(options: argparse.Namespace) -> list[Entry]:
    """Give the pairs that are judged. Raises TrainingError, NoInputError."""
    pairs = pairs_of(read_manifest(options.dataset / "manifest.csv"), options.split, where=options.dataset)
    return pairs if options.most is None else sampled(pairs, options.most, seed=options.seed)


def _models(options: argparse.Namespace, settings: Settings) -> list[ModelChoice]:
    """Give the model, and the one it is held against. Raises NoInputError, ModelFileError, UsageError."""
    names = [name for name in (options.model, options.against) if name]
    found = [_model(name, options.like, settings) for name in names]
    fed = [choice for name, choice in zip(names, found, strict=True) if not is_name(name) and choice.spec]
    if options.like is not None and not fed:
        message = f"--like {options.like} changes nothing: it is for a file that does not say itself how it is fed"
        raise UsageError(message)
    return found


def _model(name: str, like: str | None, settings: Settings) -> ModelChoice:
    """Give a model by its file or its name. Raises NoInputError, ModelFileError, UsageError."""
    path = Path(name)
    if is_name(name):
        return installed(name, settings)
    anatomy = dissected(path)
    spec = None if anatomy.spec else _spec(path, like)
    return ModelChoice(name=path.name, path=path, spec=spec, external=anatomy.outside)


def _spec(path: Path, like: str | None) -> dict[str, Any]:
    """Give how a file is fed that does not say so itself. Raises UsageError."""
    row = ROWS.get(like or "")
    if row is not None and row.spec is not None:
        return replace(row.spec, name=path.stem).to_json()
    if like is not None:
        known = ", ".join(name for name, each in ROWS.items() if each.spec is not None)
        message = f"--like {like}: the catalogue does not say how such a model is fed; it does for {known}"
        raise UsageError(message)
    message = (
        f"{path} does not say itself how it is fed: name a model of the catalogue that is fed the same with --like, "
        "or describe it in a [[model]] table and give its name"
    )
    raise UsageError(message)


def _judge(choice: ModelChoice) -> Judge:
    try:
        return Judge(choice)
    except ModelFault as fault:
        raise ModelFileError(str(fault)) from fault


def _judged(judge: Judge, entries: Sequence[Entry], options: argparse.Namespace, *, sides: Path | None) -> list[Judged]:
    """Judge every picture; writes those of `sides` on the way."""
    found = []
    with counting(wanted=not options.no_progress) as bar:
        task = bar.add_task(escape(line(judge.name)), total=len(entries))
        for judged, result in judge.judged(entries):
            found.append(judged)
            if sides is not None:
                with _written(sides):
                    write_sides(sides, len(found), judged, result)
            bar.advance(task)
    return found


def _facts(options: argparse.Namespace, judge: Judge, found: Sequence[Judged], groups: Sequence[Row]) -> dict[str, Any]:
    return {
        "bgrd": __version__,
        "model": judge.name,
        "sha256": judge.sha256,
        "spec": judge.spec.to_json(),
        "dataset": str(options.dataset),
        "split": options.split,
        "seed": options.seed,
        "draws": DRAWS,
        "rows": [asdict(group) for group in groups],
        "pictures": [_figures(each) for each in found],
    }


def _of_other(other: Judge, found: Sequence[Judged], differences: Sequence[Row], seed: int) -> dict[str, Any]:
    return {
        "model": other.name,
        "sha256": other.sha256,
        "spec": other.spec.to_json(),
        "rows": [asdict(group) for group in rows(found, seed=seed)],
        "differences": [{**asdict(row), "worse": worse(row)} for row in differences],
        "pictures": [_figures(each) for each in found],
    }


def _figures(judged: Judged) -> dict[str, Any]:
    entry = judged.entry
    numbers = {name: round(getattr(judged.figures, name), 6) for name in MEASURES if name != "max_f"}
    return {"image": str(entry.image), "source": entry.source, "category": entry.category, **numbers}


def _prepare_outputs(options: argparse.Namespace) -> None:
    """See that all can be written, before anything is judged. Raises CannotCreateError."""
    for path in (options.json, options.sheet):
        if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK)):
            message = f"{path} cannot be written"
            raise CannotCreateError(message)
    if options.sides is not None:
        with _written(options.sides):
            options.sides.mkdir(parents=True, exist_ok=True)
            full = any(options.sides.iterdir())
        if full:
            message = f"{options.sides} has something in it, and strips of two models must not mix: name a new folder"
            raise CannotCreateError(message)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Say in words where something cannot be written. Raises CannotCreateError."""
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be written: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(message) from error
