"""Whose the files are that bgrd makes for others: the mode and the group a folder's settings give them."""

from __future__ import annotations

import grp
import os
import stat
from dataclasses import dataclass

from bgrd.errors import FolderFault

__all__ = ["AS_MADE", "Ownership"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What new files and directories get; None leaves it to the umask, or to the directory they are made in."""

    mode: int | None
    group: str | None

    def give(self, fd: int) -> None:
        """Give a new file its group and mode. Raises OSError, and FolderFault where the group cannot be given."""
        if self.group is not None:
            _give_group(fd, self.group)
        if self.mode is not None:
            os.fchmod(fd, self.mode)

    def give_directory(self, fd: int) -> None:
        """Give a new directory its group, and a mode that lets those in who may read its files. Raises as `give`."""
        if self.group is not None:
            _give_group(fd, self.group)
        if self.mode is not None:
            # Whoever may read a result may pass through its directory, we may work in it, and what it inherited
            # for the group of its files stays.
            inherited = os.fstat(fd).st_mode & stat.S_ISGID
            try:
                os.fchmod(fd, self.mode | (self.mode & 0o444) >> 2 | 0o700 | inherited)
            except PermissionError:
                # RestrictSUIDSGID refuses to set the bit, even where it is set: the directory stays as it was made.
                if not inherited:
                    raise


AS_MADE = Ownership(mode=None, group=None)
"""Leaves everything to the umask."""


def _give_group(fd: int, group: str) -> None:
    try:
        os.fchown(fd, -1, grp.getgrnam(group).gr_gid)
    except KeyError as error:
        message = f"the group {group!r} of the outbox does not exist on this machine"
        raise FolderFault(message) from error
    except PermissionError as error:
        message = f"results cannot be given to the group {group!r}: this user is not a member of it"
        raise FolderFault(message) from error
