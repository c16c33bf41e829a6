"""The ways a picture gets into an inbox: each puts bytes below it as some program does."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["SENDERS", "Sender", "missing_for"]

Sender = Callable[[bytes, Path, Path], None]
"""Puts `data` to the place below the inbox; its third argument is a directory on the inbox's file system."""

STALL_SECONDS = 2.5
_MEMORY = Path("/dev/shm")


def _stall(seconds: float) -> None:
    """Wait without anything to wait for: the sender's slowness is what is tested."""
    threading.Event().wait(seconds)


def _staged(data: bytes, place: Path, aside: Path) -> Path:
    source = aside / place.name
    source.write_bytes(data)
    os.utime(source, (10**9, 10**9))
    return source


def _command(*words: str) -> Sender:
    def send(data: bytes, place: Path, aside: Path) -> None:
        subprocess.run([*words, _staged(data, place, aside), place], check=True, capture_output=True)

    return send


def _across(*words: str) -> Sender:
    """Send from a file system that is not the inbox's."""

    def send(data: bytes, place: Path, aside: Path) -> None:
        with tempfile.TemporaryDirectory(dir=_MEMORY) as elsewhere:
            _command(*words)(data, place, Path(elsewhere))

    return send


def _hard_link(data: bytes, place: Path, aside: Path) -> None:
    place.hardlink_to(_staged(data, place, aside))


def _slow(data: bytes, place: Path, aside: Path) -> None:
    """Write half, do nothing for a while, write the rest."""
    half = len(data) // 2
    with place.open("wb", buffering=0) as file:
        file.write(data[:half])
        _stall(STALL_SECONDS)
        file.write(data[half:])


def _size_first(data: bytes, place: Path, aside: Path) -> None:
    """Take the room first and fill it out of order, as Explorer and download programs do."""
    third = len(data) // 3 + 1
    with place.open("wb", buffering=0) as file:
        file.truncate(len(data))
        for part in (1, 2, 0):
            _stall(0.3)
            file.seek(part * third)
            file.write(data[part * third : (part + 1) * third])


def _in_two_openings(data: bytes, place: Path, aside: Path) -> None:
    """Close a half-written file and append the rest later."""
    half = len(data) // 2
    place.write_bytes(data[:half])
    _stall(0.5)
    with place.open("ab") as file:
        file.write(data[half:])


def _part(data: bytes, place: Path, aside: Path) -> None:
    """Write under a browser's unfinished name and rename."""
    part = place.with_name(place.name + ".part")
    part.write_bytes(data)
    part.rename(place)


def _syncthing(data: bytes, place: Path, aside: Path) -> None:
    """Write beside the target under a hidden name, set mode and time, rename."""
    hidden = place.with_name(f".syncthing.{place.name}.tmp")
    hidden.write_bytes(data)
    hidden.chmod(0o644)
    os.utime(hidden, (10**9, 10**9))
    hidden.rename(place)


def _tree(data: bytes, place: Path, aside: Path) -> None:
    """Move a directory in that holds the picture two levels down."""
    tree = aside / place.name
    (tree / "one/two").mkdir(parents=True)
    (tree / "one/two/in tree.jpg").write_bytes(data)
    tree.rename(place)


def _copied_tree(data: bytes, place: Path, aside: Path) -> None:
    """Copy such a directory in."""
    tree = aside / place.name
    (tree / "one/two").mkdir(parents=True)
    (tree / "one/two/in tree.jpg").write_bytes(data)
    shutil.copytree(tree, place)


SENDERS: dict[str, Sender] = {
    "cp": _command("cp"),
    "cp -p": _command("cp", "-p"),
    "mv": _command("mv"),
    "mv across": _across("mv"),
    "cp -p across": _across("cp", "-p"),
    "hard link": _hard_link,
    "rsync": _command("rsync", "-t"),
    "rsync --inplace": _command("rsync", "-t", "--inplace"),
    "slow writer": _slow,
    "size first": _size_first,
    "two openings": _in_two_openings,
    "part and rename": _part,
    "syncthing": _syncthing,
    "tree moved in": _tree,
    "tree copied in": _copied_tree,
}


def missing_for(name: str, inbox: Path) -> str:
    """Say what is not here that a sender needs, "" where it can be tried."""
    if name.startswith("rsync") and shutil.which("rsync") is None:
        return "rsync is not installed"
    if name.endswith("across") and (not _MEMORY.is_dir() or _MEMORY.stat().st_dev == inbox.stat().st_dev):
        return "there is no second file system"
    return ""
