"""A folder's committer at work, on its own thread, with a real journal and real folders; the test plays the lane."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrd.committer import Committer
from bgrd.delivery.outbox import Outbox
from bgrd.delivery.premises import Premises
from bgrd.engine.events import Blocked, Broken, Closed, Fed, Idle, Judged, Prepared, Resumed
from bgrd.errors import (
    BusyError,
    CrashFault,
    DaemonFault,
    Fault,
    FileFault,
    FolderFault,
    FolderUnavailable,
    FormatFault,
    IncompleteFault,
    InputFault,
    MemoryFault,
    ModelFault,
    SparseFault,
    UnknownFault,
)
from bgrd.job import Result, State
from bgrd.journal.journal import Journal
from bgrd.lock import hold_inbox
from tests.houses.inboxes import until
from tests.houses.workshop import Posts, Workshop, finished, hashed
from tests.kernel.mounted import MOUNTS, Disk, own_mounts
from tests.kernel.processes import open_files


class Works(Workshop):
    """A workshop with a committer that has started."""

    def __init__(self, root: Path, **changes: Any) -> None:
        super().__init__(root, **{"failure_notes": root / "out/_failed", **changes})
        self.posts = Posts()
        self.committer = self.hire()

    def hire(self) -> Committer:
        """Start a committer; a second one stands for the next run."""
        made = Committer(self.folder, self.journal, post=self.posts, wall=self.wall)
        made.start()
        return made

    def restart(self) -> None:
        """End as by kill -9, with the journal left as it is, and start anew."""
        assert self.committer.stop(20)
        self.posts.events.clear()
        self.journal.close()
        self.journal = Journal(self.folder.inbox.parent / "journal.db", clock=self.wall)
        self.committer = self.hire()
        self.committer.recover(self.journal.recover())
        self.committer.probe()

    def fetch(self, *, oldest: bool = False) -> Prepared:
        """Have the next job prepared."""
        self.committer.fetch(oldest=oldest)
        return self.posts.take(Prepared)

    def judge(self, prepared: Prepared) -> bool:
        """Tell the hash as a lane would; gives whether to go on."""
        self.committer.judge(hashed(prepared.job.id, os.pread(prepared.source, 1 << 20, 0)))
        return self.posts.take(Judged).go

    def commit(self, prepared: Prepared, content: bytes = b"result") -> Closed:
        """Write the result as a lane would and have it committed."""
        os.pwrite(prepared.drafts[0], content, 0)
        self.committer.commit(finished(prepared.job.id, content), facts={"lane": 7})
        return self.posts.take(Closed)

    def work(self, content: bytes = b"result") -> Closed:
        """Take the newest job from claim to close."""
        prepared = self.fetch()
        return self.commit(prepared, content) if self.judge(prepared) else self.posts.take(Closed)

    def settle(self, fault: Fault) -> Closed:
        """Have the newest job end in a fault."""
        prepared = self.fetch()
        self.committer.settle(prepared.job.id, fault, facts={})
        return self.posts.take(Closed)

    def nothing(self) -> Idle:
        """Ask for a job where there is none."""
        self.committer.fetch(oldest=False)
        return self.posts.take(Idle)

    def notes(self) -> list[str]:
        """Give the failure notes' names."""
        return sorted(path.name for path in (self.folder.outbox / "_failed").rglob("*.txt"))

    def close(self) -> None:
        """End the thread; nothing may be broken, no descriptor left."""
        assert self.committer.stop(20)
        self.journal.close()
        assert not self.posts.of(Broken)


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    """Give a works and close it."""
    made = Works(tmp_path)
    yield made
    made.close()


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


def test_known_bytes_still_get_their_source_policy(tmp_path: Path) -> None:
    """Under `delete` a file dropped again goes, its result being there."""
    works = Works(tmp_path, policy="delete")
    for outcome in ("done", "known"):
        works.drop("a.jpg", b"source")
        closed = works.work()
        assert (closed.outcome, closed.facts["source"]) == (outcome, "deleted")
    assert (works.sources(), works.results()) == (set(), {"a.png": b"result"})
    works.close()


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


