"""The sources in an inbox: opened without following anything, and at the end kept, archived or deleted.

A source is never looked at and then removed by its name. It first becomes a hidden file beside itself, named after
its job; only what then proves to be the file that was read is archived or deleted, anything else is put back. Every
step leaves a state from which the same call, made again after a crash, goes on.

Residual risks: on file systems without leases (network mounts, foreign owners) a program that opened the source for
writing before it was hidden, and writes only after the comparison, loses what it writes. Where neither
RENAME_NOREPLACE nor hard links exist, putting back can replace a file dropped in that very moment.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bgrd.delivery.archive import drop_copy, ensure_room, store
from bgrd.delivery.beneath import (
    closed_on_error,
    file_fault,
    folder_faults,
    open_directory,
    open_regular,
    opened_directory,
    sha256_of,
    split,
    sync_directories,
    sync_directory,
)
from bgrd.delivery.ladder import move
from bgrd.delivery.naming import hidden_source, numbered
from bgrd.errors import ChangedFault, Fault
from bgrd.escape import shown
from bgrd.intake.lease import lease
from bgrd.intake.mounts import is_network, mount_held, read_mounts
from bgrd.job import Policy, Version, version_of
from bgrd.steps import passed

__all__ = ["Applied", "Opened", "apply_policy", "open_source", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A source open for reading: the descriptor, which the receiver closes, and the version it had when opened."""

    fd: int
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a source: `where` it is now if archived.

    "changed": it is no longer the file that was read and is back in the inbox. "missing": it is not there at all,
    also because an earlier try had already finished.
    """

    outcome: Literal["kept", "archived", "deleted", "changed", "missing"]
    where: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What apply_policy works on; `directory` is the descriptor of the directory the source is in."""

    path: bytes
    directory: int
    job_id: int
    version: Version
    sha256: str | None
    fd: int | None

    @property
    def name(self) -> bytes:
        return split(self.path)[1]

    @property
    def hidden(self) -> bytes:
        return hidden_source(self.job_id)


def open_source(inbox: Path, path: bytes) -> Opened:
    """Open a regular file beneath the inbox for reading, following no link below it and waiting for nothing.

    Raises ChangedFault where the file is gone or no regular file any more, FileFault where only it cannot be read,
    FolderUnavailable where the inbox is gone.
    """
    with _source_directory(inbox, path) as directory, _file_faults(path):
        fd = None if directory is None else open_regular(split(path)[1], directory=directory)
        if fd is None:
            message = f"{shown(path)} is no longer there as a regular file"
            raise ChangedFault(message)
        with closed_on_error(fd):
            return Opened(fd=fd, version=version_of(os.fstat(fd)))


def unchanged(inbox: Path, path: bytes, opened: Opened) -> bool:
    """Tell whether path and descriptor still speak of the version that was opened. Raises as `open_source`."""
    with _source_directory(inbox, path) as directory, _file_faults(path):
        found = None if directory is None else _lstat(split(path)[1], directory=directory)
        if found is None:
            return False
        held = os.fstat(opened.fd)
        return os.path.samestat(found, held) and version_of(found) == version_of(held) == opened.version


def apply_policy(
    policy: Policy,
    *,
    inbox: Path,
    path: bytes,
    version: Version,
    sha256: str | None,
    fd: int | None,
    archive: Path,
    job_id: int,
) -> Applied:
    """Keep, archive or delete the source of a committed job; may be called again after a crash at any point.

    `fd` is the descriptor that was read, or None after a restart: then the bytes must have the hash `sha256`. The
    archive mirrors the inbox, takes `x-2.jpg` where `x.jpg` is taken, and must exist. Raises FileFault where this
    source cannot be moved and FolderFault where the archive cannot take it; the source is then back in the inbox.
    """
    with _source_directory(inbox, path) as directory, _file_faults(path):
        if directory is None:
            return Applied(outcome="missing")
        source = _Source(path=path, directory=directory, job_id=job_id, version=version, sha256=sha256, fd=fd)
        try:
            return _apply(policy, source, archive=archive)
        except (Fault, OSError):
            # The first error is the one to tell; a source that stays hidden is found by the next try.
            with suppress(OSError):
                if _left_hidden(source):
                    _put_back(source)
            raise


def _apply(policy: Policy, source: _Source, *, archive: Path) -> Applied:
    resumed = _left_hidden(source)
    if resumed:
        drop_copy(archive, split(source.path)[0], source.hidden, source=source.directory)
    if policy == "keep":
        # While the source stands under its own name, the hidden file is another's: a lost journal's, or synced here.
        if resumed and not _stands(source):
            _put_back(source)
        return Applied(outcome="kept")
    if not resumed and _lstat(source.name, directory=source.directory) is None:
        return Applied(outcome="missing")
    if policy == "delete":
        return _taken(source, resumed=resumed, finish=lambda _: Applied(outcome="deleted"))
    parent = split(source.path)[0]
    # The archive is opened, and asked for room, while the source still has its name.
    with folder_faults("archive", archive, path=source.path):
        home = open_directory(archive, parent, made=lambda _: None)
    try:
        with folder_faults("archive", archive, path=source.path):
            ensure_room(home, source=source.directory, size=source.version.size)
        return _taken(source, resumed=resumed, finish=lambda held: _store(source, held, archive=archive, home=home))
    finally:
        os.close(home)


