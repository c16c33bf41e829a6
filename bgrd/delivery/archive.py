"""Puts a hidden source into the archive, never in place of another file, within and across file systems."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from bgrd.delivery.beneath import CHUNK_BYTES, open_regular, opened_directory, sha256_of
from bgrd.delivery.ladder import create_draft, drop_draft, move
from bgrd.delivery.naming import numbered
from bgrd.steps import passed

__all__ = ["drop_copy", "ensure_room", "store", "try_out"]

_SPARE_BYTES = 1 << 20


def ensure_room(home: int, *, source: int, size: int) -> None:
    """Raise OSError ENOSPC where `home` is on another file system, so that a copy is needed, and lacks `size` bytes.

    Asked before a source is touched, so that a full archive leaves it where it is.
    """
    if os.fstat(home).st_dev == os.fstat(source).st_dev:
        return
    room = os.fstatvfs(home)
    if room.f_blocks and room.f_bavail * room.f_frsize < size + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def try_out(home: int, *, source: int, spare: bytes) -> None:
    """Raise OSError where directory `home` can take no file of directory `source`; leaves nothing there.

    Within a file system a source is renamed, which takes a right but no room; across, a file is written on trial.
    """
    if not os.access(b".", os.W_OK | os.X_OK, dir_fd=home):
        number = errno.EROFS if os.fstatvfs(home).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number))
    if os.fstat(home).st_dev == os.fstat(source).st_dev:
        return
    ensure_room(home, source=source, size=0)
    draft = create_draft(home, rung="hidden+link", spare=spare)
    try:
        os.write(draft.fd, b"bgrd")
        os.fsync(draft.fd)
    finally:
        drop_draft(draft)


def drop_copy(archive: Path, parent: bytes, hidden: bytes, *, source: int) -> None:
    """Remove what a kill may have left of a copy in `parent` of the archive: the next try may copy nothing.

    `source` is the directory with the original, which has the same hidden name.
    """
    with suppress(OSError), opened_directory(archive, parent) as home:
        if not os.path.samestat(os.fstat(home), os.fstat(source)):
            os.unlink(hidden, dir_fd=home)


def store(hidden: bytes, path: bytes, *, source: int, home: int, fd: int, sha256: str | None) -> bytes | None:
    """Put `hidden` of directory `source` into directory `home` as the first free name of `path` and give that name.

    `fd` reads the hidden file. Across file systems the bytes are copied, made durable and read back; then `hidden` is
    still there for the caller to remove, who makes `home` durable first. A copy of the same bytes and time that has
    one of the names already, as an earlier try leaves it, is the outcome. None: the bytes are not those of `sha256`,
    nothing was done. Raises OSError.
    """
    try:
        return _rename(hidden, path, source=source, home=home, fd=fd)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    return _copy(hidden, path, home=home, fd=fd, sha256=sha256)


def _rename(hidden: bytes, path: bytes, *, source: int, home: int, fd: int) -> bytes:
    for name in numbered(path):
        if move(hidden, name, source_dir=source, target_dir=home):
            return name
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=home, follow_symlinks=False)
            # A crash between link and unlink, where the file system cannot rename without replacing.
            if os.path.samestat(found, os.fstat(fd)):
                return name
    raise AssertionError  # the names have no end


def _copy(hidden: bytes, path: bytes, *, home: int, fd: int, sha256: str | None) -> bytes | None:
    draft = create_draft(home, rung="hidden+link", spare=hidden)
    try:
        digest = _pour(fd, draft.fd)
        if sha256 not in {None, digest}:
            return None
        _dress(fd, draft.fd)
        os.fsync(draft.fd)
        if sha256_of(draft.fd) != digest:
            raise OSError(errno.EIO, "the copy reads back differently")
        passed("source.copied")
        for name in numbered(path):
            if move(hidden, name, source_dir=home, target_dir=home):
                draft.hidden = None
                return name
            if _holds_copy(name, digest, home=home, mtime_ns=os.fstat(draft.fd).st_mtime_ns):
                return name
    finally:
        drop_draft(draft)
    raise AssertionError  # the names have no end


def _pour(source: int, target: int) -> str:
    """Copy a file from its start and give the hex SHA-256 of what was read."""
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(source, CHUNK_BYTES, offset):
        digest.update(chunk)
        offset += len(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(target, rest) :]
    return digest.hexdigest()


def _dress(source: int, target: int) -> None:
    """Give a copy the original's attributes; those the archive's file system does not know are left out."""
    found = os.fstat(source)
    with suppress(OSError):
        for attribute in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(target, attribute, os.getxattr(source, attribute))
    with suppress(OSError):
        os.fchmod(target, stat.S_IMODE(found.st_mode) & 0o777)
    with suppress(OSError):
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _holds_copy(name: bytes, digest: str, *, home: int, mtime_ns: int) -> bool:
    fd = open_regular(name, directory=home)
    if fd is None:
        return False
    try:
        if os.fstat(fd).st_mtime_ns != mtime_ns or sha256_of(fd) != digest:
            return False
        os.fsync(fd)
        return True
    finally:
        os.close(fd)
