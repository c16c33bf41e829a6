"""A data set's folder while it is made: beside its place and hidden, moved there whole, removed where that fails."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bgrd.errors import CannotCreateError

__all__ = ["Namer", "drafted"]

_LONGEST_NAME = 120
"""Bytes, far below what any file system takes."""


@contextmanager
def drafted(out: Path) -> Iterator[Path]:
    """Give a new folder that becomes `out` when the block ends well, and nothing when it does not.

    Raises CannotCreateError where `out` has something in it or cannot be written.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            message = f"{out} is there already: name a new folder, or remove it"
            raise CannotCreateError(message)
        out.parent.mkdir(parents=True, exist_ok=True)
        # A folder in a private one gets the permissions that every other new folder gets.
        with tempfile.TemporaryDirectory(prefix=".bgrd-prepare-", dir=out.parent) as private:
            draft = Path(private) / "set"
            draft.mkdir()
            yield draft
            draft.rename(out)
    except OSError as error:
        message = f"{out} cannot be written: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(message) from error


class Namer:
    """Gives every file of a data set a name of its own that any file system takes, and that is the same every time."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, home: str, source: str, path: str) -> str:
        """Give `<source>/<name>`, below `home` and without a suffix, for a picture called `path` in its source."""
        directories = [part for part in path.split("/")[:-1] if part.lower() != "images"]
        plain = _plain("_".join([*directories, PurePosixPath(path).stem]))
        wanted, number = f"{_plain(source)}/{plain}", 1
        # Some file systems do not tell cases apart.
        while (taken := f"{home}/{wanted}".casefold()) in self._taken:
            number += 1
            wanted = f"{_plain(source)}/{plain}-{number}"
        self._taken.add(taken)
        return wanted


def _plain(text: str) -> str:
    """Keep letters, digits, dots, dashes and underscores; what is hidden or too long for a name is not."""
    kept = "".join(character if character.isalnum() or character in "._-" else "_" for character in text)
    return kept.lstrip(".").encode()[:_LONGEST_NAME].decode(errors="ignore") or "_"
