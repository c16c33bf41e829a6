"""Ways to put a complete file under a name that must not exist yet, best first; each is tried before it is trusted.

`unnamed`           O_TMPFILE, then link its descriptor: nothing is ever seen half-written, nothing is left by a crash.
`hidden+link`       a hidden file beside the target, then link(2), which refuses to replace.
`hidden+renameat2`  the same with renameat2(RENAME_NOREPLACE), for file systems without hard links.

All calls take directory descriptors and plain names and raise OSError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from bgrd.errors import FolderFault
from bgrd.kernel import rename_noreplace

__all__ = [
    "LADDER",
    "Draft",
    "Rung",
    "create_draft",
    "drop_draft",
    "exists",
    "find_rung",
    "give_name",
    "move",
    "publish_draft",
]

Rung = Literal["unnamed", "hidden+link", "hidden+renameat2"]

LADDER: tuple[Rung, ...] = ("unnamed", "hidden+link", "hidden+renameat2")

_UNABLE = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.EINVAL,
        errno.EISDIR,  # O_TMPFILE where the file system has never heard of it
        errno.EPERM,  # link(2) on VFAT and exFAT
        errno.ENOENT,  # no /proc
        errno.EXDEV,
        errno.EMLINK,
    },
)
"""What a file system answers to a call it cannot do; anything else (full, read-only) is no question of the rung."""


@dataclass(slots=True, kw_only=True, eq=False)
class Draft:
    """A file being written that has no public name yet. Whoever made it drops it, published or not.

    `fd` is open for reading and writing, -1 once dropped. `hidden` is its name in `directory` (a descriptor) as
    long as it has one; `spare` is the hidden name that belongs to it. `exchanged`: it took the place of an earlier
    result, which bears the hidden name since. Not frozen: it has a lifetime.
    """

    fd: int
    directory: int
    rung: Rung
    spare: bytes
    hidden: bytes | None
    exchanged: bool = False


def create_draft(directory: int, *, rung: Rung, spare: bytes) -> Draft:
    """Create an empty draft in `directory`; what a crash left under `spare` is removed. Raises OSError."""
    held = os.dup(directory)  # first: nothing that may fail comes once the file is there
    try:
        if rung == "unnamed":
            fd = os.open(b".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=directory)
        else:
            _remove(spare, directory=directory)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(spare, flags, 0o666, dir_fd=directory)
    except OSError:
        os.close(held)
        raise
    return Draft(fd=fd, directory=held, rung=rung, spare=spare, hidden=None if rung == "unnamed" else spare)


def publish_draft(draft: Draft, name: bytes, *, directory: int) -> bool:
    """Give the draft its name in `directory`, or give False where the name is taken; never replaces. Raises OSError."""
    try:
        if draft.hidden is None:
            _link_descriptor(draft.fd, name, directory=directory)
        elif not _still_ours(draft):
            raise FileNotFoundError(errno.ENOENT, "a hidden result was removed while it was worked on", draft.hidden)
        elif draft.rung == "hidden+renameat2":
            rename_noreplace(draft.hidden, name, source_dir=draft.directory, target_dir=directory)
        else:
            os.link(draft.hidden, name, src_dir_fd=draft.directory, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        # A network file system may answer so to its own repeated request after the first one succeeded.
        if not _same_file(draft.fd, name, directory=directory):
            return False
    _forget_hidden(draft)
    return True


def give_name(draft: Draft, *, directory: int) -> bytes:
    """Give the draft its hidden name, in `directory` if it had none, so that it can be renamed. Raises OSError."""
    if draft.hidden is None:
        held = os.dup(directory)
        try:
            _remove(draft.spare, directory=directory)
            _link_descriptor(draft.fd, draft.spare, directory=directory)
        except OSError:
            os.close(held)
            raise
        os.close(draft.directory)
        draft.directory, draft.hidden = held, draft.spare
    return draft.hidden


def drop_draft(draft: Draft) -> None:
    """Close the draft and remove its hidden name if it has one; what was published stays. May be called again."""
    if draft.fd < 0:
        return
    try:
        _forget_hidden(draft)
    finally:
        os.close(draft.fd)
        os.close(draft.directory)
        draft.fd = draft.directory = -1


def find_rung(directory: int, *, spare: bytes, ladder: Sequence[Rung] = LADDER) -> Rung:
    """Give the first rung that works in `directory`, by publishing an empty hidden file there and refusing a second.

    Raises FolderFault that says what each rung answered if none works, OSError for a directory that takes no files.
    """
    answers = []
    for rung in ladder:
        try:
            return _tried(directory, rung=rung, spare=spare)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            answers.append(f"{rung}: {os.strerror(error.errno)}")
    message = "the file system offers no way to publish a file without replacing another (" + "; ".join(answers) + ")"
    raise FolderFault(message)


def move(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> bool:
    """Rename within a file system without replacing; False where the target exists. Raises OSError (EXDEV: across).

    Residual risk: where the file system has neither RENAME_NOREPLACE nor hard links, a file that takes the target's
    name between the look and the rename is replaced. A crash between link and unlink leaves both names on one file.
    """
    try:
        rename_noreplace(source, target, source_dir=source_dir, target_dir=target_dir)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _UNABLE - {errno.EXDEV, errno.ENOENT}:
            raise
        return _link_or_rename(source, target, source_dir=source_dir, target_dir=target_dir)
    return True


def _link_or_rename(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> bool:
    try:
        os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _UNABLE - {errno.EXDEV, errno.ENOENT}:
            raise
    else:
        os.unlink(source, dir_fd=source_dir)
        return True
    if exists(target, directory=target_dir):
        return False
    os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)
    return True


def _tried(directory: int, *, rung: Rung, spare: bytes) -> Rung:
    name = spare + b".named"
    drafts = []
    try:
        _remove(name, directory=directory)
        for extra in (b"", b".2"):
            drafts.append(create_draft(directory, rung=rung, spare=spare + extra))
            if publish_draft(drafts[-1], name, directory=directory) == bool(extra):
                raise OSError(errno.EOPNOTSUPP, "a taken name is not refused")
    finally:
        for draft in drafts:
            drop_draft(draft)
        _remove(name, directory=directory)
    return rung


def _link_descriptor(fd: int, name: bytes, *, directory: int) -> None:
    # src_dir_fd makes CPython call linkat with AT_SYMLINK_FOLLOW; without it the answer is EXDEV.
    os.link(b"/proc/self/fd/%d" % fd, name, src_dir_fd=directory, dst_dir_fd=directory)


def _forget_hidden(draft: Draft) -> None:
    if draft.hidden is not None and (draft.exchanged or _still_ours(draft)):
        _remove(draft.hidden, directory=draft.directory)
    draft.hidden = None


def _still_ours(draft: Draft) -> bool:
    return draft.hidden is not None and _same_file(draft.fd, draft.hidden, directory=draft.directory)


def _same_file(fd: int, name: bytes, *, directory: int) -> bool:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))


def exists(name: bytes, *, directory: int) -> bool:
    """Say whether anything has that name, without following a link. Raises OSError."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _remove(name: bytes, *, directory: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
