"""`bgrd once`: what is in the inboxes, or the files named, with a progress bar on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bgrd.config.load import custom_models, default_recipe, load
from bgrd.config.settings import Settings
from bgrd.daemon import Daemon, limits_of
from bgrd.errors import CannotCreateError, ConfigError, ModelFault, UsageError
from bgrd.escape import shown
from bgrd.models.store import find
from bgrd.once import Once, Outcome, Task, tasks_of
from bgrd.telemetry.log import configure
from bgrd.telemetry.notify import Notifier

__all__ = ["command"]

_PICTURES_FAILED = 1


def command(options: argparse.Namespace) -> int:
    """Process and exit: 0, or 1 where pictures failed. Raises BgrdError."""
    settings = load(options.config)
    console = Console(stderr=True, highlight=False)
    progress = _progress(console, wanted=not options.no_progress)
    if options.file:
        return _files(options, settings, console, progress)
    if options.output is not None or options.model is not None:
        text = "-o and --model are for named files; the inboxes have their own in the configuration"
        raise UsageError(text)
    return _inboxes(options, settings, console, progress)


def _progress(console: Console, *, wanted: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not (wanted and console.is_terminal))


def _files(options: argparse.Namespace, settings: Settings, console: Console, progress: Progress) -> int:
    """Cut out the files named."""
    configure(log_format=settings.log_format, log_level="error", stream=sys.stderr)
    tasks = tasks_of(options.file)
    output = options.output or Path.cwd()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"the folder {output} cannot be made: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(text) from error
    recipe = default_recipe(settings)
    if options.model is not None:
        recipe = replace(recipe, model=options.model)
    try:
        model = find(recipe.model, custom=custom_models(settings), directory=settings.models_directory)
    except ModelFault as fault:
        raise ConfigError(str(fault)) from fault
    with progress:
        bar = progress.add_task("cutting out", total=len(tasks))

        def advance(task: Task, reason: str | None) -> None:
            del task, reason
            progress.advance(bar)

        once = Once(
            limits=limits_of(settings),
            model=model,
            recipe=recipe,
            output=output,
            max_pixels=settings.max_pixels,
            progress=advance,
        )
        outcome = once.run(tasks)
    _tell(outcome, console)
    failed = [(failure.task.path, failure.reason) for failure in outcome.failures]
    return _end(console, done=len(outcome.results), seconds=outcome.wall_seconds, failed=failed)


def _inboxes(options: argparse.Namespace, settings: Settings, console: Console, progress: Progress) -> int:
    """Work what is in the inboxes now, as the daemon would. Raises BusyError while the daemon runs."""
    configure(log_format=settings.log_format, log_level="error", stream=sys.stderr)
    started = time.perf_counter()
    with progress:
        bar = progress.add_task("cutting out", total=0)
        tally = _Tally(lambda done, total: progress.update(bar, completed=done, total=total))
        Daemon(lambda: load(options.config), notifier=Notifier(), until_done=True, watcher=tally).run()
    failed = [(path or b"folder " + os.fsencode(folder), reason) for (folder, path), reason in tally.trouble.items()]
    return _end(console, done=tally.done, seconds=time.perf_counter() - started, failed=failed)


class _Tally:
    """Counts what the daemon tells; `trouble` is what is not done at the end, by folder and path (empty: all of it)."""

    def __init__(self, progress: Callable[[int, int], None]) -> None:
        self.done = 0
        self.trouble: dict[tuple[str, bytes], str] = {}
        self._admitted = 0
        self._progress = progress

    def __call__(self, event: str, **facts: Any) -> None:
        """Take one event with its facts."""
        key = (facts.get("folder", ""), facts.get("path", b""))
        match event:
            case "intake.admitted":
                self._admitted += facts["count"]
            case "job.failed" | "job.waiting" | "job.retry" | "folder.blocked" | "folder.unavailable":
                self.trouble[key] = facts["reason"]
            case "folder.resumed" | "folder.available" | "job.withdrawn":
                self.trouble.pop(key, None)
            case "job.done" | "job.known":
                self.done += 1
                self.trouble.pop(key, None)
        self._progress(self.done + len(self.trouble), self._admitted)


def _tell(outcome: Outcome, console: Console) -> None:
    """Say how the time was spent: the sum of the stages against the time on the clock."""
    total = sum(outcome.stage_seconds.values())
    if outcome.wall_seconds and total:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in outcome.stage_seconds.items())
        console.print(f"stages, seconds of work: {stages}; {total / outcome.wall_seconds:.2f} at once on average")


def _end(console: Console, *, done: int, seconds: float, failed: list[tuple[bytes, str]]) -> int:
    rate = f", {done / seconds * 60:.0f} a minute" if done and seconds else ""
    console.print(f"{done} done, {len(failed)} failed in {seconds:.1f} seconds{rate}")
    if not failed:
        return os.EX_OK
    table = Table(box=None, pad_edge=False)
    table.add_column("failed", overflow="fold")
    table.add_column("why", overflow="fold")
    for path, reason in failed:
        table.add_row(escape(shown(path)), escape(reason))
    console.print(table)
    return _PICTURES_FAILED
