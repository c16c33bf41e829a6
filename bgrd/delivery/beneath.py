"""Directories beneath a root, reached by descriptor and without following symbolic links, and what goes wrong there.

The root itself may be a link, since it is what the user configured; nothing below it is. Every call opens the root
anew, so a share that was mounted or lost in between is seen at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bgrd.errors import DaemonFault, Fault, FileFault, FolderFault, FolderUnavailable
from bgrd.escape import shown

__all__ = [
    "CHUNK_BYTES",
    "PLACES_OWN",
    "closed_on_error",
    "file_fault",
    "folder_fault",
    "folder_faults",
    "open_directory",
    "open_regular",
    "opened_directory",
    "sha256_of",
    "split",
    "sync_directories",
    "sync_directory",
    "unusable",
]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_NAMES = frozenset({b"", b".", b".."})
CHUNK_BYTES = 1 << 16
"""Above 128 KiB the C library would keep what was read into, two megabytes for each thread that ever did so."""
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_GONE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ETIMEDOUT,
        errno.ENODEV,
        errno.ENXIO,
    },
)
PLACES_OWN = (_GONE - {errno.ENOENT, errno.ENOTDIR}) | {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.EREMOTEIO,
}
"""What a file that is open can meet only because of where it lies."""
_WORDS = {
    errno.ENOSPC: "is full: make room, bgrd goes on by itself",
    errno.EDQUOT: "is over your disk quota: make room, bgrd goes on by itself",
    errno.EROFS: "is on a file system mounted read-only",
    errno.EACCES: "may not be read and written by this user: check its owner and permissions",
    errno.EPERM: "does not allow what bgrd needs to do there: check its owner and permissions",
}
_PATHS_OWN = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EEXIST,
        errno.EISDIR,
        errno.EINVAL,
        errno.EILSEQ,
        errno.ENAMETOOLONG,
        errno.EACCES,
        errno.EPERM,
    },
)


def split(path: bytes) -> tuple[bytes, bytes]:
    """Split a path below a root into its directory (empty for the root) and its name.

    Raises ValueError for a path that is absolute or empty or has `.`, `..`, empty components or a null byte.
    """
    if b"\0" in path or not _NO_NAMES.isdisjoint(path.split(b"/")):
        message = f"not a path below a root: {path!r}"
        raise ValueError(message)
    parent, _, name = path.rpartition(b"/")
    return parent, name


def open_directory(root: Path | bytes, parent: bytes = b"", *, made: Callable[[int], None] | None = None) -> int:
    """Open a directory beneath `root` and give its descriptor, which the caller closes.

    With `made`, missing directories below the root (never the root) are made, durably, and handed to it as a
    descriptor. Raises OSError: ENOENT where one is missing, ENOTDIR where a component is a link or a file.
    """
    directory = os.open(root, _DIRECTORY)
    for component in _components(parent):
        try:
            below = _open_or_make(component, directory=directory, made=made)
        finally:
            os.close(directory)
        directory = below
    return directory


@contextmanager
def opened_directory(
    root: Path | bytes,
    parent: bytes = b"",
    *,
    made: Callable[[int], None] | None = None,
) -> Iterator[int]:
    """Hold `open_directory`'s descriptor for a block. Raises its OSErrors."""
    directory = open_directory(root, parent, made=made)
    try:
        yield directory
    finally:
        os.close(directory)


def open_regular(name: bytes, *, directory: int) -> int | None:
    """Open a regular file for reading, or give None where `name` is missing or anything else.

    Never waits for a FIFO or follows a link. Raises OSError for whatever else keeps the file from being read.
    """
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            return None
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    with closed_on_error(fd):
        # Between the two calls something else may have taken the name.
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
    os.close(fd)
    return None


@contextmanager
def closed_on_error(fd: int) -> Iterator[None]:
    """Close a descriptor where the block raises: nobody else will."""
    try:
        yield
    except BaseException:
        os.close(fd)
        raise


def sha256_of(fd: int) -> str:
    """Give the hex SHA-256 of a file from its start; leaves the descriptor's offset alone. Raises OSError."""
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(fd, CHUNK_BYTES, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def sync_directory(directory: int) -> None:
    """Make the entries of a directory durable, where its file system can. Raises OSError."""
    try:
        os.fsync(directory)
    except OSError as error:
        # Some network and FUSE file systems have no fsync for directories; there is nothing better to do there.
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise


def sync_directories(root: Path, parent: bytes) -> None:
    """Make a directory's entries durable and those of each directory above it up to `root`.

    All of them every time: one made just before a crash looks like any other afterwards. Raises OSError.
    """
    components = _components(parent)
    for depth in range(len(components), -1, -1):
        with opened_directory(root, b"/".join(components[:depth])) as directory:
            sync_directory(directory)


def folder_fault(error: OSError, *, role: str, root: Path, path: bytes = b"") -> Fault:
    """Say what an OSError on a folder means: the daemon's trouble, the folder's, or with `path` only that file's.

    What stands in the way of one path below the root (a file where a directory is needed, a name the file system
    refuses, a forbidden sub-directory) blocks that file and none of its neighbours.
    """
    number = error.errno or 0
    place = f"the {role} {shown(os.fsencode(root))}"
    if number in _OURS:
        return DaemonFault(f"bgrd is short of system resources: {os.strerror(number)}")
    if path and number in _PATHS_OWN and _stands(root):
        return FileFault(f"{shown(path)} cannot be put into {place}: {_because(error)}")
    if number in _GONE:
        return FolderUnavailable(f"{place} is not there: {_because(error)}")
    return FolderFault(unusable(error, place=place))


def unusable(error: OSError, *, place: str) -> str:
    """Say in a sentence why a place takes no results, and what to do."""
    return f"{place} {_WORDS.get(error.errno or 0, f'cannot be used: {_because(error)}')}"


@contextmanager
def folder_faults(role: str, root: Path, *, path: bytes = b"") -> Iterator[None]:
    """Turn the OSErrors of a block into `folder_fault`'s."""
    try:
        yield
    except OSError as error:
        raise folder_fault(error, role=role, root=root, path=path) from error


def file_fault(error: OSError, *, path: bytes) -> Fault:
    """Say what an OSError on one source means: the daemon's trouble or that file's."""
    number = error.errno or 0
    if number in _OURS:
        return DaemonFault(f"bgrd is short of system resources: {os.strerror(number)}")
    if number == errno.EAGAIN:
        return FileFault(f"{shown(path)} is held by another program, such as a file server; it is tried again")
    return FileFault(f"{shown(path)} cannot be read or moved: {_because(error)}")


def _open_or_make(name: bytes, *, directory: int, made: Callable[[int], None] | None) -> int:
    flags = _DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        if made is None:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, 0o777, dir_fd=directory)
    below = os.open(name, flags, dir_fd=directory)
    with closed_on_error(below):
        made(below)
        sync_directory(directory)
    return below


def _components(parent: bytes) -> list[bytes]:
    if parent:
        with suppress(ValueError):
            split(parent)
            return parent.split(b"/")
        message = f"not a path below a root: {parent!r}"
        raise ValueError(message)
    return []


def _stands(root: Path) -> bool:
    """Tell whether the root itself can be listed and written, so that trouble below it is not the root's."""
    try:
        with opened_directory(root):
            return os.access(root, os.R_OK | os.W_OK | os.X_OK)
    except OSError:
        return False


def _because(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
