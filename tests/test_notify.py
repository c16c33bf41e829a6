"""What systemd is told, over a real socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bgrd.telemetry.notify import Beats, Notifier


class Manager:
    """A service manager that listens at a path or in the abstract space."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(5)

    def heard(self) -> list[str]:
        return self.socket.recv(65536).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Give a manager of either kind of address."""
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@bgrd-test-{os.getpid()}")
    yield manager
    manager.socket.close()


def test_each_message_is_said_as_systemd_reads_it(manager: Manager) -> None:
    """One datagram for each call, with the assignments of sd_notify(3)."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.address}, monotonic_ns=lambda: 5_000_999)
    said = [
        (notifier.ready("watching 2 folders"), ["READY=1", "STATUS=watching 2 folders"]),
        (notifier.status("1 ready\nREADY=1"), ["STATUS=1 ready READY=1"]),
        (notifier.status("a \ud800"), ["STATUS=a \\ud800"]),
    ]
    for sent, lines in said:
        assert sent
        assert manager.heard() == lines
    assert notifier.reloading()
    assert manager.heard() == ["RELOADING=1", "MONOTONIC_USEC=5000"]
    assert notifier.stopping()
    assert manager.heard() == ["STOPPING=1"]
    assert notifier.watchdog()
    assert manager.heard() == ["WATCHDOG=1"]
    assert notifier.extend_timeout(1.5)
    assert manager.heard() == ["EXTEND_TIMEOUT_USEC=1500000"]
    notifier.close()
    notifier.close()
    assert not notifier.watchdog()


def test_lanes_inherit_nothing_to_speak_with() -> None:
    """The variables are taken out of the environment."""
    environ = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    Notifier(environ).close()
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_socket_nothing_happens(address: str) -> None:
    """Started by hand, or with an address this cannot reach, every call is quiet."""
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    assert not notifier.ready("up")
    assert notifier.watchdog_interval is None


def test_a_manager_that_does_not_listen_is_no_error(tmp_path: Path) -> None:
    """A lost message stops nobody."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notifier.ready("up")
    notifier.close()


@pytest.fixture
def deaf() -> Iterator[tuple[socket.socket, Notifier]]:
    """Give a manager whose queue is full, and who speaks to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")
        notifier = Notifier({"NOTIFY_SOCKET": "@" + manager.getsockname()[1:].decode()})
        while notifier.status("full"):
            pass
        yield manager, notifier
        notifier.close()


def test_a_manager_that_does_not_read_holds_nobody_up(
    deaf: tuple[socket.socket, Notifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said again soon is lost at once: not a second is waited at each, while pictures do."""
    monkeypatch.setattr("bgrd.telemetry.notify._SEND_SECONDS", 3600.0)
    _, notifier = deaf
    for _ in range(100):
        assert not notifier.status("again")
        assert not notifier.watchdog()
        assert not notifier.extend_timeout(1.0)


def test_what_is_said_once_waits_without_spinning(
    deaf: tuple[socket.socket, Notifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY, RELOADING and STOPPING wait for room, asleep; then they are heard. Not for ever: systemd may be gone."""
    manager, notifier = deaf
    used = time.thread_time()
    assert not notifier.stopping()
    assert time.thread_time() - used < 0.5
    monkeypatch.setattr("bgrd.telemetry.notify._SEND_SECONDS", 60.0)
    answers: list[bool] = []
    speaker = threading.Thread(target=lambda: answers.append(notifier.ready("up")))
    speaker.start()
    heard = b""
    while b"READY=1" not in heard:
        heard = manager.recv(65536)
    speaker.join()
    assert answers == [True]


@pytest.mark.parametrize(
    ("limit_us", "pid", "interval"),
    [
        ("60000000", "42", 30.0),
        ("60000000", "", 30.0),
        ("60000000", "41", None),
        ("0", "42", None),
        ("", "42", None),
        ("soon", "42", None),
        ("-5", "42", None),
    ],
)
def test_the_watchdog_wants_a_sign_twice_within_its_limit(limit_us: str, pid: str, interval: float | None) -> None:
    """Only where the limit is meant for this process and makes sense."""
    notifier = Notifier({"WATCHDOG_USEC": limit_us, "WATCHDOG_PID": pid}, pid=42)
    assert notifier.watchdog_interval == interval


def test_a_loop_is_late_when_its_last_beat_is_too_long_ago() -> None:
    """Each loop has its own deadline, and one that was never expected has none."""
    beats = Beats()
    assert beats.late(now=1e9) == []
    beats.expect("journal", within_seconds=30, now=100)
    beats.expect("engine", within_seconds=10, now=100)
    beats.beat("stranger", now=100)
    assert beats.late(now=110) == []
    assert beats.late(now=111) == ["engine"]
    assert beats.late(now=131) == ["engine", "journal"]
    beats.beat("engine", now=130)
    assert beats.late(now=131) == ["journal"]
    beats.forget("journal")
    beats.forget("journal")
    assert beats.late(now=131) == []


class Beating(RuleBasedStateMachine):
    """Loops come, beat out of order, and go; `late` is compared with the definition."""

    names = st.sampled_from(["a", "b", "c"])
    times = st.integers(min_value=0, max_value=100)

    def __init__(self) -> None:
        super().__init__()
        self.beats = Beats()
        self.model: dict[str, tuple[int, int]] = {}

    @rule(name=names, within=times, now=times)
    def expect(self, name: str, within: int, now: int) -> None:
        self.beats.expect(name, within_seconds=within, now=now)
        self.model[name] = (within, now)

    @rule(name=names, now=times)
    def beat(self, name: str, now: int) -> None:
        self.beats.beat(name, now=now)
        if name in self.model:
            within, last = self.model[name]
            self.model[name] = (within, max(last, now))

    @rule(name=names)
    def forget(self, name: str) -> None:
        self.beats.forget(name)
        self.model.pop(name, None)

    @invariant()
    def late_by_definition(self) -> None:
        for now in (0, 50, 200):
            expected = sorted(name for name, (within, last) in self.model.items() if now - last > within)
            assert self.beats.late(now=now) == expected


TestBeating = Beating.TestCase
TestBeating.settings = settings(deadline=None, max_examples=40)
