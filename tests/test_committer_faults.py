"""What a committer makes of a job that ends in a fault: a note, another try, a wait, or a block of its folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bgrd.engine.events import Blocked, Closed, Resumed
from bgrd.errors import (
    CrashFault,
    Fault,
    FileFault,
    FolderFault,
    FormatFault,
    IncompleteFault,
    InputFault,
    MemoryFault,
    SparseFault,
    UnknownFault,
)
from bgrd.job import State
from tests.houses.works import Works
from tests.kernel.mounted import MOUNTS, Disk, own_mounts


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


def sources_after_the_grace(works: Works, name: str, fault: Fault) -> list[str]:
    """Have a picture wait, be taken with its holes after its grace, and dropped again; give what its source met."""
    works.drop(name, b"source")
    assert works.settle(fault).outcome == "wait"
    assert works.nothing().next_due is not None
    works.offset_seconds = 700
    prepared = works.fetch()
    assert prepared.accept_holes
    assert works.judge(prepared)
    first = works.commit(prepared)
    works.drop(name, b"source")
    again = works.work()
    assert again.outcome == "known"
    return [first.facts["source"], again.facts["source"]]


def test_an_incomplete_picture_waits_for_its_grace_and_is_then_taken_with_its_holes(tmp_path: Path) -> None:
    """Pauses while the file may still grow; after its grace the lane is told to accept holes, and the source stays.

    So it does when the same bytes are dropped again.
    """
    works = Works(tmp_path, policy="delete")
    assert sources_after_the_grace(works, "a.jpg", IncompleteFault("holes")) == ["kept", "kept"]
    assert works.sources() == {"a.jpg"}
    works.close()


def test_a_sparse_picture_is_whole_after_its_grace(tmp_path: Path) -> None:
    """What was never written may be zeros that a copy spared: after its grace the source goes the way of the policy."""
    works = Works(tmp_path, policy="delete")
    assert sources_after_the_grace(works, "a.bmp", SparseFault("never written")) == ["deleted", "deleted"]
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
