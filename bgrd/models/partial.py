"""A download on its way to the disk: hidden until it is whole, kept for the next time where it breaks off.

`.NAME.part` holds the bytes and `.NAME.part.json` what is known of them. The lock on the former keeps a second download
of the same file out; it goes with the process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from bgrd.errors import BusyError, CannotCreateError

__all__ = ["Digest", "Origin", "Partial", "digest", "leftovers", "lock", "locked", "write_whole"]

_BLOCK_BYTES = 1 << 16
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the first bytes of a file came from; `validator` is a strong ETag or a date, None where none was told."""

    url: str
    validator: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A file's size and both its checksums in hex."""

    size: int
    sha256: str
    md5: str

    def holds(self, checksum: str) -> bool:
        """Say whether these bytes have the checksum `md5:<hex>` or `sha256:<hex>`."""
        algorithm, _colon, wanted = checksum.partition(":")
        return {"md5": self.md5, "sha256": self.sha256}.get(algorithm) == wanted.lower()


class Partial:
    """The file `target` while it comes. Raises BusyError while another process fetches it, CannotCreateError.

    `joined` says that what is there came in more than one part. Leaving the block keeps what came for the next time,
    where that can go on (`resumable`); what is empty goes.
    """

    def __init__(self, target: Path, *, resumable: bool = True) -> None:
        self.target = target
        self._resumable = resumable
        self.size = 0
        self.joined = False
        self._path, self._notes = leftovers(target)
        self._fd = -1

    def __enter__(self) -> Self:
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._fd = self._locked()
        except OSError as error:
            self._refuse(error)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        self.joined = self.size > 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd < 0:
            return
        if not (self.size and self._resumable) and self._is_mine(self._fd):
            self._forget(self._path, self._notes)
        os.close(self._fd)
        self._fd = -1

    def origin(self) -> Origin | None:
        """Give where the bytes so far came from, None where that is not known."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self._notes.read_text())
            validator = noted["validator"]
            return Origin(url=str(noted["url"]), validator=None if validator is None else str(validator))
        return None

    def begin(self, origin: Origin) -> None:
        """Start with nothing, from `origin`. Raises CannotCreateError."""
        try:
            os.ftruncate(self._fd, 0)
            self.size, self.joined = 0, False
            self._notes.write_text(json.dumps(asdict(origin)))
        except OSError as error:
            self._refuse(error)

    def room_for(self, more: int) -> None:
        """Raise CannotCreateError where the disk has no room for so many more bytes."""
        with suppress(OSError):
            room = os.fstatvfs(self._fd)
            if room.f_bavail * room.f_frsize < more:
                self._refuse(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def write(self, block: bytes) -> None:
        """Append bytes. Raises CannotCreateError."""
        view = memoryview(block)
        while view:
            try:
                written = os.pwrite(self._fd, view, self.size)
            except OSError as error:
                self._refuse(error)
            self.size += written
            view = view[written:]

    def restart(self) -> None:
        """Forget every byte."""
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            self._refuse(error)
        self.size, self.joined = 0, False
        self._forget(self._notes)

    @property
    def path(self) -> Path:
        """Where the bytes lie while they come."""
        return self._path

    def digest(self) -> Digest:
        """Read what came. Raises CannotCreateError."""
        try:
            self._hold_on()
            return digest(self._path)
        except OSError as error:
            self._refuse(error)

    def install(self) -> None:
        """Give the file its name, durably, replacing what has it. Raises CannotCreateError."""
        try:
            self._hold_on()
            os.fsync(self._fd)
            self._path.replace(self.target)
            _sync_directory(self.target.parent)
        except OSError as error:
            self._refuse(error)
        self._forget(self._notes)
        os.close(self._fd)
        self._fd = -1

    def _locked(self) -> int:
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            try:
                lock(fd, wait=False)
                # The one who held it may have given it its final name: that lock would exclude nobody.
                if self._is_mine(fd):
                    return fd
            except BlockingIOError as error:
                os.close(fd)
                message = f"another bgrd is fetching {self.target} right now"
                raise BusyError(message) from error
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _is_mine(self, fd: int) -> bool:
        """Whether an open file has the name of what is on its way."""
        try:
            return os.path.samestat(os.stat(self._path, follow_symlinks=False), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _hold_on(self) -> None:
        """Raise CannotCreateError where the name is another file's by now: nobody knows what that one holds."""
        if not self._is_mine(self._fd):
            message = f"what came of {self.target} was removed meanwhile: run the same command again"
            raise CannotCreateError(message)

    def _refuse(self, error: OSError) -> NoReturn:
        """Say what the disk does not allow."""
        kept = f"; what came so far ({self.size / 1e6:.1f} MB) is kept, the same command goes on there"
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in _FULL:
            message = f"there is no room left for {self.target}{kept if self.size and self._resumable else ''}"
        else:
            message = f"{self.target} cannot be written: {reason}"
        raise CannotCreateError(message) from error

    def _forget(self, *paths: Path) -> None:
        for path in paths:
            with suppress(OSError):
                path.unlink()


def leftovers(target: Path) -> tuple[Path, Path]:
    """Give what may lie beside a file that did not come whole: its bytes, and what is known of them."""
    return target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json")


def lock(fd: int, *, wait: bool) -> None:
    """Lock an open file, or do without where its share cannot: two commands in one moment are rare.

    Raises BlockingIOError where another process has it and nobody wants to wait, OSError.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold this lock file, made where it is missing, while the block lasts; wait for whoever has it. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        lock(fd, wait=True)
        yield
    finally:
        os.close(fd)


def digest(path: Path) -> Digest:
    """Read a file's checksums. Raises OSError."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return Digest(size=size, sha256=sha256.hexdigest(), md5=md5.hexdigest())


def write_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a small file durably and in one step, replacing what has its name. Raises OSError.

    One at a time: who may not be the only one holds a lock, see `locked`.
    """
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)  # of one who was killed here
    try:
        with open(aside, "xb", opener=partial(os.open, mode=mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some shares cannot
            os.fsync(fd)
    finally:
        os.close(fd)
