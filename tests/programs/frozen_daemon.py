"""bgrd of which any loop can be frozen: `python frozen_daemon.py FLAGS run`.

While the file FLAGS/<loop> exists that loop stands still, in the way the file says: `lock` (a deadlock), `sleep`, or
`spin`. None of them is a system call on a dead share, which is forgiven. The loops: intake, scanner (a step of a walk),
journal (its thread), engine (the main loop), committer.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from bgrd.cli.main import main
from bgrd.committer import Committer
from bgrd.engine.dispatch import Dispatcher
from bgrd.intake.survey import Survey
from bgrd.intake.walker import Walker
from bgrd.journal.database import Database

FLAGS = Path(sys.argv[1])
_LOOK_SECONDS = 0.2
_LOOPS: dict[str, tuple[type, str]] = {
    "intake": (Walker, "round"),
    "scanner": (Survey, "step"),
    "journal": (Database, "_execute"),
    "engine": (Dispatcher, "step"),
    "committer": (Committer, "_fetch"),
}


def stand_still(how: str) -> None:
    """Do nothing useful for a moment."""
    if how == "lock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire(timeout=_LOOK_SECONDS)
    elif how == "sleep":
        time.sleep(_LOOK_SECONDS)
    else:
        end = time.monotonic() + _LOOK_SECONDS
        while time.monotonic() < end:
            pass


def freezable(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Give a method that works as ever or, while its flag is there, does not come back."""
    flag = FLAGS / name

    @wraps(method)
    def frozen(*arguments: Any, **options: Any) -> Any:
        how = flag.read_text() if flag.exists() else ""
        while flag.exists():
            stand_still(how)
        return method(*arguments, **options)

    return frozen


for loop, (kind, method_name) in _LOOPS.items():
    setattr(kind, method_name, freezable(loop, getattr(kind, method_name)))
sys.exit(main(sys.argv[2:]))
