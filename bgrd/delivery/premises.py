"""Whether a folder may be worked on: its directories lie where they should, and no other bgrd holds the inbox.

Asked before anything is claimed, published, moved or deleted, on the folder's own thread: any of these calls can be
held by a dead share. Residual risk: a file system that is unmounted between the question and the act, some
microseconds, is not noticed; the next question is.
"""

from __future__ import annotations

import os
from contextlib import suppress

from bgrd.errors import BusyError, DaemonFault, Fault, FolderFault
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
        self.close()  # a lock on what lay here before would keep it from being unmounted
        try:
            self._guard.check()
            self._lock = hold_inbox(self._folder.inbox)
        except BusyError as error:
            raise FolderFault(str(error)) from error
        except OSError as error:
            message = f"the mounts of folder {self._folder.name} cannot be read: {os.strerror(error.errno or 0)}"
            raise DaemonFault(message) from error
        with suppress(OSError):  # a missing archive is told of by whoever needs it, and tried again until then
            make_archive(self._folder)
            self._sound = True

    def fault(self) -> Fault | None:
        """Give what `ensure` raises, None where all is well: on a bare mount point no file is to blame."""
        try:
            self.ensure()
        except Fault as fault:
            return fault
        return None

    def close(self) -> None:
        """Let the inbox go."""
        self._sound = False
        if self._lock is not None:
            self._lock.close()
            self._lock = None


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
