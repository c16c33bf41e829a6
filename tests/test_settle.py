"""Files come to rest: bgrd.intake.settle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bgrd.intake.settle import Facts, Lease, Settling, quiet_seconds

FREE = Facts(dev=1, inode=2, size=3, mtime_ns=4, ctime_ns=5, regular=True, lease="free", marked=True)
UNMARKED = replace(FREE, marked=False)
UNKNOWN = replace(FREE, lease="unknown")
WRITING = replace(FREE, lease="writing")
A = b"a.jpg"


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [(FREE, 0.0), (UNMARKED, 0.3), (UNKNOWN, 3.0), (replace(UNKNOWN, network=True), 10.0)],
)
def test_quiet_time_follows_from_what_can_be_known(facts: Facts, seconds: float) -> None:
    """The less the lease can tell, the longer a file has to rest; a folder's setting goes before that."""
    assert quiet_seconds(facts, setting=None) == seconds
    assert quiet_seconds(facts, setting=7.5) == 7.5


def test_a_marked_file_nobody_writes_is_ripe_at_once() -> None:
    """No waiting where the lease is free and the format has an end marker; and it is handed over once."""
    settling = Settling()
    assert settling.observe(A, FREE, 0.0)
    assert settling.ripe(0.0) == [(A, FREE.version)]
    assert settling.ripe(0.0) == []
    assert settling.next_at() is None


def test_a_quiet_file_is_looked_at_again_before_it_is_ripe() -> None:
    """Time alone does not ripen: a second look has to find the same."""
    settling = Settling()
    settling.observe(A, UNMARKED, 0.0)
    assert settling.next_at() == 0.3
    assert settling.ripe(99.0) == []
    assert settling.due(0.29) == []
    assert settling.due(0.3) == [A]
    assert settling.due(0.3) == []
    settling.observe(A, UNMARKED, 0.3)
    assert settling.ripe(0.3) == [(A, UNMARKED.version)]


@pytest.mark.parametrize(
    "changed",
    [
        replace(UNKNOWN, dev=-1),
        replace(UNKNOWN, inode=-1),
        replace(UNKNOWN, size=1),
        replace(UNKNOWN, mtime_ns=-1),
        replace(UNKNOWN, ctime_ns=-1),
    ],
)
def test_any_change_begins_the_quiet_time_anew(changed: Facts) -> None:
    """Each of the five facts alone proves that the file changed, going back in time included."""
    settling = Settling()
    settling.observe(A, UNKNOWN, 0.0)
    settling.observe(A, changed, 2.9)
    settling.observe(A, changed, 3.0)
    assert settling.ripe(3.0) == []
    settling.observe(A, changed, 5.9)
    assert settling.ripe(5.9) == [(A, changed.version)]


def test_a_file_being_written_is_asked_after_with_growing_pauses() -> None:
    """It never ripens, is shown as being written, and is looked at rarer and rarer, but always again."""
    settling, now, pauses = Settling(), 0.0, []
    for _ in range(8):
        settling.observe(A, WRITING, now)
        assert settling.ripe(now) == []
        assert settling.writing() == [A]
        at = settling.next_at()
        assert at is not None
        pauses.append(at - now)
        now = at
        assert settling.due(now) == [A]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    settling.observe(A, UNMARKED, now)
    assert settling.writing() == []
    assert settling.next_at() == now + 0.3


def test_long_quiet_times_are_broken_by_looks() -> None:
    """A change is noticed at the pace that was asked for, not only when the quiet time is over."""
    settling = Settling(setting=60.0, look_seconds=5.0)
    settling.observe(A, FREE, 0.0)
    assert settling.next_at() == 5.0
    settling.observe(A, FREE, 58.0)
    assert settling.next_at() == 60.0


def test_what_is_not_a_regular_file_is_forgotten() -> None:
    """A pipe or link that took the file's place ends its settling."""
    settling = Settling()
    settling.observe(A, UNMARKED, 0.0)
    assert settling.observe(A, replace(UNMARKED, regular=False), 0.1)
    assert A not in settling
    assert settling.next_at() is None


