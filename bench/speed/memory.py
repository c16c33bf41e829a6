"""What lanes hold at most: large photos under a tight `memory_limit`, and one photo through models of IS-Net's class.

The kernel's own count of each lane's resident memory is read many times a second, and the lane's own peak of the job
is beside it. What lanes share is counted in each of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.speed.cost import memory
from bench.speed.figures import NotRun, Outcome, Setting, outcome
from bench.speed.machine import memory_bytes
from bench.speed.networks import isnet
from bench.speed.pictures import grained
from bench.speed.stand import drained, fresh_house, running
from tests.houses.daemons import Daemon
from tests.kernel.processes import children

__all__ = ["run"]

_LOOK_SECONDS = 0.02
_LIMIT = "1500 MiB"
_PHOTO_SIZE = (4000, 3000)
_QUICK_SIZE = (640, 480)
_NEEDED_BYTES = 8 * 2**30
_MODEL = """
[defaults]
min_free = 0
model = "isnet"
[[model]]
name = "isnet"
path = "~/isnet.onnx"
like = "isnet-general-use"
side = {side}
"""


class _Watch:
    """Looks at a daemon's lanes all the time; keeps the most they held together."""

    def __init__(self, daemon: Daemon) -> None:
        self.most_bytes = 0
        self._pid = daemon.pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.most_bytes = max(self.most_bytes, sum(memory(lane) for lane in children(self._pid)))


@contextmanager
def _watching(daemon: Daemon) -> Iterator[_Watch]:
    watch = _Watch(daemon)
    try:
        yield watch
    finally:
        watch.stop()


def run(setting: Setting) -> Outcome:
    """Measure the limit with light lanes, then heavy models with one lane after the other."""
    if memory_bytes() < _NEEDED_BYTES and not setting.quick:
        reason = f"models of this class want a machine with {_NEEDED_BYTES / 2**30:.0f} GiB"
        raise NotRun(reason)
    light = _peak(setting, f'memory_limit = "{_LIMIT}"\n[defaults]\nmin_free = 0\n', photos=setting.pick(8, quick=2))
    setting.tell(f"{_LIMIT}: {light['most_bytes'] / 2**20:.0f} MiB at most in {light['lanes']} lanes")
    heavy = {}
    for name, half in (("float32", False), ("float16", True)):
        side = setting.pick(1024, quick=256)
        data = isnet(side, narrow=setting.pick(1, quick=8), half=half)
        heavy[name] = _peak(setting, _MODEL.format(side=side), photos=1, model=data)
        setting.tell(f"IS-Net {name}: {heavy[name]['most_bytes'] / 2**20:.0f} MiB at most")
    most = max(found["most_bytes"] / found["limit_bytes"] for found in (light, *heavy.values()))
    return outcome({"memory.limit": most}, light=light, isnet=heavy)


def _peak(setting: Setting, configuration: str, *, photos: int, model: bytes = b"") -> Mapping[str, Any]:
    """Work photos off and give what the lanes held, how many there were, and what they were allowed."""
    size = _QUICK_SIZE if setting.quick else _PHOTO_SIZE
    pictures = {f"{number}.jpg": grained(size, seed=number % 4) for number in range(photos)}
    with fresh_house(setting, configuration) as house:
        if model:
            (house.home / "isnet.onnx").write_bytes(model)
        with running(house, ready=False) as (daemon, log), _watching(daemon) as watch:
            daemon.ready()
            loaded_bytes = watch.most_bytes
            drain = drained(daemon, log, pictures)
            (started,) = daemon.events("daemon.start")
            loaded = daemon.events("model.loaded")
            lanes = len(children(daemon.pid))
    peak_bytes = max(event["peak_bytes"] for event in drain.events)
    return {
        "photos": photos,
        "megapixels": size[0] * size[1] / 1e6,
        "lanes": lanes,
        "threads": started["threads"],
        "limit_bytes": started["memory_limit_bytes"],
        "most_bytes": max(watch.most_bytes, peak_bytes),
        "most_bytes_loading": loaded_bytes,
        "model_resident_bytes": max(event["resident_bytes"] for event in loaded),
        "peak_bytes_of_a_job": peak_bytes,
        "stage_seconds": drain.stage_seconds,
    }
