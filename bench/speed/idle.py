"""An idle daemon that keeps 1,000 files: processor time, wake-ups, memory; with its lanes and after they have gone."""

from __future__ import annotations

import time

from bench.speed.cost import Cost, cost, memory
from bench.speed.figures import NotRun, Outcome, Setting, outcome
from bench.speed.stand import drained, fresh_house, running, until
from tests.houses.daemons import Daemon
from tests.kernel.processes import children
from tests.pictures.making import encoded
from tests.pictures.scenes import photo

__all__ = ["run", "watched"]

_MEGABYTE = 1e6
_QUIET_SHARE = 0.02
_QUIET_SECONDS = 60.0
_SPARE_SECONDS = 15.0
"""Between the last job and the time the lanes go, beside the time that is watched: until then all has to be quiet."""


def run(setting: Setting) -> Outcome:
    """Idle for `minutes`, half of them with lanes."""
    half = 1.0 if setting.quick else 30 * setting.minutes
    unload = half + (5.0 if setting.quick else _SPARE_SECONDS)
    kept = setting.pick(1000, quick=8)
    pictures = {f"{number}.png": encoded(photo(64, 48, seed=number), "PNG") for number in range(kept)}
    configuration = f"idle_unload_seconds = {unload}\n[defaults]\nmin_free = 0\n"
    with fresh_house(setting, configuration) as house, running(house) as (daemon, log):
        drained(daemon, log, pictures)
        lanes = children(daemon.pid)
        before = watched(daemon, half, *lanes)
        if children(daemon.pid) != lanes:
            reason = "the machine was too busy: the lanes were let go before all was quiet"
            raise NotRun(reason)
        lanes_resident = sum(memory(lane) for lane in lanes)
        until(lambda: not children(daemon.pid), daemon=daemon, seconds=unload + 60.0, pause=0.5)
        after = watched(daemon, half)
        resident = memory(daemon.pid) / _MEGABYTE
    shares = [100 * each.seconds / half for each in (before, after)]
    wakeups = [each.wakeups / half for each in (before, after)]
    setting.tell(f"{max(shares):.3f} % of a core, {max(wakeups):.2f} wake-ups a second, {resident:.0f} MB")
    return outcome(
        {"idle.share_1000": max(shares), "idle.wakeups": max(wakeups), "idle.resident": resident},
        kept=kept,
        seconds=2 * half,
        share_with_lanes=shares[0],
        share_without_lanes=shares[1],
        wakeups_with_lanes=wakeups[0],
        wakeups_without_lanes=wakeups[1],
        lanes_resident_bytes=lanes_resident,
    )


def watched(daemon: Daemon, seconds: float, *others: int) -> Cost:
    """Wait until nothing is under way, then give what the daemon and other processes cost in so many seconds."""
    deadline = time.monotonic() + _QUIET_SECONDS
    spent = 1.0
    while spent > _QUIET_SHARE and time.monotonic() < deadline:
        before = cost(daemon.pid, *others)
        time.sleep(1.0)
        spent = (cost(daemon.pid, *others) - before).seconds
    before = cost(daemon.pid, *others)
    time.sleep(seconds)
    return cost(daemon.pid, *others) - before
