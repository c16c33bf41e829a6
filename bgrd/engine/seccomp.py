"""The system calls a lane needs for its work, as a seccomp filter: whatever is not in the list is refused.

None of them takes a path, an address or another process: a lane works with the descriptors it is handed. Sources:
seccomp(2), linux/filter.h, linux/audit.h, the kernel's system call tables. libseccomp and its bindings would ask for a
C library on every machine, to make these few hundred instructions.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

__all__ = ["CALLS", "MACHINES", "confine", "program"]

MACHINES = ("x86_64", "aarch64")
"""What the filter is written for, as `platform.machine` says it; the order of the numbers in `CALLS`."""

CALLS: dict[str, tuple[int | None, int | None]] = {
    "futex": (202, 98),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "write": (1, 64),
    "pwrite64": (18, 68),
    "read": (0, 63),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "sched_yield": (24, 124),
    "clock_gettime": (228, 113),
    "brk": (12, 214),
    "mremap": (25, 216),
    "readv": (19, 65),
    "writev": (20, 66),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "fstat": (5, 80),
    "ftruncate": (77, 46),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "fadvise64": (221, 223),
    "close": (3, 57),
    "dup": (32, 23),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "poll": (7, None),
    "ppoll": (271, 73),
    "clone": (56, 220),
    "clone3": (435, 435),
    "membarrier": (324, 283),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "arch_prctl": (158, None),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "getcwd": (79, 17),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getcpu": (309, 168),
    "times": (100, 153),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getpriority": (140, 141),
    "getrandom": (318, 278),
    "futex_waitv": (449, 449),
}
"""The calls that are not refused, on each machine. First what a lane at work calls most, as the filter is read in order
on kernels before 5.11, which remember no verdicts.

fstat is there and newfstatat is not, which takes a path: where the C library asks by that, files are read without their
size being known, and that is all there is to it."""

_AUDIT_ARCHES = (0xC000003E, 0xC00000B7)
_SECCOMP_CALLS = (317, 277)

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_SET_MODE_FILTER, _FLAG_SPEC_ALLOW = 1, 4

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _When:
    """What one 32-bit word of the arguments has to be: among these values, without these bits, or with one of them."""

    word: int
    values: tuple[int, ...] = ()
    without: int = 0
    having: int = 0


_NO_EXECUTION = (_When(word=4, without=4),)
"""The third argument lacks PROT_EXEC: no new code is made."""

_CONDITIONS: dict[str, tuple[_When, ...]] = {
    "mmap": _NO_EXECUTION,
    "mprotect": _NO_EXECUTION,
    # A thread, made of CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID, DETACHED
    # and nothing else: never a process or a namespace.
    "clone": (_When(word=0, without=0xFFFFFFFF & ~0x007D0F00), _When(word=0, having=0x00010000)),
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC. Not F_SETOWN, by which the kernel would signal others for us.
    "fcntl": (_When(word=2, values=(0, 1, 2, 3, 1030)),),
    # FIOCLEX, by which Python sets close-on-exec, and FS_IOC_FIEMAP, which tells what of a file was never written:
    # nothing that reaches a device or a terminal.
    "ioctl": (_When(word=2, values=(0x5451, 0xC020660B)),),
    # PR_SET_NAME of a thread. What was given up may not be taken back, nor the signal at the parent's death.
    "prctl": (_When(word=0, values=(15,)),),
    # The wide matrix registers (ARCH_GET_XCOMP_SUPP, GET_XCOMP_PERM, REQ_XCOMP_PERM), which onnxruntime asks for.
    "arch_prctl": (_When(word=0, values=(0x1021, 0x1022, 0x1023)),),
    # Our own limits may be read: no process, and a null pointer to new limits.
    "prlimit64": (_When(word=0, values=(0,)), _When(word=4, values=(0,)), _When(word=5, values=(0,))),
}


def program(machine: str, *, pid: int) -> bytes:
    """Give the filter for a machine as the kernel takes it; `pid` is the only process that may be sent signals."""
    place = MACHINES.index(machine)
    own = (_When(word=0, values=(pid,)),)
    conditions = _CONDITIONS | {"kill": own, "tgkill": own}
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        # Another table of calls on the same machine: 32-bit ones. Those of x32 have numbers that are in no list.
        (_EQUAL, 1, 0, _AUDIT_ARCHES[place]),
        _refusal(errno.EPERM),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for name, numbers in CALLS.items():
        if (number := numbers[place]) is not None:
            # The C library makes threads by clone where it is told that there is no clone3, whose flags lie in memory.
            body = [_refusal(errno.ENOSYS)] if name == "clone3" else _verdict(conditions.get(name, ()))
            code += [(_EQUAL, 0, len(body), number), *body]
    code.append(_refusal(errno.EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def confine(machine: str) -> None:
    """Put this thread, and the threads it makes, under the filter for good. Raises OSError; needs no_new_privs."""
    filters = program(machine, pid=os.getpid())
    buffer = ctypes.create_string_buffer(filters, len(filters))
    described = struct.pack("@HP", len(filters) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    call = ctypes.c_long(_SECCOMP_CALLS[MACHINES.index(machine)])
    # Kernels before 5.16 slow a filtered process down (no speculative store bypass) unless told that it holds no
    # secrets from itself. Where the call is refused, as below systemd 252's @system-service, prctl does the rest.
    if libc.syscall(call, ctypes.c_ulong(_SET_MODE_FILTER), ctypes.c_ulong(_FLAG_SPEC_ALLOW), described) == 0:
        return
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), described, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _refusal(number: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERROR | number)


def _verdict(conditions: tuple[_When, ...]) -> list[_Instruction]:
    """Allow where every condition holds; never goes on to what stands behind."""
    code: list[_Instruction] = [(_RETURN, 0, 0, _ALLOW)]
    if conditions:
        code.append(_refusal(errno.EPERM))
    for condition in reversed(conditions):
        code = _tested(condition, code)
    return code


def _tested(condition: _When, code: list[_Instruction]) -> list[_Instruction]:
    """Put a condition before `code`, which ends in the refusal."""
    load = (_LOAD, 0, 0, _ARGUMENTS_AT + 4 * condition.word)
    refuse = len(code) - 1
    if condition.without:
        return [load, (_ANY_BIT, refuse, 0, condition.without), *code]
    if condition.having:
        return [load, (_ANY_BIT, 0, refuse, condition.having), *code]
    last = len(condition.values) - 1
    tests = [(_EQUAL, last - at, 0 if at < last else refuse, value) for at, value in enumerate(condition.values)]
    return [load, *tests, *code]
