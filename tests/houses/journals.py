"""A journal with a clock set by hand, and the steps of a job's life."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from bgrd.job import Job, Result, State, Version
from bgrd.journal.journal import Journal

__all__ = [
    "CHMOD",
    "RESULT",
    "SHA",
    "START",
    "V1",
    "V2",
    "VERSION",
    "Clock",
    "begun",
    "claimed",
    "finish",
    "only",
    "opened",
    "result",
]

START = 1_700_000_000.0
V1 = Version(size=10, mtime_ns=20, ctime_ns=30, inode=40)
V2 = replace(V1, size=11)
CHMOD = replace(V1, ctime_ns=31)
SHA = "ab" * 32


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def claimed(journal: Journal, path: bytes = b"a.jpg", version: Version = V1) -> Job:
    """Admit a version and claim it."""
    assert journal.admit("f", [(path, version)]) == 1
    job = journal.claim("f", oldest=False, now=START)
    assert job is not None
    assert (job.path, job.version, job.state) == (path, version, State.RUNNING)
    return job


def result(target: bytes = b"a.png", sha256: str = SHA) -> Result:
    """Give a result."""
    return Result(target=target, size=5, sha256=sha256)


def finish(journal: Journal, job: Job, *results: Result, sha256: str = SHA) -> None:
    """Bring a running job to its good end."""
    journal.hashed(job.id, sha256=sha256, recipe="r")
    journal.intend(job.id, results or [result()])
    journal.committed(job.id)
    journal.done(job.id, details={"width": 3})


def only(journal: Journal, *states: State) -> Job:
    """Give the one job in these states."""
    (job,) = journal.jobs(states=states or tuple(State), limit=10)
    return job


VERSION = V1
RESULT = Result(target=b"a.png", size=5, sha256=SHA)


def opened(path: Path) -> contextlib.closing[Journal]:
    """Open a journal that ends uncleanly."""
    return contextlib.closing(Journal(path, clock=lambda: 1000.0))


def begun(journal: Journal, path: bytes = b"a.jpg") -> Job:
    """Admit a version and claim it."""
    journal.admit("f", [(path, VERSION)])
    job = journal.claim("f", oldest=False, now=1000.0)
    assert job is not None
    return job
