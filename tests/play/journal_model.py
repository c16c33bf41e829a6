"""A small model of a journal beside a real one: what it should hold, and that both agree."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from bgrd.job import Result, State, Version
from bgrd.journal.journal import ALLOWED, Journal, TransitionError

__all__ = ["FOLDER", "IDLE", "WAITING", "JournalModel", "Row"]

FOLDER = "f"
IDLE = {State.READY, State.WAITING, State.RETRY, State.FAILED}
WAITING = {State.RETRY, State.WAITING}


@dataclass(kw_only=True)
class Row:
    """A job as the model has it."""

    id: int
    path: bytes
    version: Version
    state: State
    gone: bool = False
    same_stat: bool = False
    alone: bool = False
    attempts: int = 0
    unclean: int = 0
    due: float = 0.0
    since: float = 0.0
    kind: str = ""
    sha256: str | None = None
    results: tuple[Result, ...] = ()


class JournalModel(RuleBasedStateMachine):
    """A real journal and the model side by side; after each step their jobs and sums must be the same."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.now = 1000.0
        self.rows: list[Row] = []
        self.open()
        self.journal.recover()

    def open(self) -> None:
        self.journal = Journal(self.directory / "journal.db", clock=lambda: self.now)

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.directory)

    def newest(self, path: bytes) -> Row | None:
        return next((row for row in reversed(self.rows) if row.path == path), None)

    def is_known(self, path: bytes, version: Version) -> bool:
        row = self.newest(path)
        return row is not None and not row.gone and row.version == version

    def leave(self, row: Row) -> None:
        row.gone = True
        if row.state in IDLE:
            row.state = State.WITHDRAWN

    def arrive(self, arrivals: list[tuple[bytes, Version]], state: State) -> int:
        before = len(self.rows)
        for path, version in arrivals:
            if self.is_known(path, version):
                continue
            old = self.newest(path)
            same = old is not None and not old.gone and (old.state is State.DONE or old.same_stat)
            same = same and old is not None and old.version.size == version.size
            if old is not None:
                self.leave(old)
            self.rows.append(Row(id=len(self.rows) + 1, path=path, version=version, state=state, same_stat=same))
        return len(self.rows) - before

    def is_over(self, row: Row) -> bool:
        return row.due <= self.now or (row.since > self.now + 1 and row.due < math.inf)

    def step(self, pick: int, state: State, call: Callable[[int], object], *, only: State | None = None) -> Row | None:
        """Try a step on some job; gives its row where the table allows the step, else sees it refused."""
        if not self.rows:
            return None
        row = self.rows[pick % len(self.rows)]
        if state not in ALLOWED[row.state] or only not in {None, row.state}:
            with pytest.raises(TransitionError):
                call(row.id)
            return None
        call(row.id)
        row.state = State.WITHDRAWN if row.gone and state in IDLE else state
        return row

    @invariant()
    def same_jobs(self) -> None:
        jobs = self.journal.jobs(states=list(State), limit=1000)
        names = ("path", "version", "state", "same_stat", "alone", "attempts", "unclean", "kind", "sha256", "results")
        assert {job.id: [getattr(job, name) for name in names] for job in jobs} == {
            row.id: [getattr(row, name) for name in names] for row in self.rows
        }
        assert {job.id: job.due for job in jobs if job.state in WAITING} == {
            row.id: row.due for row in self.rows if row.state in WAITING
        }

    @invariant()
    def same_sums(self) -> None:
        counted = Counter(str(row.state) for row in self.rows)
        assert self.journal.counts() == ({FOLDER: dict(counted)} if counted else {})
        present = [(row.id, row.path) for row in self.rows if not row.gone]
        assert self.journal.present(FOLDER, after_id=0, limit=1000) == present
        assert len({path for _, path in present}) == len(present)
        assert not any(row.gone and row.state in IDLE for row in self.rows)
