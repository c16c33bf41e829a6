"""The systemd unit: it says what the daemon relies on, and systemd understands it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from bgrd.check import _SERVICE_STOP_SECONDS
from bgrd.config.settings import Settings
from bgrd.errors import BusyError, ConfigError, JournalError

UNIT = Path(__file__).parent.parent / "systemd/bgrd.service"

REQUIRED = {
    "Unit": {"StartLimitIntervalSec": "0"},
    "Service": {
        "Type": "notify",
        "NotifyAccess": "main",
        "ExecStart": "%h/.local/bin/bgrd run",
        "ExecReload": "kill -HUP $MAINPID",
        "WatchdogSec": "60",
        "Restart": "on-failure",
        "RestartSec": "5",
        "TimeoutStopSec": "90",
        "KillMode": "mixed",
        "OOMPolicy": "continue",
        "Nice": "10",
        "CPUSchedulingPolicy": "batch",
        "NoNewPrivileges": "yes",
        "LockPersonality": "yes",
        "RestrictRealtime": "yes",
        "RestrictSUIDSGID": "yes",
        "SystemCallArchitectures": "native",
        "SystemCallErrorNumber": "EPERM",
    },
    "Install": {"WantedBy": "default.target"},
}

# None of these holds in a user unit without PrivateUsers=, which fails with 226/NAMESPACE on some systems; and
# address families are restricted in the lanes.
FORBIDDEN = {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateUsers", "ReadWritePaths", "RestrictAddressFamilies"}


def parse(text: str) -> dict[str, dict[str, str]]:
    """Give the settings by section; a key that is given twice is an error."""
    sections: dict[str, dict[str, str]] = defaultdict(dict)
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            assert key not in sections[section], line
            sections[section][key] = value
    return sections


def test_it_holds_what_the_daemon_relies_on() -> None:
    """Type, watchdog, restarts, stopping and hardening are as designed."""
    sections = parse(UNIT.read_text())
    for name, settings in REQUIRED.items():
        assert settings.items() <= sections[name].items(), name
    assert not FORBIDDEN & sections["Service"].keys()


def test_every_line_has_its_reason() -> None:
    """A setting stands below a comment, or below another setting that shares it."""
    above = ""
    for line in UNIT.read_text().splitlines():
        if line.partition("=")[0].isalpha() and not line.startswith(("Description", "WantedBy")):
            assert above.startswith("#") or "=" in above, line
        above = line


def test_what_a_restart_cannot_cure_is_not_restarted() -> None:
    """The exit codes are those of the error tree."""
    codes = parse(UNIT.read_text())["Service"]["RestartPreventExitStatus"]
    assert codes == f"{JournalError.exit_code} {BusyError.exit_code} {ConfigError.exit_code}"


def test_pictures_may_finish_before_systemd_kills() -> None:
    """The default `stop_seconds` leaves room below the unit's limit, which `bgrd check` knows."""
    seconds = int(parse(UNIT.read_text())["Service"]["TimeoutStopSec"])
    assert Settings().stop_seconds + 10 <= seconds == _SERVICE_STOP_SECONDS


def test_a_lane_may_shut_itself_in() -> None:
    """Services' calls are allowed, and landlock's on top."""
    allowed = parse(UNIT.read_text())["Service"]["SystemCallFilter"].split()
    assert allowed == [
        "@system-service",
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
    ]


def test_systemd_understands_it(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about it."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    # Every specifier of the unit points into a home where the command is there.
    command = tmp_path / ".local/bin/bgrd"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}
    done = subprocess.run(
        [analyze, "--user", "--man=no", "verify", str(UNIT)], env=environ, capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    if "initialize manager" in told:
        pytest.skip(f"no user manager can be set up here: {told}")
    assert (done.returncode, "bgrd.service:" in told) == (0, False), told
