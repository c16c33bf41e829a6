"""`bgrd once`: what is in the inboxes, or the files named, with a progress bar on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from bgrd.allotment import allotment
from bgrd.cli.counting import counting
from bgrd.cli.flags import flag, given
from bgrd.config.load import custom_models, default_recipe, folders, load
from bgrd.config.settings import Settings
from bgrd.config.words import recipe_from
from bgrd.daemon import Daemon
from bgrd.engine.supply import find_grounds
from bgrd.errors import CannotCreateError, ConfigError, GroundFault, ModelFault, StateError, UsageError
from bgrd.escape import line, shown
from bgrd.intake.guard import mount_at
from bgrd.intake.mounts import is_network
from bgrd.job import OPEN_STATES, Job, Recipe, State
from bgrd.journal.journal import open_journal
from bgrd.models.store import find
from bgrd.once import Once, Outcome, Task, left_out, tasks_of
from bgrd.telemetry.log import configure
from bgrd.telemetry.notify import Notifier

__all__ = ["command"]

_NOT_ALL_DONE = 1
_STOPPED = 130
_SHOWN = 20
_WRITTEN = "still being written"
_REASONS = {
    State.WAITING: "it waits",
    State.RETRY: "it is tried again later",
    State.COMMITTING: "its result is made and was not put into place yet",
    State.COMMITTED: "its result is there; the source policy could not be applied yet",
}
_WAITING = frozenset(_REASONS)


def command(options: argparse.Namespace) -> int:
    """Process and exit: 0, 1 where pictures failed or are left, 130 where a signal ended it. Raises BgrdError."""
    settings = load(options.config)
    console = Console(stderr=True, highlight=False, emoji=False)
    progress = counting(console, wanted=not options.no_progress)
    if options.file:
        return _files(options, settings, console, progress)
    if options.output is not None or given(options):
        words = ", ".join(["-o", *map(flag, given(options))])
        text = f"{words}: for named files; the inboxes have their own in the configuration"
        raise UsageError(text)
    return _inboxes(options, settings, console, progress)


def _files(options: argparse.Namespace, settings: Settings, console: Console, progress: Progress) -> int:
    """Cut out the files named."""
    configure(log_format=settings.log_format, log_level="error", stream=sys.stderr)
    recipe = _recipe(options, settings)
    output = options.output or Path.cwd()
    tasks = tasks_of(options.file, output=output)
    for folder in options.file:
        if output.is_dir() and folder.is_dir() and left_out(folder, output):
            console.print(f"left out, as results go there: {escape(shown(os.fsencode(output)))}", soft_wrap=True)
            break
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"the folder {output} cannot be made: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(text) from error
    try:
        model = find(recipe.model, custom=custom_models(settings), directory=settings.models_directory)
        grounds = find_grounds(recipe, max_pixels=settings.max_pixels)
    except (ModelFault, GroundFault) as fault:
        raise ConfigError(str(fault)) from fault
    with progress:
        bar = progress.add_task("cutting out", total=len(tasks))

        def advance(task: Task, reason: str | None) -> None:
            del task, reason
            progress.advance(bar)

        once = Once(
            limits=allotment(settings, [model]).limits,
            model=model,
            recipe=recipe,
            grounds=grounds,
            output=output,
            max_pixels=settings.max_pixels,
            progress=advance,
        )
        outcome = once.run(tasks)
    _tell(outcome, console)
    _warn(console, outcome.loose)
    _note(console, {model.name: outcome.notes})
    failed = [_Row(failure.task.path, "failed", failure.reason) for failure in outcome.failures]
    _sum_up(console, done=len(outcome.results), seconds=outcome.wall_seconds, failed=len(failed))
    _table(console, failed)
    return _NOT_ALL_DONE if failed else os.EX_OK


def _recipe(options: argparse.Namespace, settings: Settings) -> Recipe:
    """Give what [defaults] and the flags ask for. Raises ConfigError, or UsageError that names the flag."""
    words = given(options)
    if not words:
        return default_recipe(settings)
    try:
        return recipe_from(words, base=settings.defaults, spelt=flag)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _inboxes(options: argparse.Namespace, settings: Settings, console: Console, progress: Progress) -> int:
    """Work what is in the inboxes now, as the daemon would. Raises BusyError while the daemon runs."""
    configure(log_format=settings.log_format, log_level="error", stream=sys.stderr)
    started = time.perf_counter()
    with progress:
        bar = progress.add_task("cutting out", total=0)
        tally = _Tally(lambda done, total: progress.update(bar, completed=done, total=total))
        daemon = Daemon(lambda: load(options.config), notifier=Notifier(), until_done=True, watcher=tally)
        tally.expect(_queued(settings))
        daemon.run()
    rows = [*tally.rows(_unfinished(settings)), *(_Row(path, "waits", _WRITTEN) for path in daemon.writing)]
    left = daemon.left + len(daemon.writing)
    seconds = time.perf_counter() - started
    _warn(console, tally.loose)
    _note(console, tally.notes)
    _sum_up(console, done=tally.done, seconds=seconds, failed=len(tally.failed), left=left)
    _table(console, rows)
    if daemon.stopped:
        return _STOPPED
    return _NOT_ALL_DONE if rows or left else os.EX_OK


def _queued(settings: Settings) -> int:
    """Give how many jobs the journal has from before; 0 where the daemon alone may have it open."""
    if is_network(mount_at(settings.state_directory)):
        return 0
    served = {folder.name for folder in folders(settings)}
    with suppress(StateError), closing(open_journal(settings.state_directory)) as journal:
        counts = journal.counts()
        return sum(jobs for name in served for state, jobs in counts.get(name, {}).items() if state in OPEN_STATES)
    return 0


def _unfinished(settings: Settings) -> list[Job]:
    """Give the jobs that wait for something, the first of each folder; none where the journal cannot be read."""
    with suppress(StateError), closing(open_journal(settings.state_directory)) as journal:
        return [
            job
            for folder in folders(settings)
            for job in journal.jobs(states=_WAITING, folder=folder.name, limit=_SHOWN)
        ]
    return []


@dataclass(frozen=True, slots=True)
class _Row:
    """What is not done: its path, in a word how it stands, and why."""

    path: bytes
    word: str
    reason: str


class _Tally:
    """Counts what the daemon tells; gives what is not done at the end.

    `failed` and `waiting` are reasons by folder and path; with an empty path the whole folder waits.
    """

    def __init__(self, progress: Callable[[int, int], None]) -> None:
        self.done = 0
        self.failed: dict[tuple[str, bytes], str] = {}
        self.waiting: dict[tuple[str, bytes], str] = {}
        self.loose: tuple[str, ...] = ()
        self.notes: dict[str, Sequence[str]] = {}
        self._expected = 0
        self._progress = progress

    def expect(self, jobs: int) -> None:
        """Have that many more jobs to do."""
        self._expected += jobs
        self._tell()

    def __call__(self, event: str, **facts: Any) -> None:
        """Take one event with its facts."""
        key = (facts.get("folder", ""), facts.get("path", b""))
        match event:
            case "intake.admitted":
                self._expected += facts["count"]
            case "lane.loose":
                self.loose = tuple(facts["missing"])
            case "model.loaded":
                self.notes[facts["model"]] = facts["notes"]
            case "job.failed":
                self.waiting.pop(key, None)
                self.failed[key] = facts["reason"]
            case "job.waiting" | "job.retry":
                self.waiting[key] = facts["reason"]
            case "folder.blocked" | "folder.unavailable" | "intake.stalled" | "intake.broken" | "journal.waiting":
                self.waiting[key] = facts["reason"]
            case "folder.resumed" | "folder.available" | "intake.resumed" | "job.withdrawn":
                self._forget(key)
            case "job.done" | "job.known":
                self.done += 1
                self._forget(key)
        self._tell()

    def rows(self, unfinished: Iterable[Job]) -> list[_Row]:
        """Give what failed, then what waits: as it was told, and what the journal has beside that."""
        waiting = {(job.folder, job.path): job.reason or _REASONS[job.state] for job in unfinished} | self.waiting
        return [
            _Row(path or b"folder " + os.fsencode(folder), word, reason)
            for word, found in (("failed", self.failed), ("waits", waiting))
            for (folder, path), reason in found.items()
        ]

    def _forget(self, key: tuple[str, bytes]) -> None:
        self.failed.pop(key, None)
        self.waiting.pop(key, None)

    def _tell(self) -> None:
        """Show how far we are; jobs that nobody announced count too."""
        ended = self.done + len(self.failed) + len(self.waiting)
        self._progress(ended, max(ended, self._expected))


def _tell(outcome: Outcome, console: Console) -> None:
    """Say how the time was spent: the sum of the stages against the time on the clock."""
    total = sum(outcome.stage_seconds.values())
    if outcome.wall_seconds and total:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in outcome.stage_seconds.items())
        console.print(f"stages, seconds of work: {stages}; {total / outcome.wall_seconds:.2f} at once on average")


def _warn(console: Console, loose: tuple[str, ...]) -> None:
    """Say what does not hold the lanes in on this system."""
    if loose:
        told = f"the lanes are not shut in completely, {'; '.join(loose)}: see `bgrd check`"
        console.print(escape(line(told)), soft_wrap=True)


def _note(console: Console, notes: Mapping[str, Sequence[str]]) -> None:
    """Say what was decided when the models were loaded, as what they do without."""
    for model, told in notes.items():
        for note in told:
            console.print(escape(line(f"model {model}: {note}")), soft_wrap=True)


def _sum_up(console: Console, *, done: int, seconds: float, failed: int, left: int = 0) -> None:
    rate = f", {done / seconds * 60:.0f} a minute" if done and seconds else ""
    remaining = f", {left} left" if left else ""
    console.print(f"{done} done, {failed} failed{remaining} in {seconds:.1f} seconds{rate}")


def _table(console: Console, rows: list[_Row]) -> None:
    """Print what is not done and why."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("not done", overflow="fold")
    table.add_column("")
    table.add_column("why", overflow="fold")
    for row in rows:
        table.add_row(escape(shown(row.path)), row.word, escape(line(row.reason)))
    console.print(table)
