"""The benchmarks of speed: that each works, and what its pictures, networks and figures are."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
import pytest

from bench.speed import figures, peer, pictures
from bench.speed.__main__ import SCENARIOS, main
from bench.speed.cost import Cost, cost, memory
from bench.speed.machine import cores, memory_bytes
from bench.speed.networks import isnet, u2netp
from bench.speed.pictures import grained, photo_folder, small_photos
from bench.speed.stand import Drain, Log
from tests.houses.figures import held
from tests.pictures.making import taken
from tests.test_capacity import GIB, machine

if TYPE_CHECKING:
    from tests.houses.daemons import Daemon

SHORT = ("folder", "latency", "start", "large")
"""Scenarios that take seconds when they are quick."""


def quickly(place: Path, *names: str) -> dict[str, Any]:
    """Run scenarios in their quick form; gives what they wrote."""
    path = place / "speed.json"
    assert main(["--quick", "--json", str(path), "--scratch", str(place), "--only", *names]) == 0
    assert path.with_suffix(".png").stat().st_size > 0
    assert not list(place.glob("bgrd-speed-*"))
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def test_a_containers_quota_counts(tmp_path: Path) -> None:
    """The limit is divided by the processors that may be used, not by those of a machine that others share."""
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpu.max": "100000 100000\n",
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
    }
    assert (cores(root=machine(tmp_path, files)), memory_bytes(root=tmp_path)) == (1, GIB)
    assert cores() <= len(os.sched_getaffinity(0))


def test_without_a_network_rembg_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its environment is neither there nor to be had, the scenario says so and has not failed."""

    def unreachable() -> Path:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(peer, "rembg_python", unreachable)
    setting = figures.Setting(scratch=tmp_path, quick=True, minutes=1.0, make_peer=True, tell=print)
    with pytest.raises(figures.NotRun, match="package index"):
        peer.run(setting)


@pytest.mark.timeout(300)
def test_short_scenarios_work(tmp_path: Path) -> None:
    """Each runs in its quick form and gives every figure that has a target."""
    held(quickly(tmp_path, *SHORT), *SHORT)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_long_scenarios_work(tmp_path: Path) -> None:
    """The others too; rembg only where its environment has been made."""
    names = [name for name in SCENARIOS if name not in SHORT]
    held(quickly(tmp_path, *names), *names)


def test_costs_are_what_lies_between() -> None:
    """The difference of two looks is taken of each gauge."""
    assert Cost(seconds=3, wakeups=9) - Cost(seconds=1, wakeups=4) == Cost(seconds=2, wakeups=5)


def test_costs_are_the_kernels() -> None:
    """The process that asks has used time and memory, never more than its peak; one that is gone has cost nothing."""
    assert cost(os.getpid()).seconds > 0
    assert 2**20 < memory(os.getpid()) <= memory(os.getpid(), "VmHWM")
    gone = 2**22 + 1  # above the kernel's highest
    assert (cost(gone), memory(gone)) == (Cost(seconds=0, wakeups=0), 0)


class Idler:
    """A daemon as far as a log goes: where its files lie."""

    def __init__(self, root: Path) -> None:
        self.house = SimpleNamespace(root=root)


def test_a_log_is_read_as_it_grows(tmp_path: Path) -> None:
    """Each event comes once, a line that is half written comes when it is whole, and a failed job ends the run."""
    path = tmp_path / "log-1"
    path.write_text('{"event": "job.done", "job": 1}\nbgrd: a sentence\n{"event": "job.do')
    log = Log(cast("Daemon", Idler(tmp_path)))
    assert [event["job"] for event in log.new("job.done")] == [1]
    with path.open("a") as file:
        file.write('ne", "job": 2}\n{"event": "daemon.ready"}\n')
    assert [event["job"] for event in log.new("job.done")] == [2]
    with path.open("a") as file:
        file.write('{"event": "job.failed", "reason": "it is no picture"}\n')
    with pytest.raises(AssertionError, match="no picture"):
        log.new("job.done")
    log.close()


