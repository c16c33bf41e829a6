"""Whom to blame when a lane is late, too big or gone: its job, the job's source, its folder, or a model."""

from __future__ import annotations

import os

from bgrd.engine.process import BURY_SECONDS, LaneProcess, kernel_oom_kills
from bgrd.engine.slot import Stage
from bgrd.errors import CrashFault, Fault, FileFault, FolderUnavailable, GroundFault, MemoryFault, ModelFault

__all__ = ["for_death", "for_end", "for_excess", "for_lateness", "for_size", "while_loading", "with_limit"]

_SPARE_THREADS = 64
_THREADS_EACH = 8
"""For each processor and each thread of the model: decoders start some for every processor, the tiles of a HEIC again.

A flood of them takes hardly any memory, and what others need: a limit on processes, often of a few hundred, holds for
us and the lanes together.
"""


def for_lateness(stage: Stage, *, limit_seconds: float) -> Fault:
    """Blame the source while it is read, the folder while its answer is awaited, else the job."""
    if stage == "read":
        return FileFault(f"the file could not be read within {limit_seconds:g} seconds")
    if stage == "answer":
        # The lane is well: it is the folder's thread, held by a dead share, that does not answer.
        return FolderUnavailable(f"the folder has not answered for {limit_seconds:g} seconds")
    return CrashFault(f"it took longer than {limit_seconds:g} seconds")


def for_size(resident_bytes: int, *, limit_bytes: int) -> Fault:
    """Say how much memory was wanted and how much there is."""
    wanted, limit = resident_bytes // 2**20, limit_bytes // 2**20
    return MemoryFault(f"it needs more than {wanted} MiB of memory, the limit is {limit} MiB")


def for_excess(process: LaneProcess, *, limit_bytes: int, threads: int) -> Fault | None:
    """Look at what a lane whose model runs on so many threads has taken; None where it is within its limits."""
    if (resident := process.resident_bytes()) > limit_bytes:
        return for_size(resident, limit_bytes=limit_bytes)
    if (running := process.threads()) > _SPARE_THREADS + _THREADS_EACH * ((os.cpu_count() or 1) + threads):
        return CrashFault(f"the process working on it started {running} threads")
    return None


def with_limit(fault: MemoryFault, *, limit_bytes: int) -> MemoryFault:
    """Add to what a lane says of its shortage how much it may have."""
    return MemoryFault(f"{str(fault).rstrip('.')}; the limit is {limit_bytes // 2**20} MiB")


def for_end(status: str, *, out_of_memory: bool, idle: bool = False) -> Fault:
    """Blame memory where the kernel ended a process for it meanwhile, else the job; `status` says how it ended.

    Of a process that was `idle` it is told as its own affair.
    """
    if out_of_memory and status == "was killed":
        return MemoryFault("the system ran out of memory" + (" while it was worked on" if not idle else ""))
    if idle:
        return CrashFault(f"its process {status}")
    if status == "died of SIGXCPU":
        return CrashFault("it took more processor time than a picture may")
    return CrashFault(f"the process working on it {status}")


def for_death(process: LaneProcess, *, oom_kills: int, idle: bool = False) -> Fault:
    """Find out why a process's socket ended; `oom_kills` is what the kernel had killed for memory when it began."""
    status = process.wait_or_kill(BURY_SECONDS)
    return for_end(status, out_of_memory=kernel_oom_kills() > oom_kills, idle=idle)


def while_loading(model: str, fault: Fault) -> Fault:
    """Blame the model for whatever happens to a lane that loads it: no job is charged for that."""
    if "/" in model:  # no model's name has one: a ground's, which says nothing to anybody
        return GroundFault(f"loading it failed: {fault}")
    return ModelFault(f"loading model {model} failed: {fault}")