def test_bad_input_fails_with_a_note_that_goes_when_the_file_succeeds(works: Works) -> None:
    """The note tells path, reason and advice; a new version of the file that succeeds takes it away."""
    works.drop("a.jpg", b"bad")
    closed = works.settle(InputFault("it is damaged"))
    assert (closed.outcome, closed.facts["reason"]) == ("failed", "it is damaged")
    assert works.notes() == ["a.jpg.txt"]
    text = (works.folder.outbox / "_failed/a.jpg.txt").read_text()
    assert "it is damaged" in text
    assert "What to do" in text
    works.drop("a.jpg", b"good")
    works.work()
    assert (works.notes(), works.states()) == ([], {"done": 1, "withdrawn": 1})


def test_a_note_goes_when_known_bytes_replace_the_bad_ones(works: Works) -> None:
    """Good bytes, then bad ones, then the good ones again: known, and no note is left."""
    works.drop("a.jpg", b"good")
    works.work()
    works.drop("a.jpg", b"bad")
    works.settle(InputFault("it is damaged"))
    works.drop("a.jpg", b"good")
    assert works.work().outcome == "known"
    assert works.notes() == []


def test_the_note_of_a_source_that_is_gone_goes_at_leisure(works: Works) -> None:
    """Once the walk has told that a failed file is missing, its note is removed; one a user changed stays."""
    for name in ("a.jpg", "b.jpg"):
        works.drop(name, b"bad")
        works.settle(InputFault("it is damaged"))
    with (works.folder.outbox / "_failed/b.jpg.txt").open("a") as note:
        note.write("mine now")
    works.journal.missing("test", [b"a.jpg", b"b.jpg"])
    works.nothing()
    assert works.notes() == ["b.jpg.txt"]


def test_a_folder_without_notes_has_none(tmp_path: Path) -> None:
    """With `failure_notes = "none"` a failure is in log and journal only."""
    works = Works(tmp_path, failure_notes=None)
    works.drop("a.jpg", b"bad")
    assert works.settle(InputFault("it is damaged")).outcome == "failed"
    assert works.results() == {}
    works.close()


def test_a_crash_is_tried_again_once(works: Works) -> None:
    """The first death costs one try and a second's pause, the next fails the job."""
    works.drop("a.jpg", b"source")
    assert works.settle(CrashFault("it died")).outcome == "retry"
    assert works.nothing().next_due == works.job("a.jpg").due
    works.offset_seconds += 5
    assert works.settle(CrashFault("it died")).outcome == "failed"


def test_a_job_for_which_memory_was_short_runs_alone(works: Works) -> None:
    """It comes back at once, marked; when it is short even so, it fails."""
    works.drop("a.jpg", b"source")
    assert works.settle(MemoryFault("too big")).outcome == "alone"
    prepared = works.fetch()
    assert prepared.job.alone
    works.committer.settle(prepared.job.id, MemoryFault("too big"), facts={})
    assert works.posts.take(Closed).outcome == "failed"


def test_an_incomplete_picture_waits_for_its_grace_and_is_then_taken_with_its_holes(tmp_path: Path) -> None:
    """Pauses while the file may still grow; after its grace the lane is told to accept holes, and the source stays.

    So it does when the same bytes are dropped again.
    """
    works = Works(tmp_path, policy="delete")
    works.drop("a.jpg", b"source")
    assert works.settle(IncompleteFault("holes")).outcome == "wait"
    assert works.nothing().next_due is not None
    works.offset_seconds = 700
    prepared = works.fetch()
    assert prepared.accept_holes
    assert works.judge(prepared)
    assert works.commit(prepared).facts["source"] == "kept"
    works.drop("a.jpg", b"source")
    closed = works.work()
    assert (closed.outcome, closed.facts["source"]) == ("known", "kept")
    assert works.sources() == {"a.jpg"}
    works.close()


def test_a_sparse_picture_is_whole_after_its_grace(tmp_path: Path) -> None:
    """What was never written may be zeros that a copy spared: after its grace the source goes the way of the policy."""
    works = Works(tmp_path, policy="delete")
    works.drop("a.bmp", b"source")
    assert works.settle(SparseFault("never written")).outcome == "wait"
    assert works.nothing().next_due is not None
    works.offset_seconds = 700
    prepared = works.fetch()
    assert prepared.accept_holes
    assert works.judge(prepared)
    assert works.commit(prepared).facts["source"] == "deleted"
    works.drop("a.bmp", b"source")
    closed = works.work()
    assert (closed.outcome, closed.facts["source"]) == ("known", "deleted")
    assert not works.sources()
    works.close()


