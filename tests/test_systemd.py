"""The service under a real systemd user manager; skipped where there is none."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.houses.houses import PATIENCE_SECONDS, House
from tests.houses.inboxes import until
from tests.kernel.processes import children
from tests.pictures.scenes import check_result, phone_photo, slow_photo

REPOSITORY = Path(__file__).parent.parent
UNIT = REPOSITORY / "systemd/bgrd.service"
WITH_MANAGER = REPOSITORY.parent / "shared/tools/with-systemd-user"
FROZEN = Path(__file__).parent / "programs/frozen_daemon.py"
TELL_WHERE = 'echo "$XDG_RUNTIME_DIR"; exec cat'

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


class Service:
    """The unit in a manager of its own; `systemctl` speaks to that manager."""

    def __init__(self, house: House, manager: subprocess.Popen[str], runtime: Path) -> None:
        self.house = house
        self.manager = manager
        self._runtime = runtime
        self._log = house.root / "service.log"

    def install(self, *, command: str = "", **settings: str) -> None:
        """Install the unit as it is, with a drop-in for where this bgrd and its home are, and what a test changes."""
        units = self.house.home / ".config/systemd/user"
        (units / "bgrd.service.d").mkdir(parents=True, exist_ok=True)
        shutil.copy(UNIT, units)
        lines = ["[Service]", "ExecStart=", f"ExecStart={command or f'{sys.executable} -m bgrd run'}"]
        lines += [f'Environment="{name}={value}"' for name, value in self.house.environment.items()]
        lines += [f"StandardOutput=append:{self._log}", f"StandardError=append:{self._log}"]
        lines += [f"{name}={value}" for name, value in settings.items()]
        (units / "bgrd.service.d/test.conf").write_text("\n".join(lines) + "\n")
        assert self.systemctl("daemon-reload").returncode == 0

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `systemctl --user` to its end."""
        environment = {
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": str(self._runtime),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self._runtime}/bus",
        }
        return subprocess.run(
            ["systemctl", "--user", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def show(self, name: str) -> str:
        """Give a property of the service."""
        return self.systemctl("show", "--value", f"--property={name}", "bgrd.service").stdout.strip()

    @property
    def pid(self) -> int:
        """The daemon's process id, 0 while it does not run."""
        return int(self.show("MainPID"))

    @property
    def log(self) -> str:
        """What the service wrote so far."""
        return self._log.read_text() if self._log.exists() else ""

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; a failure shows the log and how the service stands."""
        try:
            until(condition, seconds=PATIENCE_SECONDS)
        except AssertionError as error:
            error.add_note(self.systemctl("status", "bgrd.service").stdout)
            error.add_note(self.log[-10_000:])
            raise

    def drop(self, name: str, *, seed: int = 1) -> bytes:
        """Put a picture into the inbox; gives its bytes."""
        data = phone_photo(seed=seed)
        (self.house.inbox / name).write_bytes(data)
        return data

    def delivered(self, name: str) -> bool:
        """Say whether the result of this name is there."""
        return name in self.house.results()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Start a user manager with a home of its own; all of it is gone at the end."""
    if os.geteuid() != 0 or not WITH_MANAGER.is_file() or not Path("/lib/systemd/systemd").exists():
        pytest.skip(f"needs root, systemd and {WITH_MANAGER}")
    house = House(tmp_path / "house").folders()
    environment = house.environment | {"XDG_CONFIG_HOME": str(house.home / ".config")}
    with (tmp_path / "manager.log").open("w") as log:
        manager = subprocess.Popen(
            [WITH_MANAGER, "sh", "-c", TELL_WHERE],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert manager.stdin is not None
    assert manager.stdout is not None
    runtime = manager.stdout.readline().strip()
    if not runtime:
        pytest.skip(f"no user manager can be started here: {(tmp_path / 'manager.log').read_text()}")
    service = Service(house, manager, Path(runtime))
    try:
        yield service
        service.systemctl("stop", "bgrd.service")
    finally:
        manager.stdin.close()
        manager.wait(PATIENCE_SECONDS)
        manager.stdout.close()
        house.clear()


def test_start_reload_and_stop(service: Service) -> None:
    """Started means ready to work; reload takes what is new and refuses what is wrong; stop drains and ends clean."""
    house = service.house
    service.install()
    assert service.systemctl("start", "bgrd.service").returncode == 0
    assert service.show("ActiveState") == "active"
    assert '"daemon.ready"' in service.log
    check = service.drop("a.jpg")
    service.until(lambda: service.delivered("a.png"))
    check_result(house.outbox / "a.png", check)
    service.until(lambda: "1 done" in service.show("StatusText"))

    pid = service.pid
    for name in ("in", "out"):
        (house.home / "new" / name).mkdir(parents=True)
    (house.home / "new/in/b.jpg").write_bytes(phone_photo())
    old = '[[folder]]\nname = "default"\ninbox = "~/bgr/inbox"\noutbox = "~/bgr/outbox"\n'
    house.configure(old + '[[folder]]\nname = "new"\ninbox = "~/new/in"\noutbox = "~/new/out"\n')
    assert service.systemctl("reload", "bgrd.service").returncode == 0
    service.until((house.home / "new/out/b.png").exists)

    house.configure("lanes = 1000\n")
    service.systemctl("reload", "bgrd.service")
    service.until(lambda: '"reload.rejected"' in service.log)
    service.drop("c.jpg", seed=2)
    service.until(lambda: service.delivered("c.png"))
    assert service.pid == pid

    for seed in range(6):
        (house.inbox / f"slow-{seed}.jpg").write_bytes(slow_photo(seed=seed))
    service.until(lambda: [name for name in house.results() if name.startswith("slow")])
    assert service.systemctl("stop", "bgrd.service").returncode == 0
    assert service.show("Result") == "success"
    assert service.show("ExecMainStatus") == "0"
    assert '"clean": true' in service.log
    assert {job.attempts for job in house.jobs()} == {0}
    assert not house.lanes()


def test_lanes_are_shut_in_below_the_units_own_filter(service: Service) -> None:
    """The unit's list of calls takes nothing from the cage: the lanes lack nothing, and still do every step."""
    service.install()
    assert service.systemctl("start", "bgrd.service").returncode == 0
    check = service.drop("a.jpg")
    service.until(lambda: service.delivered("a.png"))
    check_result(service.house.outbox / "a.png", check)
    assert '"lane.loose"' not in service.log
    (lane, *_) = service.house.lanes()
    assert filters(lane) == filters(service.pid) + 1 > 1


def filters(pid: int) -> int:
    """Give how many lists of calls hold a process in; skip where the kernel does not count them."""
    found = re.search(r"^Seccomp_filters:\s+(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        pytest.skip("this kernel does not count filters")
    return int(found[1])


def test_a_broken_model_keeps_ready_from_nobody(service: Service) -> None:
    """A folder whose model cannot be loaded is blocked, the service is ready and says so in its status."""
    house = service.house
    (house.home / "ill.onnx").write_bytes(b"this is no model")
    house.configure(
        '[defaults]\nmodel = "ill"\n[[model]]\nname = "ill"\npath = "~/ill.onnx"\nside = 32\n',
    )
    service.install()
    assert service.systemctl("start", "bgrd.service").returncode == 0
    assert service.show("ActiveState") == "active"
    assert '"folder.blocked"' in service.log
    service.until(lambda: "ill" in service.show("StatusText"))


@pytest.mark.parametrize(
    ("loop", "how"),
    [("intake", "lock"), ("scanner", "sleep"), ("journal", "lock"), ("engine", "spin"), ("committer", "lock")],
)
def test_a_frozen_daemon_is_restarted(service: Service, loop: str, how: str) -> None:
    """A loop that stands still stops the pings; systemd ends the daemon and starts it again, and all is done once."""
    house, flags = service.house, service.house.root / "flags"
    flags.mkdir()
    house.configure("[defaults]\nrescan_seconds = 2\n")
    service.install(command=f"{sys.executable} {FROZEN} {flags} run", WatchdogSec="10", RestartSec="0.2")
    assert service.systemctl("start", "bgrd.service").returncode == 0
    service.drop("before.jpg")
    service.until(lambda: service.delivered("before.png"))
    first = service.pid
    (flags / loop).write_text(how)
    service.drop("a.jpg", seed=2)
    service.until(lambda: service.show("NRestarts") != "0" or service.show("Result") == "watchdog")
    (flags / loop).unlink()
    service.until(lambda: service.show("ActiveState") == "active" and service.pid not in {0, first})
    service.until(lambda: service.delivered("a.png"))
    service.until(lambda: "2 done" in service.show("StatusText"))
    assert sorted(house.results()) == ["a.png", "before.png"]


def test_an_idle_daemon_keeps_pinging(service: Service) -> None:
    """A daemon with nothing to do outlives several watchdog periods."""
    service.install(WatchdogSec="6")
    assert service.systemctl("start", "bgrd.service").returncode == 0
    before, pid = service.show("WatchdogTimestampMonotonic"), service.pid
    period_us = 6_000_000
    service.until(lambda: int(service.show("WatchdogTimestampMonotonic")) > int(before) + 2 * period_us)
    assert (service.pid, service.show("NRestarts")) == (pid, "0")


def test_a_wrong_configuration_is_not_restarted(service: Service) -> None:
    """A configuration that is wrong at the start ends the service with 78, for good."""
    service.house.configure("lanes = 1000\n")
    service.install(RestartSec="0.1")
    assert service.systemctl("start", "bgrd.service").returncode != 0
    service.until(lambda: service.show("ActiveState") == "failed")
    assert service.show("ExecMainStatus") == "78"
    assert service.show("NRestarts") == "0"
    assert "lanes" in service.log


def test_a_killed_daemon_is_restarted(service: Service) -> None:
    """After SIGKILL the service comes back, leaves no lane of the old one, and does what was left, each once."""
    house = service.house
    service.install(RestartSec="0.2")
    assert service.systemctl("start", "bgrd.service").returncode == 0
    names = [f"slow-{seed}" for seed in range(6)]
    for seed, name in enumerate(names):
        (house.inbox / f"{name}.jpg").write_bytes(slow_photo(seed=seed))
    service.until(house.results)
    first = service.pid
    lanes = children(first)
    os.kill(first, signal.SIGKILL)
    service.until(lambda: service.pid not in {0, first})
    assert not set(lanes) & set(house.lanes())
    service.until(lambda: len(house.results()) == len(names))
    service.until(lambda: "6 done" in service.show("StatusText"))
    assert sorted(house.results()) == sorted(f"{name}.png" for name in names)
