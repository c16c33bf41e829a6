"""The walk of an inbox: every file in it, in batches, never through a symlink. The truth about what is there."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bgrd.delivery.beneath import open_directory
from bgrd.errors import FolderUnavailable
from bgrd.intake.ignore import ignored, ignored_directory
from bgrd.job import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from bgrd.job import Folder, Version

__all__ = ["BATCH_FILES", "Walk", "excluded_below", "excluded_of", "walk"]

BATCH_FILES = 1000
"""The most files one batch may hold."""


def excluded_below(inbox: Path, places: Iterable[Path]) -> frozenset[bytes]:
    """Give the paths below an inbox of those places that lie in it: what bgrd writes and what is corrected is no input.

    Compares the places as they are written and as they are with symlinks resolved.
    """
    found = set()
    for place in places:
        for root, inner in ((inbox, place), (Path(os.path.realpath(inbox)), Path(os.path.realpath(place)))):
            if inner != root and inner.is_relative_to(root):
                found.add(os.fsencode(inner.relative_to(root)))
    return frozenset(found)


def excluded_of(folder: Folder) -> frozenset[bytes]:
    """Give the paths below a folder's inbox that are never input."""
    others = filter(None, (folder.failure_notes, folder.corrections))
    return excluded_below(folder.inbox, (folder.outbox, folder.archive, *others, *folder.excluded))


class Walk:
    """One walk: iterate it for batches of `(path, version)`; an empty batch is only a place to pause.

    `skipped` counts, by reason, what was passed over: "ignored", "link", "special", "unreadable" (files and
    directories that could not be looked at). `complete` turns True when the walk has come to its end without
    meeting an unreadable directory. `looked` is called after each entry. `close` ends it early. Raises
    FolderUnavailable, while iterating, where the directory it starts at cannot be read.
    """

    def __init__(
        self,
        inbox: Path,
        *,
        recursive: bool,
        excluded: frozenset[bytes] = frozenset(),
        sync_conflicts: bool = False,
        start: bytes = b"",
        batch_files: int = BATCH_FILES,
        looked: Callable[[], object] = lambda: None,
    ) -> None:
        self.skipped: Counter[str] = Counter()
        self.complete = False
        self._inbox = os.fsencode(inbox)
        self._recursive = recursive
        self._excluded = excluded
        self._sync_conflicts = sync_conflicts
        self._batch_files = min(batch_files, BATCH_FILES)
        self._looked = looked
        self._directories = [start]
        self._batch: list[tuple[bytes, Version]] = []
        self._seen = 0
        self._batches = self._run()

    def __iter__(self) -> Iterator[list[tuple[bytes, Version]]]:
        return self

    def __next__(self) -> list[tuple[bytes, Version]]:
        return next(self._batches)

    def close(self) -> None:
        """End the walk and let go of the directory it has open, so that a share can be unmounted."""
        self._batches.close()

    def _run(self) -> Generator[list[tuple[bytes, Version]], None, None]:
        intact, first = True, True
        while self._directories:
            directory = self._directories.pop()
            try:
                fd = open_directory(self._inbox, directory)
            except OSError as error:
                if first:
                    where = os.fsdecode(os.path.join(self._inbox, directory))
                    raise FolderUnavailable(f"{where} cannot be read: {error.strerror}") from error
                # Gone since it was listed, or a link by now, is no doubt; anything else is.
                gone = isinstance(error, FileNotFoundError | NotADirectoryError)
                intact = intact and gone
                self.skipped["unreadable"] += not gone
                continue
            first = False
            try:
                yield from self._list(fd, directory)
            except OSError:
                intact = False
                self.skipped["unreadable"] += 1
            finally:
                os.close(fd)
        yield self._take()
        self.complete = intact

    def _list(self, fd: int, directory: bytes) -> Iterator[list[tuple[bytes, Version]]]:
        prefix = directory + b"/" if directory else b""
        with os.scandir(fd) as entries:
            for entry in entries:
                self._sort(entry, prefix + os.fsencode(entry.name))
                self._looked()
                self._seen += 1
                if self._seen >= self._batch_files:
                    yield self._take()

    def _take(self) -> list[tuple[bytes, Version]]:
        batch, self._batch, self._seen = self._batch, [], 0
        return batch

    def _sort(self, entry: os.DirEntry[str], path: bytes) -> None:
        try:
            if entry.is_symlink():
                self.skipped["link"] += 1
            elif entry.is_dir(follow_symlinks=False):
                self._descend(path)
            elif self._is_ignored(path):
                self.skipped["ignored"] += 1
            else:
                self._file(path, entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            return  # renamed or deleted since it was listed
        except OSError:
            self.skipped["unreadable"] += 1

    def _descend(self, path: bytes) -> None:
        if self._recursive and path not in self._excluded and not ignored_directory(path.rpartition(b"/")[2]):
            self._directories.append(path)

    def _is_ignored(self, path: bytes) -> bool:
        # The directories on the way here have passed already.
        return ignored(path.rpartition(b"/")[2], sync_conflicts=self._sync_conflicts)

    def _file(self, path: bytes, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            self._batch.append((path, version_of(status)))
        else:
            self.skipped["special"] += 1


def walk(
    inbox: Path,
    *,
    recursive: bool,
    excluded: frozenset[bytes] = frozenset(),
    sync_conflicts: bool = False,
) -> Walk:
    """Walk a whole inbox. `excluded`: directories below it, as `excluded_below` gives them."""
    return Walk(inbox, recursive=recursive, excluded=excluded, sync_conflicts=sync_conflicts)
