"""Real daemons for tests: `python -m bgrd run` as a subprocess, its log, what it tells the service manager."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.houses.houses import PATIENCE_SECONDS, House
from tests.houses.inboxes import until
from tests.kernel.processes import begun, children, letter

__all__ = ["Daemon", "Notices"]


class Notices:
    """A service manager's ear: a thread that takes at once whatever is told to NOTIFY_SOCKET."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # the kernel chooses a name in the abstract space: paths may be too long for a socket
        self._heard: list[str] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    @property
    def address(self) -> str:
        """What NOTIFY_SOCKET has to be."""
        name: bytes = self._socket.getsockname()
        return "@" + name[1:].decode()

    @property
    def heard(self) -> list[str]:
        """Every assignment told so far, in order."""
        return list(self._heard)

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while message := self._socket.recv(65536):
            self._heard += message.decode().splitlines()


class Daemon:
    """`bgrd run` between `with` and its end. Leaving the block ends it and fails where a lane outlives it."""

    def __init__(
        self,
        house: House,
        *,
        environment: Mapping[str, str] = {},
        program: Sequence[str] = (sys.executable, "-m", "bgrd", "run"),
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.house = house
        self._program = program
        self._environment = dict(environment)
        self._stdin = stdin
        self._log = house.root / f"log-{uuid.uuid4().hex[:8]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._notices: Notices | None = None
        self.started = 0.0

    def __enter__(self) -> Self:
        self._notices = Notices()
        environment = self.house.environment | {"NOTIFY_SOCKET": self.notices.address} | self._environment
        self.started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._program,
                env=environment,
                cwd=self.house.root,
                stdin=self._stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(PATIENCE_SECONDS if error is None else 5.0)
                except subprocess.TimeoutExpired:
                    self.process.kill()
            self.process.wait()
            left = self.house.clear()
        finally:
            self.notices.close()
        if error is not None:
            error.add_note(f"the daemon's log:\n{self._log.read_text()[-20_000:]}")
            return
        assert not left, f"left running: {left}"
        assert not self.strays, f"no event: {self.strays}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The daemon itself."""
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def notices(self) -> Notices:
        """What it told the service manager."""
        assert self._notices is not None, "it was never started"
        return self._notices

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def _lines(self) -> list[str]:
        lines = self._log.read_text("utf-8").split("\n")
        return lines[:-1]  # what follows the last line break is not yet written to its end

    @property
    def strays(self) -> list[str]:
        """Lines of its output that are neither event nor sentence: tracebacks, prints."""
        return [line for line in self._lines if not line.startswith(("{", "bgrd: "))]

    @property
    def sentences(self) -> list[str]:
        """What it said beside its log: why it ended."""
        return [line for line in self._lines if line.startswith("bgrd: ")]

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Give its log so far, or the events of these names."""
        events = [json.loads(line) for line in self._lines if line.startswith("{")]
        return [event for event in events if not names or event["event"] in names]

    def until(self, condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a condition; fail at once where the daemon ends before."""

        def met() -> bool:
            if condition():
                return True
            assert self.process.poll() is None, f"it ended with {self.process.poll()}"
            return False

        until(met, seconds=seconds)

    def ready(self) -> Self:
        """Wait for READY=1 on the notify socket."""
        self.until(lambda: "READY=1" in self.notices.heard)
        return self

    def heard(self, name: str, *, times: int = 1, **facts: object) -> list[dict[str, Any]]:
        """Wait until an event with these facts was logged that many times; gives those logged."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.events(name) if facts.items() <= event.items()]

        self.until(lambda: len(found()) >= times)
        return found()

    def done(self, paths: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Wait until each of these sources is done; gives its event."""
        wanted = set(paths)

        def found() -> dict[str, dict[str, Any]]:
            return {event["path"]: event for event in self.events("job.done")}

        self.until(lambda: wanted <= found().keys())
        return found()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; gives its exit code, negative for a signal."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM and wait; gives the exit code."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """SIGKILL, as a crash or a power cut would; its lanes have to end by themselves."""
        self.signal(signal.SIGKILL)
        self.ended()

    def catch_lane(self, sources: Iterable[Path]) -> tuple[int, Path]:
        """Stop (SIGSTOP) a lane that has begun one of these sources and written nothing; gives its id and the source.

        The pictures have to take long enough to be caught: some tenths of a second, and better several of them.
        """
        sources = list(sources)
        caught: list[tuple[int, Path]] = []

        def working(pid: int) -> list[tuple[int, Path]]:
            return [(pid, source) for source in sources if begun(pid, source, below=self.house.outbox)]

        def holds() -> bool:
            for pid in children(self.pid):
                if working(pid):
                    os.kill(pid, signal.SIGSTOP)
                    until(partial(_stands, pid))
                    caught.extend(working(pid))
                    if caught:
                        return True
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
            return False

        self.until(holds)
        return caught[0]

    def resident_bytes(self) -> int:
        """Give the memory the daemon itself holds now."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) * 1024

    def processor_seconds(self) -> float:
        """Give the processor time the daemon itself has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mapped(self) -> str:
        """Give the files the daemon itself has mapped."""
        return Path(f"/proc/{self.pid}/maps").read_text()


def _stands(pid: int) -> bool:
    return letter(pid) in {"T", "Z", "X"}
