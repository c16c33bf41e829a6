"""The daemon's sign of life: a fake service manager, clocks that are set by hand, real threads where it matters."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrd.kernel import blocked_in_file_call
from bgrd.pulse import Pulse, identity, summary
from bgrd.telemetry import status
from bgrd.telemetry.notify import Notifier
from tests.houses.inboxes import until

WATCHDOG_SECONDS = 60.0
LATE_SECONDS = 31.0
"""More than half of what systemd waits."""


class Service:
    """A service manager that wants a ping each minute, a daemon's loops, and a pulse between them."""

    def __init__(self, root: Path, *, watched: bool = True, watchdog_seconds: float = WATCHDOG_SECONDS) -> None:
        self.path = root / "run/status.json"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("")
        environment = {"NOTIFY_SOCKET": "@" + self._socket.getsockname()[1:].decode()}
        if watched:
            environment["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1e6))
        self.notifier = Notifier(environment)
        self.now = 1000.0
        self.loops: dict[str, tuple[float, int]] = {}
        self.jobs = {"ready": 2, "done": 5}
        self.reason = ""
        self.told: list[list[str]] = []
        self.pulse = Pulse(
            self.notifier,
            self.path,
            beats=self.beats,
            facts=self.facts,
            report=lambda _event, **facts: self.told.append(facts["loops"]),
        )

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
    assert service.told == [[loop]]
    assert status.read(service.path), "whoever asks is told who is late"
    del service.loops[loop]
    assert "WATCHDOG=1" in service.tick(20)
    assert service.told == [[loop], []]


def test_a_short_watchdog_does_not_take_a_quiet_loop_for_a_dead_one(tmp_path: Path) -> None:
    """However little the service manager waits: a loop that comes round every few seconds is alive."""
    service = Service(tmp_path, watchdog_seconds=1.0)
    service.loops["intake of f"] = (service.now, 0)
    assert "WATCHDOG=1" in service.tick(4.5)
    assert "WATCHDOG=1" not in service.tick(1.0)
    service.close()


def at_the_end(end: threading.Event, act: Callable[[], None]) -> None:
    """Act once all is over."""

    def wait() -> None:
        end.wait()
        act()

    threading.Thread(target=wait).start()


def wait_on_a_lock(end: threading.Event) -> None:
    """Wait as in a deadlock."""
    end.wait()


def wait_for_time(end: threading.Event) -> None:
    """Sleep and sleep."""
    while not end.is_set():
        time.sleep(0.5)


def spin(end: threading.Event) -> None:
    """Work and work."""
    while not end.is_set():
        pass


def wait_in_poll(end: threading.Event) -> None:
    """Wait for descriptors that have nothing to say."""
    while not end.is_set():
        select.select([], [], [], 0.5)


def wait_for_a_pipe(end: threading.Event) -> None:
    """Read from a pipe into which nobody writes until the end."""
    reader, writer = os.pipe()
    at_the_end(end, lambda: os.close(writer))
    os.read(reader, 1)
    os.close(reader)


def wait_for_a_socket(end: threading.Event) -> None:
    """Wait for what nobody says until the end."""
    ours, theirs = socket.socketpair()
    at_the_end(end, theirs.close)
    ours.recv(1)
    ours.close()


def wait_for_a_process(end: threading.Event) -> None:
    """Wait for a process that does not end."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        at_the_end(end, process.kill)
        process.wait()


@pytest.mark.parametrize(
    "freeze",
    [wait_on_a_lock, wait_for_time, spin, wait_in_poll, wait_for_a_pipe, wait_for_a_socket, wait_for_a_process],
)
def test_a_thread_frozen_by_our_own_code_stops_the_pings(
    service: Service, freeze: Callable[[threading.Event], None]
) -> None:
    """Whatever it waits for that is no file system is the daemon's own fault, whatever folder it serves."""
    end = threading.Event()
    thread = threading.Thread(target=freeze, args=(end,), daemon=True)
    thread.start()
    service.loops["intake of f"] = (service.now, thread.native_id or 0)
    until(
        lambda: freeze is spin or (not blocked_in_file_call(thread.native_id or 0) and _system_call(thread) is not None)
    )
    for _ in range(3):
        assert "WATCHDOG=1" not in service.tick(LATE_SECONDS)
    end.set()
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
