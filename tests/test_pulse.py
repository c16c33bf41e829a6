"""The daemon's sign of life: a fake service manager, clocks that are set by hand, real threads where it matters."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrd.kernel import blocked_in_file_call
from bgrd.pulse import Pulse, identity, summary
from bgrd.telemetry import status
from bgrd.telemetry.notify import Notifier
from tests.inboxes import until

WATCHDOG_SECONDS = 60.0
LATE_SECONDS = 31.0
"""More than half of what systemd waits."""


class Service:
    """A service manager that wants a ping each minute, a daemon's loops, and a pulse between them."""

    def __init__(self, root: Path, *, watched: bool = True) -> None:
        self.path = root / "run/status.json"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("")
        environment = {"NOTIFY_SOCKET": "@" + self._socket.getsockname()[1:].decode()}
        if watched:
            environment["WATCHDOG_USEC"] = str(int(WATCHDOG_SECONDS * 1e6))
        self.notifier = Notifier(environment)
        self.now = 1000.0
        self.loops: dict[str, tuple[float, int]] = {}
        self.jobs = {"ready": 2, "done": 5}
        self.reason = ""
        self.pulse = Pulse(self.notifier, self.path, beats=self.beats, facts=self.facts)

    def beats(self) -> Iterator[tuple[str, float, int]]:
        """Give what the daemon would: loops that were not set late have just come round."""
        for name in ("engine", "journal", "intake of f", "commit of f"):
            last, thread = self.loops.get(name, (self.now, 0))
            yield name, last, thread

    def facts(self) -> dict[str, Any]:
        """Give the status."""
        return {**identity(), "folders": {"f": {"jobs": self.jobs, "reason": self.reason}}}

    def tick(self, seconds: float) -> list[str]:
        """Let time pass, tick, and give what the service manager heard."""
        self.now += seconds
        self.pulse.tick(self.now)
        return self.heard()

    def heard(self) -> list[str]:
        """Give what was told since last time."""
        lines: list[str] = []
        while True:
            try:
                lines += self._socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return lines

    def close(self) -> None:
        """Close both ends."""
        self.notifier.close()
        self._socket.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Give a service and close it."""
    made = Service(tmp_path)
    yield made
    made.close()


def test_it_pings_while_all_come_round(service: Service) -> None:
    """Several pings in each of systemd's minutes, and none more than needed."""
    pings = sum("WATCHDOG=1" in service.tick(1.0) for _ in range(120))
    assert 4 <= pings <= 12


@pytest.mark.parametrize("loop", ["engine", "journal", "intake of f", "commit of f"])
def test_a_frozen_loop_stops_the_pings_until_it_comes_round(service: Service, loop: str) -> None:
    """Whichever of the four does not come round: silence, its name in the facts, pings again when it is back."""
    assert "WATCHDOG=1" in service.tick(20)
    service.loops[loop] = (service.now, 0)
    assert "WATCHDOG=1" in service.tick(20)
    assert "WATCHDOG=1" not in service.tick(LATE_SECONDS - 20)
    assert "WATCHDOG=1" not in service.tick(20)
    assert service.pulse.late == [loop]
    del service.loops[loop]
    assert "WATCHDOG=1" in service.tick(20)
    assert service.pulse.late == []


def test_a_thread_frozen_by_our_own_code_stops_the_pings(service: Service) -> None:
    """A thread that waits on a lock for ever is the daemon's own fault, whatever folder it serves."""
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire, daemon=True)
    thread.start()
    service.loops["intake of f"] = (service.now, thread.native_id or 0)
    until(lambda: _system_call(thread) is not None)
    assert "WATCHDOG=1" not in service.tick(LATE_SECONDS)
    lock.release()
    thread.join()


def test_a_thread_held_in_a_file_call_does_not_stop_the_pings(service: Service, tmp_path: Path) -> None:
    """A dead share is that folder's trouble: opening a FIFO nobody writes to stands for a call that never returns."""
    os.mkfifo(tmp_path / "share")
    opened: list[int] = []
    thread = threading.Thread(target=lambda: opened.append(os.open(tmp_path / "share", os.O_RDONLY)), daemon=True)
    thread.start()
    until(lambda: blocked_in_file_call(thread.native_id or 0))
    service.loops["commit of f"] = (service.now, thread.native_id or 0)
    assert "WATCHDOG=1" in service.tick(LATE_SECONDS)
    assert service.pulse.late == []
    os.close(os.open(tmp_path / "share", os.O_WRONLY))
    thread.join()
    os.close(opened[0])


def _system_call(thread: threading.Thread) -> str | None:
    text = Path(f"/proc/self/task/{thread.native_id}/syscall").read_text()
    return None if text.startswith("running") else text


def test_nobody_is_pinged_who_does_not_wait(tmp_path: Path) -> None:
    """Without a watchdog there are no pings and no beats are asked for, and nothing is due."""
    service = Service(tmp_path, watched=False)
    service.pulse.tick(service.now)
    assert service.pulse.tick(service.now + 100) is None
    assert not [line for line in service.heard() if "WATCHDOG" in line]
    service.close()


def test_it_says_when_it_wants_to_be_called_again(service: Service) -> None:
    """The next ping or the next status, whichever comes first; never a second in the past."""
    due = service.pulse.tick(service.now)
    assert due is not None
    assert service.now < due <= service.now + WATCHDOG_SECONDS / 2
    service.pulse.changed()
    soon = service.pulse.tick(service.now)
    assert soon is not None
    assert service.now < soon <= service.now + 1


def test_the_status_is_written_when_something_is_new_and_not_too_often(service: Service) -> None:
    """At once at the start, then at most once a second however much happens, and not at all when nothing does."""
    assert any(line.startswith("STATUS=") for line in service.tick(0))
    for _ in range(5):
        service.pulse.changed()
        assert not any(line.startswith("STATUS=") for line in service.tick(0.1))
    assert any(line.startswith("STATUS=") for line in service.tick(1))
    assert not any(line.startswith("STATUS=") for line in service.tick(10))
    facts = status.read(service.path)
    assert facts is not None
    assert facts["pid"] == os.getpid()
    assert facts["folders"]["f"]["jobs"] == {"ready": 2, "done": 5}


def test_the_line_counts_and_names_trouble(service: Service) -> None:
    """What `systemctl status` shows: numbers of all folders, then each folder's reason."""
    service.reason = "the outbox is full"
    line = summary(service.facts())
    assert "2 ready" in line
    assert "5 done" in line
    assert line.endswith("f: the outbox is full")


def test_a_runtime_directory_that_cannot_be_written_costs_only_the_news(service: Service) -> None:
    """The status line is still told, the pings go on; removing what is not there is harmless."""
    service.path.parent.write_bytes(b"a file in the directory's place")
    heard = service.tick(20)
    assert "WATCHDOG=1" in heard
    assert any(line.startswith("STATUS=") for line in heard)
    service.pulse.remove()


def test_at_the_end_the_status_file_goes(service: Service) -> None:
    """Nobody runs, nobody says so."""
    service.tick(0)
    assert service.path.exists()
    service.pulse.remove()
    assert not service.path.exists()
