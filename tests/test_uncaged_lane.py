"""Where a wall of the cage is missing: `bgrd check`, a one-shot run and the daemon each say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgrd.confined import confined
from bgrd.engine.process import start_lane
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.processes import children
from tests.pictures.scenes import phone_photo

HOSTILE_LANE = Path(__file__).parent / "programs/hostile_lane.py"
WITH_HOSTILE_LANES = Path(__file__).parent / "programs/hostile_daemon.py"


def test_check_tells_what_holds() -> None:
    """It is learnt from a lane that was started for it and is gone afterwards."""
    (finding,) = confined()
    assert finding.subject == "lanes"
    if finding.level == "ok":
        assert "no network, no programs, no files of their own" in finding.text
        assert "seccomp" in finding.text
    else:
        assert "not shut in completely" in finding.text


LOOSE = """
import sys
from bgrd.engine.wire import Channel, Hello
Channel.adopt(int(sys.argv[1])).send(Hello(pid=1, missing=["seccomp: this kernel has none"]))
"""
UNLANDLOCKED = LOOSE.replace("seccomp", "landlock")


@pytest.mark.parametrize(
    ("code", "level", "said"),
    [
        (
            LOOSE,
            "warn",
            "seccomp: this kernel has none",
        ),
        ("raise SystemExit(3)", "error", "ended with status 3"),
    ],
)
def test_check_tells_what_does_not(code: str, level: str, said: str) -> None:
    """A lane that lacks a wall is a warning with the reason; one that cannot be started is an error."""
    (finding,) = confined(lambda: start_lane(("-c", code)))
    assert finding.level == level
    assert said in finding.text
    assert finding.advice


def test_check_waits_for_no_lane_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing is ended, and that is what is said of it."""
    monkeypatch.setattr("bgrd.confined._ANSWER_SECONDS", 0.05)
    before = children(os.getpid())
    (finding,) = confined(lambda: start_lane(("-c", "import time; time.sleep(3600)")))
    assert (finding.level, finding.text) == ("error", "the lane that was tried did not answer")
    assert not set(children(os.getpid())) - set(before)  # what earlier tests left may be gone by now


def test_check_is_content_without_landlock() -> None:
    """Many kernels lack it, and nobody can do anything about that: seccomp alone holds a lane."""
    (finding,) = confined(lambda: start_lane(("-c", UNLANDLOCKED)))
    assert (finding.level, finding.advice) == ("ok", "")
    assert "no Landlock here; seccomp holds" in finding.text


def test_a_one_shot_run_says_what_its_lanes_lack(tmp_path: Path) -> None:
    """On named files and on the inboxes: the work is done, and one line names the wall that leaves a gap."""
    house = House(tmp_path / "house").folders()
    (house.inbox / "a.jpg").write_bytes(phone_photo())
    named = [str(house.inbox / "a.jpg"), "-o", str(house.root / "there")]
    for wall, arguments in (("seccomp", named), ("seccomp", []), ("landlock", named)):
        bare = [str(WITH_HOSTILE_LANES), str(HOSTILE_LANE), json.dumps({"without": [wall]}), "once"]
        done = subprocess.run(
            [sys.executable, *bare, *arguments], env=house.environment, capture_output=True, text=True, check=True
        )
        told = done.stderr.count("not shut in completely, seccomp: this kernel has none")
        assert told == done.stderr.count("shut in") == (wall == "seccomp")
        assert "1 done" in done.stderr
    house.clear()


@pytest.mark.parametrize(
    ("wall", "event", "level"), [("seccomp", "lane.loose", "warning"), ("landlock", "lane.confined", "info")]
)
def test_a_daemon_says_once_what_its_lanes_lack(tmp_path: Path, wall: str, event: str, level: str) -> None:
    """The work goes on and one line names the wall and the reason: a warning where the other does not hold it all."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 2\n")
    program = (sys.executable, str(WITH_HOSTILE_LANES), str(HOSTILE_LANE), json.dumps({"without": [wall]}), "run")
    with Daemon(house, program=program) as daemon:
        daemon.ready()
        names = [f"{seed}.jpg" for seed in range(4)]
        for seed, name in enumerate(names):
            (house.inbox / name).write_bytes(phone_photo(seed=seed + 1))
        daemon.done(names)
        (told,) = (*daemon.events("lane.loose"), *daemon.events("lane.confined"))
        assert told["missing"] == [f"{wall}: this kernel has none"]
        assert (told["event"], told["level"]) == (event, level)
        assert daemon.stop() == 0
