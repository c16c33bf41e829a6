"""`bgrd check`: every line says OK or what to do."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bgrd import __version__
from bgrd.check import Finding, check, prepare_folders
from bgrd.config.load import folders, load
from bgrd.config.settings import Settings
from bgrd.confined import confined
from bgrd.errors import BusyError, JournalError, StateError
from bgrd.escape import line
from bgrd.examine import plain
from bgrd.intake.guard import guarded, identify, record
from bgrd.job import Folder
from bgrd.journal.file import journal_file
from bgrd.journal.journal import Journal, open_journal
from bgrd.journal.repair import repair, verify
from bgrd.lock import Holder, hold, holder
from bgrd.question import ask
from bgrd.telemetry import status

__all__ = ["command"]

_WORDS = {"ok": "[green]OK[/]", "warn": "[yellow]note[/]", "error": "[red]wrong[/]"}

_COMPLAINTS = 10
"""So much of what is wrong with a journal is told; the rest is more of the same."""

_OTHER = f"a bgrd of another version than {__version__} works with the journal"


def command(options: argparse.Namespace) -> int:
    """Print what was found; 0, 78 where something keeps pictures from being worked on, 65 for a damaged journal."""
    settings = load(options.config)
    if options.journal or options.repair:
        found = _repaired(settings) if options.repair else _verified(settings)
        _print(found)
        return JournalError.exit_code if any(finding.level == "error" for finding in found) else os.EX_OK
    plan = folders(settings)
    prepare_folders(plan)
    if options.accept_mounts:
        _accept_mounts(settings, plan)
    journal, unread = _journal(settings)
    try:
        found = [*check(settings, recorded=journal), *confined(), *unread]
    finally:
        if journal is not None:
            journal.close()
    _print(found)
    return os.EX_CONFIG if any(finding.level == "error" for finding in found) else os.EX_OK


def _journal(settings: Settings) -> tuple[Journal | None, list[Finding]]:
    """Open the journal if there is one, or say why not: checking makes none, and stays out of a daemon's way.

    Opening brings the journal to our version: it is left alone while another version works with it. Raises StateError
    where nobody does and it cannot be used.
    """
    if not (settings.state_directory / "journal.db").exists():
        return None, []
    held = holder(settings.state_directory)
    if held is not None and not _is_ours(settings, held):
        return None, [_unread(_OTHER)]
    try:
        return open_journal(settings.state_directory), []
    except StateError as error:
        if held is None:
            raise
        return None, [_unread(str(error))]


def _verified(settings: Settings) -> list[Finding]:
    """Look at the journal, beside a daemon too. Raises BusyError while one of another version has it, StateError."""
    path, _exclusive = journal_file(settings.state_directory)
    if not path.exists():
        return [Finding(level="ok", subject="journal", text=f"{plain(path)} is not there yet")]
    held = holder(settings.state_directory)
    if held is not None and not _is_ours(settings, held):
        raise BusyError(_OTHER)
    health = verify(path, in_use=held is not None)
    if not health.complaints:
        return [Finding(level="ok", subject="journal", text=f"{plain(path)} is sound, {health.jobs} jobs")]
    advice = "stop bgrd, then: bgrd check --journal --repair"
    summary = f"{plain(path)} is damaged, or contradicts itself:"
    texts = health.complaints[:_COMPLAINTS]
    if len(health.complaints) > _COMPLAINTS:
        texts = (*texts, f"and {len(health.complaints) - _COMPLAINTS} more")
    return [
        Finding(level="error", subject="journal", text=summary, advice=advice),
        *(Finding(level="error", subject="journal", text=text) for text in texts),
    ]


def _repaired(settings: Settings) -> list[Finding]:
    """Mend the journal. Raises BusyError while a bgrd has it, JournalError where nothing can be mended, StateError."""
    path, exclusive = journal_file(settings.state_directory)
    if not path.exists():
        return _verified(settings)
    with hold(settings.state_directory):
        said = repair(path, exclusive=exclusive)
    return [*(Finding(level="warn", subject="journal", text=text) for text in said), *_verified(settings)]


def _is_ours(settings: Settings, held: Holder) -> bool:
    """Say whether the bgrd at work is of our version."""
    return not status.left_to(status.said(settings.state_directory, pid=held.pid))


def _unread(reason: str) -> Finding:
    text = f"not looked at: {reason}"
    return Finding(level="warn", subject="journal", text=text, advice="stop bgrd and check again to compare the mounts")


def _accept_mounts(settings: Settings, plan: tuple[Folder, ...]) -> None:
    """Remember where the directories lie now. Raises BusyError while a bgrd of another version has the journal."""
    held = holder(settings.state_directory)
    if held is not None and not _is_ours(settings, held):
        text = f"{_OTHER}; stop it first, or start it anew"
        raise BusyError(text)
    journal = open_journal(settings.state_directory)
    try:
        for folder in plan:
            for role, path in guarded(folder).items():
                identity = _lies_on(path)
                if identity is not None:
                    journal.set_mount(folder.name, role, record(path, identity))
    finally:
        journal.close()


def _lies_on(path: Path) -> str | None:
    """Give the identity of the mount a directory lies on, None where it is none or does not answer."""
    with suppress(TimeoutError):  # the check that follows tells of it
        return ask(path, lambda: identify(path) if path.is_dir() else None)
    return None


def _print(found: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for finding in found:
        text = line(finding.text) + (f"\n-> {line(finding.advice)}" if finding.advice else "")
        table.add_row(_WORDS[finding.level], escape(finding.subject), escape(text))
    Console(markup=True, highlight=False, emoji=False).print(table)