def test_the_work_is_the_sum_of_all_stages_of_all_pictures() -> None:
    """Stages that only some pictures have count too."""
    events = ({"stage_seconds": {"decode": 1.0, "infer": 2.0}}, {"stage_seconds": {"decode": 0.5, "fsync": 0.25}})
    drain = Drain(wall_seconds=9, processor_seconds=4, events=events)
    assert drain.stage_seconds == {"decode": 1.5, "infer": 2.0, "fsync": 0.25}
    assert drain.work_seconds == 3.75


def test_what_is_not_run_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario that cannot be measured here has its reason in the results, and the others go on."""

    def refuses(_setting: figures.Setting) -> figures.Outcome:
        reason = "there is no such machine"
        raise figures.NotRun(reason)

    refuses.__module__ = SCENARIOS["idle"].__module__
    monkeypatch.setitem(SCENARIOS, "idle", refuses)
    results = quickly(tmp_path, "idle")
    assert results["scenarios"]["idle"]["not_run"] == "there is no such machine"


def test_a_failure_costs_only_its_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What went wrong is told and written, the others go on, and the run ends with 1."""

    def fails(_setting: figures.Setting) -> figures.Outcome:
        message = "0 of 32 were done"
        raise TimeoutError(message)

    def works(_setting: figures.Setting) -> figures.Outcome:
        return figures.outcome({"start.ready": 0.5, "start.help": 0.1})

    for name, scenario in (("idle", fails), ("start", works)):
        scenario.__module__ = SCENARIOS[name].__module__
        monkeypatch.setitem(SCENARIOS, name, scenario)
    path = tmp_path / "speed.json"
    assert main(["--quick", "--json", str(path), "--only", "idle", "start"]) == 1
    scenarios = json.loads(path.read_text())["scenarios"]
    assert scenarios["idle"]["failed"] == "TimeoutError: 0 of 32 were done"
    assert len(scenarios["start"]["figures"]) == 2
    assert "0 of 32 were done" in capsys.readouterr().err


def test_the_folder_has_32_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """28 of up to 4.2 megapixels and four of 12; every result gets a name of its own."""
    asked: list[tuple[int, int]] = []

    def noted(size: tuple[int, int], *, seed: int) -> bytes:
        asked.append(size)
        return bytes([seed])

    monkeypatch.setattr(pictures, "grained", noted)
    small = small_photos()
    assert len(small) == 28
    assert len({Path(name).stem for name in small}) == 28
    assert set(photo_folder(quick=False)) == {*small, *(f"large-{number}.jpg" for number in range(4))}
    assert asked == [(4000, 3000)] * 4


def test_an_enlarged_photo_has_grain() -> None:
    """It has the size asked for, differs by seed, and neighbours differ as a sensor's do."""
    one, other = (taken(grained((640, 480), seed=seed)).image for seed in (1, 2))
    assert one.size == (640, 480)
    assert one.tobytes() != other.tobytes()
    assert np.abs(np.diff(np.asarray(one, np.int16), axis=1)).mean() > 2


def weights(data: bytes) -> int:
    """Count a network's weights."""
    return sum(int(np.prod(entry.dims)) for entry in onnx.load_model_from_string(data).graph.initializer)


def test_the_small_network_is_as_large_as_the_real_one() -> None:
    """U-2-Netp has 1.13 million weights (its paper's 4.7 MB); a narrow one far fewer."""
    assert round(weights(u2netp()) / 1e6, 2) == 1.13
    assert weights(u2netp(narrow=4)) < 100_000


@pytest.mark.long
def test_the_large_network_is_as_large_as_the_real_one() -> None:
    """IS-Net has 44 million weights, in float16 half the bytes."""
    whole, half = isnet(), isnet(half=True)
    assert round(weights(whole) / 1e6) == 44
    assert 0.49 < len(half) / len(whole) < 0.51
