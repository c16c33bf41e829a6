"""The ways a picture gets into an inbox: each puts bytes below it as some program does."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.houses.sent_trees import Sender, copied_tree, moved_tree, packed
from tests.pictures.scenes import phone_photo

__all__ = ["LONG_SENDERS", "SENDERS", "TWICE", "Sender", "missing_for", "replaced_by"]

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


def replaced_by(data: bytes) -> bytes:
    """Give the whole, other picture that a sender in TWICE puts to the place before `data`."""
    return phone_photo(seed=sum(data) % 1000 + 1000)


def _hard_link(data: bytes, place: Path, aside: Path) -> None:
    place.hardlink_to(_staged(data, place, aside))


def _link_and_unlink(data: bytes, place: Path, aside: Path) -> None:
    """Move as programs do that may not rename: link, then remove the first name."""
    source = _staged(data, place, aside)
    place.hardlink_to(source)
    source.unlink()


def _slow(data: bytes, place: Path, aside: Path, *, seconds: float = STALL_SECONDS) -> None:
    """Write half, do nothing for a while, write the rest."""
    half = len(data) // 2
    with place.open("wb", buffering=0) as file:
        file.write(data[:half])
        _stall(seconds)
        file.write(data[half:])


def _by_lines(data: bytes, place: Path, aside: Path) -> None:
    """Append by many small writes, as a program writes its log, opening the file anew each time."""
    for start in range(0, len(data), 2000):
        with place.open("ab") as file:
            file.write(data[start : start + 2000])


def _touched(data: bytes, place: Path, aside: Path) -> None:
    """Make the file, and write it only later."""
    place.touch()
    _stall(0.5)
    place.write_bytes(data)


def _dressed(data: bytes, place: Path, aside: Path) -> None:
    """Write it where it belongs, and set time and mode after it was closed, as wget, scp and unzip do."""
    place.write_bytes(data)
    _stall(0.2)
    os.utime(place, (10**9, 10**9))
    place.chmod(0o600)


def _hidden_from_all(data: bytes, place: Path, aside: Path) -> None:
    """Let nobody read it until later."""
    source = _staged(data, place, aside)
    source.chmod(0)
    source.rename(place)
    _stall(0.5)
    place.chmod(0o644)


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


def _mapped(data: bytes, place: Path, aside: Path) -> None:
    """Take the room, map it, close the file and fill the map from its end."""
    with place.open("w+b") as file:
        file.truncate(len(data))
        room = mmap.mmap(file.fileno(), len(data))
    for start in range(len(data) // 2000 * 2000, -1, -2000):
        room[start : start + 2000] = data[start : start + 2000]
        _stall(0.05)
    room.close()


def _allocated(data: bytes, place: Path, aside: Path) -> None:
    """Have all blocks given first, then write the second half before the first."""
    half = len(data) // 2
    with place.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(data))
        _stall(0.5)
        os.pwrite(file.fileno(), data[half:], half)
        _stall(0.5)
        os.pwrite(file.fileno(), data[:half], 0)


def _renamed_from(unfinished: Callable[[str], str], *, placeholder: bool = False) -> Sender:
    """Write under a name that says "unfinished", in pieces, and rename; `placeholder` takes the final name first."""

    def send(data: bytes, place: Path, aside: Path) -> None:
        half = len(data) // 2
        if placeholder:
            place.touch()
        part = place.with_name(unfinished(place.name))
        for piece in (data[:half], data[half:]):
            with part.open("ab") as file:
                file.write(piece)
            _stall(0.4)
        part.rename(place)

    return send


def _office(data: bytes, place: Path, aside: Path) -> None:
    """Lock, write, unlock, as LibreOffice does beside the file it has open."""
    lock = place.with_name(f".~lock.{place.name}#")
    lock.write_text(",someone,host,;")
    place.write_bytes(data)
    lock.unlink()


def _saved_over(data: bytes, place: Path, aside: Path) -> None:
    """Save as editors do: the new bytes go to a hidden file, which then takes the old one's place."""
    place.write_bytes(replaced_by(data))
    _stall(0.5)
    beside = place.with_name(f".{place.name}.swp")
    beside.write_bytes(data)
    beside.rename(place)


