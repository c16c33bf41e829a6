"""What SQLite or the kernel said about the journal's file, as a StateError: in a sentence, and whether it may pass."""

from __future__ import annotations

import os
from pathlib import Path

from bgrd.errors import JournalError, StateError

__all__ = ["state_error"]

_SENTENCES = {
    "SQLITE_BUSY": "is held by another program; stop that one first",
    "SQLITE_CANTOPEN": "cannot be opened; check the permissions of the file and of its directory",
    "SQLITE_CORRUPT": "is damaged; `bgrd check --journal` says how badly, and with --repair saves what can be read",
    "SQLITE_FULL": "cannot grow: the disk is full or a quota is reached; make room",
    "SQLITE_IOERR": "cannot be read or written; check the disk",
    "SQLITE_LOCKED": "is held by another program; stop that one first",
    "SQLITE_NOTADB": "is damaged or no journal; `bgrd check --journal --repair` saves what can be read, or move it "
    "away, and bgrd starts a new one that knows none of the files",
    "SQLITE_PERM": "may not be read or written; check the permissions of the file and of its directory",
    "SQLITE_READONLY": "is read-only; check the permissions of the file and of its directory, and the mount",
}

_DAMAGED = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})

_TRANSIENT = frozenset({"SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR"})
"""What may pass by itself, or once somebody has made room."""


def state_error(path: Path, error: Exception) -> StateError:
    """Say in a sentence what is wrong with the journal at `path`; a StateError stays what it is."""
    if isinstance(error, StateError):
        return error
    name = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])  # drops the extended part
    sentence = f"The journal {path} {_SENTENCES.get(name, 'cannot be used')} ({error})."
    transient = name in _TRANSIENT or (name == "SQLITE_READONLY" and _is_read_only_mount(path))
    fault = JournalError(sentence) if name in _DAMAGED else StateError(sentence, transient=transient)
    fault.__cause__ = error
    return fault


def _is_read_only_mount(path: Path) -> bool:
    """Tell a file system that was remounted read-only, as after an error, from a file whose mode forbids writing."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