def test_a_change_takes_back_what_was_ripe() -> None:
    """A file that is ripe but not fetched does not go out in an older version than the last look found."""
    settling = Settling()
    settling.observe(A, FREE, 0.0)
    settling.observe(A, WRITING, 0.1)
    assert settling.ripe(0.1) == []
    settling.observe(A, FREE, 0.2)
    settling.forget(A)
    assert settling.ripe(0.2) == []


def test_it_is_bounded_and_gives_up_writers_first() -> None:
    """When full it refuses, unless a file that is being written can be left for a walk to find."""
    settling = Settling(limit=2)
    assert settling.observe(b"w", WRITING, 0.0)
    assert settling.observe(b"a", UNKNOWN, 0.0)
    assert settling.observe(b"b", UNKNOWN, 0.0)
    assert b"w" not in settling
    assert not settling.observe(b"c", UNKNOWN, 0.0)
    assert settling.observe(b"a", UNKNOWN, 1.0)
    assert len(settling) == 2


def test_many_looks_at_one_file_leave_nothing_behind() -> None:
    """A file that changes all the time costs no growing memory."""
    settling = Settling(limit=4)
    for turn in range(1000):
        settling.observe(A, replace(UNKNOWN, size=turn), float(turn) / 1000)
    assert len(settling._looks) <= 2 * 4 + 65
    assert settling.due(1e9) == [A]


def test_clear_forgets_everything() -> None:
    """After it nothing is due, ripe or being written."""
    settling = Settling()
    for number, facts in enumerate((FREE, UNKNOWN, WRITING)):
        settling.observe(bytes([number]), facts, 0.0)
    settling.clear()
    assert (settling.ripe(9.0), settling.due(9.0), settling.writing(), len(settling)) == ([], [], [], 0)


class Life(RuleBasedStateMachine):
    """One file that changes, is opened, closed and looked at, at any times."""

    @initialize(setting=st.sampled_from([None, 0.0, 1.0]), marked=st.booleans(), network=st.booleans())
    def begin(self, setting: float | None, marked: bool, network: bool) -> None:  # noqa: FBT001 - hypothesis names them
        self.settling = Settling(setting=setting, look_seconds=5.0, limit=1)
        self.setting = setting
        self.facts = replace(FREE, marked=marked, network=network)
        self.now = 0.0
        self.disturbed_at = 0.0
        self.looked: Facts | None = None
        self.ripe: list[tuple[float, Facts]] = []

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def change(self) -> None:
        self.facts = replace(self.facts, ctime_ns=self.facts.ctime_ns + 1)

    @rule(lease=st.sampled_from(["free", "writing", "unknown"]))
    def open_or_close(self, lease: Lease) -> None:
        self.facts = replace(self.facts, lease=lease)

    @rule()
    def look(self) -> None:
        new = self.looked is None or self.looked.stamp != self.facts.stamp or "writing" in self._leases()
        if new:
            self.disturbed_at = self.now
        self.settling.observe(A, self.facts, self.now)
        self.looked = self.facts
        for path, version in self.settling.ripe(self.now):
            assert (path, version) == (A, self.facts.version)
            assert self.facts.lease != "writing"
            assert self.now >= self.disturbed_at + quiet_seconds(self.facts, setting=self.setting)
            self.looked = None

    def _leases(self) -> set[str]:
        return {self.facts.lease} | ({self.looked.lease} if self.looked else set())

    @rule()
    def look_when_due_until_ripe(self) -> None:
        """However it was treated before, a file at rest ripens within its quiet time and one longest pause."""
        if self.facts.lease == "writing":
            self.facts = replace(self.facts, lease="free")
        self.look()
        deadline = self.now + quiet_seconds(self.facts, setting=self.setting)
        while self.looked is not None:
            at = self.settling.next_at()
            assert at is not None
            assert at <= deadline
            self.now = max(self.now, at)
            assert self.settling.due(self.now) == [A]
            self.look()

    @invariant()
    def is_never_lost(self) -> None:
        assert (A in self.settling) == (self.looked is not None)
        if self.looked is not None:
            assert self.settling.next_at() is not None


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
