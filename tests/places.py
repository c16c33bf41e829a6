"""A house with two folders and mounts of its own: what happens to the one must not touch the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bgrd.job import State
from tests.daemons import Daemon
from tests.houses import House
from tests.mounts_made import Mounts
from tests.scenes import check_result, phone_photo

__all__ = ["Place"]

FOLDER = '[[folder]]\nname = "{0}"\ninbox = "~/{0}/in"\noutbox = "~/{0}/out"\narchive = "~/{0}/old"\n'
QUICK = "[defaults]\nrescan_seconds = 5\npoll_seconds = 1\nsettle_seconds = 0.2\n"


class Place:
    """A house with mounts of its own, and two folders: what happens to one must not touch the other."""

    def __init__(self, root: Path, mounts: Mounts, *, policy: str) -> None:
        self.house = House(root / "house")
        self.mounts = mounts
        for name in ("ill", "well"):
            for part in ("in", "out", "old"):
                (self.house.home / name / part).mkdir(parents=True)
        self.house.configure(f'{QUICK}policy = "{policy}"\n{FOLDER.format("ill")}{FOLDER.format("well")}')

    def part(self, name: str) -> Path:
        """Give a directory of the folder that things happen to."""
        return self.house.home / "ill" / name

    def lend(self, name: str) -> Path:
        """Put a share at a part of that folder; gives the directory behind it."""
        back = self.house.root / f"{name}-share"
        back.mkdir(exist_ok=True)
        self.mounts.bind(back, self.part(name))
        return back

    def daemon(self) -> Daemon:
        """Give a daemon that sees the mounts."""
        return Daemon(self.house, program=self.mounts.program)

    def facts(self) -> dict[str, Any]:
        """Give what the status file says of that folder."""
        found: dict[str, Any] = self.house.status().get("folders", {}).get("ill", {})
        return found

    def check_neighbour(self, daemon: Daemon, name: str) -> None:
        """Hold that the other folder takes a picture now."""
        data = phone_photo(seed=9)
        (self.house.home / "well/in" / name).write_bytes(data)
        daemon.heard("job.done", folder="well", path=name)
        check_result(self.house.home / "well/out" / name.replace(".jpg", ".png"), data)

    def jobs(self) -> dict[str, tuple[State, int]]:
        """Give that folder's jobs; only while no daemon runs."""
        return {job.path.decode(): (job.state, job.attempts) for job in self.house.jobs() if job.folder == "ill"}
