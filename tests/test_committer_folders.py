"""What a committer does when its inbox or outbox is away, full, replaced, or another's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgrd.delivery.outbox import Outbox
from bgrd.delivery.premises import Premises
from bgrd.engine.events import Blocked, Closed, Judged, Resumed
from bgrd.errors import (
    BusyError,
    DaemonFault,
    FolderFault,
    FolderUnavailable,
    InputFault,
    ModelFault,
)
from bgrd.job import State
from bgrd.lock import hold_inbox
from tests.houses.inboxes import until
from tests.houses.works import Works
from tests.houses.workshop import finished, hashed


@pytest.mark.parametrize(("step", "results"), [("commit.intended", []), ("commit.synced", [b"result"])])
def test_a_folder_that_goes_while_a_commit_lets_others_in_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, results: list[bytes]
) -> None:
    """What comes between may take long: nothing is published or deleted by what was asked before it, and all is later.

    The commit of one picture lets the question about another in, and that finds the folder gone.
    """
    works = Works(tmp_path, policy="delete")
    for name in ("a.jpg", "b.jpg"):
        works.drop(name, name.encode())
    first, second = works.fetch(), works.fetch()
    assert works.judge(first)
    gone: list[str] = []

    def ask(at: str) -> None:
        if at == step and not gone:
            gone.append(at)
            works.committer.judge(hashed(second.job.id, second.job.path))

    ensure = Premises.ensure

    def missing(premises: Premises) -> None:
        ensure(premises)
        if gone:
            text = "it is not mounted"
            raise FolderUnavailable(text)

    with monkeypatch.context() as patch:
        patch.setattr("bgrd.steps.hook", ask)
        patch.setattr(Premises, "ensure", missing)
        os.pwrite(first.drafts[0], b"result", 0)
        works.committer.commit(finished(first.job.id, b"result"), facts={})
        until(lambda: len(works.posts.of(Closed)) == 2)
        assert [closed.outcome for closed in works.posts.of(Closed)] == ["wait", "wait"]
        assert list(works.results().values()) == results
        assert works.sources() == {"a.jpg", "b.jpg"}
    works.posts.events.clear()
    works.offset_seconds = 62
    works.committer.probe()
    works.posts.take(Resumed)
    for _job in range(2 - len(works.posts.of(Closed))):
        works.work()
    works.nothing()
    assert {works.job(name).state for name in ("a.jpg", "b.jpg")} == {State.DONE}
    assert (works.sources(), len(works.results())) == (set(), 2)
    works.close()


def test_an_outbox_that_is_gone_blocks_before_anything_is_lost(works: Works) -> None:
    """A fetch that cannot make a result file gives the job back, blocked, and answers that it has nothing."""
    works.drop("a.jpg", b"source")
    works.folder.outbox.rmdir()
    works.nothing()
    assert works.posts.take(Closed).outcome == "wait"
    assert "outbox" in works.posts.take(Blocked).reason
    works.folder.outbox.mkdir()
    works.committer.probe()
    works.posts.take(Resumed)
    assert works.work().outcome == "done"


def test_too_little_room_blocks_before_the_disk_is_full(tmp_path: Path) -> None:
    """`min_free` is looked at with each job, not only by the probe of a folder that is blocked already."""
    works = Works(tmp_path, min_free=2**62)
    works.drop("a.jpg", b"source")
    works.nothing()
    assert "min_free" in works.posts.take(Blocked).reason
    works.close()


def test_a_missing_model_blocks_until_the_probe(works: Works) -> None:
    """The job is not charged; the reason is the model's."""
    works.drop("a.jpg", b"source")
    assert works.settle(ModelFault("not installed")).outcome == "wait"
    assert works.posts.take(Blocked).kind == "model"
    works.committer.probe()
    assert works.posts.take(Resumed).released == 1
    assert works.fetch().job.attempts == 0


def test_a_block_from_outside_holds_until_a_probe(works: Works) -> None:
    """The main loop may stop a folder; nothing is claimed until it is found well."""
    works.drop("a.jpg", b"source")
    works.committer.block(FolderFault("not now"))
    assert works.posts.take(Blocked).reason == "not now"
    works.nothing()
    assert works.states() == {"ready": 1}
    works.committer.probe()
    works.posts.take(Resumed)
    assert works.fetch().job.path == b"a.jpg"


