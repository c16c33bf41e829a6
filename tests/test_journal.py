"""The journal's methods one by one; the transitions as a whole are in test_journal_states."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bgrd.job import State, Version
from bgrd.journal.journal import Journal
from tests.houses.journals import CHMOD, SHA, START, V1, V2, Clock, claimed, finish, only, result


class TestArrivals:
    def test_known_and_unknown(self, journal: Journal) -> None:
        """Only a version without a row is unknown; folders do not share theirs."""
        seen = [(b"a", V1), (b"a", V2), (b"b", V1)]
        assert journal.unknown("f", seen) == seen
        assert journal.admit("f", [(b"a", V1)]) == 1
        assert journal.unknown("f", seen) == seen[1:]
        assert journal.unknown("g", seen) == seen

    def test_admit_is_idempotent(self, journal: Journal) -> None:
        """Admitting again what is known adds nothing, within one call too."""
        assert journal.admit("f", [(b"a", V1), (b"a", V1)]) == 1
        assert journal.admit("f", [(b"a", V1)]) == 0
        assert journal.counts() == {"f": {"ready": 1}}

    def test_any_name_and_number(self, journal: Journal) -> None:
        """Names of any bytes and numbers past 63 bits come back as they were."""
        odd = Version(size=2**62, mtime_ns=-(2**70), ctime_ns=2**70, inode=2**64 - 1)
        path = b"d/\xff\xfe\n ' \xf0\x9f\x98\x80"
        job = claimed(journal, path, odd)
        assert journal.unknown("f", [(path, odd)]) == []
        finish(journal, job, result(b"\xff.png"))
        assert journal.target_owner("f", b"\xff.png") == (path, SHA)

    @pytest.mark.parametrize("state", ["ready", "waiting", "retry", "failed"])
    def test_replaced(self, journal: Journal, state: str) -> None:
        """A new version withdraws an older one that nobody works on."""
        job = claimed(journal)
        {
            "ready": lambda: journal.requeue(job.id),
            "waiting": lambda: journal.wait(job.id, kind="file", reason="r", due=None),
            "retry": lambda: journal.retry(job.id, kind="unknown", reason="r", due=START, charged=True),
            "failed": lambda: journal.fail(job.id, kind="input", reason="r", note=None),
        }[state]()
        assert journal.admit("f", [(b"a.jpg", V2)]) == 1
        old = only(journal, State.WITHDRAWN)
        assert (old.id, old.reason) == (job.id, "replaced")
        assert only(journal, State.READY).version == V2

    def test_replaced_while_running(self, journal: Journal) -> None:
        """A new version of a file that is worked on waits for its turn; the old one does not come back."""
        job = claimed(journal)
        journal.admit("f", [(b"a.jpg", V2)])
        assert journal.claim("f", oldest=True, now=START) is None
        journal.requeue(job.id)
        assert only(journal, State.WITHDRAWN).id == job.id
        claimed_now = journal.claim("f", oldest=True, now=START)
        assert claimed_now is not None
        assert claimed_now.version == V2

    def test_same_stat(self, journal: Journal) -> None:
        """Where only ctime or inode differ from a finished version the new row says so, and hands it on."""
        finish(journal, claimed(journal))
        journal.admit("f", [(b"a.jpg", CHMOD)])
        assert only(journal, State.READY).same_stat
        journal.admit("f", [(b"a.jpg", replace(CHMOD, inode=41))])
        assert only(journal, State.READY).same_stat
        journal.admit("f", [(b"a.jpg", V2)])
        assert not only(journal, State.READY).same_stat

    def test_not_same_stat(self, journal: Journal) -> None:
        """A version that was missed in between, or never finished, is worked on anew."""
        finish(journal, claimed(journal))
        journal.missing("f", [b"a.jpg"])
        assert not claimed(journal, b"a.jpg", CHMOD).same_stat
        journal.admit("f", [(b"b.jpg", V1)])
        journal.admit("f", [(b"b.jpg", CHMOD)])
        assert not only(journal, State.READY).same_stat

    def test_ignored_backlog(self, journal: Journal) -> None:
        """What is ignored is known and never worked on, until it changes."""
        assert journal.ignore("f", [(b"a.jpg", V1)]) == 1
        assert journal.unknown("f", [(b"a.jpg", V1)]) == []
        assert journal.claim("f", oldest=True, now=START) is None
        assert only(journal).reason == "backlog ignored"
        assert claimed(journal, b"a.jpg", V2).version == V2


class TestPresence:
    def test_present_in_portions(self, journal: Journal) -> None:
        """The reverse check gets each present path once, portion by portion."""
        journal.admit("f", [(b"%d" % n, V1) for n in range(5)])
        journal.admit("f", [(b"2", V2)])
        journal.missing("f", [b"1"])
        first = journal.present("f", after_id=0, limit=2)
        rest = journal.present("f", after_id=first[-1][0], limit=9)
        assert [path for _, path in first + rest] == [b"0", b"3", b"4", b"2"]

    def test_missing(self, journal: Journal) -> None:
        """A source that is gone withdraws what nobody works on; what is done or worked on goes on."""
        finish(journal, claimed(journal, b"done"))
        running = claimed(journal, b"running")
        journal.admit("f", [(b"ready", V1)])
        assert journal.missing("f", [b"done", b"running", b"ready", b"never"]) == 3
        assert journal.missing("f", [b"done", b"running", b"ready"]) == 0
        assert journal.counts() == {"f": {"done": 1, "running": 1, "withdrawn": 1}}
        assert only(journal, State.WITHDRAWN).reason == "source gone"
        journal.fail(running.id, kind="input", reason="r", note=b"n")
        assert journal.counts() == {"f": {"done": 1, "withdrawn": 2}}
        assert journal.stale_notes("f") == [b"running"]

    def test_back_again(self, journal: Journal) -> None:
        """A version that was missed, or withdrawn by its worker, is new when it is there again."""
        finish(journal, claimed(journal))
        journal.missing("f", [b"a.jpg"])
        job = claimed(journal)
        journal.withdraw(job.id, reason="changed")
        assert claimed(journal).id > job.id


class TestTurns:
    def test_order(self, journal: Journal) -> None:
        """Claims take the newest or the oldest job; no job is given twice."""
        journal.admit("f", [(b"%d" % n, V1) for n in range(4)])
        taken = [journal.claim("f", oldest=oldest, now=START) for oldest in (False, True, False, True, True)]
        assert [job and job.path for job in taken] == [b"3", b"0", b"2", b"1", None]
        assert journal.claim("g", oldest=True, now=START) is None

    @pytest.mark.parametrize("state", [State.RETRY, State.WAITING])
    def test_due(self, journal: Journal, state: State) -> None:
        """A job that waits is claimed when it is due, not before, with its charge kept."""
        job = claimed(journal)
        if state is State.RETRY:
            journal.retry(job.id, kind="unknown", reason="r", due=START + 30, charged=True)
        else:
            journal.wait(job.id, kind="file", reason="r", due=START + 30, charged=True)
        assert only(journal, state).due == START + 30
        assert journal.next_due("f") == START + 30
        assert journal.claim("f", oldest=True, now=START + 29) is None
        again = journal.claim("f", oldest=True, now=START + 30)
        assert again is not None
        assert (again.attempts, again.due, again.reason) == (1, 0.0, "r")
        assert journal.next_due("f") is None

    def test_clock_that_jumps_back(self, journal: Journal, clock: Clock) -> None:
        """A wait of which more is left than it ever had is over."""
        job = claimed(journal)
        journal.wait(job.id, kind="file", reason="r", due=START + 30)
        clock.now = START - 3600
        assert journal.next_due("f") == clock.now
        assert journal.claim("f", oldest=True, now=clock.now) is not None

    def test_clock_that_trembles(self, journal: Journal, clock: Clock) -> None:
        """A step back of less than a second ends no wait: rounding must not make a job spin."""
        job = claimed(journal)
        journal.wait(job.id, kind="file", reason="r", due=START + 0.1 + 0.2)
        clock.now = START - 0.5
        assert journal.claim("f", oldest=True, now=clock.now) is None
        assert journal.next_due("f") == START + 0.1 + 0.2

    @pytest.mark.parametrize("due", [None, math.inf])
    @pytest.mark.parametrize("kind", ["folder", "unavailable", "model", "ground", "file"])
    def test_release(self, journal: Journal, kind: str, due: float | None) -> None:
        """A wait without an end ends by release, if it was the folder's; nothing is charged."""
        job = claimed(journal)
        journal.wait(job.id, kind=kind, reason="r", due=due)
        assert only(journal, State.WAITING).due == math.inf
        assert journal.next_due("f") is None
        assert journal.claim("f", oldest=True, now=START * 2) is None
        assert journal.release("g") == 0
        assert journal.release("f") == (kind != "file")
        assert journal.ready_count("f") == (kind != "file")
        assert only(journal).attempts == 0

    def test_alone(self, journal: Journal) -> None:
        """A job sent back to run alone says so when it is claimed again."""
        job = claimed(journal)
        journal.alone(job.id, reason="memory")
        again = journal.claim("f", oldest=True, now=START)
        assert again is not None
        assert (again.id, again.alone, again.reason, again.attempts) == (job.id, True, "memory", 0)

    def test_failed_and_asked_for_again(self, journal: Journal) -> None:
        """A failed job tells why, counts the try, and has all its tries when it is sent back."""
        job = claimed(journal)
        journal.fail(job.id, kind="crash", reason="the lane died", note=None)
        failed = only(journal, State.FAILED)
        assert (failed.kind, failed.reason, failed.attempts) == ("crash", "the lane died", 1)
        journal.requeue(job.id)
        assert only(journal, State.READY).attempts == 0

    def test_reason_with_a_raw_name(self, journal: Journal) -> None:
        """A sentence may carry a name that is no UTF-8; it is escaped."""
        job = claimed(journal)
        journal.wait(job.id, kind="file", reason="\udcff is gone", due=None)
        assert only(journal).reason == "\\udcff is gone"

    def test_withdraw_folder(self, journal: Journal) -> None:
        """A folder that is no longer ours has no open job left, what is done stays known, its facts are forgotten."""
        finish(journal, claimed(journal, b"done"))
        committed = claimed(journal, b"committed")
        journal.intend(committed.id, [result(b"c.png")])
        journal.committed(committed.id)
        claimed(journal, b"running")
        journal.admit("f", [(b"ready", V1)])
        journal.admit("g", [(b"other", V1)])
        journal.set_flag("f", "walked")
        journal.set_mount("g", "inbox", "m")
        assert journal.withdraw_folder("f") == 2
        assert journal.counts() == {"f": {"done": 2, "withdrawn": 2}, "g": {"ready": 1}}
        assert (journal.flag("f", "walked"), journal.mount("g", "inbox")) == (False, "m")
        paths = [(path, V1) for path in (b"done", b"committed", b"running", b"ready")]
        assert journal.unknown("f", paths) == paths[2:]
