"""bgrd whose pauses are short: `python -m tests.programs.hurried run`, so that no test waits for what tries again."""

from __future__ import annotations

import sys
from typing import Any

from bgrd.cli.main import main
from bgrd.delivery import leftovers
from bgrd.engine import desk, dispatch
from bgrd.errors import DaemonFault, FaultPolicy, FileFault
from bgrd.journal import patience

__all__ = ["HURRIED"]

HURRIED = (sys.executable, "-m", "tests.programs.hurried", "run")
"""The program for `Daemon`."""


def hurry() -> None:
    """Shorten every pause after which something is tried again."""
    pauses: list[tuple[Any, str, object]] = [
        (desk, "_PROBE_SECONDS", (0.3, 2.0)),
        (dispatch, "_PAUSE_SECONDS", 0.3),
        (leftovers, "_PAUSE_SECONDS", 0.5),
        (patience, "PAUSE_SECONDS", 0.2),
    ]
    for module, name, seconds in pauses:
        assert hasattr(module, name)
        setattr(module, name, seconds)
    for fault in (DaemonFault, FileFault):
        fault.policy = FaultPolicy(charged=False, pauses_seconds=(0.5,))


if __name__ == "__main__":
    hurry()
    sys.exit(main(sys.argv[1:]))
