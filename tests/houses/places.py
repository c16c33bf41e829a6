"""A house with two folders and mounts of its own: what happens to the one must not touch the other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bgrd.job import State
from bgrd.models.catalogue import BUILT_IN
from bgrd.models.store import find
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.mounts_made import Mounts
from tests.pictures.scenes import check_result, phone_photo

__all__ = ["Place"]

FOLDER = '[[folder]]\nname = "{0}"\ninbox = "~/{0}/in"\noutbox = "~/{0}/out"\narchive = "~/{0}/old"\n'
QUICK = "[defaults]\nrescan_seconds = 5\npoll_seconds = 1\nsettle_seconds = 0.2\n"


class Place:
    """A house with mounts of its own, and two folders: what happens to one must not touch the other."""

    def __init__(self, root: Path, mounts: Mounts, *, policy: str, more: str = "", model: str = "") -> None:
        self.house = House(root / "house")
        self.mounts = mounts
        for name in ("ill", "well"):
            for part in ("in", "out", "old"):
                (self.house.home / name / part).mkdir(parents=True)
        ill = FOLDER.format("ill") + ('model = "mine"\n' if model else "")
        table = f'[[model]]\nname = "mine"\npath = "{model}"\n' if model else ""
        self.text = f'{more}{QUICK}policy = "{policy}"\n{ill}{FOLDER.format("well")}{table}'
        self.house.configure(self.text)

    def part(self, name: str) -> Path:
        """Give a directory of the folder that things happen to."""
        return self.house.home / "ill" / name

    def install_model(self, path: Path) -> None:
        """Put a copy of the built-in model there."""
        shutil.copy(find(BUILT_IN, custom={}, directory=path).path, path)

    def lend(self, name: str) -> Path:
        """Put a share at a part of that folder; gives the directory behind it."""
        back = self.house.root / f"{name}-share"
        back.mkdir(exist_ok=True)
        self.mounts.bind(back, self.part(name))
        return back

    def daemon(self, environment: Mapping[str, str] = {}) -> Daemon:
        """Give a daemon that sees the mounts."""
        return Daemon(self.house, program=self.mounts.program, environment=environment)

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
