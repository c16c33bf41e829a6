"""A daemon with a folder of each source policy, watched by witnesses, that is killed and started again and again."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tests.houses.daemons import Daemon
from tests.houses.houses import PATIENCE_SECONDS, House
from tests.houses.inboxes import until
from tests.houses.stops import Stops
from tests.houses.witness import Witness
from tests.kernel.processes import children
from tests.pictures.making import encoded
from tests.pictures.scenes import photo

__all__ = ["FAR", "PROGRAM", "Picture", "Site", "pictures"]

Picture = tuple[bytes, dict[str, bytes]]
"""A source's bytes, and what a clean run makes of them by the results' suffixes."""

FAR = Path("/dev/shm")
PROGRAM = Path(__file__).parents[1] / "programs/stopped_daemon.py"

_DEFAULTS = """
[defaults]
products = ["cutout", "mask"]
min_free = "1 MB"
rescan_seconds = 1
"""
_FOLDER = """
[[folder]]
name = "{name}"
inbox = "{root}/in"
outbox = "{root}/out"
archive = "{archive}"
policy = "{policy}"
"""
_OPEN = "SELECT count(*) FROM job WHERE state NOT IN ('done', 'failed', 'withdrawn')"
_RUNNING = "SELECT count(*) FROM job WHERE state = 'running'"


def pictures(house: House, number: int, *, tail: bytes = b"") -> list[Picture]:
    """Make small pictures, and have them cut out by a clean run with the house's configuration."""
    sources, clean = house.root / "sources", house.root / "clean"
    shutil.rmtree(sources, ignore_errors=True)
    shutil.rmtree(clean, ignore_errors=True)
    sources.mkdir()
    data = [encoded(photo(72, 48, seed=seed), "JPEG", quality=90) + tail for seed in range(number)]
    for index, each in enumerate(data):
        (sources / f"{index}.jpg").write_bytes(each)
    done = house.run("once", "--no-progress", "-o", clean, *sorted(sources.iterdir()))
    assert done.returncode == 0, done.stderr
    return [
        (each, {path.name.removeprefix(str(index)): path.read_bytes() for path in clean.glob(f"{index}.*")})
        for index, each in enumerate(data)
    ]


