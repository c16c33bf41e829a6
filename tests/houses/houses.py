"""A home of its own for a bgrd under test; whoever is started in it is found again and ended.

Whatever a test leaves behind is found by a mark in the environment that every descendant inherits.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from bgrd.job import Job, State
from bgrd.journal.journal import open_journal
from bgrd.telemetry import status
from tests.houses.inboxes import until
from tests.kernel.processes import MARK, carries, command, everyone

__all__ = ["PATIENCE_SECONDS", "House"]

PATIENCE_SECONDS = 90.0
"""How long anything may take on a machine that is busy with other things."""
_REPOSITORY = Path(__file__).parents[2]


class House:
    """A home of its own for one bgrd, below `root`; every process started here carries its mark."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.runtime = root / "run"
        self.home.mkdir(parents=True)
        self.runtime.mkdir(mode=0o700)
        self.mark = uuid.uuid4().hex
        self.inbox = self.home / "bgr/inbox"
        self.outbox = self.home / "bgr/outbox"
        self.failed = self.outbox / "_failed"
        self.configuration = self.home / ".config/bgrd/config.toml"
        self.state = self.home / ".local/state/bgrd"

    @property
    def environment(self) -> dict[str, str]:
        """What its processes see: nothing of the user who runs the tests but where programs lie."""
        return {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PYTHONPATH": str(_REPOSITORY),
            "PYTHONWARNINGS": "error,ignore::ResourceWarning",
            MARK: self.mark,
        }

    def folders(self) -> Self:
        """Make the default inbox and outbox before a daemon does."""
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.outbox.mkdir(parents=True, exist_ok=True)
        return self

    def configure(self, text: str) -> None:
        """Write the configuration, replacing the one before in one step."""
        self.configuration.parent.mkdir(parents=True, exist_ok=True)
        aside = self.configuration.with_suffix(".new")
        aside.write_text(text)
        aside.replace(self.configuration)

    def run(
        self, *arguments: str | Path, environment: Mapping[str, str] = {}, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a bgrd command to its end, started by the command `before`."""
        return subprocess.run(
            [*before, sys.executable, "-m", "bgrd", *map(str, arguments)],
            env=self.environment | dict(environment),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def jobs(self) -> list[Job]:
        """Give every row of the journal; only while nobody holds it."""
        journal = open_journal(self.state)
        try:
            return journal.jobs(states=frozenset(State), limit=1_000_000)
        finally:
            journal.close()

    def status(self) -> dict[str, Any]:
        """Give what the daemon's status file says, {} before it is written."""
        path = status.location(self.state, environ=self.environment)
        return status.read(path) or {}

    def results(self, outbox: Path | None = None) -> dict[str, Path]:
        """Give every file below the outbox but failure notes, hidden ones too, by its relative name."""
        outbox = self.outbox if outbox is None else outbox
        files = {str(path.relative_to(outbox)): path for path in outbox.rglob("*") if not path.is_dir()}
        return {name: path for name, path in files.items() if not name.startswith("_failed/")}

    def processes(self) -> list[int]:
        """Give the ids of all living processes that carry the mark."""
        return [pid for pid in everyone() if carries(pid, self.mark)]

    def lanes(self) -> list[int]:
        """Give the ids of the living lanes, whosever children they are."""
        return [pid for pid in self.processes() if b"bgrd.engine.lane" in command(pid)]

    def clear(self, *, seconds: float = 10.0) -> list[bytes]:
        """Wait for every process of this house to end, end those that do not, and give their command lines."""
        with suppress(AssertionError):
            until(lambda: not self.processes(), seconds=seconds)
        left = self.processes()
        commands = [command(pid) for pid in left]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes())
        return commands
