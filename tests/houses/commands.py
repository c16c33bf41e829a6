"""A user's home, and bgrd asked in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bgrd.telemetry import status

__all__ = ["ODD", "configure", "of_daemon", "run"]

ODD = b"caf\xe9 [red]\n.jpg"
"""A name that is no UTF-8, and has a line break and what rich takes for markup."""


def configure(home: Path, text: str) -> None:
    """Write the configuration."""
    path = home / ".config/bgrd/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bgrd", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=50
    )


def of_daemon(state: Path, *, version: str) -> None:
    """Have the status file say what a daemon, this process, would."""
    folder = {"state": "ready", "jobs": {"done": 7, "failed": 2}}
    facts = {"pid": os.getpid(), "version": version, "ready": True, "lanes": [1], "folders": {"default": folder}}
    status.write(state / "status.json", facts)
