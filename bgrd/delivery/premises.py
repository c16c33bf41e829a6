"""Whether a folder may be worked on: its directories lie where they should, and no other bgrd holds the inbox.

Asked before anything is claimed, published, moved or deleted, on the folder's own thread: any of these calls can be
held by a dead share. Residual risk: a file system that is unmounted between the question and the act, some
microseconds, is not noticed; the next question is.
"""

from __future__ import annotations

import os
from contextlib import suppress

from bgrd.errors import BusyError, FolderFault
from bgrd.intake.guard import MountGuard
from bgrd.intake.protocol import IntakeJournal
from bgrd.job import Folder
from bgrd.lock import Lock, hold_inbox

__all__ = ["Premises", "make_archive"]


class Premises:
    """One folder's directories and the lock on its inbox, held from the first good answer until `close`."""

    def __init__(self, folder: Folder, journal: IntakeJournal) -> None:
        self._folder = folder
        self._guard = MountGuard(folder, journal)
        self._lock: Lock | None = None
        self._sound = False

    def ensure(self) -> None:
        """Raise FolderUnavailable or FolderFault unless all is well; costs one `stat` each while nothing moved."""
        if self._sound and not self._guard.moved():
            return
        self._sound = False
        self._guard.check()
        self._relock()
        with suppress(OSError):  # a missing archive is told of by whoever needs it
            make_archive(self._folder)
        self._sound = True

    def close(self) -> None:
        """Let the inbox go."""
        self._sound = False
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _relock(self) -> None:
        """Lock the inbox that is there now: another directory may have taken the place of the one that was held."""
        self.close()
        try:
            self._lock = hold_inbox(self._folder.inbox)
        except BusyError as error:
            raise FolderFault(str(error)) from error


def make_archive(folder: Folder) -> bool:
    """Make a missing archive beside its inbox, unless the inbox is a mount of its own; True where it was made.

    No other archive is ever made: a missing one may be a share that is not mounted. Raises OSError.
    """
    if folder.policy != "archive" or folder.archive.parent != folder.inbox.parent or folder.archive.is_dir():
        return False
    if not folder.inbox.is_dir() or os.stat(folder.inbox).st_dev != os.stat(folder.inbox.parent).st_dev:
        return False
    folder.archive.mkdir()
    return True