def test_a_probe_short_of_descriptors_is_no_end(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE while probing keeps the folder blocked; it does not end the daemon."""

    def probe(_: Outbox) -> None:
        text = "bgrd is short of system resources"
        raise DaemonFault(text)

    monkeypatch.setattr(Outbox, "probe", probe)
    works.committer.probe()
    assert "short" in works.posts.take(Blocked).reason
    works.drop("a.jpg", b"source")
    monkeypatch.undo()
    works.committer.probe()
    works.posts.take(Resumed)
    assert works.work().outcome == "done"


def test_an_outbox_lost_while_hashes_are_compared_settles_the_job(works: Works) -> None:
    """No answer can be given; the job is closed instead, and the folder blocked."""
    works.drop("a.jpg", b"source")
    works.work()
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    works.folder.outbox.rename(works.folder.outbox.with_name("away"))
    works.committer.judge(hashed(prepared.job.id, b"source"))
    assert works.posts.take(Closed).outcome == "wait"
    assert not works.posts.of(Judged)
    assert works.posts.take(Blocked).kind == "unavailable"
    works.folder.outbox.with_name("away").rename(works.folder.outbox)


def test_an_outbox_lost_before_the_commit_costs_nothing(works: Works) -> None:
    """The job waits uncharged with nothing published, and is done when the outbox is back."""
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    works.judge(prepared)
    works.folder.outbox.rename(works.folder.outbox.with_name("away"))
    assert works.commit(prepared).outcome == "wait"
    assert works.posts.take(Blocked).kind == "unavailable"
    works.folder.outbox.with_name("away").rename(works.folder.outbox)
    works.committer.probe()
    works.posts.take(Resumed)
    assert works.work().outcome == "done"
    assert works.job("a.jpg").attempts == 0


def test_nothing_is_claimed_or_published_where_another_file_system_lies(tmp_path: Path) -> None:
    """The outbox is on another mount than it was: blocked, nothing made there, the source untouched."""
    works = Works(tmp_path, policy="delete")
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    assert works.judge(prepared)
    works.journal.set_mount("test", "outbox", "another disk")
    works.folder.outbox.rename(tmp_path / "was")
    works.folder.outbox.mkdir()
    assert works.commit(prepared).outcome == "wait"
    assert "mount" in works.posts.take(Blocked).reason
    works.nothing()
    assert (works.sources(), works.results()) == ({"a.jpg"}, {})
    works.close()


def test_a_bad_picture_on_a_bare_mount_point_is_not_to_blame(tmp_path: Path) -> None:
    """The outbox was unmounted while a lane found the picture bad: the folder waits, no note goes beneath the mount."""
    works = Works(tmp_path)
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    works.journal.set_mount("test", "outbox", "another disk")
    works.folder.outbox.rename(tmp_path / "was")
    works.folder.outbox.mkdir()
    works.committer.settle(prepared.job.id, InputFault("bad"), facts={})
    assert works.posts.take(Closed).outcome == "wait"
    works.posts.take(Blocked)
    assert works.notes() == []
    assert works.job("a.jpg").attempts == 0
    works.close()


def test_a_folder_that_moved_away_is_let_go(works: Works) -> None:
    """The lock on what was the inbox would keep its file system from being unmounted."""
    works.nothing()
    away = works.folder.inbox.with_name("away")
    works.folder.inbox.rename(away)
    works.nothing()
    works.posts.take(Blocked)
    lock = hold_inbox(away)
    assert lock is not None
    lock.close()
    away.rename(works.folder.inbox)


def test_an_inbox_that_another_bgrd_holds_is_left_to_it(works: Works) -> None:
    """Two daemons, one inbox: the second is blocked and says so, and takes over when the first lets go."""
    other = hold_inbox(works.folder.inbox)
    assert other is not None
    works.drop("a.jpg", b"source")
    works.committer.probe()
    assert "another bgrd" in works.posts.take(Blocked).reason
    works.nothing()
    other.close()
    works.committer.probe()
    works.posts.take(Resumed)
    assert works.work().outcome == "done"


def test_an_inbox_that_was_replaced_is_locked_anew(works: Works) -> None:
    """The lock is on the directory that is there, not on one that was."""
    works.nothing()
    works.folder.inbox.rename(works.folder.inbox.with_name("old"))
    works.folder.inbox.mkdir()
    works.nothing()
    with pytest.raises(BusyError):
        hold_inbox(works.folder.inbox)
