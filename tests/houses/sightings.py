"""What anybody could have seen below a directory at any moment: a thread that looks again and again."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Sightings"]

_PAUSE_SECONDS = 0.01


class Sightings:
    """Between `with` and its end, looks at every file below `root`; `seen` are the hashes of each name's contents."""

    def __init__(self, root: Path) -> None:
        self.seen: defaultdict[str, set[str]] = defaultdict(set)
        self._root = root
        self._known: set[tuple[Path, int, int]] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            for path in self._root.rglob("*"):
                with suppress(OSError):
                    self._note(path)

    def _note(self, path: Path) -> None:
        with path.open("rb") as file:
            found = path.stat()
            if (path, found.st_ino, found.st_ctime_ns) not in self._known:
                self.seen[str(path.relative_to(self._root))].add(hashlib.file_digest(file, "sha256").hexdigest())
                self._known.add((path, found.st_ino, found.st_ctime_ns))
