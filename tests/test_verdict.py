"""What follows a fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.engine.verdict import judge, takes_holes
from bgrd.errors import (
    FAULTS,
    ChangedFault,
    CrashFault,
    DaemonFault,
    DeviceFault,
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
from bgrd.job import Job, State, Version


def job(**changes: object) -> Job:
    """Make a running job admitted at second 1000."""
    values = {
        "id": 1,
        "folder": "f",
        "path": b"a.jpg",
        "version": Version(size=1, mtime_ns=1, ctime_ns=1, inode=1),
        "state": State.RUNNING,
        "admitted": 1000.0,
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", [FolderFault("full"), FolderUnavailable("gone"), ModelFault("missing")])
def test_a_folders_fault_waits_without_a_date_and_blocks(fault: Fault) -> None:
    """Nothing is charged and nobody sets a time: the probe decides."""
    verdict = judge(fault, job(), now=1000, grace_seconds=600)
    assert (verdict.action, verdict.due, verdict.charged, verdict.block) == ("wait", None, False, True)


@pytest.mark.parametrize("fault", [FileFault("EIO"), DaemonFault("EMFILE")])
def test_an_environment_fault_waits_until_a_time(fault: Fault) -> None:
    """The file waits, uncharged, and is due again."""
    verdict = judge(fault, job(), now=1000, grace_seconds=600)
    assert verdict.action == "wait"
    assert verdict.due is not None
    assert verdict.due > 1000
    assert not verdict.charged
    assert not verdict.block


def test_bad_input_fails_at_once() -> None:
    """One strike is enough for a picture that cannot be decoded."""
    assert judge(InputFault("no"), job(), now=1000, grace_seconds=600).action == "fail"


def test_an_unknown_format_fails_only_when_nobody_writes() -> None:
    """A preallocated file whose header is still zeros is incomplete, not bad."""
    assert judge(FormatFault("what"), job(), now=1000, grace_seconds=600).action == "fail"
    unsettled = judge(FormatFault("what"), job(), now=1000, grace_seconds=600, settled=False)
    assert (unsettled.action, unsettled.kind) == ("wait", "incomplete")


def test_incomplete_waits_out_its_grace_and_then_fails_with_that_word() -> None:
    """Nothing is charged while the grace lasts; the last wait ends exactly with it."""
    early = judge(IncompleteFault("cut"), job(), now=1000, grace_seconds=600)
    assert early.action == "wait"
    assert early.due == 1001
    late = judge(IncompleteFault("cut"), job(), now=1590, grace_seconds=600)
    assert late.due == 1600
    over = judge(IncompleteFault("cut"), job(kind="incomplete"), now=1600, grace_seconds=600)
    assert over.action == "fail"
    assert over.reason.startswith("incomplete")


def test_a_first_try_after_the_grace_is_not_the_last() -> None:
    """A file that waited its turn for longer than its grace is tried once more, as one that may have holes."""
    first = judge(IncompleteFault("holes"), job(), now=9000, grace_seconds=600)
    assert (first.action, first.kind, first.due) == ("wait", "incomplete", 9001)


def test_what_was_never_written_waits_out_its_grace_under_its_own_word() -> None:
    """So that what follows the grace can tell a sparse file from one with holes."""
    for age, kind in ((0, ""), (590, "sparse"), (8000, "")):
        verdict = judge(SparseFault("never written"), job(kind=kind), now=1000 + age, grace_seconds=600)
        assert (verdict.action, verdict.kind) == ("wait", "sparse")
    assert takes_holes(job(kind="sparse"), now=1600, grace_seconds=600)
    assert not takes_holes(job(kind="sparse"), now=1599, grace_seconds=600)


def test_memory_runs_alone_once() -> None:
    """Too big beside others is tried alone; too big alone is failed."""
    assert judge(MemoryFault("big"), job(), now=0, grace_seconds=1).action == "alone"
    assert judge(MemoryFault("big"), job(alone=True), now=0, grace_seconds=1).action == "fail"


def test_who_was_beside_a_models_end_runs_alone_uncharged() -> None:
    """Nobody can tell whose fault it was; a job that runs alone and meets it again and again is failed in the end."""
    fault = DeviceFault("it ended")
    verdict = judge(fault, job(), now=1000, grace_seconds=600)
    assert (verdict.action, verdict.charged) == ("alone", False)
    verdict = judge(fault, job(alone=True), now=1000, grace_seconds=600)
    assert (verdict.action, verdict.charged, verdict.due) == ("retry", True, 1001.0)
    assert judge(fault, job(alone=True, attempts=1), now=1000, grace_seconds=600).action == "fail"


def test_a_crash_is_retried_once() -> None:
    """Two deaths are a failure."""
    first = judge(CrashFault("died"), job(), now=1000, grace_seconds=1)
    assert (first.action, first.charged) == ("retry", True)
    assert judge(CrashFault("died"), job(attempts=1), now=1000, grace_seconds=1).action == "fail"


def test_a_job_that_ended_bgrd_twice_gets_one_try_alone() -> None:
    """After two unclean ends there is no second crash."""
    assert judge(CrashFault("died"), job(unclean=2, alone=True), now=1000, grace_seconds=1).action == "fail"


def test_the_unknown_is_tried_three_times_with_growing_pauses() -> None:
    """30 seconds, 2 minutes, then failed."""
    dues = [judge(UnknownFault("?"), job(attempts=n), now=1000, grace_seconds=1).due for n in range(2)]
    assert dues == [1030, 1120]
    assert judge(UnknownFault("?"), job(attempts=2), now=1000, grace_seconds=1).action == "fail"


def test_a_changed_source_is_withdrawn() -> None:
    """The new bytes are another version's affair."""
    assert judge(ChangedFault("gone"), job(), now=1000, grace_seconds=1).action == "withdraw"


@given(
    st.sampled_from(sorted(FAULTS)),
    st.integers(0, 5),
    st.booleans(),
    st.floats(-1e9, 1e10),
    st.booleans(),
)
def test_every_fault_at_any_time_has_a_verdict_that_ends(
    kind: str,
    attempts: int,
    alone: bool,  # noqa: FBT001 - hypothesis gives them by position
    now: float,
    settled: bool,  # noqa: FBT001 - hypothesis gives them by position
) -> None:
    """Whatever the history, a wait or retry is due later or left to the probe, and charges only lead to an end."""
    verdict = judge(FAULTS[kind]("x"), job(attempts=attempts, alone=alone), now=now, grace_seconds=600, settled=settled)
    if verdict.action in {"wait", "retry"}:
        assert verdict.block or (verdict.due is not None and verdict.due > now)
    if verdict.action == "retry":
        assert verdict.charged
