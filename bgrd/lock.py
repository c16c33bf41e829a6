"""Keeps a second bgrd out of a state directory, an inbox or a run's folder, by flock: a killed holder holds nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from bgrd.delivery.beneath import folder_faults
from bgrd.errors import BusyError, StateError
from bgrd.escape import shown

__all__ = ["Holder", "Lock", "hold", "hold_inbox", "hold_run", "holder"]

_NAME = "lock"
_UNABLE = frozenset(
    {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO, errno.EPERM, errno.EACCES},
)
"""What file systems answer that cannot lock; EBADF: NFS wants a descriptor open for writing, a directory has none."""


class Lock:
    """A lock held until `close`, or until the process ends however it ends."""

    def __init__(self, *fds: int) -> None:
        self._fds = fds

    def close(self) -> None:
        """Release the lock. May be called again."""
        fds, self._fds = self._fds, ()
        for fd in fds:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a state directory, as far as that is known: `host` is "" for this machine."""

    pid: int | None
    host: str = ""


def holder(state_directory: Path) -> Holder | None:
    """Give who holds the lock on a state directory, None where nobody does. Makes nothing.

    Residual risk: where neither the file nor the kernel names a process, the lock is tried, for some microseconds; a
    bgrd that starts in that very moment is told that another one is at work.
    """
    try:
        fd = os.open(state_directory / _NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _holder_of_directory(state_directory)
    except OSError:
        return None
    try:
        return _holder(fd) or _holder_of_directory(state_directory)
    finally:
        os.close(fd)


def _holder_of_directory(path: Path) -> Holder | None:
    """Give who holds the directory itself, as the kernel tells: its lock file may have been removed."""
    with suppress(OSError):
        locker = _locker(os.stat(path))
        return Holder(pid=locker) if locker is not None else None
    return None


def _holder(fd: int) -> Holder | None:
    written = _read_holder(fd)
    if written is not None and written["host"] != socket.gethostname():
        return Holder(pid=written["pid"], host=written["host"]) if _is_locked(fd) else None
    locker = _locker(os.fstat(fd))
    if locker is not None:
        return Holder(pid=locker)
    # The last holder's number stays in the file when it ends: only a living one is worth trying the lock for.
    if written is not None and not Path(f"/proc/{written['pid']}").exists():
        return None
    return Holder(pid=written["pid"] if written is not None else None) if _is_locked(fd) else None


def _is_locked(fd: int) -> bool:
    """Say whether another process holds the lock; a file system that cannot lock has none."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def hold(state_directory: Path, *, now: float | None = None) -> Lock:
    """Lock `<state_directory>/lock`, making the directory (0700) if it is missing, and write down who holds it.

    The directory itself is locked too, where its file system can: somebody may tidy the file away while it is held.
    `now` is seconds since the epoch, by default this moment. Raises BusyError that names the holder, StateError where
    the directory cannot be used or its file system cannot lock.
    """
    try:
        # Not mkdir's `parents`, which leaves those to the umask: where it is 0, anybody could put another in its place.
        for place in reversed((state_directory, *state_directory.parents)):
            if not place.exists():
                place.mkdir(mode=0o700, exist_ok=True)
        with ExitStack() as stack:
            held = [_locked_file(state_directory / _NAME)]
            stack.callback(os.close, held[0])
            if (directory := _locked_directory(state_directory, busy="uses the state directory")) is not None:
                stack.callback(os.close, directory)
                held.append(directory)
            _write_holder(held[0], now=time.time() if now is None else now)
            stack.pop_all()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"the state directory {_text(state_directory)} cannot be locked: {reason}"
        raise StateError(message) from error
    return Lock(*held)


def hold_inbox(inbox: Path) -> Lock | None:
    """Lock the inbox directory itself against other daemons; None where its file system cannot.

    Raises BusyError that names the holder as far as this machine knows it, and FolderFault where the inbox cannot be
    opened.
    """
    with folder_faults("inbox", inbox):
        fd = _locked_directory(inbox, busy="works on the inbox")
        return None if fd is None else Lock(fd)


def hold_run(folder: Path) -> Lock | None:
    """Lock the folder of a training run against another one; None where its file system cannot.

    Processes forked later, as those that draw samples, do not hold it: they may outlive a run that is killed. Raises
    BusyError that names the holder as far as this machine knows it, and OSError where the folder cannot be opened.
    """
    fd = _locked_directory(folder, busy="learns in")
    if fd is None:
        return None
    lock = Lock(fd)
    _NOT_INHERITED.add(lock)
    return lock


_NOT_INHERITED: WeakSet[Lock] = WeakSet()


def _let_go() -> None:
    """Close in a child what is its parent's; that leaves the parent's lock as it is."""
    for lock in _NOT_INHERITED:
        lock.close()


os.register_at_fork(after_in_child=_let_go)


def _locked_directory(path: Path, *, busy: str) -> int | None:
    """Open and lock a directory; None where its file system cannot lock one. Raises BusyError, OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _process(_locker(os.fstat(fd)))
        os.close(fd)
        message = f"another bgrd{holder} already {busy} {_text(path)}"
        raise BusyError(message) from error
    except OSError as error:
        os.close(fd)
        if error.errno in _UNABLE:
            return None
        raise
    return fd


def _locked_file(path: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A lock on a file that lost its name meanwhile would exclude nobody.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd)):
                    return fd
        except BlockingIOError as error:
            message = _busy(fd, path=path)
            os.close(fd)
            raise BusyError(message) from error
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _write_holder(fd: int, *, now: float) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps(holder).encode() + b"\n", 0)


def _busy(fd: int, *, path: Path) -> str:
    state = _text(path.parent)
    holder = _read_holder(fd)
    if holder is None:
        return f"another bgrd{_process(_locker(os.fstat(fd)))} already uses the state directory {state}"
    elsewhere = holder["host"] != socket.gethostname()
    who = f" on {holder['host']} (process {holder['pid']})" if elsewhere else _process(holder["pid"])
    since = datetime.fromtimestamp(holder["since"], tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"another bgrd{who} uses the state directory {state} since {since}"


def _read_holder(fd: int) -> dict[str, Any] | None:
    """Read what the holder wrote; None where it has not got to that yet or something else is in the file."""
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        return {"pid": int(holder["pid"]), "host": str(holder["host"]), "since": float(holder["since"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _process(pid: int | None) -> str:
    """Give ` (process 12: command line)` as far as it is known."""
    if pid is None:
        return ""
    command = ""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        command = shown(b" ".join(words))
    return f" (process {pid}: {command})" if command else f" (process {pid})"


def _locker(found: os.stat_result) -> int | None:
    """Give the id of the process that holds a flock on a file, from /proc/locks; None where that does not say."""
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            # `1: FLOCK  ADVISORY  WRITE 812 fd:01:393221 0 EOF`; waiting requests have `->` in the second column.
            columns = line.split()
            if len(columns) > 5 and columns[1] == "FLOCK" and columns[5] == wanted and int(columns[4]) > 0:
                return int(columns[4])
    return None


def _text(path: Path) -> str:
    return shown(os.fsencode(path))
