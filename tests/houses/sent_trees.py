"""The ways a whole directory with a picture in it gets into an inbox, and what any way of sending is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

__all__ = ["Sender", "copied_tree", "moved_tree", "packed"]

Sender = Callable[[bytes, Path, Path], None]
"""Puts `data` to the place below the inbox; its third argument is a directory on the inbox's file system."""


def moved_tree(data: bytes, place: Path, aside: Path) -> None:
    """Move a directory in that holds the picture two levels down."""
    tree = aside / place.name
    (tree / "one/two").mkdir(parents=True)
    (tree / "one/two/in tree.jpg").write_bytes(data)
    tree.rename(place)


def copied_tree(data: bytes, place: Path, aside: Path) -> None:
    """Copy such a directory in."""
    tree = aside / place.name
    (tree / "one/two").mkdir(parents=True)
    (tree / "one/two/in tree.jpg").write_bytes(data)
    shutil.copytree(tree, place)


def packed(*words: str, unpack: tuple[str, ...]) -> Sender:
    """Unpack an archive that holds such a directory into the inbox."""

    def send(data: bytes, place: Path, aside: Path) -> None:
        (aside / "one/two").mkdir(parents=True)
        (aside / "one/two/in tree.jpg").write_bytes(data)
        subprocess.run([*words, "packed", "one"], cwd=aside, check=True, capture_output=True)
        place.mkdir()
        subprocess.run([*unpack, aside / "packed"], cwd=place, check=True, capture_output=True)

    return send
