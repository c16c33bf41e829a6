"""The folder of 32 photos: how close the daemon, and `bgrd once`, come to what the stages alone would take.

The limit is the work of the stages, measured in the same round on one lane with one thread, over the number of cores.
The time runs from the first rename to the last link. The folder is moved in twice: when the daemon is READY, its first
lane holds the model and the others have yet to start (`ready_share`), and once more with every lane warm, which is
what a folder of any length comes to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.speed.cost import cost
from bench.speed.figures import Outcome, Setting, outcome
from bench.speed.machine import cores
from bench.speed.pictures import from_photos, photo_folder
from bench.speed.stand import Drain, commanded, drained, fresh_house, running
from tests.houses.houses import House
from tests.kernel.processes import children

__all__ = ["ONE_LANE", "run"]

ONE_LANE = "lanes = 1\nthreads = 1\n"
_ROUNDS = 7
"""A round takes two seconds of each: one by one they differ by a tenth."""

_CONFIGURATION = "[defaults]\nmin_free = 0\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One round: one lane alone, with the lane's own processor time, the daemon READY and warm, `bgrd once`."""

    alone: Drain
    lane_seconds: float
    ready: Drain
    warm: Drain
    once: float


def run(setting: Setting) -> Outcome:
    """Measure with the built-in model."""
    pictures = photo_folder(quick=setting.quick)
    rounds = [_round(setting, pictures) for _ in range(setting.pick(_ROUNDS, quick=1))]
    limits = [each.alone.work_seconds / cores() for each in rounds]

    def share(*walls: float) -> float:
        return median(limit / wall for limit, wall in zip(limits, walls, strict=True))

    stages: dict[str, float] = {}
    for each in rounds:
        for stage, seconds in each.alone.stage_seconds.items():
            stages[stage] = stages.get(stage, 0.0) + seconds / len(rounds)
    return outcome(
        {"folder.daemon": share(*(each.warm.wall_seconds for each in rounds))},
        pictures=len(pictures),
        photos=from_photos() and not setting.quick,
        limit_seconds=median(limits),
        daemon_seconds=[each.warm.wall_seconds for each in rounds],
        ready_share=share(*(each.ready.wall_seconds for each in rounds)),
        once_share=share(*(each.once for each in rounds)),
        work_over_processor_time=median(each.alone.work_seconds / each.lane_seconds for each in rounds),
        lane_over_warm_processor_time=median(each.lane_seconds / each.warm.processor_seconds for each in rounds),
        pictures_a_minute=60 * len(pictures) / median(each.warm.wall_seconds for each in rounds),
        stage_seconds=dict(sorted(stages.items(), key=lambda item: -item[1])),
    )


def _round(setting: Setting, pictures: dict[str, bytes]) -> _Round:
    with fresh_house(setting, ONE_LANE + _CONFIGURATION) as house, running(house) as (daemon, log):
        before = cost(*children(daemon.pid))
        alone = drained(daemon, log, pictures)
        lane_seconds = (cost(*children(daemon.pid)) - before).seconds
    with fresh_house(setting, _CONFIGURATION) as house:
        with running(house) as (daemon, log):
            ready = drained(daemon, log, pictures)
            warm = drained(daemon, log, pictures, prefix="warm-")
        once = _once(house, [house.inbox / name for name in pictures])
    walls = f"daemon {ready.wall_seconds:.2f} s, warm {warm.wall_seconds:.2f} s, once {once:.2f} s"
    setting.tell(f"limit {alone.work_seconds / cores():.2f} s, {walls}")
    return _Round(alone=alone, lane_seconds=lane_seconds, ready=ready, warm=warm, once=once)


def _once(house: House, files: list[Path]) -> float:
    """Give the seconds of `bgrd once` from its start to its end."""
    output = house.root / "once"
    _code, seconds = commanded(house, "once", "--no-progress", "-o", output, *files)
    assert len(list(output.iterdir())) == len(files)
    return seconds
