"""A folder's committer at work, on its own thread, with a real journal and real folders; the test plays the lane."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bgrd.engine.events import Broken, Closed, Judged
from bgrd.errors import (
    CrashFault,
)
from tests.houses.inboxes import until
from tests.houses.works import Works
from tests.houses.workshop import finished, hashed
from tests.kernel.processes import open_files


def descriptors() -> int:
    """Give how many descriptors this process has open."""
    return len(open_files())


def test_a_hash_is_answered_while_a_commit_waits_for_the_disk(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane waits for that answer and for no other: it comes before the end of the commit under way, which goes on."""
    for name in ("a.jpg", "b.jpg"):
        works.drop(name, name.encode())
    first, second = works.fetch(), works.fetch()
    assert works.judge(first)

    def ask(step: str) -> None:
        if step == "commit.intended":
            works.committer.judge(hashed(second.job.id, second.job.path))

    with monkeypatch.context() as patch:
        patch.setattr("bgrd.steps.hook", ask)
        os.pwrite(first.drafts[0], b"result", 0)
        works.committer.commit(finished(first.job.id, b"result"), facts={})
        until(lambda: works.posts.of(Judged) and works.posts.of(Closed))
    judged, closed = works.posts.events[-2:]
    assert isinstance(judged, Judged)
    assert (judged.job_id, judged.go) == (second.job.id, True)
    assert isinstance(closed, Closed)
    assert (closed.job.id, closed.outcome) == (first.job.id, "done")
    works.posts.events.clear()
    assert works.commit(second, b"other").outcome == "done"
    assert sorted(works.results().values()) == [b"other", b"result"]


def test_a_job_goes_from_fetch_to_done(works: Works) -> None:
    """Claimed and opened, told to go on, committed, closed as done; then there is nothing, and nothing is left open."""
    works.nothing()  # takes the lock on the inbox
    before = descriptors()
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    assert (prepared.job.path, prepared.accept_holes) == (b"a.jpg", False)
    assert os.pread(prepared.source, 100, 0) == b"source"
    assert works.judge(prepared)
    closed = works.commit(prepared)
    assert (closed.outcome, closed.facts["source"], closed.facts["lane"]) == ("done", "kept", 7)
    assert works.results() == {"a.png": b"result"}
    assert works.nothing().next_due is None
    assert descriptors() == before


def test_newest_or_oldest(works: Works) -> None:
    """The dispatcher says from which end of the queue it wants its job."""
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        works.drop(name, name.encode())
    assert works.fetch().job.path == b"3.jpg"
    assert works.fetch(oldest=True).job.path == b"1.jpg"


def test_known_bytes_are_not_worked_twice(works: Works) -> None:
    """The same bytes dropped again under the same path: the result is there, only the source policy is applied."""
    works.drop("a.jpg", b"source")
    works.work()
    works.drop("a.jpg", b"source")
    closed = works.work(b"never made")
    assert (closed.outcome, closed.facts["source"]) == ("known", "kept")
    assert works.results() == {"a.png": b"result"}
    assert works.states() == {"done": 2}


def test_the_same_bytes_under_another_path_get_their_own_result(works: Works) -> None:
    """Equal pictures in two places are two results."""
    works.drop("a.jpg", b"source")
    works.drop("b.jpg", b"source")
    assert [works.work(b"b").outcome, works.work(b"a").outcome] == ["done", "done"]
    assert works.results() == {"a.png": b"a", "b.png": b"b"}


def test_dropped_again_after_its_result_is_gone_it_is_worked_again(works: Works) -> None:
    """A user who removed the result and drops the file again wants it again; so for one who edited it."""
    works.drop("a.jpg", b"source")
    works.work()
    (works.folder.outbox / "a.png").unlink()
    works.drop("a.jpg", b"source")
    assert works.work(b"again").outcome == "done"
    assert works.results() == {"a.png": b"again"}
    (works.folder.outbox / "a.png").write_bytes(b"edited")
    works.drop("a.jpg", b"source")
    assert works.work(b"third").outcome == "done"
    assert works.results() == {"a.png": b"edited", "a.jpg.png": b"third"}


def test_a_changed_mode_makes_no_new_result(works: Works) -> None:
    """The same file after chmod is known even where its result has been moved away."""
    works.drop("a.jpg", b"source")
    works.work()
    (works.folder.outbox / "a.png").unlink()
    (works.folder.inbox / "a.jpg").chmod(0o600)
    works.admit("a.jpg")
    assert works.work().outcome == "known"
    assert works.results() == {}


def test_a_job_given_back_is_ready_and_uncharged(works: Works) -> None:
    """Requeued as if it had not been claimed, with its files closed; unknown ids are ignored."""
    works.nothing()  # takes the lock on the inbox
    before = descriptors()
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    works.committer.requeue(prepared.job.id)
    works.committer.requeue(12345)
    assert works.posts.take(Closed).outcome == "requeue"
    assert descriptors() == before
    assert works.fetch().job.attempts == 0


def test_answers_for_jobs_that_are_gone_are_ignored(works: Works) -> None:
    """A late word from a lane about a job that was closed meanwhile changes nothing."""
    works.committer.judge(hashed(99, b"x"))
    works.committer.commit(finished(99, b"x"), facts={})
    works.committer.settle(99, CrashFault("x"), facts={})
    works.nothing()
    assert works.posts.events == []


def test_an_error_nobody_foresaw_is_told_and_ends_the_thread(works: Works) -> None:
    """A daemon must not look alive with a folder that is not: the main loop is told."""
    works.journal.close()
    works.committer.fetch(oldest=False)
    assert works.posts.take(Broken).folder == "test"
    assert works.committer.stop(20)


def test_ending_closes_what_is_held(tmp_path: Path) -> None:
    """A committer stopped in the middle leaves no descriptor open and nothing hidden."""
    before = descriptors()
    works = Works(tmp_path)
    works.drop("a.jpg", b"source")
    works.fetch()
    works.close()
    assert descriptors() == before
    assert works.results() == {}
    shutil.rmtree(tmp_path)