def test_a_backlog_older_than_its_grace_is_not_failed_untried(works: Works) -> None:
    """A picture with holes that waited an hour for its turn is taken like any other with holes."""
    works.drop("a.jpg", b"source")
    works.offset_seconds = 3600
    assert works.settle(IncompleteFault("holes")).outcome == "wait"
    works.offset_seconds += 5
    assert works.fetch().accept_holes


def test_bytes_of_no_format_are_incomplete_while_somebody_writes(works: Works) -> None:
    """A file that a program holds open for writing may get its header last."""
    works.drop("a.jpg", b"\0" * 100)
    with (works.folder.inbox / "a.jpg").open("ab"):
        assert works.settle(FormatFault("no picture")).facts["kind"] == "incomplete"
    works.offset_seconds = 5
    assert works.settle(FormatFault("no picture")).outcome == "failed"


def test_a_files_own_trouble_waits_while_the_folder_is_well(works: Works) -> None:
    """EIO on one source, and the probe passes: that file waits until a time, nobody is blocked."""
    works.drop("a.jpg", b"source")
    closed = works.settle(FileFault("it cannot be read"))
    assert (closed.outcome, closed.facts["kind"]) == ("wait", "file")
    assert works.job("a.jpg").due > works.wall()
    assert not works.posts.of(Blocked)


def test_a_files_trouble_is_the_folders_when_the_probe_says_so(works: Works) -> None:
    """The share is gone and only one file noticed: the folder is blocked, its job waits without a date."""
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    works.folder.inbox.rename(works.folder.inbox.with_name("away"))
    works.committer.settle(prepared.job.id, FileFault("it cannot be read"), facts={})
    assert works.posts.take(Closed).outcome == "wait"
    assert works.posts.take(Blocked).kind == "unavailable"
    assert (works.job("a.jpg").state, works.job("a.jpg").due) == (State.WAITING, float("inf"))
    assert works.nothing().next_due is None
    works.committer.probe()
    assert works.posts.take(Blocked).kind == "unavailable"
    works.folder.inbox.with_name("away").rename(works.folder.inbox)
    works.committer.probe()
    assert works.posts.take(Resumed).released == 1
    assert works.work().outcome == "done"


def test_a_lanes_word_about_the_folder_is_tried(works: Works) -> None:
    """It cannot write, and we can: its picture waits once, as the room may just have come back, and is then charged."""
    works.drop("a.jpg", b"source")
    for outcome, kind in (("wait", "file"), ("retry", "unknown"), ("retry", "unknown"), ("failed", "unknown")):
        closed = works.settle(FolderFault("the outbox is full"))
        assert (closed.outcome, closed.facts["kind"]) == (outcome, kind)
        works.offset_seconds += 700
    assert not works.posts.of(Blocked)


@MOUNTS
def test_what_a_lane_has_filled_is_full_although_a_probe_fits(tmp_path: Path) -> None:
    """A result larger than the room there is: as long as it lies there, nothing more fits, and nobody is charged."""
    with own_mounts():
        (tmp_path / "out").mkdir()
        disk = Disk(tmp_path / "out", "size=16m")
        works = Works(tmp_path)
        for name in ("a.jpg", "b.jpg"):
            works.drop(name, name.encode())
        prepared = works.fetch()
        other = works.fetch()
        with contextlib.suppress(OSError):
            while True:
                os.write(prepared.drafts[0], bytes(2**20))
        for job in (prepared.job, other.job):  # the other's lane met the same, and by now there is room again
            works.committer.settle(job.id, FolderFault("the outbox is full"), facts={})
            closed = works.posts.take(Closed)
            assert (closed.outcome, closed.facts["kind"]) == ("wait", "folder")
            assert "is full" in works.posts.take(Blocked).reason
        works.committer.probe()
        assert works.posts.take(Resumed).released == 2
        disk.remount("size=64m")
        assert works.work().outcome == "done"
        assert {works.job(name).attempts for name in ("a.jpg", "b.jpg")} == {0}
        works.close()


