"""What users, senders and shares do to a folder while bgrd is at work, as rules of a state machine.

Each rule changes real files and tells the model, see `tests.play.promises`; whether bgrd hears of it at once is drawn.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from bgrd.job import Policy
from tests.houses.inboxes import folder_at
from tests.houses.played_lanes import REST, Lanes
from tests.play.acts import Acting, act
from tests.play.promises import Places, Promise, coming_names
from tests.play.unthreaded import Parent

__all__ = ["POLICIES", "Users", "files"]

PATHS = st.sampled_from(["a.jpg", "a.png", "d/a.jpg"])
PICK = st.integers(0, 4)
KINDS = st.sampled_from([b"good", b"good", b"good", b"good", b"half", b"bad", b"odd", b"crash", b"big"])
POLICIES = st.sampled_from(["keep", "archive", "delete"])
_MEMORY = Path("/dev/shm")


def files(root: Path) -> dict[str, bytes]:
    """Give every file below a directory."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            found[str(path.relative_to(root))] = path.read_bytes()
    return found


class Users(Acting):
    """A folder with its users, and a bgrd that has been started and does nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.open_before = os.listdir("/proc/self/fd")
        self.root = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
        self.promise = Promise()
        self.writers: dict[str, int] = {}
        self.serial = 0
        self.disturbed = False
        self.gone: set[str] = set()

    @initialize(policy=POLICIES)
    def begin(self, policy: Policy) -> None:
        """Start on empty directories."""
        folder = folder_at(
            self.root, min_free=0, watch="inotify", policy=policy, failure_notes=self.root / "out/_failed"
        )
        self.inbox, self.outbox = folder.inbox, folder.outbox
        (self.inbox / "d").mkdir()
        self.parent = Parent(self.root, folder, lanes=Lanes(begun=self.begun), report=lambda *_, **__: None)
        self.promise.policies.add(policy)
        self.parent.start()

    def begun(self, job: int, data: bytes) -> None:
        self.promise.begin(self.parent.path_of(job), data, self.places())

    def places(self) -> Places:
        inbox, outbox = (self.root / f"{name}{'~' if name in self.gone else ''}" for name in ("in", "out"))
        return Places(inbox=files(inbox), outbox=files(outbox), archive=files(self.root / "old"))

    def at_home(self) -> bool:
        return hasattr(self, "parent") and not self.gone

    def sources(self) -> list[str]:
        """Give the sources that really lie there now."""
        return sorted(path for path in self.promise.there if (self.inbox / path).exists())

    def has_sources(self) -> bool:
        return self.at_home() and bool(self.sources())

    def pick(self, number: int) -> str:
        found = self.sources()
        return found[number % len(found)]

    def fresh(self, kind: bytes) -> bytes:
        self.serial += 1
        return b"%-5s %04d" % (kind, self.serial)

    def tell(self, path: str, *, heard: bool) -> None:
        if heard and self.parent.running:
            self.parent.feet.dirty(os.fsencode(path))

    def stamp(self, full: Path, *, before: os.stat_result | None, keep_time: bool) -> None:
        """Give a changed file a time of its own, or the time it had; what the kernel notes differs in any case."""
        if before is not None and keep_time:
            os.utime(full, ns=(before.st_mtime_ns, before.st_mtime_ns))
            while full.stat().st_ctime_ns == before.st_ctime_ns:
                full.chmod(0o644)
        else:
            self.serial += 1
            os.utime(full, ns=(self.serial * 10**9, self.serial * 10**9))

    def stop_writing(self, *paths: str) -> None:
        for path in paths:
            if path in self.writers:
                os.close(self.writers.pop(path))

    @act(at_home, odds=8, path=PATHS, kind=KINDS, heard=st.booleans(), keep_time=st.booleans())
    def write(self, path: str, kind: bytes, *, heard: bool, keep_time: bool) -> None:
        """Write a file, in place where there is one."""
        full = self.inbox / path
        self.stop_writing(path)
        hidden = not full.exists()
        before = None if hidden else full.stat()
        data = self.fresh(kind)
        full.write_bytes(data)
        self.stamp(full, before=before, keep_time=keep_time)
        self.promise.drop(path, data, hidden=hidden)
        self.tell(path, heard=heard)

    @act(at_home, odds=8, path=PATHS, kind=KINDS, heard=st.booleans())
    def move_in(self, path: str, kind: bytes, *, heard: bool) -> None:
        """Move a whole file to a path, over what lies there."""
        self.stop_writing(path)
        hidden = not (self.inbox / path).exists()
        data = self.fresh(kind)
        aside = self.root / "aside"
        aside.write_bytes(data)
        self.stamp(aside, before=None, keep_time=False)
        aside.rename(self.inbox / path)
        self.promise.drop(path, data, hidden=hidden)
        self.tell(path, heard=heard)

    @act(has_sources, pick=PICK, to=PATHS, heard=st.booleans())
    def copy(self, pick: int, to: str, *, heard: bool) -> None:
        """Drop the same bytes at another path, or once more at their own."""
        path = self.pick(pick)
        data = self.promise.there[path]
        self.stop_writing(to)
        hidden = not (self.inbox / to).exists()
        aside = self.root / "aside"
        aside.write_bytes(data)
        self.stamp(aside, before=None, keep_time=False)
        aside.rename(self.inbox / to)
        self.promise.drop(to, data, hidden=hidden)
        self.tell(to, heard=heard)

    @act(has_sources, pick=PICK, to=PATHS, heard=st.booleans())
    def rename(self, pick: int, to: str, *, heard: bool) -> None:
        """Rename a file inside the inbox, over what lies there."""
        path = self.pick(pick)
        if path == to:
            return
        self.stop_writing(path, to)
        hidden = not (self.inbox / to).exists()
        (self.inbox / path).rename(self.inbox / to)
        self.promise.drop(to, self.promise.take(path), hidden=hidden)
        self.tell(path, heard=heard)
        self.tell(to, heard=heard)

    @act(has_sources, pick=PICK, heard=st.booleans())
    def delete(self, pick: int, *, heard: bool) -> None:
        """Delete a source, or move it out of the inbox."""
        path = self.pick(pick)
        self.stop_writing(path)
        (self.inbox / path).unlink()
        self.promise.take(path)
        self.tell(path, heard=heard)

    @act(has_sources, pick=PICK, heard=st.booleans())
    def flicker(self, pick: int, *, heard: bool) -> None:
        """Move a source out and back in at once."""
        path = self.pick(pick)
        full = self.inbox / path
        full.rename(self.root / "aside")
        (self.root / "aside").rename(full)
        self.promise.excuse([path])
        self.tell(path, heard=heard)

    @act(has_sources, pick=PICK)
    def touch(self, pick: int) -> None:
        """Give a source another time."""
        path = self.pick(pick)
        full = self.inbox / path
        self.stamp(full, before=None, keep_time=False)
        self.promise.drop(path, self.promise.there[path])

    @act(has_sources, pick=PICK)
    def chmod(self, pick: int) -> None:
        """Give a source another mode: nothing that matters."""
        path = self.pick(pick)
        full = self.inbox / path
        before = full.stat()
        while full.stat().st_ctime_ns == before.st_ctime_ns:
            full.chmod(0o600)

    @act(has_sources, pick=PICK)
    def open_writer(self, pick: int) -> None:
        """Open a source for writing."""
        path = self.pick(pick)
        full = self.inbox / path
        self.stop_writing(path)
        self.writers[path] = os.open(full, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    @act(has_sources, pick=PICK, heard=st.booleans())
    def append(self, pick: int, *, heard: bool) -> None:
        """Append to a source; a half one is whole then. Whoever has it open leaves it open."""
        path = self.pick(pick)
        if len(self.promise.there[path]) > 40:
            return
        full = self.inbox / path
        fd = self.writers.get(path) or os.open(full, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(fd, REST)
        if path not in self.writers:
            os.close(fd)
        self.stamp(full, before=None, keep_time=False)
        self.promise.drop(path, self.promise.there[path] + REST)
        self.tell(path, heard=heard)

    @act(lambda self: bool(self.writers), pick=PICK)
    def close_writer(self, pick: int) -> None:
        """Close what was open."""
        self.stop_writing(sorted(self.writers)[pick % len(self.writers)])

    @act(at_home, path=PATHS, index=st.integers(0, 1))
    def own_a_name(self, path: str, index: int) -> None:
        """Put a file where a result would go, or edit the result that lies there."""
        name = coming_names(path)[index]
        self.serial += 1
        content = b"the user's own %d" % self.serial
        (self.outbox / name).parent.mkdir(exist_ok=True)
        (self.outbox / name).write_bytes(content)
        self.promise.own(name, content)

    @act(lambda self: self.at_home() and self.places().results, pick=PICK)
    def delete_a_result(self, pick: int) -> None:
        """Delete a result, or what the user has there."""
        found = sorted(self.places().results)
        name = found[pick % len(found)]
        (self.outbox / name).unlink()
        self.promise.clear(name)

    @act(at_home, odds=2, name=st.sampled_from(["in", "out"]))
    def share_goes(self, name: str) -> None:
        """Take a directory away, as a share that is unmounted."""
        (self.root / name).rename(self.root / f"{name}~")
        self.gone.add(name)
        self.promise.excuse()

    @act(lambda self: bool(self.gone), odds=16)
    def share_is_back(self) -> None:
        """Bring it back."""
        for name in self.gone:
            (self.root / f"{name}~").rename(self.root / name)
        self.gone.clear()
