"""The journal against a small model of it: whatever is done in whatever order, both agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from bgrd.job import Result, State, Version
from bgrd.journal.journal import ALLOWED, TransitionError
from tests.play.journal_model import FOLDER, WAITING, JournalModel

PATHS = st.sampled_from([b"a", b"b", b"c"])
VERSIONS = st.builds(
    Version,
    size=st.sampled_from([1, 2]),
    mtime_ns=st.just(1),
    ctime_ns=st.sampled_from([1, 2]),
    inode=st.just(1),
)
ARRIVALS = st.lists(st.tuples(PATHS, VERSIONS), max_size=4)
PICK = st.integers(min_value=0, max_value=30)
BUSY = {State.RUNNING, State.COMMITTING, State.COMMITTED}


class JournalStates(JournalModel):
    """Does whatever may come, to a real journal and to the model side by side."""

    # What happens to files

    @rule(arrivals=ARRIVALS)
    def admit(self, arrivals: list[tuple[bytes, Version]]) -> None:
        unknown = [(path, version) for path, version in arrivals if not self.is_known(path, version)]
        assert self.journal.unknown(FOLDER, arrivals) == unknown
        assert self.journal.admit(FOLDER, arrivals) == self.arrive(arrivals, State.READY)

    @rule(arrivals=ARRIVALS)
    def ignore(self, arrivals: list[tuple[bytes, Version]]) -> None:
        assert self.journal.ignore(FOLDER, arrivals) == self.arrive(arrivals, State.WITHDRAWN)

    @rule(path=PATHS)
    def miss(self, path: bytes) -> None:
        there = [row for row in self.rows if row.path == path and not row.gone]
        for row in there:
            self.leave(row)
        assert self.journal.missing(FOLDER, [path]) == len(there)

    @rule(seconds=st.sampled_from([-500.0, -0.25, 0.25, 10.0, 50.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(oldest=st.booleans())
    def claim(self, oldest: bool) -> None:  # noqa: FBT001 - hypothesis passes what it draws by name
        for row in self.rows:
            if row.state in WAITING and self.is_over(row):
                row.state, row.due = State.READY, 0.0
        busy = {row.path for row in self.rows if row.state in BUSY}
        ready = [row for row in self.rows if row.state is State.READY and row.path not in busy]
        job = self.journal.claim(FOLDER, oldest=oldest, now=self.now)
        if not ready:
            assert job is None
            return
        chosen = ready[0] if oldest else ready[-1]
        chosen.state, chosen.sha256 = State.RUNNING, None
        assert job is not None
        assert (job.id, job.state, job.results) == (chosen.id, State.RUNNING, chosen.results)

    @rule()
    def next_due(self) -> None:
        waiting = [row for row in self.rows if row.state in WAITING and row.due < math.inf]
        jumped = any(row.since > self.now + 1 for row in waiting)
        expected = self.now if jumped else min((row.due for row in waiting), default=None)
        assert self.journal.next_due(FOLDER) == expected

    @rule()
    def release(self) -> None:
        released = [row for row in self.rows if row.state is State.WAITING and row.kind == "folder"]
        for row in released:
            row.state, row.due = State.READY, 0.0
        assert self.journal.release(FOLDER) == len(released)

    # Steps, legal or not

    @rule(pick=PICK)
    def hashed(self, pick: int) -> None:
        if not self.rows:
            return
        row = self.rows[pick % len(self.rows)]
        if row.state is not State.RUNNING:
            with pytest.raises(TransitionError):
                self.journal.hashed(row.id, sha256="s", recipe="r")
            return
        self.journal.hashed(row.id, sha256="s", recipe="r")
        row.sha256 = "s"

    @rule(pick=PICK, names=st.lists(st.sampled_from([b"x", b"y"]), max_size=2, unique=True))
    def intend(self, pick: int, names: list[bytes]) -> None:
        results = tuple(Result(target=target, size=1, sha256=str(pick)) for target in names)
        row = self.step(pick, State.COMMITTING, lambda job: self.journal.intend(job, results))
        if row is not None:
            row.results = results

    @rule(pick=PICK)
    def committed(self, pick: int) -> None:
        self.step(pick, State.COMMITTED, self.journal.committed)

    @rule(pick=PICK)
    def done(self, pick: int) -> None:
        row = self.step(pick, State.DONE, lambda job: self.journal.done(job, details={}), only=State.COMMITTED)
        if row is not None:
            row.kind = ""

    @rule(pick=PICK)
    def done_at_once(self, pick: int) -> None:
        if not self.rows:
            return
        row = self.rows[pick % len(self.rows)]
        if row.state not in {State.COMMITTING, State.COMMITTED}:
            with pytest.raises(TransitionError):
                self.journal.done(row.id, details={}, published=True)
            return
        self.journal.done(row.id, details={}, published=True)
        row.state, row.kind = State.DONE, ""

    @rule(pick=PICK, other=PICK)
    def known(self, pick: int, other: int) -> None:
        if not self.rows:
            return
        of = self.rows[other % len(self.rows)]
        if of.state not in {State.COMMITTED, State.DONE}:
            with pytest.raises(TransitionError):
                self.journal.known(self.rows[pick % len(self.rows)].id, of=of.id)
            return
        row = self.step(pick, State.DONE, lambda job: self.journal.known(job, of=of.id), only=State.RUNNING)
        if row is not None:
            row.results, of.results, row.kind, row.sha256 = of.results, (), "", of.sha256

    @rule(pick=PICK)
    def fail(self, pick: int) -> None:
        row = self.step(pick, State.FAILED, lambda job: self.journal.fail(job, kind="input", reason="r", note=None))
        if row is not None:
            row.attempts, row.kind = row.attempts + 1, "input"

    @rule(
        pick=PICK,
        state=st.sampled_from([State.RETRY, State.WAITING]),
        kind=st.sampled_from(["folder", "file"]),
        seconds=st.sampled_from([0.0, 5.0, 30.0, math.inf]),
        charged=st.booleans(),
    )
    def set_aside(self, pick: int, state: State, kind: str, seconds: float, charged: bool) -> None:  # noqa: FBT001 - as above
        method = self.journal.retry if state is State.RETRY else self.journal.wait
        due = self.now + seconds
        row = self.step(pick, state, lambda job: method(job, kind=kind, reason="r", due=due, charged=charged))
        if row is not None:
            row.kind, row.due, row.since, row.attempts = kind, due, self.now, row.attempts + charged

    @rule(pick=PICK)
    def alone(self, pick: int) -> None:
        row = self.step(pick, State.READY, lambda job: self.journal.alone(job, reason="r"))
        if row is not None:
            row.alone, row.due = True, 0.0

    @rule(pick=PICK)
    def requeue(self, pick: int) -> None:
        failed = bool(self.rows) and self.rows[pick % len(self.rows)].state is State.FAILED
        row = self.step(pick, State.READY, self.journal.requeue)
        if row is not None:
            row.due = 0.0
            if failed:
                row.attempts, row.unclean, row.alone = 0, 0, False

    @rule(pick=PICK)
    def withdraw(self, pick: int) -> None:
        row = self.step(pick, State.WITHDRAWN, lambda job: self.journal.withdraw(job, reason="r"))
        if row is not None:
            row.gone = True  # what it intended may lie there in part: its results stay known

    @rule(clean=st.booleans())
    def start_again(self, clean: bool) -> None:  # noqa: FBT001 - as above
        self.journal.close(clean=clean)
        self.open()
        for row in self.rows:
            if row.state is State.RUNNING:
                charged = not clean and row.sha256 is not None
                row.unclean += charged
                row.alone |= row.unclean >= 2
                dead = charged and row.unclean >= 3
                row.state = State.FAILED if dead else State.READY
                row.kind = "crash" if dead else row.kind
                if row.gone:
                    row.state = State.WITHDRAWN
        recovery = self.journal.recover()
        for state, jobs in ((State.COMMITTING, recovery.committing), (State.COMMITTED, recovery.committed)):
            assert {job.id for job in jobs} == {row.id for row in self.rows if row.state is state}

    @rule()
    def interrupted(self) -> None:
        running = [row for row in self.rows if row.state is State.RUNNING]
        for row in running:
            row.state, row.alone = State.WITHDRAWN if row.gone else State.READY, row.alone or row.unclean >= 2
        recovery = self.journal.interrupted(FOLDER)
        assert [job.id for job in recovery.interrupted] == [row.id for row in running]
        assert recovery.requeued == sum(row.state is State.READY for row in running)
        for state, jobs in ((State.COMMITTING, recovery.committing), (State.COMMITTED, recovery.committed)):
            assert [job.id for job in jobs] == [row.id for row in self.rows if row.state is state]

    @rule()
    def withdraw_folder(self) -> None:
        count = 0
        for row in self.rows:
            if row.state is State.COMMITTED:
                row.state = State.DONE
            elif row.state not in {State.DONE, State.FAILED, State.WITHDRAWN}:
                row.state, row.gone, count = State.WITHDRAWN, True, count + 1
        assert self.journal.withdraw_folder(FOLDER) == count


TestJournalStates = JournalStates.TestCase
TestJournalStates.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_table_is_complete() -> None:
    """Every state has its row; the two good ends have no way out."""
    assert set(ALLOWED) == set(State)
    assert {state for state, after in ALLOWED.items() if not after} == {State.DONE, State.WITHDRAWN}