def _saved_with_backup(data: bytes, place: Path, aside: Path) -> None:
    """Save as other editors do: the old file is renamed away and the new one made in its place."""
    place.write_bytes(replaced_by(data))
    _stall(0.5)
    place.rename(place.with_name(place.name + "~.bak"))
    place.write_bytes(data)


def _silly(data: bytes, place: Path, aside: Path) -> None:
    """Remove a file that somebody has open, as NFS shows it, and write another in its place."""
    place.write_bytes(replaced_by(data))
    hidden = place.with_name(".nfs000000000123")
    with place.open("rb"):
        place.rename(hidden)
        place.write_bytes(data)
    hidden.unlink()


def _rsync_resumed(data: bytes, place: Path, aside: Path) -> None:
    """Begin with what an interrupted `rsync --partial` leaves under the final name, and have rsync go on."""
    place.write_bytes(data[: len(data) // 2])
    _stall(0.8)
    _command("rsync", "-t", "--partial")(data, place, aside)


def _dd(data: bytes, place: Path, aside: Path) -> None:
    source = _staged(data, place, aside)
    subprocess.run(["dd", f"if={source}", f"of={place}", "bs=1000", "conv=fsync"], check=True, capture_output=True)


def _syncthing(data: bytes, place: Path, aside: Path) -> None:
    """Write beside the target under a hidden name, set mode and time, rename."""
    hidden = place.with_name(f".syncthing.{place.name}.tmp")
    hidden.write_bytes(data)
    hidden.chmod(0o644)
    os.utime(hidden, (10**9, 10**9))
    hidden.rename(place)


SENDERS: dict[str, Sender] = {
    "cp": _command("cp"),
    "cp -p": _command("cp", "-p"),
    "cp --reflink": _command("cp", "--reflink=auto"),
    "cp --sparse": _command("cp", "--sparse=always"),
    "dd": _dd,
    "mv": _command("mv"),
    "mv across": _across("mv"),
    "cp -p across": _across("cp", "-p"),
    "hard link": _hard_link,
    "link and unlink": _link_and_unlink,
    "rsync": _command("rsync", "-t"),
    "rsync --inplace": _command("rsync", "-t", "--inplace"),
    "rsync --partial": _rsync_resumed,
    "slow writer": _slow,
    "by lines": _by_lines,
    "touch first": _touched,
    "dressed later": _dressed,
    "forbidden first": _hidden_from_all,
    "size first": _size_first,
    "mapped": _mapped,
    "fallocate": _allocated,
    "two openings": _in_two_openings,
    "part and rename": _renamed_from(lambda name: name + ".part"),
    "firefox": _renamed_from(lambda name: name + ".part", placeholder=True),
    "chrome": _renamed_from(lambda name: f"Unconfirmed {len(name)}.crdownload"),
    "nextcloud": _renamed_from(lambda name: f".{name}.~1a2b3c"),
    "office": _office,
    "syncthing": _syncthing,
    "saved over": _saved_over,
    "saved with backup": _saved_with_backup,
    "silly rename": _silly,
    "tree moved in": moved_tree,
    "tree copied in": copied_tree,
    "tree of a zip": packed("zip", "-qr", unpack=("unzip", "-q")),
    "tree of a tar": packed("tar", "-cf", unpack=("tar", "-xf")),
}

LONG_SENDERS: dict[str, Sender] = {"very slow writer": partial(_slow, seconds=20.0)}

TWICE = frozenset({"saved over", "saved with backup", "silly rename"})
"""Those that put another whole picture to the place first, which may get a result of its own before it is replaced."""

_PROGRAMS = {"rsync": "rsync", "tree of a zip": "zip", "tree of a tar": "tar"}


def missing_for(name: str, inbox: Path) -> str:
    """Say what is not here that a sender needs, "" where it can be tried."""
    for start, program in _PROGRAMS.items():
        if name.startswith(start) and shutil.which(program) is None:
            return f"{program} is not installed"
    if name.endswith("across") and (not _MEMORY.is_dir() or _MEMORY.stat().st_dev == inbox.stat().st_dev):
        return "there is no second file system"
    return ""
