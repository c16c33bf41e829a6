"""The daemon's state as a small file, replaced atomically: what `bgrd status` reads beside the journal.

JSON. A name (bytes) is a string where it is UTF-8 and `{"base64": "..."}` where it is not, so that it stays exact.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["location", "read", "write"]


def location(state_directory: Path, *, environ: Mapping[str, str] | None = None) -> Path:
    """Give where the status file lies: `$XDG_RUNTIME_DIR/bgrd/status.json`, or else beside the journal."""
    runtime = (os.environ if environ is None else environ).get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and Path(runtime).is_dir():
        return Path(runtime) / "bgrd" / "status.json"
    return state_directory / "status.json"


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
