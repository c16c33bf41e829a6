"""From one core to all: how much of what each core could add it adds. Every lane is started and holds the model."""

from __future__ import annotations

import os
import sys
from statistics import median

from bench.speed.figures import NotRun, Outcome, Setting, outcome
from bench.speed.machine import cores
from bench.speed.pictures import photo_folder
from bench.speed.stand import drained, fresh_house, running

__all__ = ["run"]

_PINNED = """
import os, sys
os.sched_setaffinity(0, set(map(int, sys.argv[1].split(","))))
os.execv(sys.executable, [sys.executable, "-m", "bgrd", "run"])
"""


def run(setting: Setting) -> Outcome:
    """Work the folder off on 1, 2, 4, ... and all cores, in turn."""
    if cores() == 1:
        reason = "this machine has one core"
        raise NotRun(reason)
    pictures = photo_folder(quick=setting.quick)
    steps = sorted({2**power for power in range(cores().bit_length()) if 2**power <= cores()} | {cores()})
    seconds: dict[int, list[float]] = {number: [] for number in steps}
    for _ in range(setting.pick(7, quick=1)):
        for number in steps:
            seconds[number].append(_drain_seconds(setting, pictures, number))
            setting.tell(f"{number} of {cores()} cores: {seconds[number][-1]:.2f} s")
    alone = median(seconds[1])
    shares = {number: alone / median(found) / number for number, found in seconds.items()}
    return outcome({"scaling.share": shares[cores()]}, share_by_cores=shares, seconds_by_cores=seconds)


def _drain_seconds(setting: Setting, pictures: dict[str, bytes], number: int) -> float:
    used = ",".join(map(str, sorted(os.sched_getaffinity(0))[:number]))
    program = (sys.executable, "-c", _PINNED, used)
    with fresh_house(setting) as house, running(house, program=program) as (daemon, log):
        drained(daemon, log, pictures, prefix="first-")
        return drained(daemon, log, pictures).wall_seconds
