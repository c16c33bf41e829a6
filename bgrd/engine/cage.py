"""What a lane gives up for good before it sees the first byte of a picture.

A lane parses what strangers may have put into a shared folder, by decoders that have had holes. Once everything it will
ever need is loaded it shuts itself in: no new privileges; seccomp's list of calls, in which nothing takes a path, an
address or another process; Landlock without any right, which holds by itself where seccomp is missing; no core files
and few descriptors. What a lane may take of memory, file size and processor time is set from outside, job by job, by
`LaneProcess.limit`. Each step that this system does not allow is told, by name and reason, never passed over.

A lane for a graphics processor could not live in here as it is: drivers open device files and their own libraries
whenever they like, talk to the device by ioctl and shared mappings, make code at run time (executable memory), start
threads before the cage and reserve far more address space than the data limit allows. It would need Landlock rules for
/dev/nvidia*, /dev/dri and the driver's libraries, openat and ioctl, PROT_EXEC, and no RLIMIT_DATA. Hence only what
parses no file runs there: infer alone, fed with tensors by caged lanes, see `engine.device`. That process gives up what
it can (`enter_loosely`): privileges and core files, and files too where the processor runs the model.

Residual risks: a picture that takes a lane over can spoil its own result and those of pictures worked on after it in
the same lane, whose sources the policy may then delete, and read those pictures; what it knows can only leave by
results. It can ask which processors and how much memory there is. Threads are counted by the parent, not here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bgrd.engine import landlock, seccomp

__all__ = ["Cage", "enter", "enter_loosely", "weakened"]

_PR_SET_NO_NEW_PRIVS = 38
_DESCRIPTORS = 64
"""Three streams, the socket, two gauges, and per job a source and its results; a message brings 16 at most."""

_REASONS = {
    errno.ENOSYS: "this kernel has none",
    errno.EINVAL: "this kernel has none",
    errno.EOPNOTSUPP: "it is switched off in this kernel",
    errno.EPERM: "it was refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """What holds this process in, by short names, and what was to hold it and does not, with the reason."""

    holds: tuple[str, ...]
    missing: tuple[str, ...]


def enter() -> Cage:
    """Shut this process in for good and try the doors. Call with one thread, and when nothing more is to be loaded."""
    holds: list[str] = []
    missing: list[str] = []

    def step(name: str, close: Callable[[], str]) -> None:
        try:
            holds.append(f"{name} {close()}".rstrip())
        except OSError as error:
            missing.append(f"{name}: {_REASONS.get(error.errno or 0, error.strerror)}")

    os.chdir("/")  # `getcwd` tells nothing then, and no directory is held that somebody may want to unmount
    step("limits", _lower_limits)
    step("no new privileges", _no_new_privileges)
    step("one thread", _alone)
    step("landlock", lambda: str(landlock.confine()))
    step("seccomp", _seccomp)
    return Cage(holds=tuple(holds), missing=(*missing, *_open_doors(holds)))


def enter_loosely(*, opens_files: bool) -> None:
    """Give up what a process can do without that only runs a model: it never sees a picture, only checked tensors.

    `opens_files` says that it works with a device, whose driver opens files whenever it likes. What the system does not
    allow is left: a lane is what has to be held in.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for step in (_no_new_privileges, *(() if opens_files else (landlock.confine,))):
        with suppress(OSError):
            step()


def weakened(missing: Sequence[str]) -> bool:
    """Say whether a cage that lacks this leaves something open: without Landlock alone seccomp still holds it all."""
    return any(not name.startswith("landlock:") for name in missing)


def _lower_limits() -> str:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return ""


def _no_new_privileges() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return ""


def _alone() -> str:
    """See that nobody stays outside: what follows holds for the thread that calls it and for those it makes."""
    if others := len(os.listdir("/proc/self/task")) - 1:
        raise OSError(0, f"{others} more are running and stay outside")
    return ""


def _seccomp() -> str:
    machine = platform.machine()
    if machine not in seccomp.MACHINES or struct.calcsize("P") != 8:
        raise OSError(0, f"no list of system calls for {machine} yet")
    seccomp.confine(machine)
    return ""


def _open_doors(holds: list[str]) -> list[str]:
    """Try what should be refused now; gives what was not."""
    caught = any(name.startswith(("landlock", "seccomp")) for name in holds)
    found = []
    if caught and _succeeds(lambda: os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))):
        found.append("files: one could still be opened")
    if "seccomp" in holds and _succeeds(lambda: socket.socket().close()):
        found.append("network: a socket could still be made")
    return found


def _succeeds(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