def _taken(source: _Source, *, resumed: bool, finish: Callable[[int], Applied | None]) -> Applied:
    """Hide the source and prove it is what was read, have it finished and remove it; else put it back."""
    by_hash = resumed or source.fd is None
    if not resumed:
        now = _lstat(source.name, directory=source.directory)
        if now is None or not _same_bytes_likely(source, now):
            return Applied(outcome="changed" if now else "missing")
        # A mode or a link changed since says nothing about the bytes, and a restored time hides that they changed.
        by_hash = by_hash or now.st_ctime_ns != source.version.ctime_ns
        if not move(source.name, source.hidden, source_dir=source.directory, target_dir=source.directory):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source.hidden)
        passed("source.hidden")
    held = open_regular(source.hidden, directory=source.directory)
    applied = None
    if held is not None:
        try:
            if _proven(source, held, by_hash=by_hash):
                passed("source.proven")
                applied = finish(held)
        finally:
            os.close(held)
    if applied is None:
        _put_back(source)
        return Applied(outcome="changed")
    with suppress(FileNotFoundError):
        os.unlink(source.hidden, dir_fd=source.directory)
    passed("source.removed")
    with suppress(OSError):
        # Not durable means only that a power cut brings the source back, and the next start asks again.
        sync_directory(source.directory)
    return applied


def _store(source: _Source, held: int, *, archive: Path, home: int) -> Applied | None:
    parent = split(source.path)[0]
    with folder_faults("archive", archive, path=source.path):
        stored = store(source.hidden, source.path, source=source.directory, home=home, fd=held, sha256=source.sha256)
        if stored is None:
            return None
        passed("source.stored")
        sync_directories(archive, parent)
    passed("source.archived")
    return Applied(outcome="archived", where=archive / os.fsdecode(parent) / os.fsdecode(stored))


def _same_bytes_likely(source: _Source, found: os.stat_result) -> bool:
    """Compare what a rename leaves alone: inode, size, mtime, and the file system where the descriptor tells it."""
    version = source.version
    return (
        stat.S_ISREG(found.st_mode)
        and (found.st_ino, found.st_size, found.st_mtime_ns) == (version.inode, version.size, version.mtime_ns)
        and (source.fd is None or os.path.samestat(found, os.fstat(source.fd)))
    )


def _proven(source: _Source, held: int, *, by_hash: bool) -> bool:
    # Asked after hiding: from now on nobody opens it by the name it had, so only an old writer can be there.
    if _being_written(held) or not _same_bytes_likely(source, os.fstat(held)):
        return False
    if not by_hash:
        return True
    return source.sha256 is not None and sha256_of(held) == source.sha256 and _same_bytes_likely(source, os.fstat(held))


def _being_written(fd: int) -> bool:
    """Say whether any process can still write to the file; on a network mount nobody can tell, so nobody is asked."""
    return not is_network(mount_held(fd, read_mounts())) and lease(fd) == "writing"


def _left_hidden(source: _Source) -> bool:
    """Tell whether an earlier try left the source hidden; one that has both names simply keeps its own."""
    hidden = _lstat(source.hidden, directory=source.directory)
    if hidden is None:
        return False
    named = _lstat(source.name, directory=source.directory)
    if named is None or not os.path.samestat(hidden, named):
        return True
    os.unlink(source.hidden, dir_fd=source.directory)
    return False


def _stands(source: _Source) -> bool:
    found = _lstat(source.name, directory=source.directory)
    return found is not None and _same_bytes_likely(source, found)


def _put_back(source: _Source) -> None:
    """Give the hidden file its name again, or `x-2.jpg` where a new file took it; lost is nothing."""
    with suppress(FileNotFoundError):
        for name in numbered(source.path):
            if move(source.hidden, name, source_dir=source.directory, target_dir=source.directory):
                break
    passed("source.returned")
    with suppress(OSError):
        sync_directory(source.directory)


@contextmanager
def _source_directory(inbox: Path, path: bytes) -> Iterator[int | None]:
    """Hold the directory a source is in, None where it is gone or no directory; the inbox itself must be there."""
    directory: int | None = None
    try:
        directory = open_directory(inbox, split(path)[0])
    except OSError as error:
        with folder_faults("inbox", inbox), opened_directory(inbox):
            pass
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            raise file_fault(error, path=path) from error
    try:
        yield directory
    finally:
        if directory is not None:
            os.close(directory)


@contextmanager
def _file_faults(path: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise file_fault(error, path=path) from error


def _lstat(name: bytes, *, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
