"""What lies where: /proc/self/mountinfo as values, and what follows for watching. Pure, but for `read_mounts`.

Source: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgrd.job import Watching

__all__ = [
    "Ground",
    "Mount",
    "ground",
    "identity",
    "is_network",
    "mount_held",
    "mount_of",
    "nested",
    "parse",
    "read_mounts",
    "watching",
]

# Where another machine may write, inotify hears nothing of it. Cluster file systems are among them, and
# autofs: what will be mounted there is not known yet.
_NETWORK = frozenset(
    {
        "9p",
        "afs",
        "autofs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse",
        "gfs2",
        "lustre",
        "ncpfs",
        "ocfs2",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    },
)
_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of mountinfo: `root` of the file system `source` of kind `fstype` appears at `point`."""

    id: int
    parent: int
    point: bytes
    root: bytes
    fstype: str
    source: bytes


def read_mounts() -> tuple[Mount, ...]:
    """Read what is mounted where, as this process sees it."""
    return parse(Path("/proc/self/mountinfo").read_bytes())


def parse(text: bytes) -> tuple[Mount, ...]:
    """Read mountinfo, in the order in which things were mounted; lines that make no sense are left out."""
    return tuple(mount for line in text.splitlines() if (mount := _line(line)) is not None)


def _line(line: bytes) -> Mount | None:
    # Optional fields of any number stand before the " - "; a source may be empty.
    head, dash, tail = line.partition(b" - ")
    fields, rest = head.split(b" "), tail.split(b" ")
    if not dash or len(fields) < 6 or len(rest) < 2 or not (fields[0].isdigit() and fields[1].isdigit()):
        return None
    return Mount(
        id=int(fields[0]),
        parent=int(fields[1]),
        point=_plain(fields[4]),
        root=_plain(fields[3]),
        fstype=rest[0].decode("ascii", "replace"),
        source=_plain(rest[1]),
    )


def _plain(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)


def mount_of(path: Path | bytes, mounts: Sequence[Mount]) -> Mount | None:
    """Give the mount an absolute path without symlinks lies on: the deepest, and of equals the newest.

    A mount hidden by a later one further up is found nevertheless; where the path exists, asking the kernel
    for its mount's id is exact.
    """
    found, path = None, os.fsencode(path)
    for mount in mounts:
        if _below(path, mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def mount_held(fd: int, mounts: Sequence[Mount]) -> Mount | None:
    """Give the mount an open file lies on, by the kernel's word and not by its path. Source: proc(5), fdinfo."""
    number = None
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == "mnt_id":
            number = int(value)
    return next((mount for mount in mounts if mount.id == number), None)


def nested(path: Path | bytes, mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """Give the mounts inside the directory at this absolute path, itself left out."""
    path = os.fsencode(path)
    return tuple(mount for mount in mounts if mount.point != path and _below(mount.point, path))


def _below(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def is_network(mount: Mount | None) -> bool:
    """Say whether files may change there without this kernel knowing, or leases mean something else.

    So it is with None, the unknown.
    """
    return mount is None or mount.fstype in _NETWORK or mount.fstype.startswith(("nfs", "fuse."))


def identity(mount: Mount) -> str:
    """Give what makes a mount the same one after a reboot: point, kind, source and root, but no number."""
    parts = (mount.point, mount.fstype.encode(), mount.source, mount.root)
    return json.dumps([part.decode("utf-8", "surrogateescape") for part in parts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What an inbox lies on: whether its own mount is a network's, and the paths below it where such begin."""

    mount: Mount | None
    network: bool
    remote: tuple[tuple[bytes, str], ...] = ()

    def is_network(self, path: bytes) -> bool:
        """Say whether a path below the inbox lies on a network mount."""
        return self.network or any(_below(path, point) for point, _ in self.remote)


def ground(path: Path | bytes, mounts: Sequence[Mount], *, mount: Mount | None = None) -> Ground:
    """Survey what an absolute path without symlinks lies on. `mount`: its own, where that is known exactly."""
    path = os.fsencode(path)
    mount = mount or mount_of(path, mounts)
    start = len(path.rstrip(b"/")) + 1
    remote = tuple((inner.point[start:], inner.fstype) for inner in nested(path, mounts) if is_network(inner))
    return Ground(mount=mount, network=is_network(mount), remote=remote)


def watching(
    path: Path | bytes,
    setting: Watching,
    mounts: Sequence[Mount],
    *,
    mount: Mount | None = None,
) -> tuple[Literal["inotify", "poll"], str]:
    """Decide how a folder is watched, and say why. `mount`: the one it lies on, where that is known exactly."""
    if setting != "auto":
        return setting, "set in the configuration"
    base = ground(path, mounts, mount=mount)
    if base.mount is None:
        return "poll", "its file system is unknown"
    if base.network:
        return "poll", f"{base.mount.fstype} changes without this machine being told"
    if base.remote:
        point, fstype = base.remote[0]
        return "poll", f"{point.decode(errors='replace')} inside it is {fstype}"
    return "inotify", f"{base.mount.fstype} is local"
