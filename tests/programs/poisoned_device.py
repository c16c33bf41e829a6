"""The process of a shared model, which misbehaves at what a picture of one colour becomes.

White ends it (SIGSEGV), black makes it hang, grey of 51 takes memory without end, grey of 102 fails with a fault.
PYTHON_GATE names a file without which no picture is worked on, so that several wait; PYTHON_RUNS one that gets a line
for each run with the number of its pictures. With PYTHON_LOAD=crash, hang or fail the model misbehaves when it is
loaded. The environment of such a process has variables of Python's family.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bgrd.engine import device
from bgrd.errors import ModelFault
from bgrd.models.session import Session

GATE = Path(os.environ.get("PYTHON_GATE", "/"))
RUNS = os.environ.get("PYTHON_RUNS")
run_bound, trial = Session.run_bound, Session.trial


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(3600)  # another thread may be the one that is ended first


def _bloat() -> None:
    kept = []
    while True:
        kept.append(b"x" * 2**24)
        time.sleep(0.005)


def poisoned_run(session: Session, tensor: Any) -> Any:
    """Run, unless one of the pictures says otherwise."""
    colours = {round(float(each.min()) * 255) for each in tensor if each.max() - each.min() < 0.001}
    if RUNS:
        with Path(RUNS).open("a") as file:
            file.write(f"{len(tensor)}\n")
    while not GATE.exists():
        time.sleep(0.01)
    if 255 in colours:
        _crash()
    if 0 in colours:
        time.sleep(3600)
    if 51 in colours:
        _bloat()
    if 102 in colours:
        text = "the model does not like it"
        raise ModelFault(text)
    return run_bound(session, tensor)


def poisoned_several(session: Session, most: int) -> tuple[int, str]:
    """Take the word for it: the gate is for pictures."""
    del session
    return most, ""


def poisoned_trial(session: Session) -> None:
    """Try the model, unless that is to go wrong."""
    match os.environ.get("PYTHON_LOAD"):
        case "crash":
            _crash()
        case "hang":
            time.sleep(3600)
        case "fail":
            text = "it is broken"
            raise ModelFault(text)
    trial(session)


if __name__ == "__main__":
    Session.run_bound = poisoned_run  # type: ignore[method-assign, assignment]
    Session.trial = poisoned_trial  # type: ignore[method-assign, assignment]
    vars(device)["several"] = poisoned_several
    # What it opens is for the tests, not for the cage.
    vars(device)["enter_loosely"] = lambda **_options: None
    sys.exit(device.main(sys.argv[1:]))