def test_an_unknown_fault_is_the_folders_when_the_probe_says_so(works: Works) -> None:
    """What is refused to a lane may be refused to everybody: then nobody is charged."""
    works.drop("a.jpg", b"source")
    prepared = works.fetch()
    works.folder.outbox.rename(works.folder.outbox.with_name("away"))
    works.committer.settle(prepared.job.id, UnknownFault("PermissionError"), facts={})
    assert works.posts.take(Closed).outcome == "wait"
    assert works.posts.take(Blocked).kind == "unavailable"
    works.folder.outbox.with_name("away").rename(works.folder.outbox)


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


def test_what_waited_for_the_folder_is_released_by_the_next_run(works: Works) -> None:
    """A job that waits because of its folder does not sleep through a restart after which the folder is well."""
    works.drop("a.jpg", b"source")
    works.settle(FolderUnavailable("gone"))
    assert works.job("a.jpg").state is State.WAITING
    works.restart()
    assert works.posts.take(Resumed).released == 1
    assert works.work().outcome == "done"


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


def stopped_at(works: Works, state: State, *, publish: bool) -> None:
    """Leave a job as a kill at this state would."""
    works.drop("a.jpg", b"source")
    claim = works.claim()
    works.journal.hashed(claim.job.id, sha256=hashed(1, b"source").sha256, recipe="r")
    if state is not State.RUNNING:
        content = b"result"
        os.pwrite(claim.drafts[0].fd, content, 0)
        sha256 = finished(1, content).sha256s[0]
        works.journal.intend(claim.job.id, [Result(target=b"a.png", size=len(content), sha256=sha256)])
    if publish:
        assert works.outbox.publish(claim.drafts[0], b"a.png")
    if state is State.COMMITTED:
        works.journal.committed(claim.job.id)
    for fd in (claim.opened.fd, *(draft.fd for draft in claim.drafts)):
        os.close(fd)


@pytest.mark.parametrize(
    ("state", "publish", "ends"),
    [
        (State.RUNNING, False, []),
        (State.COMMITTING, False, ["requeue"]),
        (State.COMMITTING, True, ["done"]),
        (State.COMMITTED, True, ["done"]),
    ],
)
def test_what_an_earlier_run_left_is_finished_or_worked_again(
    tmp_path: Path, state: State, ends: list[str], *, publish: bool
) -> None:
    """Published results count, others are made anew under the same name; the source goes only with its result there."""
    works = Works(tmp_path, policy="delete")
    stopped_at(works, state, publish=publish)
    works.restart()
    for outcome in ends:
        assert works.posts.take(Closed).outcome == outcome
    if "done" not in ends:
        assert works.work().outcome == "done"
    assert (works.results(), works.sources(), works.states()) == ({"a.png": b"result"}, set(), {"done": 1})
    works.close()


@pytest.mark.parametrize("state", [State.RUNNING, State.COMMITTING, State.COMMITTED])
def test_an_outbox_that_is_away_at_the_start_is_waited_for(tmp_path: Path, state: State) -> None:
    """After a power cut the share may come back later than bgrd: blocked, and finished as soon as it is there."""
    works = Works(tmp_path, policy="delete")
    stopped_at(works, state, publish=state is not State.RUNNING)
    works.folder.outbox.rename(tmp_path / "away")
    works.restart()
    assert works.posts.take(Blocked).kind == "unavailable"
    works.nothing()
    assert works.sources() == {"a.jpg"}
    (tmp_path / "away").rename(works.folder.outbox)
    works.committer.probe()
    works.posts.take(Resumed)
    closed = works.work() if state is State.RUNNING else works.posts.take(Closed)
    assert closed.outcome == "done"
    assert (works.results(), works.sources(), works.states()) == ({"a.png": b"result"}, set(), {"done": 1})
    works.close()


def test_hidden_files_of_a_crash_are_swept(works: Works) -> None:
    """What an interrupted job left hidden in the outbox goes at the next start; a stranger's stays."""
    stopped_at(works, State.RUNNING, publish=False)
    job = works.job("a.jpg").id
    (works.folder.outbox / f".bgrd-{job}-0.tmp").write_bytes(b"half")
    (works.folder.outbox / ".bgrd-999-0.tmp").write_bytes(b"somebody's")
    works.restart()
    works.fetch()
    assert not (works.folder.outbox / f".bgrd-{job}-0.tmp").exists()
    assert ".bgrd-999-0.tmp" in works.results()


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
