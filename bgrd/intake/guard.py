"""The mount guard: a folder is worked only while its directories lie on the mounts they always lay on.

An unmounted share leaves an empty directory that looks like a valid, empty inbox; an outbox there would fill the
root disk. What a directory lies on is recorded with its path when it is first seen there, and compared ever after;
another path is another directory, and new. `st_dev` is not stable across reboots, hence mount point, kind, source and
root.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bgrd.errors import FolderUnavailable
from bgrd.intake.mounts import Mount, identity, mount_held, mount_of, read_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from bgrd.intake.protocol import IntakeJournal
    from bgrd.job import Folder

__all__ = ["MountGuard", "guarded", "identify", "mount_at", "record", "recorded_for"]


def mount_at(path: Path) -> Mount | None:
    """Give the mount a directory lies on, as the kernel says, or its nearest existing parent's if it is not there.

    Triggers an automount, as any use of the directory would.
    """
    mounts = read_mounts()
    for place in (path, *path.parents):
        try:
            fd = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            exact = mount_held(fd, mounts)
        finally:
            os.close(fd)
        return exact or mount_of(os.fsencode(os.path.realpath(place)), mounts)
    return None


def identify(path: Path) -> str | None:
    """Give the identity of the mount a directory lies on, as the journal keeps it."""
    mount = mount_at(path)
    return identity(mount) if mount is not None else None


def record(path: Path, identity: str) -> str:
    """Give what the journal keeps of a directory: its path, and the identity of the mount it lies on."""
    return json.dumps({"path": os.fsdecode(path), "mount": identity})


def recorded_for(path: Path, record: str | None) -> str | None:
    """Give the identity recorded for a directory, None where there is none or it is of a directory elsewhere.

    A record of bgrd 0.1 before its release is the identity alone, and speaks of whatever path there is.
    """
    try:
        facts = json.loads(record or "null")
    except ValueError:
        return record
    if not isinstance(facts, dict):
        return record
    return str(facts.get("mount")) if facts.get("path") == os.fsdecode(path) else None


def guarded(folder: Folder) -> dict[str, Path]:
    """Give the directories of a folder whose mounts are guarded, by role."""
    roles = {"inbox": folder.inbox, "outbox": folder.outbox}
    return {**roles, "archive": folder.archive} if folder.policy == "archive" else roles


class MountGuard:
    """Watches over one folder's mounts. `identify` tells what a directory lies on."""

    def __init__(
        self,
        folder: Folder,
        journal: IntakeJournal,
        *,
        identify: Callable[[Path], str | None] = identify,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._identify = identify
        self._roles = guarded(folder)
        self._signs: tuple[tuple[int, int] | None, ...] | None = None

    def moved(self) -> bool:
        """Say, at the price of one `stat` each, whether any directory is another one than at the last `check`."""
        return self._signs is None or self._look() != self._signs

    def check(self) -> None:
        """Raise FolderUnavailable unless the inbox is there and every directory lies on its recorded mount.

        A mount seen for the first time at a path is recorded, but only for a directory that is there.
        """
        signs = self._look()
        self._signs = None
        for (role, path), sign in zip(self._roles.items(), signs, strict=True):
            self._check_role(role, path, there=sign is not None)
        _open_once(self._folder.inbox)
        if signs[0] is None:
            message = f"the inbox {self._folder.inbox} was not there a moment ago"
            raise FolderUnavailable(message)
        self._signs = signs

    def _check_role(self, role: str, path: Path, *, there: bool) -> None:
        now = self._identify(path)
        kept = self._journal.mount(self._folder.name, role)
        before = recorded_for(path, kept)
        if before in {None, now}:
            if there and now is not None and kept != record(path, now):
                self._journal.set_mount(self._folder.name, role, record(path, now))
        else:
            message = (
                f"the {role} {path} is not on the mount it used to be on: mount it again, "
                f"or accept the new place with `bgrd check --accept-mounts`"
            )
            raise FolderUnavailable(message)

    def _look(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_sign(path) for path in self._roles.values())


def _open_once(inbox: Path) -> None:
    try:
        os.close(os.open(inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except FileNotFoundError as error:
        message = f"the inbox {inbox} is not there"
        raise FolderUnavailable(message) from error
    except OSError as error:
        message = f"the inbox {inbox} cannot be read: {error.strerror}"
        raise FolderUnavailable(message) from error


def _sign(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
