"""`bgrd status`: from the journal and the status file, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import time
from base64 import b64encode
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bgrd.config.load import folders, load
from bgrd.config.settings import Settings
from bgrd.errors import StateError
from bgrd.escape import line, shown
from bgrd.job import Job, State
from bgrd.journal.journal import open_journal
from bgrd.lock import holder
from bgrd.telemetry import status

__all__ = ["command"]

_SHOWN = 20
_TROUBLED = frozenset({State.FAILED, State.WAITING, State.RETRY})
_COMMITTING = frozenset({State.COMMITTING, State.COMMITTED})
_COLUMNS: dict[str, frozenset[State]] = {
    "ready": frozenset({State.READY}),
    "running": frozenset({State.RUNNING}),
    "committing": _COMMITTING,
    "waiting": frozenset({State.WAITING}),
    "retry": frozenset({State.RETRY}),
    "failed": frozenset({State.FAILED}),
    "done": frozenset({State.DONE}),
}
_LONG_SECONDS = 60.0
"""A committed job that old is no longer just passing through."""
_REASONS = {State.COMMITTING: "its result is made and was not put into place yet"}
_UNAPPLIED = "its result is there; the source policy could not be applied yet"


def command(options: argparse.Namespace) -> int:
    """Print how things stand; 0 when the daemon runs, 3 when it does not (as LSB's init scripts answer)."""
    settings = load(options.config)
    facts = _facts(settings)
    if options.json:
        print(json.dumps(facts, indent=2, sort_keys=True, default=str))
    else:
        _print(facts)
    return os.EX_OK if facts["running"] else 3


def _facts(settings: Settings) -> dict[str, Any]:
    """Put together what the lock, the status file and the journal say."""
    held = holder(settings.state_directory)
    running = held is not None
    live = status.said(settings.state_directory, pid=held.pid) if held is not None else {}
    counts, troubled, unread = _journal(settings, live, running=running)
    table = {}
    for folder in folders(settings):
        said = live.get("folders", {}).get(folder.name, {})
        table[folder.name] = {
            "inbox": _name(os.fsencode(folder.inbox)),
            "outbox": _name(os.fsencode(folder.outbox)),
            "state": said.get("state", "" if running else "not running"),
            "reason": line(said.get("reason", "")),
            "watch": said.get("watch", ""),
            "watch_reason": line(said.get("watch_reason", "")),
            "writing": [
                _name(name if isinstance(name, bytes) else os.fsencode(name)) for name in said.get("writing", [])
            ],
            "jobs": counts.get(folder.name, {}) if counts is not None else said.get("jobs", {}),
        }
    return {
        "running": running,
        "pid": held.pid if held is not None else None,
        "host": held.host if held is not None else "",
        "version": live.get("version"),
        "ready": bool(live.get("ready")),
        "lanes": live.get("lanes", []),
        "models": live.get("models", {}),
        "journal": unread,
        "folders": table,
        "troubled": [_job(job) for job in troubled],
    }


def _journal(
    settings: Settings, live: dict[str, Any], *, running: bool
) -> tuple[dict[str, dict[str, int]] | None, list[Job], str]:
    """Give counts and troubled jobs, or None, none, and why the journal could not be read."""
    if not (settings.state_directory / "journal.db").exists():
        return {}, [], ""
    if running and (reason := status.left_to(live)):
        return None, [], reason
    try:
        journal = open_journal(settings.state_directory)
    except StateError as error:
        return None, [], str(error)
    try:
        troubled = journal.jobs(states=_TROUBLED, limit=_SHOWN)
        committing = journal.jobs(states=_COMMITTING, limit=_SHOWN)
        return journal.counts(), [*troubled, *_long_standing(committing, running=running)], ""
    except StateError as error:
        return None, [], str(error)
    finally:
        journal.close()


def _long_standing(jobs: list[Job], *, running: bool) -> list[Job]:
    """Give those that are not just passing through."""
    return [job for job in jobs if not running or time.time() - job.admitted > _LONG_SECONDS]


def _job(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "folder": job.folder,
        "path": _name(job.path),
        "state": job.state.value,
        "kind": job.kind,
        "reason": _UNAPPLIED if job.state is State.COMMITTED else line(job.reason) or _REASONS.get(job.state, ""),
        "due": job.due if job.due not in {0.0, float("inf")} else None,
    }


def _name(name: bytes) -> dict[str, str]:
    """Give a name to look at and, where it cannot be typed as it looks, its exact bytes."""
    text = shown(name)
    exact = {} if text.encode() == name else {"base64": b64encode(name).decode("ascii")}
    return {"name": text, **exact}


def _print(facts: dict[str, Any]) -> None:
    console = Console(highlight=False, emoji=False)
    console.print(escape(_headline(facts)))
    if facts["journal"]:
        counted = "the counts are what bgrd told last" if facts["running"] else "nothing could be counted"
        console.print(f"{counted}: {escape(facts['journal'])}", soft_wrap=True)
    console.print(_table(facts))
    for name, folder in facts["folders"].items():
        watch = f" ({folder['watch']}: {folder['watch_reason']})" if folder["watch"] else ""
        told = f"{name}: {folder['inbox']['name']} -> {folder['outbox']['name']}{watch}"
        console.print(escape(told), soft_wrap=True)
        if folder["reason"]:
            console.print(f"{escape(name)}: {escape(folder['reason'])}", soft_wrap=True)
        for writing in folder["writing"]:
            console.print(f"{escape(name)}: {escape(writing['name'])} is still being written")
    for name, model in facts["models"].items():
        where = f", in process {model['device']} for all lanes" if model.get("shared") else ""
        told = f"model {name} runs on {', '.join(model['providers'])}{where}"
        console.print(escape(line("; ".join([told, *model["notes"]]))))
    for job in facts["troubled"]:
        told = f"{job['state']}: {job['folder']}/{job['path']['name']}: {job['reason']}"
        console.print(escape(told), soft_wrap=True)


def _headline(facts: dict[str, Any]) -> str:
    """Give the first line: whether bgrd runs, and as what."""
    if not facts["running"]:
        return "bgrd is not running"
    process = f"process {facts['pid']}" if facts["pid"] is not None else "a process that cannot be seen from here"
    where = f" on {facts['host']}" if facts["host"] else ""
    if facts["version"] is None:
        return f"bgrd runs as {process}{where}, and has told nothing more"
    return f"bgrd {facts['version']} runs as {process}{where}, {len(facts['lanes'])} lanes"


def _table(facts: dict[str, Any]) -> Table:
    """Give the folders with their counts."""
    table = Table(box=None, pad_edge=False)
    table.add_column("folder")
    table.add_column("state")
    for title in _COLUMNS:
        table.add_column(title, justify="right")
    for name, folder in facts["folders"].items():
        numbers = [str(sum(folder["jobs"].get(state, 0) for state in states)) for states in _COLUMNS.values()]
        table.add_row(escape(name), escape(folder["state"]), *numbers)
    return table
