"""From a drop to its result, warm: what it takes over the stages' own time.

The picture is written in the inbox; the time runs from its close to the moment its result has its name. Drops come
one by one, at moments that follow no beat.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np

from bench.speed.figures import Outcome, Setting, outcome
from bench.speed.pictures import photo_folder, small_photos
from bench.speed.stand import Log, fresh_house, running, until
from tests.houses.daemons import Daemon

__all__ = ["run"]

_LOOK_SECONDS = 0.0005
_WARM_DROPS = 6
_SHARES = (1, 10, 25, 50, 75, 90, 95, 99, 100)


def run(setting: Setting) -> Outcome:
    """Drop 200 pictures of 0.1 to 4 megapixels."""
    pictures = photo_folder(quick=True) if setting.quick else small_photos()
    chance = random.Random(1)
    drops = setting.pick(200, quick=5)
    over, whole = [], []
    with fresh_house(setting) as house, running(house) as (daemon, log):
        for number in range(_WARM_DROPS + drops):
            name, data = list(pictures.items())[number % len(pictures)]
            seconds, stages = _drop(daemon, log, house.inbox / f"{number}-{name}", data)
            if number >= _WARM_DROPS:
                over.append(1000 * (seconds - stages))
                whole.append(1000 * seconds)
            time.sleep(chance.uniform(0.02, 0.2))
    found = {f"latency.{name}": float(np.percentile(over, share)) for name, share in (("median", 50), ("p99", 99))}
    setting.tell(f"{drops} drops: median {found['latency.median']:.0f} ms, 99 of 100 {found['latency.p99']:.0f} ms")
    return outcome(
        found,
        drops=drops,
        over_milliseconds={str(share): float(np.percentile(over, share)) for share in _SHARES},
        whole_median_milliseconds=float(np.median(whole)),
    )


def _drop(daemon: Daemon, log: Log, place: Path, data: bytes) -> tuple[float, float]:
    """Write one picture; gives the seconds from its close to its result, and those its stages took."""
    result = (daemon.house.outbox / place.name).with_suffix(".png")
    with place.open("wb") as file:
        file.write(data)
        file.flush()
        started = time.perf_counter()
    until(result.exists, daemon=daemon, seconds=60.0, pause=_LOOK_SECONDS)
    seconds = time.perf_counter() - started
    (event,) = log.done(1)
    return seconds, sum(event["stage_seconds"].values())
