"""What the journal records of results, and what it forgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.job import Origin, State
from bgrd.journal.journal import Journal, TransitionError
from tests.houses.journals import CHMOD, SHA, START, V1, V2, Clock, claimed, finish, only, result


class TestResults:
    def test_done(self, journal: Journal) -> None:
        """A finished job has its results, hash and recipe on record."""
        job = claimed(journal)
        journal.retry(job.id, kind="unknown", reason="r", due=START, charged=True)
        journal.claim("f", oldest=True, now=START)
        finish(journal, job, result(b"a.png"), result(b"a.mask.png"))
        done = only(journal)
        assert (done.state, done.sha256, done.recipe, done.reason) == (State.DONE, SHA, "r", "")
        assert done.results == (result(b"a.png"), result(b"a.mask.png"))

    def test_intend_again(self, journal: Journal) -> None:
        """The last intent counts."""
        job = claimed(journal)
        journal.intend(job.id, [result(b"a.png"), result(b"b.png")])
        journal.intend(job.id, [result(b"c.png")])
        assert only(journal, State.COMMITTING).results == (result(b"c.png"),)
        assert journal.target_owner("f", b"a.png") is None

    def test_committed_again(self, journal: Journal) -> None:
        """Finishing an interrupted job may record the commit twice."""
        job = claimed(journal)
        journal.intend(job.id, [result()])
        journal.committed(job.id)
        journal.committed(job.id)
        assert only(journal).state is State.COMMITTED

    def test_details_of_any_type(self, journal: Journal) -> None:
        """A detail that JSON has no type for does not cost the job."""
        job = claimed(journal)
        journal.intend(job.id, [])
        journal.committed(job.id)
        journal.done(job.id, details={"path": Path("x"), "name": "\udcff"})
        assert only(journal).state is State.DONE

    def test_owner_is_the_published_one(self, journal: Journal) -> None:
        """An interrupted intent does not hide the result that lies at the target; a finished one takes its place."""
        finish(journal, claimed(journal))
        job = claimed(journal, b"a.jpg", V2)
        journal.intend(job.id, [result(b"a.png", "cd" * 32)])
        journal.requeue(job.id)
        assert journal.target_owner("f", b"a.png") == (b"a.jpg", SHA)
        assert journal.target_owner("g", b"a.png") is None
        journal.claim("f", oldest=True, now=START)
        finish(journal, job, result(b"a.png", "cd" * 32))
        assert journal.target_owner("f", b"a.png") == (b"a.jpg", "cd" * 32)

    def test_origin_of_a_published_result(self, journal: Journal) -> None:
        """A result's source is told by path and hash of what was published last, not of what was only intended."""
        assert journal.origin("f", b"a.png") is None
        finish(journal, claimed(journal), result(b"a.png", "ab" * 32), sha256="01" * 32)
        job = claimed(journal, b"a.jpg", V2)
        journal.intend(job.id, [result(b"a.png", "cd" * 32)])
        assert journal.origin("f", b"a.png") == Origin(path=b"a.jpg", source_sha256="01" * 32, sha256="ab" * 32)
        journal.requeue(job.id)
        journal.claim("f", oldest=True, now=START)
        finish(journal, job, result(b"a.png", "cd" * 32), sha256="02" * 32)
        assert journal.origin("f", b"a.png") == Origin(path=b"a.jpg", source_sha256="02" * 32, sha256="cd" * 32)
        assert journal.origin("g", b"a.png") is None

    def test_withdrawn_intent(self, journal: Journal) -> None:
        """A withdrawn job keeps no name from others; what it may have published in part is known to be its path's."""
        job = claimed(journal)
        journal.intend(job.id, [result()])
        journal.withdraw(job.id, reason="changed")
        assert journal.target_owner("f", b"a.png") is None
        assert journal.written("f", b"a.jpg", b"a.png") == {SHA}
        assert journal.written("f", b"b.jpg", b"a.png") == frozenset()

    def test_past(self, journal: Journal) -> None:
        """Who notes a hash hears of the path's own earlier jobs of the same bytes with published results, newest first.

        Not of those of other bytes, of another path, of none published, nor of itself.
        """
        first = claimed(journal)
        finish(journal, first)
        second = claimed(journal, b"a.jpg", V2)
        finish(journal, second)
        finish(journal, claimed(journal, b"other.jpg"), result(b"o.png"))
        third = claimed(journal, b"a.jpg", CHMOD)
        assert journal.hashed(third.id, sha256="ef" * 32, recipe="r").alike == ()
        journal.intend(third.id, [result()])
        journal.requeue(third.id)
        assert journal.claim("f", oldest=False, now=START) is not None
        alike = journal.hashed(third.id, sha256=SHA, recipe="r").alike
        assert [(job.id, job.results) for job in alike] == [(second.id, (result(),)), (first.id, (result(),))]

    def test_past_note(self, journal: Journal) -> None:
        """Who notes a hash hears of the path's failure note, whichever job has it, until it is cleared."""
        failed = claimed(journal)
        journal.fail(failed.id, kind="input", reason="r", note=b"a.jpg.txt")
        job = claimed(journal, b"a.jpg", V2)
        assert journal.hashed(job.id, sha256=SHA, recipe="r").note == b"a.jpg.txt"
        journal.clear_note("f", b"a.jpg")
        assert journal.hashed(job.id, sha256=SHA, recipe="r").note is None

    def test_taken_names(self, journal: Journal) -> None:
        """Where a target is another path's nothing is recorded, and which is told; one's own is free to be taken again.

        A name that belongs to a withdrawn job, or to another folder's, is nobody's.
        """
        finish(journal, claimed(journal), result(b"a.png"), result(b"a.mask.png"))
        job = claimed(journal, b"a.webp")
        wanted = [result(b"a.png"), result(b"b.png"), result(b"a.mask.png")]
        assert journal.intend(job.id, wanted, unless_taken=True) == {b"a.png", b"a.mask.png"}
        (left,) = journal.jobs(states=[State.RUNNING], limit=9)
        assert (left.id, left.results) == (job.id, ())
        assert journal.intend(job.id, [result(b"b.png")], unless_taken=True) == frozenset()
        assert only(journal, State.COMMITTING).results == (result(b"b.png"),)
        journal.withdraw(job.id, reason="changed")
        again = claimed(journal, b"a.jpg", V2)
        assert journal.intend(again.id, [result(b"a.png"), result(b"b.png")], unless_taken=True) == frozenset()

    def test_done_at_once(self, journal: Journal) -> None:
        """A job whose results are published is committed and done by one write; no other is done by it."""
        job = claimed(journal)
        with pytest.raises(TransitionError):
            journal.done(job.id, details={}, published=True)
        assert only(journal).state is State.RUNNING
        journal.intend(job.id, [result()])
        with pytest.raises(TransitionError):
            journal.done(job.id, details={})
        assert only(journal).state is State.COMMITTING
        journal.done(job.id, details={"width": 3}, published=True)
        assert (only(journal).state, only(journal).results) == (State.DONE, (result(),))

    def test_known(self, journal: Journal) -> None:
        """Equal bytes take over what is on record; the old row stays as history without it."""
        first = claimed(journal)
        finish(journal, first)
        job = claimed(journal, b"a.jpg", CHMOD)
        journal.hashed(job.id, sha256=SHA, recipe="another")
        journal.known(job.id, of=first.id)
        new, old = journal.jobs(states=[State.DONE], limit=9)
        assert (new.id, new.results, new.recipe, new.sha256) == (job.id, (result(),), "r", SHA)
        assert (old.id, old.results) == (first.id, ())

    def test_known_of_nothing(self, journal: Journal) -> None:
        """A row without published results cannot be taken over."""
        job = claimed(journal)
        for of in (job.id, 99):
            with pytest.raises(TransitionError):
                journal.known(job.id, of=of)
        assert only(journal).state is State.RUNNING

    def test_prune(self, journal: Journal, clock: Clock) -> None:
        """Old rows are forgotten once their source is gone or replaced, unless they tell our files from others."""
        finish(journal, claimed(journal, b"present"), result(b"p.png"))
        finish(journal, claimed(journal, b"gone"), result(b"g.png"))
        journal.missing("f", [b"gone"])
        kept = claimed(journal, b"edited")
        finish(journal, kept, result(b"e.png"))
        finish(journal, claimed(journal, b"edited", V2), result(b"e-2.png"))
        finish(journal, claimed(journal, b"updated"), result(b"u.png"))
        finish(journal, claimed(journal, b"updated", V2), result(b"u.png", "cd" * 32))
        journal.fail(claimed(journal, b"failed").id, kind="input", reason="r", note=None)
        assert not journal.prune_step(clock.now)
        assert len(journal.jobs(states=list(State), limit=99)) == 7
        assert not journal.prune_step(clock.now + 1)
        left = [(job.path, job.version) for job in journal.jobs(states=list(State), limit=99)]
        assert sorted(left, key=repr) == sorted(
            [(b"present", V1), (b"edited", V1), (b"edited", V2), (b"updated", V2), (b"failed", V1)], key=repr
        )
        assert journal.counts() == {"f": {"done": 4, "failed": 1}}
        assert journal.target_owner("f", b"g.png") is None
        assert claimed(journal, b"new").id > kept.id

    def test_prune_in_steps(self, journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each step does a bounded number of rows and says whether there is more; then it begins anew."""
        monkeypatch.setattr("bgrd.journal.journal._PRUNED_AT_ONCE", 2)
        for name in (b"a", b"b", b"c", b"d", b"e"):
            finish(journal, claimed(journal, name), result(name))
        journal.missing("f", [b"a", b"b", b"c", b"e"])
        left = []
        while journal.prune_step(clock.now + 1):
            left.append(journal.counts()["f"]["done"])
        assert left == [3, 2]
        assert journal.counts() == {"f": {"done": 1}}
        journal.missing("f", [b"d"])
        assert not journal.prune_step(clock.now + 1)
        assert journal.counts() == {}

    def test_ids_never_come_back(self, journal: Journal, clock: Clock) -> None:
        """The id of a forgotten job is not given again: hidden files are named by it."""
        finish(journal, claimed(journal), result())
        journal.missing("f", [b"a.jpg"])
        journal.prune_step(clock.now + 1)
        assert journal.counts() == {}
        assert claimed(journal).id == 2
