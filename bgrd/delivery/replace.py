"""Puts a finished draft in the place of an earlier result of ours, and of nothing else.

The earlier result is looked at (its hash, who it is), then both change places in one step, and what came out is looked
at once more before it is removed: a file that took the name in between goes back to it.

Residual risks: where the file system cannot exchange names, a file put in the target's place between the look and the
rename, some microseconds, is replaced; where it can, such a file is lost only if bgrd is killed before it is put back.
"""

from __future__ import annotations

import errno
import os

from bgrd.delivery.beneath import open_regular, sha256_of
from bgrd.delivery.ladder import Draft, give_name, move
from bgrd.delivery.naming import numbered
from bgrd.kernel import rename_exchange
from bgrd.steps import passed

__all__ = ["replace_earlier"]

_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""What a file system answers that cannot exchange two names."""


def replace_earlier(draft: Draft, name: bytes, *, directory: int, sha256: str) -> bool:
    """Put the draft in the place of `name` in `directory` if that has this hash, else give False. Raises OSError."""
    earlier = open_regular(name, directory=directory)
    if earlier is None:
        return False
    try:
        before = os.fstat(earlier)
        if sha256_of(earlier) != sha256:
            return False
        hidden = give_name(draft, directory=directory)
        passed("commit.named")
        now = _found(name, directory=directory)
        if now is None or (now.st_ctime_ns, *_identity(now)) != (before.st_ctime_ns, *_identity(before)):
            return False
        return _exchanged(draft, hidden, name, directory=directory, before=before)
    finally:
        os.close(earlier)


def _exchanged(draft: Draft, hidden: bytes, name: bytes, *, directory: int, before: os.stat_result) -> bool:
    try:
        rename_exchange(hidden, name, source_dir=draft.directory, target_dir=directory)
    except FileNotFoundError:
        return False  # it went away in this moment
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        os.rename(hidden, name, src_dir_fd=draft.directory, dst_dir_fd=directory)
    else:
        passed("commit.exchanged")
        out = _found(hidden, directory=draft.directory)
        if out is not None and _identity(out) != _identity(before):
            _take_back(draft, hidden, name, directory=directory)
            return False
        draft.exchanged = True  # from here on the earlier result goes with the draft, also where it cannot right now
        os.unlink(hidden, dir_fd=draft.directory)
    draft.hidden = None
    return True


def _take_back(draft: Draft, hidden: bytes, name: bytes, *, directory: int) -> None:
    """Give a file that is not ours its name again; should that be taken yet again, it becomes `x-2.png`."""
    try:
        rename_exchange(hidden, name, source_dir=draft.directory, target_dir=directory)
    except FileNotFoundError:
        draft.hidden = None  # what we had put there was removed
    else:
        out = _found(hidden, directory=draft.directory)
        if out is not None and os.path.samestat(out, os.fstat(draft.fd)):
            return
        draft.hidden = None  # what we had put there was replaced: that file is the one without a name now
    for free in numbered(name):
        if move(hidden, free, source_dir=draft.directory, target_dir=directory):
            return


def _found(name: bytes, *, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """Give what a rename leaves alone."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
