"""Ears: told by inotify, through watchdog, that something at a path deserves a look. The only importer of watchdog.

Everything heard here is a hint; the walk is the truth. What matters is never to be deaf without knowing.

watchdog's Observer is not used, for four reasons found in version 7.1: it passes every event through two queues
without bound; it holds everything back for half a second behind each file moved out of a directory; the thread
that reads the kernel's queue can end while observer and emitters look alive; and a subdirectory that could not be
watched for want of inotify watches is passed over in silence. Here watchdog's reader (InotifyFD) and its book of
directories (InotifyWatchGroup) are used by themselves: one thread, which sleeps in poll(2), and no queue but the
kernel's own, whose overflow is announced.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from watchdog.observers.inotify import InotifyWatchGroup
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper, PathedInotifyEvent

from bgrd.intake.ignore import ignored, ignored_directory
from bgrd.intake.limit import SYSCTLS, WatchLimitFault, limit_or
from bgrd.question import begin, dispose

__all__ = ["Watch"]

# A file is of interest when it gets a name (created, linked, moved here) and when a writer has closed it. Opened,
# read and modified are not asked for: our own reading would answer itself for ever, and every write(2) would wake us.
_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR,
)
_END_SECONDS = 5.0


class Watch:
    """Watches one inbox from `start` to `stop`; make a new one to try again.

    `on_dirty` gets each path below the inbox that deserves a look (a directory's too: what it holds is new),
    `on_doubt` the reason whenever events may have been missed. Both are called on the reading thread and have
    to return at once. `excluded` are directories below the inbox that are not watched. `looked` is called at each
    directory on the thread that calls `start`.
    """

    def __init__(
        self,
        inbox: Path,
        *,
        recursive: bool,
        excluded: frozenset[bytes],
        on_dirty: Callable[[bytes], None],
        on_doubt: Callable[[str], None],
        looked: Callable[[], object] = lambda: None,
    ) -> None:
        self._looked = looked
        self._inbox = os.fsencode(inbox)
        self._real = self._inbox
        self._recursive = recursive
        self._excluded = excluded
        self._on_dirty = on_dirty
        self._on_doubt = on_doubt
        self._reader: _Reader | None = None
        self._group: _Group | None = None
        self._root: tuple[int, int] | None = None

    def start(self) -> None:
        """Listen from now on.

        Raises WatchLimitFault where not every directory can be watched for want of inotify watches or instances,
        and OSError where the inbox cannot be watched.
        """
        # The inbox may be a symlink, since the user configured it; its target is watched and no other link followed.
        self._real = os.path.realpath(self._inbox)
        self._root = self._identity()
        try:
            reader = _Reader(self._wanted, on_doubt=self._on_doubt)
        except OSError as error:
            raise limit_or(error) from error
        reader.listen()
        self._reader = reader
        try:
            group = _Group(self._reader, self._real, event_mask=_MASK, is_recursive=self._recursive, hear=self._hear)
            self._group = group
        except OSError as error:
            self.stop()
            raise limit_or(error) from error
        if (limit := self._reader.limit) is not None:
            self.stop()
            raise WatchLimitFault(limit)

    def stop(self) -> None:
        """Stop listening and give everything back; may be called at any time, and again."""
        group, reader = self._group, self._reader
        self._group = self._reader = None
        if reader is not None:
            # A reader that a dead share holds is left behind: it has nothing to tell any more.
            dispose(partial(_end, group, reader), seconds=_END_SECONDS)

    def health(self) -> str | None:
        """Give the reason why events are, or may be, missed from now on; None while all is well."""
        if self._reader is None or self._group is None:
            return "it is not started"
        if self._reader.fault is not None or not self._reader.is_alive():
            return f"its reader ended: {self._reader.fault or 'for no known reason'}"
        try:
            same = self._identity() == self._root
        except OSError as error:
            return f"the inbox cannot be reached: {error.strerror}"
        if not same:
            return "another directory is in the inbox's place"
        return None if self._group.holds_root() else "the inbox was removed"

    @property
    def limit(self) -> str | None:
        """The sysctl whose limit kept a directory that came later from being watched."""
        return self._reader.limit if self._reader is not None else None

    def _identity(self) -> tuple[int, int]:
        status = os.stat(self._inbox)
        return status.st_dev, status.st_ino

    def _hear(self, event: InotifyEvent, path: bytes) -> None:
        if event.is_delete_self or event.is_move_self:
            if path == self._real:
                self._on_doubt("the inbox was moved or removed")
            return
        below = self._below(path)
        # Conflict copies may be wanted: the walker knows.
        if not below or ignored(below, sync_conflicts=True):
            return
        try:
            self._on_dirty(below)
        except Exception:  # noqa: BLE001 - an exception here would end the reading thread and leave the folder deaf
            self._on_doubt("a path could not be noted")

    def _wanted(self, path: bytes) -> bool:
        """Say whether a directory is to be watched; those inside one that is not are asked about as well."""
        if self._group is None:
            self._looked()
        if path == self._real:
            return True
        parts = self._below(path).split(b"/")
        ways = (b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        return not (any(ignored_directory(part) for part in parts) or any(way in self._excluded for way in ways))

    def _below(self, path: bytes) -> bytes:
        return path[len(self._real.rstrip(b"/")) + 1 :]


def _end(group: _Group | None, reader: _Reader) -> None:
    if group is not None:
        with suppress(OSError):  # a descriptor that was closed under it: the reader's end gives back the rest
            group.deactivate()
    reader.stop()
    reader.join()


class _Reader(InotifyFD):
    """watchdog's reading thread, which tells when it ends, when events were lost and when a limit was met."""

    def __init__(self, wanted: Callable[[bytes], bool], *, on_doubt: Callable[[str], None]) -> None:
        super().__init__()
        self.name = "watch"
        self.fault: str | None = None
        self.limit: str | None = None
        self._wanted = wanted
        self._on_doubt = on_doubt

    def listen(self) -> None:
        """Start. Raises OSError, with nothing left open, where no thread can be started."""
        try:
            begin(self)
        except OSError:
            self._close_resources()
            raise

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever ends this thread would leave the folder deaf
            self.fault = f"{type(error).__name__}: {error}"
        if self.should_keep_running():
            self._on_doubt("the watch ended")

    def _read_event_buffer(self, event_buffer_size: int) -> bytes:
        # watchdog takes a descriptor that was closed under it for an event buffer that happens to be empty, for ever.
        found = super()._read_event_buffer(event_buffer_size)
        if not found and not self._closed and self.should_keep_running():
            self._is_reading = False
            raise OSError(errno.EBADF, "its descriptor was closed")
        return found

    def _close_resources(self) -> None:
        for descriptor in (self._inotify_fd, self._kill_r, self._kill_w):
            with suppress(OSError):
                os.close(descriptor)

    def handle_event(self, event: InotifyEvent) -> None:
        super().handle_event(event)
        if event.is_queue_overflow:
            self._on_doubt("more happened at once than the kernel's queue holds")

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        """Refuse, as if it were gone, what is not to be watched: the group passes over such directories."""
        if not self._wanted(path):
            raise FileNotFoundError(errno.ENOENT, "not to be watched")
        if not os.access(path, os.R_OK):
            # watchdog takes this failure of inotify_add_watch for success.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno in SYSCTLS:
                self.limit = SYSCTLS[error.errno]
                self._on_doubt("a directory could not be watched")
            raise

    def _add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        # watchdog warns when a directory is registered twice, which happens to every one that is renamed, or found
        # both by walking its parent and by its own event. It is the same callback: nothing is lost.
        watch = self._get_or_create_watch(path, mask)
        watch.callbacks[id_] = callback
        return watch.wd


class _Straight(InotifyMoveEventGrouper):
    """Hands every event on at once, on the reading thread, instead of queueing it to wait for its other half.

    So no directory's source is ever known, and watchdog registers the tree below its new name as it is now. That is
    what keeps paths true: moving known paths around by old events goes wrong when events come late.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hear: Callable[[InotifyEvent, bytes], None] | None = None

    def put_event(self, event: PathedInotifyEvent) -> None:
        if self.hear is not None:
            self.hear(event.ev, event.path)


@dataclass(kw_only=True)
class _Group(InotifyWatchGroup):
    """watchdog's book of the directories below an inbox, which says what it hears directly."""

    hear: Callable[[InotifyEvent, bytes], None] = field(repr=False)
    _move_event_grouper: _Straight = field(default_factory=_Straight, init=False)

    def __post_init__(self) -> None:
        self._move_event_grouper.hear = self.hear
        super().__post_init__()

    def _remove_watch_internally(self, wd: WatchDescriptor) -> None:
        # watchdog raises KeyError where a directory was moved out and another of its name was made and removed.
        path = self._active_callbacks_by_watch.pop(wd, None)
        if path is not None and self._active_callbacks_by_path.get(path) == wd:
            del self._active_callbacks_by_path[path]

    def holds_root(self) -> bool:
        """Say whether the inbox itself is still being watched."""
        return self.is_active and self.path in self._active_callbacks_by_path
