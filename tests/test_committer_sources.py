"""What a committer does with the sources: those that went or changed, and those whose result is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.engine.events import Blocked, Closed, Fed, Resumed
from bgrd.job import State
from tests.houses.works import Works


def test_known_bytes_still_get_their_source_policy(tmp_path: Path) -> None:
    """Under `delete` a file dropped again goes, its result being there."""
    works = Works(tmp_path, policy="delete")
    for outcome in ("done", "known"):
        works.drop("a.jpg", b"source")
        closed = works.work()
        assert (closed.outcome, closed.facts["source"]) == (outcome, "deleted")
    assert (works.sources(), works.results()) == (set(), {"a.png": b"result"})
    works.close()


def test_a_source_that_vanished_is_stepped_over(works: Works) -> None:
    """What went away or was replaced before its turn is withdrawn, and the next job comes in the same fetch."""
    works.drop("stays.jpg", b"stays")
    works.drop("goes.jpg", b"goes")
    works.drop("changes.jpg", b"changes")
    (works.folder.inbox / "goes.jpg").unlink()
    (works.folder.inbox / "changes.jpg").write_bytes(b"changed")
    assert works.fetch().job.path == b"stays.jpg"
    assert {works.job("goes.jpg").state, works.job("changes.jpg").state} == {State.WITHDRAWN}
    assert [closed.outcome for closed in works.posts.of(Closed)] == ["withdraw", "withdraw"]


def test_after_many_vanished_sources_the_rest_is_asked_for_again(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch that gives up stepping says that there may be more, before it says that it has nothing."""
    monkeypatch.setattr("bgrd.committer._SKIPS", 2)
    works.drop("stays.jpg", b"stays")
    for name in ("1.jpg", "2.jpg"):
        works.drop(name, b"x")
        (works.folder.inbox / name).unlink()
    works.nothing()
    assert works.posts.of(Fed)
    assert works.fetch().job.path == b"stays.jpg"


def test_a_source_replaced_at_the_last_moment_is_withdrawn(works: Works) -> None:
    """The new version has its own job; nothing of the old one is shown."""
    works.drop("a.jpg", b"old")
    prepared = works.fetch()
    works.judge(prepared)
    works.drop("a.jpg", b"new!")
    works.nothing()
    assert works.commit(prepared, b"of old").outcome == "withdraw"
    assert works.results() == {}
    assert works.work(b"of new").outcome == "done"
    assert works.results() == {"a.png": b"of new"}


def test_a_source_policy_that_cannot_be_applied_yet_is_tried_again(tmp_path: Path) -> None:
    """Archive missing: the result is out, the job stays committed, the folder is blocked; the probe finishes it."""
    works = Works(tmp_path, policy="archive", archive=tmp_path / "share/done")
    works.drop("a.jpg", b"source")
    closed = works.work()
    assert (closed.outcome, closed.facts["stage"]) == ("wait", "source policy")
    assert "archive" in works.posts.take(Blocked).reason
    assert (works.sources(), works.job("a.jpg").state) == ({"a.jpg"}, State.COMMITTED)
    assert works.nothing().next_due is not None
    works.committer.probe()
    works.posts.take(Blocked)
    works.folder.archive.mkdir(parents=True)
    works.offset_seconds = 62
    works.committer.probe()
    works.posts.take(Resumed)
    assert works.posts.take(Closed).outcome == "done"
    assert (works.sources(), works.job("a.jpg").state) == (set(), State.DONE)
    works.close()


def test_without_its_result_a_source_left_over_is_kept(tmp_path: Path) -> None:
    """The result was taken away before the source could be archived: the source is all that is left, and stays."""
    works = Works(tmp_path, policy="archive", archive=tmp_path / "share/done")
    works.drop("a.jpg", b"source")
    works.work()
    (works.folder.outbox / "a.png").unlink()
    works.folder.archive.mkdir(parents=True)
    works.offset_seconds = 31
    works.committer.probe()
    works.posts.take(Resumed)
    assert (works.sources(), works.job("a.jpg").state) == ({"a.jpg"}, State.DONE)
    works.close()


def test_an_archive_beside_its_inbox_is_made(tmp_path: Path) -> None:
    """The default archive needs nobody to make it."""
    works = Works(tmp_path, policy="archive")
    if works.folder.archive.exists():
        works.folder.archive.rmdir()
    works.drop("a.jpg", b"source")
    assert works.work().facts["source"] == "archived"
    assert (works.folder.archive / "a.jpg").read_bytes() == b"source"
    works.close()
