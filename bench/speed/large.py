"""One photo of 48 megapixels, warm: seconds, stages, and a lane's peak against what is predicted for it."""

from __future__ import annotations

import time

from bench.speed.figures import Outcome, Setting, outcome
from bench.speed.pictures import grained, photo_folder
from bench.speed.stand import drained, fresh_house, running, until
from bgrd.engine.demand import BASE_BYTES, PICTURE_BYTES

__all__ = ["run"]

_SIZE = (8000, 6000)
_QUICK_SIZE = (800, 600)


def run(setting: Setting) -> Outcome:
    """Drop a small picture, then the large one."""
    size = _QUICK_SIZE if setting.quick else _SIZE
    data = grained(size)
    with fresh_house(setting) as house, running(house) as (daemon, log):
        drained(daemon, log, photo_folder(quick=True), prefix="warm-")
        started = time.perf_counter()
        (house.inbox / "large.jpg").write_bytes(data)
        until((house.outbox / "large.png").exists, daemon=daemon, seconds=300.0, pause=0.005)
        seconds = time.perf_counter() - started
        (event,) = log.done(1)
        model_bytes = max(loaded["resident_bytes"] for loaded in daemon.events("model.loaded"))
        result_bytes = (house.outbox / "large.png").stat().st_size
    predicted = BASE_BYTES + model_bytes + PICTURE_BYTES
    setting.tell(f"{seconds:.1f} s, {event['peak_bytes'] / 2**20:.0f} MiB at most")
    return outcome(
        {"large.predicted": event["peak_bytes"] / predicted},
        megapixels=size[0] * size[1] / 1e6,
        seconds=seconds,
        seconds_over_stages=seconds - sum(event["stage_seconds"].values()),
        stage_seconds=event["stage_seconds"],
        peak_bytes=event["peak_bytes"],
        predicted_bytes=predicted,
        source_bytes=len(data),
        result_bytes=result_bytes,
    )
