"""What follows a fault: pure decisions from the fault's class, the job's history and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bgrd.errors import (
    ChangedFault,
    DaemonFault,
    DeviceFault,
    Fault,
    FileFault,
    FolderFault,
    FormatFault,
    IncompleteFault,
    MemoryFault,
    SparseFault,
)
from bgrd.job import Job

__all__ = ["ADVICE", "Verdict", "judge", "takes_holes"]

ADVICE = {
    "input": "Drop a file that other programs can open; bgrd tries again as soon as the file changes.",
    "format": "Drop a picture; bgrd tries again as soon as the file changes.",
    "incomplete": "Copy the file again; bgrd tries again as soon as it changes.",
    "memory": "Make the picture smaller, or raise memory_limit in the configuration.",
    "device": "Look whether the model's device and its driver are well; bgrd tries again when the file changes.",
    "crash": "Keep the file for a report, and save it anew in another program; bgrd tries again when it changes.",
    "unknown": "Look into the log for this file; bgrd tries again as soon as the file changes.",
}
"""What a failure note tells the user to do, by the kind of fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do with a job: `due` is a wall-clock second, None waits until the folder is well again.

    `block` says that the whole folder is to be stopped and probed.
    """

    action: Literal["wait", "retry", "fail", "alone", "withdraw"]
    reason: str
    kind: str
    due: float | None = None
    charged: bool = False
    block: bool = False


def judge(fault: Fault, job: Job, *, now: float, grace_seconds: float, settled: bool = True) -> Verdict:
    """Decide what becomes of a job after this fault.

    `settled` is whether the lease says that nobody has the source open for writing: bytes of no known format
    are only final then. The grace runs from the admission of this version of the file, which is its last change.
    """
    reason, kind = str(fault), fault.kind
    match fault:
        case ChangedFault():
            return Verdict(action="withdraw", reason=reason, kind=kind)
        case FolderFault():
            return Verdict(action="wait", reason=reason, kind=kind, block=True)
        case MemoryFault():
            action: Literal["fail", "alone"] = "fail" if job.alone else "alone"
            return Verdict(action=action, reason=reason, kind=kind, charged=job.alone)
        case DeviceFault() if not job.alone:
            return Verdict(action="alone", reason=reason, kind=kind)
        case FileFault() | DaemonFault():
            return _pause("wait", fault, job, now)
        case IncompleteFault():
            return _within_grace(fault, job, now=now, grace_seconds=grace_seconds)
        case FormatFault() if not settled:
            return _within_grace(fault, job, now=now, grace_seconds=grace_seconds)
        case _:
            return _count(fault, job, now)


def takes_holes(job: Job, *, now: float, grace_seconds: float) -> bool:
    """Say whether a job that was incomplete is now to be taken as it is: nothing more of it will come."""
    return job.kind in {IncompleteFault.kind, SparseFault.kind} and now - job.admitted >= grace_seconds


def _within_grace(fault: Fault, job: Job, *, now: float, grace_seconds: float) -> Verdict:
    """Wait for the rest of the file while its grace lasts, then fail with that word.

    A job whose grace was over before its first try, or that was blocked since, gets one more: a file with holes is
    taken then.
    """
    age = now - job.admitted
    kind = fault.kind if isinstance(fault, SparseFault) else IncompleteFault.kind
    pauses = IncompleteFault.policy.pauses_seconds
    if age >= grace_seconds and job.kind != kind:
        return Verdict(action="wait", reason=f"incomplete: {fault}", kind=kind, due=now + pauses[0])
    if age < grace_seconds:  # a negative age is a clock set back: the wait only gets longer
        pause = next((pause for pause in pauses if pause > age), pauses[-1])
        due = min(now + pause, job.admitted + grace_seconds)
        return Verdict(action="wait", reason=f"incomplete: {fault}", kind=kind, due=due)
    return Verdict(action="fail", reason=f"incomplete: {fault}", kind=kind, charged=True)


def _pause(action: Literal["wait", "retry"], fault: Fault, job: Job, now: float) -> Verdict:
    """Give the next pause; waiting longer each time the job has already waited for the same kind of fault."""
    pauses = fault.policy.pauses_seconds
    age = max(0.0, now - job.admitted) if job.kind == fault.kind else 0.0
    pause = next((pause for pause in pauses if pause > age), pauses[-1])
    return Verdict(action=action, reason=str(fault), kind=fault.kind, due=now + pause, charged=fault.policy.charged)


def _count(fault: Fault, job: Job, now: float) -> Verdict:
    """Charge one strike; the last one fails the job. A job that ran alone after two unclean ends has none left."""
    strikes = 1 if job.unclean >= 2 and job.alone else fault.policy.strikes
    if job.attempts + 1 >= strikes:
        return Verdict(action="fail", reason=str(fault), kind=fault.kind, charged=True)
    pauses = fault.policy.pauses_seconds
    due = now + pauses[min(job.attempts, len(pauses) - 1)]
    return Verdict(action="retry", reason=str(fault), kind=fault.kind, due=due, charged=True)
