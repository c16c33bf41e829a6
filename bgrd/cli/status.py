"""`bgrd status`: from the journal and the status file, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bgrd.config.load import folders, load
from bgrd.config.settings import Settings
from bgrd.escape import shown
from bgrd.job import Job, State
from bgrd.journal.journal import open_journal
from bgrd.telemetry import status

__all__ = ["command"]

_SHOWN = 20
_TROUBLED = frozenset({State.FAILED, State.WAITING, State.RETRY})
_COLUMNS = (State.READY, State.RUNNING, State.WAITING, State.RETRY, State.FAILED, State.DONE)


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
    """Put together what the status file and the journal say."""
    live = status.read(status.location(settings.state_directory)) or {}
    running = _alive(live.get("pid"))
    path = settings.state_directory / "journal.db"
    journal = open_journal(settings.state_directory) if path.exists() else None
    try:
        counts = journal.counts() if journal is not None else {}
        troubled = journal.jobs(states=_TROUBLED, limit=_SHOWN) if journal is not None else []
    finally:
        if journal is not None:
            journal.close()
    table = {}
    for folder in folders(settings):
        said = live.get("folders", {}).get(folder.name, {}) if running else {}
        table[folder.name] = {
            "inbox": _name(os.fsencode(folder.inbox)),
            "outbox": _name(os.fsencode(folder.outbox)),
            "state": said.get("state", "" if running else "not running"),
            "reason": said.get("reason", ""),
            "watch": said.get("watch", ""),
            "watch_reason": said.get("watch_reason", ""),
            "writing": [
                _name(name if isinstance(name, bytes) else os.fsencode(name)) for name in said.get("writing", [])
            ],
            "jobs": counts.get(folder.name, {}),
        }
    return {
        "running": running,
        "pid": live.get("pid") if running else None,
        "version": live.get("version"),
        "ready": bool(running and live.get("ready")),
        "lanes": live.get("lanes", []) if running else [],
        "folders": table,
        "troubled": [_job(job) for job in troubled],
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "folder": job.folder,
        "path": _name(job.path),
        "state": job.state.value,
        "kind": job.kind,
        "reason": job.reason,
        "due": job.due if job.due not in {0.0, float("inf")} else None,
    }


def _name(name: bytes) -> dict[str, str]:
    """Give a name to look at and, where it cannot be typed as it looks, its exact bytes."""
    text = shown(name)
    exact = {} if text.encode() == name else {"base64": b64encode(name).decode("ascii")}
    return {"name": text, **exact}


def _alive(pid: object) -> bool:
    """Say whether the process that wrote the status file still runs bgrd."""
    if not isinstance(pid, int):
        return False
    try:
        return b"bgrd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _print(facts: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if facts["running"]:
        console.print(f"bgrd {facts['version']} runs as process {facts['pid']}, {len(facts['lanes'])} lanes")
    else:
        console.print("bgrd is not running")
    table = Table(box=None, pad_edge=False)
    table.add_column("folder")
    table.add_column("state")
    for state in _COLUMNS:
        table.add_column(state.value, justify="right")
    table.add_column("inbox", overflow="fold")
    for name, folder in facts["folders"].items():
        numbers = [str(folder["jobs"].get(state.value, 0)) for state in _COLUMNS]
        table.add_row(escape(name), escape(folder["state"]), *numbers, escape(folder["inbox"]["name"]))
    console.print(table)
    for name, folder in facts["folders"].items():
        if folder["reason"]:
            console.print(f"{escape(name)}: {escape(folder['reason'])}")
        for writing in folder["writing"]:
            console.print(f"{escape(name)}: {escape(writing['name'])} is still being written")
    for job in facts["troubled"]:
        line = f"{job['state']}: {job['folder']}/{job['path']['name']}: {job['reason']}"
        console.print(escape(line), soft_wrap=True)
