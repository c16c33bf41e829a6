"""One look at one file: what `lstat` and the file lease say about it.

Residual risks: a program that opens the file for writing with O_NONBLOCK within the microseconds a lease is
held gets EWOULDBLOCK; any other writer waits for that long without noticing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat

from bgrd.intake.ignore import HEAD_BYTES, has_end_marker, looks_like_picture
from bgrd.intake.settle import Facts, Lease

__all__ = ["facts", "lease", "shows_picture"]

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

    Opens regular files only, never through a symlink at the end of the path. What cannot be opened has an
    unknown lease; whoever reads it later meets the reason.
    """
    full = os.path.join(inbox, path)
    try:
        status = os.lstat(full)
        answer = _ask(full) if stat.S_ISREG(status.st_mode) and not network else "unknown"
        # The look that counts is the one after the lease was free: a writer may have closed in between.
        status = os.lstat(full)
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


def _ask(full: bytes) -> Lease:
    try:
        fd = os.open(full, _OPEN)
    except FileNotFoundError:
        raise
    except OSError:
        return "unknown"
    try:
        return lease(fd)
    finally:
        os.close(fd)


def shows_picture(inbox: bytes, path: bytes) -> bool:
    """Read the first bytes of a file and say whether they are a picture's; True where they cannot be read.

    The doubt is in the file's favour: a file nobody may read is then reported, not passed over.
    """
    try:
        fd = os.open(os.path.join(inbox, path), _OPEN)
    except OSError:
        return True
    try:
        return looks_like_picture(os.read(fd, HEAD_BYTES))
    except OSError:
        return True
    finally:
        os.close(fd)
