"""Failure notes: small text files that tell a user what is wrong with a picture, mirrored beneath one root.

A note ends in a line that carries hashes of the path it speaks of and of its own text. So a note that a user
changed, or a file that was never ours, is told apart without asking the journal, and left alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bgrd.delivery.beneath import open_regular, opened_directory, split
from bgrd.delivery.ladder import create_draft, drop_draft, move
from bgrd.delivery.naming import hidden_note, noted
from bgrd.delivery.ownership import AS_MADE, Ownership
from bgrd.errors import FolderFault
from bgrd.escape import line, shown
from bgrd.steps import passed

__all__ = ["note_place", "note_text", "remove_note", "write_note"]

_MOST_BYTES = 64 * 1024
"""No note of ours is longer; more than that need not be read to know."""

_MARK = b"-- Written by bgrd, which removes it once the file succeeds or goes away. Note "
_PATH_DIGITS = 8
_TEXT_DIGITS = 16


def note_text(path: bytes, *, reason: str, when: float, advice: str) -> str:
    """Say in a few sentences which file failed, why, when (seconds since the epoch, told in UTC) and what to do."""
    moment = datetime.fromtimestamp(when, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    file = f"No result was made from this file:\n\n    {shown(path)}\n"
    return f"{file}\nWhy: {line(reason)}\nWhen: {moment}\nWhat to do: {advice}\n"


def note_place(root: Path, path: bytes) -> bytes:
    """Give the name below the root that `write_note` would take now."""
    parent, _ = split(path)
    name = next(noted(path))
    with suppress(OSError), opened_directory(root, parent) as directory:
        name = next(each for each in noted(path) if _is_free(each, path, directory=directory))
    return parent + b"/" + name if parent else name


def write_note(root: Path, path: bytes, *, text: str, owner: Ownership = AS_MADE) -> bytes | None:
    """Write `<root>/<path>.txt` and give its name below the root, or None where it cannot be written.

    It and the directories made for it get what `owner` gives to results: it tells of names that are as private.

    Never replaces what is not our note of that same path: then `<path>-2.txt` is taken, and so on. The root is made if
    only it is missing. Durability is not promised: the journal knows the failure, the note only tells it.
    """
    parent, _ = split(path)
    try:
        with suppress(FileExistsError):
            root.mkdir()
            with opened_directory(root) as directory:
                owner.give_directory(directory)
        with opened_directory(root, parent, made=owner.give_directory) as directory:
            name = _published(directory, path, content=_content(path, text), owner=owner)
    except (OSError, FolderFault):
        # A note is a courtesy: a failure that cannot be noted is still a failure, and in the log.
        return None
    return parent + b"/" + name if parent else name


def remove_note(root: Path, name: bytes, *, text: str | None = None, path: bytes | None = None) -> bool:
    """Remove the note `name` below the root if it is as we wrote it; True if it is gone, also if it was before.

    Raises OSError where that cannot be done now. With `text` it must also be the note of that text; with `path`, the
    file it speaks of, what a kill left of it half written goes too. Directories it leaves empty below the root go too.
    """
    parent, last = split(name)
    try:
        with opened_directory(root, parent) as directory:
            if path is not None:
                with suppress(FileNotFoundError):
                    os.unlink(hidden_note(path), dir_fd=directory)
            with suppress(FileNotFoundError):
                if not _removable(last, directory=directory, text=text):
                    return False
                os.unlink(last, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError):
        return True
    _remove_empty(root, parent)
    return True


def _published(directory: int, path: bytes, *, content: bytes, owner: Ownership) -> bytes:
    draft = create_draft(directory, rung="hidden+link", spare=hidden_note(path))
    try:
        owner.give(draft.fd)
        os.write(draft.fd, content)
        passed("note.drafted")
        for name in noted(path):
            if _is_ours(name, path, directory=directory):
                os.rename(draft.spare, name, src_dir_fd=directory, dst_dir_fd=directory)
            elif not move(draft.spare, name, source_dir=directory, target_dir=directory):
                continue
            draft.hidden = None
            return name
    finally:
        drop_draft(draft)
    raise AssertionError  # the names have no end


def _is_free(name: bytes, path: bytes, *, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return _is_ours(name, path, directory=directory)


def _is_ours(name: bytes, path: bytes, *, directory: int) -> bool:
    found = _read(name, directory=directory)
    return found is not None and _is_note(found) and _mark_of(found)[:_PATH_DIGITS] == _path_mark(path)


def _removable(name: bytes, *, directory: int, text: str | None) -> bool:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    content = _read(name, directory=directory) if stat.S_ISREG(found.st_mode) else None
    if content is None or not _is_note(content):
        return False
    return text is None or content.rpartition(_MARK)[0] == _body(text)


def _body(text: str) -> bytes:
    return text.rstrip("\n").encode("utf-8", "backslashreplace") + b"\n\n"


def _content(path: bytes, text: str) -> bytes:
    body = _body(text)
    return body + _MARK + _path_mark(path) + _text_mark(body) + b"\n"


def _is_note(content: bytes) -> bool:
    body, mark, _ = content.rpartition(_MARK)
    return bool(mark) and content == body + mark + _mark_of(content)[:_PATH_DIGITS] + _text_mark(body) + b"\n"


def _mark_of(content: bytes) -> bytes:
    return content.rpartition(_MARK)[2].rstrip(b"\n")


def _path_mark(path: bytes) -> bytes:
    return hashlib.sha256(path).hexdigest()[:_PATH_DIGITS].encode()


def _text_mark(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_TEXT_DIGITS].encode()


def _read(name: bytes, *, directory: int) -> bytes | None:
    fd = open_regular(name, directory=directory)
    if fd is None:
        return None
    try:
        return os.pread(fd, _MOST_BYTES, 0)
    finally:
        os.close(fd)


def _remove_empty(root: Path, parent: bytes) -> None:
    while parent:
        parent, _, name = parent.rpartition(b"/")
        try:
            with opened_directory(root, parent) as directory:
                os.rmdir(name, dir_fd=directory)
        except OSError:
            return
