"""`bgrd check`: every line says OK or what to do."""

from __future__ import annotations

import argparse
import os

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bgrd.check import Finding, check, prepare_folders
from bgrd.config.load import folders, load
from bgrd.config.settings import Settings
from bgrd.intake.guard import guarded, identify
from bgrd.job import Folder
from bgrd.journal.journal import Journal, open_journal

__all__ = ["command"]

_WORDS = {"ok": "[green]OK[/]", "warn": "[yellow]note[/]", "error": "[red]wrong[/]"}


def command(options: argparse.Namespace) -> int:
    """Print what was found; 0, or 78 where something keeps pictures from being worked on."""
    settings = load(options.config)
    plan = folders(settings)
    prepare_folders(plan)
    if options.accept_mounts:
        _accept_mounts(settings, plan)
    journal = _journal(settings)
    try:
        found = check(settings, recorded=journal)
    finally:
        if journal is not None:
            journal.close()
    _print(found)
    return os.EX_CONFIG if any(finding.level == "error" for finding in found) else os.EX_OK


def _journal(settings: Settings) -> Journal | None:
    """Open the journal if there is one: checking makes none."""
    path = settings.state_directory / "journal.db"
    return open_journal(settings.state_directory) if path.exists() else None


def _accept_mounts(settings: Settings, plan: tuple[Folder, ...]) -> None:
    journal = open_journal(settings.state_directory)
    try:
        for folder in plan:
            for role, path in guarded(folder).items():
                identity = identify(path) if path.is_dir() else None
                if identity is not None:
                    journal.set_mount(folder.name, role, identity)
    finally:
        journal.close()


def _print(found: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for finding in found:
        text = finding.text + (f"\n-> {finding.advice}" if finding.advice else "")
        table.add_row(_WORDS[finding.level], escape(finding.subject), escape(text))
    Console(markup=True, highlight=False).print(table)