class Site:
    """A house with the folders `keep`, `archive`, `far` (an archive on another file system) and `delete`."""

    def __init__(self, root: Path, *, settings: str = "", rung: str = "best", hooked: bool = True) -> None:
        self.house = House(root / "house")
        self.stops = Stops(root / "stops")
        self._far = Path(tempfile.mkdtemp(dir=FAR)) if _has_far(root) else None
        self._program = [sys.executable, str(PROGRAM), str(self.stops.directory), rung, "run"]
        if not hooked:
            self._program = [sys.executable, "-m", "bgrd", "run"]
        policies: dict[str, Literal["keep", "archive", "delete"]]
        policies = {"keep": "keep", "archive": "archive", "delete": "delete"}
        if self._far is not None:
            policies["far"] = "archive"
        text = f"threads = 1\n{settings}\n{_DEFAULTS}"
        self.witnesses: dict[str, Witness] = {}
        for name, policy in policies.items():
            folder = root / name
            archive = self._far if name == "far" and self._far is not None else folder / "old"
            for directory in (folder / "in", folder / "out", archive):
                directory.mkdir(parents=True, exist_ok=True)
            text += _FOLDER.format(name=name, root=folder, archive=archive, policy=policy)
            self.witnesses[name] = Witness(folder / "in", folder / "out", archive, policy=policy)
        self.house.configure(text)
        self._stack = contextlib.ExitStack()
        self.daemon: Daemon | None = None

    def start(self, *, ready: bool = True) -> Daemon:
        """Start the daemon, which takes up what the last end left."""
        assert self.daemon is None
        self.daemon = daemon = self._stack.enter_context(Daemon(self.house, program=self._program))
        return daemon.ready() if ready else daemon

    def kill(self) -> None:
        """Kill -9 the daemon; nothing may be wrong then, and its lanes must end by themselves."""
        assert self.daemon is not None
        daemon, self.daemon = self.daemon, None
        daemon.kill()
        self.look()
        self._stack.pop_all().close()
        self.stops.order()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; fails at once where the daemon ends before."""
        assert self.daemon is not None
        self.daemon.until(condition)

    def look(self) -> None:
        """Hold that nothing is wrong right now."""
        assert not self.wrong()

    def wrong(self) -> list[str]:
        """Say what is wrong, folder by folder."""
        return [f"{name}: {each}" for name, witness in self.witnesses.items() for each in witness.wrong()]

    def unfinished(self) -> list[str]:
        """Say what is not as it has to be once all is done, folder by folder."""
        return [f"{name}: {each}" for name, witness in self.witnesses.items() for each in witness.unfinished()]

    def settle(self) -> None:
        """Wait until the journal has no open job, and all is as it has to be."""

        def settled() -> bool:
            return self.open_jobs() == 0 and not self.unfinished()

        try:
            self.until(settled)
        except AssertionError as error:
            error.add_note(f"open jobs: {self.open_jobs()}; {self.unfinished()}")
            raise

    def open_jobs(self) -> int:
        """Give how many jobs have not ended, as the journal on disk says."""
        return self._count(_OPEN)

    def running(self) -> int:
        """Give how many jobs are claimed and not yet committed."""
        return self._count(_RUNNING)

    def failed(self) -> list[tuple[str, str, int]]:
        """Give folder, path and charged tries of every failed job."""
        query = "SELECT folder, path, attempts + unclean FROM job WHERE state = 'failed'"
        return [(folder, os.fsdecode(path), int(charged)) for folder, path, charged in self._rows(query)]

    def _count(self, query: str) -> int:
        ((count,),) = self._rows(query)
        return int(count)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        address = f"file:{self.house.state / 'journal.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_SECONDS)) as connection:
            return connection.execute(query).fetchall()

    def held(self, number: int) -> None:
        """Wait until so many threads or lanes are held."""
        try:
            self.until(lambda: sum(self._held().values()) >= number)
        except AssertionError as error:
            error.add_note(f"held of {number}: {self._held()}; wrong: {self.unfinished()}")
            raise

    def lanes(self) -> list[int]:
        """Give the lanes that are held."""
        assert self.daemon is not None
        return [pid for pid in self._held() if pid != self.daemon.pid]

    def kill_lanes(self) -> None:
        """Kill -9 the lanes that are held."""
        for lane in self.lanes():
            os.kill(lane, 9)
            until(lambda lane=lane: lane not in self._held())  # type: ignore[misc]

    def _held(self) -> dict[int, int]:
        """Give who of this daemon's is held: a lane of the one before may have taken a step on its way to the grave."""
        assert self.daemon is not None
        ours = {self.daemon.pid, *children(self.daemon.pid)}
        return {pid: count for pid, count in self.stops.held().items() if pid in ours}

    def close(self) -> None:
        """Stop the daemon and hold that it ends well; remove what lies outside of the test's directory."""
        self.stops.order()
        try:
            if self.daemon is not None:
                assert self.daemon.stop() == 0
            self._stack.close()
        finally:
            if self._far is not None:
                shutil.rmtree(self._far)

    def abandon(self) -> None:
        """End all without asking."""
        self.stops.order()
        if self.daemon is not None:
            self.daemon.process.kill()
            self.daemon.process.wait()
        with contextlib.suppress(AssertionError):
            self._stack.close()
        self.daemon = None
        if self._far is not None:
            shutil.rmtree(self._far, ignore_errors=True)


def _has_far(root: Path) -> bool:
    return FAR.is_dir() and FAR.stat().st_dev != root.stat().st_dev
