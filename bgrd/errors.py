"""Everything that can go wrong, as one tree; the class knows what follows.

    BgrdError                     exit code
    +-- UsageError                64  the command line makes no sense
    +-- ModelFileError            65  a model's file is damaged or not what it should be
    +-- TrainingError             65  a data set, checkpoint or table for training is not what it should be
    +-- NoInputError              66  a named file or folder is not there
    +-- FetchError                69  no source gives the file of a model
    +-- CannotCreateError         73  an output cannot be made
    +-- StateError                74  the journal cannot be read or written
    |   +-- JournalError          65  it is damaged, or another program's or version's
    +-- BusyError                 75  another bgrd holds this state, inbox, download or run
    +-- LicenceError              77  a model's licence was not accepted, or access to it not granted
    +-- ConfigError               78  the configuration is wrong; names the key
    +-- Fault                         a job could not be finished; `policy` says what follows
        +-- FolderFault               the folder's: blocked, the job waits, nothing charged
        |   +-- FolderUnavailable     a share is gone, a mount is missing
        |   +-- ModelFault            model not installed, wrong, or failing its trial run
        |   +-- GroundFault           the picture cut-outs are to stand on is missing or none
        +-- FileFault                 this source only (EIO, EACCES, ESTALE): the file waits
        +-- DaemonFault               ours (EMFILE, ENOMEM, no lane can be started): pause and go on
        +-- DeviceFault               the process its model runs in ended beside it: alone, then as a crash
        +-- MemoryFault               needs more than a lane may have: alone once, then failed
        +-- InputFault                too large, damaged, not supported here: failed at once
        |   +-- FormatFault           bytes of no known picture format; may be unwritten yet
        +-- IncompleteFault           truncated, empty, still being written: waits for its grace
        |   +-- SparseFault           parts never written that may be honest zeros: whole after its grace
        +-- CrashFault                the lane died or was timed out: failed after two
        +-- UnknownFault              anything else: three tries with growing pauses
        +-- ChangedFault              bytes changed while we worked: withdrawn, back to settling

Raise below, log once. A fault's message is a sentence a user can act on.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "FAULTS",
    "SHORTAGES",
    "BgrdError",
    "BusyError",
    "CannotCreateError",
    "ChangedFault",
    "ConfigError",
    "CrashFault",
    "DaemonFault",
    "DeviceFault",
    "Fault",
    "FaultPolicy",
    "FetchError",
    "FileFault",
    "FolderFault",
    "FolderUnavailable",
    "FormatFault",
    "GroundFault",
    "IncompleteFault",
    "InputFault",
    "JournalError",
    "LicenceError",
    "MemoryFault",
    "ModelFault",
    "ModelFileError",
    "NoInputError",
    "SparseFault",
    "StateError",
    "TrainingError",
    "UnknownFault",
    "UsageError",
]

SHORTAGES = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What the kernel says where a process is short of threads, descriptors or memory, and no file is to blame."""


class BgrdError(Exception):
    """Any failure bgrd reports on purpose; its message is a sentence for the user."""

    exit_code: ClassVar[int] = os.EX_SOFTWARE


class UsageError(BgrdError):
    """The command line makes no sense."""

    exit_code = os.EX_USAGE


class ModelFileError(BgrdError):
    """A model's file is damaged or not what it should be."""

    exit_code = os.EX_DATAERR


class TrainingError(BgrdError):
    """A data set, a checkpoint or a table of sources cannot be used; names the file and what is wrong with it."""

    exit_code = os.EX_DATAERR


class FetchError(BgrdError):
    """No source gives the file of a model; says what each one answered."""

    exit_code = os.EX_UNAVAILABLE


class LicenceError(BgrdError):
    """A model's licence was not accepted, or its maker has not granted access; says how."""

    exit_code = os.EX_NOPERM


class NoInputError(BgrdError):
    """A file or folder named by the user is not there or cannot be read."""

    exit_code = os.EX_NOINPUT


class CannotCreateError(BgrdError):
    """An output file or folder cannot be made."""

    exit_code = os.EX_CANTCREAT


class StateError(BgrdError):
    """The journal or the state directory cannot be used; says what to do.

    `transient` says that it may work again by itself or once there is room: the same may be asked again.
    """

    exit_code = os.EX_IOERR

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class JournalError(StateError):
    """The journal's file is damaged, no journal, or of a newer bgrd: nothing mends that but the user; says how."""

    exit_code = os.EX_DATAERR

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=False)


