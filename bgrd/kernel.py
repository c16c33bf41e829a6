"""The few things Linux knows and Python does not say: renameat2, prctl, mallopt, what a thread waits in, holes.

Linux only. Every function raises OSError with the kernel's errno, as `os` does.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
import time
from pathlib import Path

__all__ = [
    "blocked_in_file_call",
    "die_with_parent",
    "first_hole",
    "give_large_blocks_back",
    "in_terminal",
    "rename_exchange",
    "rename_noreplace",
    "seconds_slept",
    "trim_memory",
]

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_PR_SET_PDEATHSIG = 1
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 * 2**10
_FS_IOC_FIEMAP = 0xC020660B
_FIEMAP = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQ16xI12x")
_EXTENTS_AT_ONCE = 64
_FIEMAP_SYNC = 0x1
_FIEMAP_EXTENT_UNWRITTEN = 0x800

# Calls in which a thread waits for another thread, a process or time, not for a file system; from the kernel's tables.
# restart_syscall among them: a wait with an end looks so once the machine has slept or the process was stopped.
_WAITING_CALLS = {
    "x86_64": frozenset({7, 23, 24, 34, 35, 61, 128, 130, 202, 219, 230, 232, 247, 270, 271, 281, 441, 449}),
    "aarch64": frozenset({22, 72, 73, 95, 98, 101, 115, 124, 128, 133, 137, 260, 441, 449}),
}
# read, readv, recvfrom, recvmsg: they wait for a file system or for whoever is at the other end of a pipe or socket.
_READING_CALLS = {"x86_64": frozenset({0, 19, 45, 47}), "aarch64": frozenset({63, 65, 207, 212})}
_NO_FILES = ("pipe:", "socket:", "anon_inode:")

_libc = ctypes.CDLL(None, use_errno=True)


def rename_noreplace(
    source: bytes,
    target: bytes,
    *,
    source_dir: int = _AT_FDCWD,
    target_dir: int = _AT_FDCWD,
) -> None:
    """Rename within a file system, or raise FileExistsError where the target exists.

    Raises OSError EINVAL on file systems that cannot refuse to replace. Source: renameat2(2).
    """
    _renameat2(source, target, source_dir=source_dir, target_dir=target_dir, flags=_RENAME_NOREPLACE)


def rename_exchange(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> None:
    """Let two names of a file system change places in one step; both must exist.

    Raises OSError EINVAL on file systems that cannot. Source: renameat2(2).
    """
    _renameat2(source, target, source_dir=source_dir, target_dir=target_dir, flags=_RENAME_EXCHANGE)


def _renameat2(source: bytes, target: bytes, *, source_dir: int, target_dir: int, flags: int) -> None:
    if _libc.renameat2(source_dir, source, target_dir, target, ctypes.c_uint(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(source), None, os.fsdecode(target))


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process the signal when the thread that started it ends.

    Source: prctl(2), PR_SET_PDEATHSIG. A parent that died before the call is not noticed: compare getppid afterwards.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def give_large_blocks_back() -> bool:
    """Have the C library return every block of 128 KiB or more to the kernel once it is freed; False where it cannot.

    Left alone, glibc raises that bound to the largest block freed so far, and keeps the next of that size among its
    small ones. Python's table of interned strings, 1.9 MB here, is made anew every few thousand file names: a daemon
    would keep two or three of them. Source: mallopt(3).
    """
    mallopt = getattr(_libc, "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) == 1


def blocked_in_file_call(thread: int) -> bool:
    """Say whether a thread is held inside a system call that is no mere waiting.

    `thread` is a native thread id, of this process or a child. A thread on a dead share is held in such a call; one
    that our own code froze waits on a lock, sleeps or runs. False where the kernel does not tell or the machine is
    unknown. Source: proc(5).
    """
    try:
        call, *arguments = Path(f"/proc/{thread}/syscall").read_text().split()
        waiting = _WAITING_CALLS.get(platform.machine())
        if waiting is None or not call.isdecimal() or int(call) in waiting:
            return False
        if int(call) in _READING_CALLS[platform.machine()]:
            return not os.readlink(f"/proc/{thread}/fd/{int(arguments[0], 16)}").startswith(_NO_FILES)
    except (OSError, ValueError, IndexError):
        return False
    return True


def first_hole(fd: int, *, size: int) -> int | None:
    """Give where the first part of an open file begins that was never written, None where there is none below `size`.

    Who takes the room for a file first (truncate, fallocate) and fills it out of order leaves such parts; on most file
    systems they show by the page. None where the file system does not tell. Source: lseek(2), SEEK_HOLE.
    """
    try:
        found = os.lseek(fd, 0, os.SEEK_HOLE)
        os.lseek(fd, 0, os.SEEK_SET)
        if found < size:
            return found
        # Allocated room that somebody has read counts as data for lseek; the extents still say what it is. Only those
        # of a file that is being written back may say so for a moment, hence the second, slower question.
        if _unwritten_at(fd, size=size, flags=0) is None:
            return None
        return _unwritten_at(fd, size=size, flags=_FIEMAP_SYNC)
    except OSError:
        return None


def _unwritten_at(fd: int, *, size: int, flags: int) -> int | None:
    """Ask for a file's extents and give where the first unwritten one begins. Source: linux/fiemap.h."""
    start = 0
    while start < size:
        head = _FIEMAP.pack(start, size - start, flags, 0, _EXTENTS_AT_ONCE, 0)
        buffer = bytearray(head + bytes(_EXTENT.size * _EXTENTS_AT_ONCE))
        fcntl.ioctl(fd, _FS_IOC_FIEMAP, buffer)
        mapped = _FIEMAP.unpack_from(buffer)[3]
        for index in range(mapped):
            logical, _, length, said = _EXTENT.unpack_from(buffer, _FIEMAP.size + index * _EXTENT.size)
            if said & _FIEMAP_EXTENT_UNWRITTEN and logical < size:
                return int(logical)
            start = logical + length
        if mapped < _EXTENTS_AT_ONCE:
            break
    return None


def seconds_slept() -> float:
    """Give how long the machine has been suspended since it was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def in_terminal() -> bool:
    """Say whether a terminal controls us: then SIGHUP means that it was closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def trim_memory() -> None:
    """Have the C library give the system back what was freed in small pieces; does nothing where it cannot.

    Source: malloc_trim(3), GNU alone.
    """
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
