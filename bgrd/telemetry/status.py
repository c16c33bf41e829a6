"""The daemon's state as a small file, replaced atomically: what `bgrd status` reads beside the journal.

JSON. A name (bytes) is a string where it is UTF-8 and `{"base64": "..."}` where it is not, so that it stays exact.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bgrd import __version__

__all__ = ["left_to", "location", "read", "said", "write"]


def location(state_directory: Path, *, environ: Mapping[str, str] | None = None) -> Path:
    """Give where the status file is written: below `$XDG_RUNTIME_DIR/bgrd`, or else beside the journal.

    It is `status.json` for the default state directory and beside any journal; else its name carries a hash of the
    state directory, since daemons with different ones share the runtime directory.
    """
    environ = os.environ if environ is None else environ
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and Path(runtime).is_dir():
        return Path(runtime) / "bgrd" / _name(state_directory, environ)
    return state_directory / "status.json"


def _places(state_directory: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Give where the status file may lie whoever wrote it: a service and a shell may differ in XDG_RUNTIME_DIR."""
    usual = Path(f"/run/user/{os.getuid()}/bgrd") / _name(state_directory, environ)
    beside = state_directory / "status.json"
    return tuple(dict.fromkeys((location(state_directory, environ=environ), usual, beside)))


def _name(state_directory: Path, environ: Mapping[str, str]) -> str:
    """Give the file's name in the runtime directory."""
    base = environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local/state")
    real = os.path.realpath(state_directory)
    if real == os.path.realpath(os.path.join(base, "bgrd")):
        return "status.json"
    return f"status-{hashlib.sha256(os.fsencode(real)).hexdigest()[:8]}.json"


def write(path: Path, facts: Mapping[str, Any]) -> None:
    """Replace the file by these facts, readable by its owner only; makes its directory. Raises OSError.

    Values may be bytes, paths, and whatever JSON has. A reader sees the old file or the new one. Nothing is fsynced:
    after a power cut nobody asks how a daemon was that no longer runs.
    """
    text = json.dumps(_plain(facts), sort_keys=True).encode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        hidden.unlink()  # of a daemon that was killed here and had this number
    try:
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text)
        hidden.replace(path)
    except OSError:
        with suppress(OSError):
            hidden.unlink()
        raise


def read(path: Path) -> dict[str, Any] | None:
    """Give the facts last written, base64 names as bytes again; None where there are none or the file is not ours.

    Raises OSError where the file is there and cannot be read.
    """
    try:
        facts = json.loads(path.read_bytes(), object_hook=_exact)
    except (FileNotFoundError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def said(state_directory: Path, *, pid: int | None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Give what the process `pid` (None: any) said last, {} where it has not spoken or cannot be heard from here."""
    found = []
    for place in _places(state_directory, os.environ if environ is None else environ):
        with suppress(OSError):
            facts = read(place)
            if facts is not None and pid in {None, facts.get("pid")}:
                found.append(facts)
    return max(found, key=_written, default={})


def left_to(facts: Mapping[str, Any]) -> str:
    """Give why the journal is left to the bgrd at work that said this, "" where that is of our version.

    Opening brings a journal to our version, so it is left alone while a bgrd of another version, or one that does not
    say, works with it.
    """
    if facts.get("version") == __version__:
        return ""
    whose = f"bgrd {facts['version']}" if "version" in facts else "the bgrd that runs"
    return f"the journal is left to {whose}, this is bgrd {__version__}"


def _written(facts: Mapping[str, Any]) -> float:
    when = facts.get("written")
    return float(when) if isinstance(when, int | float) else 0.0


def _plain(value: object) -> object:
    """Give a value in JSON's own kinds."""
    match value:
        case Path():
            return _plain(os.fsencode(value))
        case bytes():
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return {"base64": base64.b64encode(value).decode("ascii")}
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return sorted((_plain(item) for item in value), key=str)
        case _:
            return value


def _exact(table: dict[str, Any]) -> object:
    """Give the bytes of a name that was no UTF-8; any other table as it is."""
    return base64.b64decode(table["base64"], validate=True) if table.keys() == {"base64"} else table