class BusyError(BgrdError):
    """Another bgrd holds this state directory, inbox, download or run; names the holder as far as it is known."""

    exit_code = os.EX_TEMPFAIL


class ConfigError(BgrdError):
    """The configuration is wrong; names the key and what it may be."""

    exit_code = os.EX_CONFIG


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPolicy:
    """What follows a fault: *failed* after `strikes` charged tries (0: never by count), with these pauses between."""

    charged: bool
    strikes: int = 0
    pauses_seconds: tuple[float, ...] = ()


class Fault(BgrdError):
    """Why one job could not be finished; `kind` travels between processes and into the journal."""

    kind: ClassVar[str] = "unknown"
    policy: ClassVar[FaultPolicy] = FaultPolicy(charged=True, strikes=3, pauses_seconds=(30.0, 120.0, 600.0))


class FolderFault(Fault):
    """The folder cannot be worked now; it is blocked and resumes by itself."""

    kind = "folder"
    policy = FaultPolicy(charged=False)


class FolderUnavailable(FolderFault):
    """The folder is not there: a share is gone or another file system lies in its place."""

    kind = "unavailable"


class ModelFault(FolderFault):
    """The folder's model is missing, damaged, contradicts its spec or failed its trial run."""

    kind = "model"


class GroundFault(FolderFault):
    """A picture that the folder's cut-outs are to stand on is missing, damaged or no picture."""

    kind = "ground"


class FileFault(Fault):
    """Only this source cannot be read now while its folder is well; the file waits."""

    kind = "file"
    policy = FaultPolicy(charged=False, pauses_seconds=(30.0, 120.0, 600.0))


class DaemonFault(Fault):
    """The daemon itself is short of something; nobody is charged."""

    exit_code = os.EX_OSERR
    kind = "daemon"
    policy = FaultPolicy(charged=False, pauses_seconds=(5.0, 30.0))


class MemoryFault(Fault):
    """The job needs more memory than a lane may have: it runs alone once, then it is failed."""

    kind = "memory"
    policy = FaultPolicy(charged=False)


class DeviceFault(Fault):
    """The process that runs the model ended while it worked for several, or for others: it runs alone once.

    Nobody can tell whose tensor it was, so nobody is charged; what happens while a job runs alone is its own affair.
    """

    kind = "device"
    policy = FaultPolicy(charged=False, strikes=2, pauses_seconds=(1.0,))


class InputFault(Fault):
    """The file is no picture bgrd can work on; re-armed when the file changes."""

    kind = "input"
    policy = FaultPolicy(charged=True, strikes=1)


class FormatFault(InputFault):
    """The bytes are of no picture format bgrd knows; incomplete as long as somebody may still write them."""

    kind = "format"


class IncompleteFault(Fault):
    """The file ends early or has holes; it may still be arriving."""

    kind = "incomplete"
    policy = FaultPolicy(charged=False, pauses_seconds=(1.0, 2.0, 5.0, 15.0, 30.0, 60.0))


class SparseFault(IncompleteFault):
    """Parts of a file without compression were never written; they may still arrive, or be zeros that a copy spared.

    Nobody can tell. Once its grace is over it is a picture like any other, whose source goes the way of the policy.
    """

    kind = "sparse"


class CrashFault(Fault):
    """The lane died or ran out of time on this job."""

    kind = "crash"
    policy = FaultPolicy(charged=True, strikes=2, pauses_seconds=(1.0,))


class UnknownFault(Fault):
    """Something nobody foresaw; tried again with growing pauses."""

    kind = "unknown"


class ChangedFault(Fault):
    """The source's bytes changed, or it went away, while it was worked on; it settles anew."""

    kind = "changed"
    policy = FaultPolicy(charged=False)


FAULTS: dict[str, type[Fault]] = {
    fault.kind: fault
    for faults in (
        (FolderFault, FolderUnavailable, ModelFault, GroundFault),
        (FileFault, DaemonFault, DeviceFault, MemoryFault),
        (InputFault, FormatFault, IncompleteFault, SparseFault),
        (CrashFault, UnknownFault, ChangedFault),
    )
    for fault in faults
}
"""Fault classes by the `kind` that travels in messages and the journal."""
