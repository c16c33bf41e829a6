"""bgrd whose lanes misbehave where a picture or a model says so: `python poisoned.py run`.

A picture says it in its comment (`poison(word)`): `crash`, `abort`, `exit`, `hang`, `stuck`, `bloat` (memory of its
own), `map` (memory that no limit of the process covers), `leak` (keeps some for ever, and is well). A model says it in
its name: `crashing` ends its lane at the trial run, `spoiling` fails on every picture, after its trial.
POISONED_START_SECONDS is how long a lane may take to load a model.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["LEAK_BYTES", "poison"]

LEAK_BYTES = 60 * 2**20
_MARK = b"POISON "
_STEP_BYTES = 2**24
_kept: list[bytes] = []
_shared: list[mmap.mmap] = []


def poison(word: str) -> bytes:
    """Give the comment that makes a lane do this."""
    return _MARK + word.encode() + b" "


def _hang() -> None:
    while True:
        pass


def _bloat() -> None:
    while True:
        _kept.append(b"x" * _STEP_BYTES)


def _map() -> None:
    while True:
        shared = mmap.mmap(-1, _STEP_BYTES)
        shared.write(b"x" * _STEP_BYTES)
        _shared.append(shared)
        time.sleep(0.002)


DEEDS: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"abort": os.abort,
    b"exit": lambda: os._exit(0),
    b"hang": _hang,
    b"stuck": lambda: time.sleep(3600),
    b"bloat": _bloat,
    b"map": _map,
    b"leak": lambda: _kept.append(b"x" * LEAK_BYTES),
}


def lane(arguments: list[str]) -> int:
    """Be a lane that does so."""
    from bgrd.engine import lane as real  # noqa: PLC0415 - the parent loads none of it
    from bgrd.errors import ModelFault  # noqa: PLC0415
    from bgrd.models.session import Session  # noqa: PLC0415

    begin, trial, run = vars(real)["begin"], Session.trial, Session.run

    def poisoned_begin(data: bytes, **options: Any) -> Any:
        if _MARK in data:
            DEEDS[data.partition(_MARK)[2].split(b" ", 1)[0]]()
        return begin(data, **options)

    def poisoned_trial(session: Session) -> None:
        if session._name == "crashing":
            os.abort()
        trial(session)
        Session.run = poisoned_run  # type: ignore[method-assign, assignment]

    def poisoned_run(session: Session, tensor: Any) -> Any:
        if session._name == "spoiling":
            text = "Model spoiling failed to run."
            raise ModelFault(text)
        return run(session, tensor)

    vars(real)["begin"] = poisoned_begin
    Session.trial = poisoned_trial  # type: ignore[method-assign, assignment]
    return real.main(arguments)


def daemon(arguments: list[str]) -> int:
    """Be a daemon that starts such lanes."""
    from bgrd.cli.main import main  # noqa: PLC0415 - a lane loads none of it
    from bgrd.engine import slot  # noqa: PLC0415 - a lane loads none of it
    from bgrd.engine.process import start_lane  # noqa: PLC0415

    if seconds := os.environ.get("POISONED_START_SECONDS"):
        vars(slot)["_START_SECONDS"] = float(seconds)
    here = str(Path(__file__).resolve())
    start_lane.__defaults__ = ((here, "--lane"),)
    return main(arguments)


if __name__ == "__main__":
    sys.exit(lane(sys.argv[2:]) if sys.argv[1] == "--lane" else daemon(sys.argv[1:]))
