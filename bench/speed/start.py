"""Cold start: to READY, to the first result of a photo that lay there, and `bgrd --help`; files are in the cache."""

from __future__ import annotations

import time
from statistics import median

from bench.speed.figures import Outcome, Setting, outcome
from bench.speed.pictures import photo_folder
from bench.speed.stand import PLAIN, PROGRAM, commanded, fresh_house, until
from tests.houses.daemons import Daemon

__all__ = ["run"]

_LOOK_SECONDS = 0.001


def run(setting: Setting) -> Outcome:
    """Start several times in turn; medians."""
    starts = setting.pick(7, quick=1)
    name, data = next(iter(photo_folder(quick=True).items()))
    _start_seconds(setting, {})  # Python compiles, and the disk is read
    ready = [_start_seconds(setting, {}) for _ in range(starts)]
    first = [_start_seconds(setting, {name: data}) for _ in range(starts)]
    help_seconds = [_help_seconds(setting) for _ in range(2 * starts)]
    setting.tell(f"READY {median(ready):.2f} s, result {median(first):.2f} s, --help {median(help_seconds):.2f} s")
    return outcome(
        {"start.ready": median(ready), "start.help": median(help_seconds)},
        first_result_seconds=median(first),
        starts=starts,
        ready_seconds=ready,
    )


def _start_seconds(setting: Setting, pictures: dict[str, bytes]) -> float:
    """Give the seconds from the start to READY, or to the result of a picture that lies there."""
    with fresh_house(setting) as house:
        for name, data in pictures.items():
            (house.inbox / name).write_bytes(data)
        results = [(house.outbox / name).with_suffix(".png") for name in pictures]
        with Daemon(house, environment=PLAIN, program=PROGRAM) as daemon:
            heard = daemon.notices

            def there() -> bool:
                return all(result.exists() for result in results) if results else "READY=1" in heard.heard

            until(there, daemon=daemon, seconds=60.0, pause=_LOOK_SECONDS)
            seconds = time.monotonic() - daemon.started
            daemon.ready()
            assert daemon.stop() == 0
    return seconds


def _help_seconds(setting: Setting) -> float:
    with fresh_house(setting) as house:
        return commanded(house, "--help")[1]
