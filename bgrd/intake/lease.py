"""One look at one file: what `lstat` and the file lease say about it.

No look passes a link below the inbox, as no lane is ever given what lies behind one: a directory that was replaced by
a link to where it went would be found again for ever. Paths may be longer than a system call takes.

Residual risks: a program that opens the file for writing with O_NONBLOCK within the microseconds a lease is
held gets EWOULDBLOCK; any other writer waits for that long without noticing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from bgrd.delivery.beneath import opened_directory, split
from bgrd.intake.ignore import HEAD_BYTES, has_end_marker, looks_like_picture
from bgrd.intake.settle import Facts, Lease

__all__ = ["facts", "lease", "look", "shows_picture"]

_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


def lease(fd: int) -> Lease:
    """Say whether some process has the open file open for writing; the descriptor has to be read-only.

    Exact for one's own files on local file systems, else "unknown". Not to be asked on network mounts: NFS and
    CIFS answer EAGAIN wherever the server has not delegated the file. Source: fcntl(2), "Leases".
    """
    try:
        # A broken lease is announced by SIGIO, which would end the process; SIGURG is ignored by default. The kernel
        # forgets this choice each time a lease is given back.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return "writing" if error.errno == errno.EAGAIN else "unknown"
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return "free"


def facts(inbox: bytes, path: bytes, *, network: bool = False) -> Facts | None:
    """Look at a file: its state by `lstat` and, on a local mount, whether it is being written.

    None: it is gone, or cannot even be looked at now; a walk finds it again.

    Opens regular files only, never through a symlink. What cannot be opened has an
    unknown lease; whoever reads it later meets the reason.
    """
    try:
        with _reached(inbox, path) as (name, directory):
            status = os.lstat(name, dir_fd=directory)
            answer = _ask(name, directory) if stat.S_ISREG(status.st_mode) and not network else "unknown"
            # The look that counts is the one after the lease was free: a writer may have closed in between.
            status = os.lstat(name, dir_fd=directory)
    except OSError:
        return None
    return Facts(
        dev=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        regular=stat.S_ISREG(status.st_mode),
        lease=answer,
        marked=has_end_marker(path),
        network=network,
    )


@contextmanager
def _reached(inbox: bytes, path: bytes) -> Iterator[tuple[bytes, int | None]]:
    """Give a name, and the directory it is to be looked up in where there are any on the way. Raises OSError."""
    parent, name = split(path)
    if not parent:
        yield os.path.join(inbox, name), None
        return
    with opened_directory(inbox, parent) as directory:
        yield name, directory


def _ask(name: bytes, directory: int | None) -> Lease:
    try:
        fd = os.open(name, _OPEN, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError:
        return "unknown"
    try:
        return lease(fd)
    finally:
        os.close(fd)


def look(inbox: bytes, path: bytes) -> os.stat_result:
    """Give a file's `lstat`. Raises OSError, ENOTDIR also where a link leads to it."""
    with _reached(inbox, path) as (name, directory):
        return os.lstat(name, dir_fd=directory)


def shows_picture(inbox: bytes, path: bytes) -> bool:
    """Read the first bytes of a file and say whether they are a picture's; True where they cannot be read.

    The doubt is in the file's favour: a file nobody may read is then reported, not passed over.
    """
    try:
        with _reached(inbox, path) as (name, directory):
            fd = os.open(name, _OPEN, dir_fd=directory)
    except OSError:
        return True
    try:
        return looks_like_picture(os.read(fd, HEAD_BYTES))
    except OSError:
        return True
    finally:
        os.close(fd)
