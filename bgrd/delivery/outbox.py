"""Where results go: complete under their final name or not at all, never in place of a file that is not ours.

Plain calls for a folder's committer thread; every failure is a Fault with a sentence. Nothing below the outbox is
reached through a symbolic link. Results of one job are written as drafts, made durable by the lane, then published.

An earlier result is replaced as `delivery.replace` says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_native_id

from bgrd.delivery.beneath import (
    CHUNK_BYTES,
    folder_faults,
    open_directory,
    open_regular,
    opened_directory,
    sha256_of,
    split,
    sync_directories,
)
from bgrd.delivery.ladder import (
    LADDER,
    Draft,
    Rung,
    create_draft,
    drop_draft,
    exists,
    find_rung,
    publish_draft,
)
from bgrd.delivery.naming import candidates, hidden_probe, hidden_result
from bgrd.delivery.ownership import Ownership
from bgrd.delivery.replace import replace_earlier
from bgrd.errors import FolderFault
from bgrd.escape import shown

__all__ = ["Draft", "Outbox", "candidates"]

_STRAIN_BYTES = 4 * 2**20
"""More than any file system refuses in one piece while it takes less: what has no room for it is full."""

_LEFTOVER = re.compile(rb"\.bgrd-(?:(?P<job>\d+)-\d+|probe-(?P<thread>\d+))\.tmp(?:\.named|\.2)?")


class Outbox:
    """One folder's results. `mode` and `group` go to every result and new directory; None leaves them to the umask.

    `min_free` is in bytes. `ladder` is the choice of ways to publish, best first; tests force single rungs with it.
    """

    def __init__(
        self,
        root: Path,
        *,
        mode: int | None,
        group: str | None,
        min_free: int,
        ladder: Sequence[Rung] = LADDER,
    ) -> None:
        self.root = root
        self._owner = Ownership(mode=mode, group=group)
        self._min_free = min_free
        self._ladder = tuple(ladder)
        self._rungs: dict[int, Rung] = {}

    def probe(self) -> None:
        """Prove that results can be written now: list, room, and a file created, fsynced and dropped.

        Raises FolderUnavailable where the outbox is gone and FolderFault for all else, with the reason.
        """
        with folder_faults("outbox", self.root), opened_directory(self.root) as directory:
            with os.scandir(directory) as entries:
                next(entries, None)
            self._ensure_room(directory)
            draft = create_draft(directory, rung=self._rung(directory), spare=hidden_probe(get_native_id()))
            try:
                self._owner.give(draft.fd)
                os.write(draft.fd, b"bgrd")
                os.fsync(draft.fd)
            finally:
                drop_draft(draft)

    def strain(self, draft: Draft) -> None:
        """Prove that a draft could be gone on with, by writing more to it, durably; its bytes are of no use any more.

        What it holds still takes its room meanwhile: a disk, a quota or a share that let a lane down shows itself here,
        wherever below the outbox the draft lies. Raises as `probe`.
        """
        with folder_faults("outbox", self.root):
            at = os.fstat(draft.fd).st_size
            end = at + _STRAIN_BYTES
            while at < end:
                at += os.pwrite(draft.fd, os.urandom(CHUNK_BYTES), at)  # nothing a file system could make smaller
            os.fsync(draft.fd)

    @property
    def rung(self) -> Rung:
        """Give the way results are published in the root, found by trying. Raises as `probe`."""
        with folder_faults("outbox", self.root), opened_directory(self.root) as directory:
            return self._rung(directory)

    def create(self, target: bytes, *, job_id: int, index: int) -> Draft:
        """Create the draft of product `index`, on the file system of `target`, whose missing directories are made.

        The caller hands it to `discard` in the end, published or not. Raises FolderFault or, where only this target
        cannot be (a file in a directory's place, a name the file system refuses), FileFault.
        """
        parent, _ = split(target)
        with (
            folder_faults("outbox", self.root, path=target),
            opened_directory(self.root, parent, made=self._owner.give_directory) as directory,
        ):
            self._ensure_room(directory)
            draft = create_draft(directory, rung=self._rung(directory), spare=hidden_result(job_id, index))
            try:
                self._owner.give(draft.fd)
            except BaseException:
                drop_draft(draft)
                raise
            return draft

    def publish(self, draft: Draft, target: bytes) -> bool:
        """Give a finished draft its name, or give False where that is taken by anything; never replaces.

        Durable only after `sync`. Raises as `create`.
        """
        parent, name = split(target)
        # The directory is opened anew: the one the draft was made in may have been moved out of the outbox since.
        with (
            folder_faults("outbox", self.root, path=target),
            opened_directory(self.root, parent, made=self._owner.give_directory) as directory,
        ):
            return publish_draft(draft, name, directory=directory)

    def replace(self, draft: Draft, target: bytes, *, sha256: str) -> bool:
        """Put the draft in the place of an earlier result whose bytes still have that hash; False where they do not.

        Durable only after `sync`. Raises as `create`.
        """
        with folder_faults("outbox", self.root, path=target), self._existing(target) as (directory, name):
            return directory is not None and replace_earlier(draft, name, directory=directory, sha256=sha256)

    def sync(self, target: bytes) -> None:
        """Make the target's name durable, and the directories above it up to the root. Raises as `create`."""
        with folder_faults("outbox", self.root, path=target):
            sync_directories(self.root, split(target)[0])

    def sha256(self, target: bytes) -> str | None:
        """Give the hex SHA-256 of a result, or None where there is no regular file of that name. Raises as `create`."""
        with folder_faults("outbox", self.root, path=target), self._existing(target) as (directory, name):
            return None if directory is None else _sha256_at(name, directory=directory)

    def holds(self, target: bytes) -> bool:
        """Say whether anything has that name, at the price of a look. Raises as `create`."""
        with folder_faults("outbox", self.root, path=target), self._existing(target) as (directory, name):
            return directory is not None and exists(name, directory=directory)

    def set_mtime(self, draft: Draft, mtime_ns: int) -> None:
        """Set the modification time of a finished draft, durably; nanoseconds since the epoch. Raises FolderFault."""
        with folder_faults("outbox", self.root):
            os.utime(draft.fd, ns=(mtime_ns, mtime_ns))
            os.fsync(draft.fd)

    def discard(self, draft: Draft) -> None:
        """Close a draft and remove what is hidden of it; a published result stays. May be called again."""
        # A hidden file that cannot be removed now is removed by the sweep; nothing worse hangs on it.
        with suppress(OSError):
            drop_draft(draft)

    def sweep(self, job_ids: Collection[int], *, directories: Iterable[bytes] | None = None) -> int:
        """Remove the hidden files a crash left of these jobs and give their number.

        Looks into `directories` (paths below the root), or through the whole outbox. Raises FolderFault.
        """
        wanted = frozenset(job_ids)
        with folder_faults("outbox", self.root), opened_directory(self.root):
            pass
        removed = 0
        pending = [b""] if directories is None else list(dict.fromkeys(directories))
        while pending:
            parent = pending.pop()
            # A directory that went away or may not be listed keeps its leftovers: hidden, and harmless.
            with suppress(OSError), opened_directory(self.root, parent) as directory:
                count, below = _sweep(directory, wanted)
                removed += count
                if directories is None:
                    pending += [parent + b"/" + name if parent else name for name in below]
        return removed

    @contextmanager
    def _existing(self, target: bytes) -> Iterator[tuple[int | None, bytes]]:
        """Hold the directory of `target`, None where it is missing or no directory, and its name."""
        parent, name = split(target)
        try:
            directory: int | None = open_directory(self.root, parent)
        except (FileNotFoundError, NotADirectoryError):
            with opened_directory(self.root):  # the root's own absence is no answer about a target
                directory = None
        try:
            yield directory, name
        finally:
            if directory is not None:
                os.close(directory)

    def _rung(self, directory: int) -> Rung:
        """Give the rung of the file system `directory` is on, which need not be the root's."""
        device = os.fstat(directory).st_dev
        if device not in self._rungs:
            try:
                self._rungs[device] = find_rung(directory, spare=hidden_probe(get_native_id()), ladder=self._ladder)
            except FolderFault as fault:
                message = f"the outbox {shown(os.fsencode(self.root))} cannot be used: {fault}"
                raise FolderFault(message) from fault
        return self._rungs[device]

    def _ensure_room(self, directory: int) -> None:
        room = os.fstatvfs(directory)
        free = room.f_bavail * room.f_frsize
        # Some FUSE file systems report no blocks at all: that says nothing.
        if room.f_blocks and free < self._min_free:
            message = (
                f"the outbox {shown(os.fsencode(self.root))} has {free // 10**6} MB free and "
                f"{self._min_free // 10**6} MB are kept free (min_free): make room, bgrd goes on by itself"
            )
            raise FolderFault(message)


def _sha256_at(name: bytes, *, directory: int) -> str | None:
    fd = open_regular(name, directory=directory)
    if fd is None:
        return None
    try:
        return sha256_of(fd)
    finally:
        os.close(fd)


def _sweep(directory: int, wanted: frozenset[int]) -> tuple[int, list[bytes]]:
    removed = 0
    below = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                below.append(name)
            elif _is_leftover(name, wanted) and entry.is_file(follow_symlinks=False):
                os.unlink(name, dir_fd=directory)
                removed += 1
    return removed, below


def _is_leftover(name: bytes, wanted: frozenset[int]) -> bool:
    match = _LEFTOVER.fullmatch(name)
    if match is None:
        return False
    if match["job"] is not None:
        return int(match["job"]) in wanted
    return not Path(f"/proc/{int(match['thread'])}").exists()
