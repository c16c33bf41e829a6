"""Runs a real daemon for a long time on mixed work and sprinkled faults and watches that nothing grows.

    python -m bench.soak [MINUTES [PNG]]

Round after round: pictures of all sizes and formats for three folders with different policies and models, one fault
among them, then a check of every single result, then a rest in which the lanes go. Rests are compared with rests:
memory, descriptors, threads and watches may not grow by more than `bench.gauges.LIMITS` says. Figures are printed;
the samples go to a PNG and, beside it, to a JSON file. Ends with 1 where something grew or a promise did not hold.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

from bench.faults import FAULTS
from bench.gauges import LIMITS, Sample, Sampler, trend
from bench.load import Load
from bench.plot import plot
from tests.houses.daemons import Daemon
from tests.houses.houses import House

ROUNDS = 24
"""How many rounds a run aims at, within the bounds of `ROUND_SECONDS`."""
ROUND_SECONDS = (10.0, 50.0)
REST_SECONDS = 6.0
UNLOAD_SECONDS = 3.5
"""The daemon of `bench.load` lets idle lanes go after 2 seconds: from here on it rests."""
_MEBIBYTE = 2**20


def main() -> int:
    """Soak, print the figures, draw them, and end with 1 where something grew."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else 20.0
    picture = Path(sys.argv[2] if len(sys.argv) > 2 else "build/soak.png")
    with tempfile.TemporaryDirectory(prefix="soak-") as root:
        house = House(Path(root) / "house")
        Load.prepare(house)
        with Daemon(house) as daemon:
            daemon.ready()
            samples, marks, load = soak(house, daemon, seconds=minutes * 60)
            lines = judged(samples)
            assert daemon.stop() == 0
    sent = f"{load.done} results checked, {load.withdrawn} taken back, {load.crashed} failed with their lane"
    figures = [f"{minutes:g} minutes: {sent}, {len(marks)} faults", *lines]
    print("\n".join(figures))
    picture.parent.mkdir(parents=True, exist_ok=True)
    facts = {"figures": figures, "marks": marks, "samples": [asdict(sample) for sample in samples]}
    picture.with_suffix(".json").write_text(json.dumps(facts))
    plot(samples, picture, title=figures[0], marks=marks)
    print(f"drawn to {picture}")
    return 1 if any("GREW" in line or "not judged" in line for line in lines) else 0


def soak(house: House, daemon: Daemon, *, seconds: float) -> tuple[list[Sample], list[tuple[float, str]], Load]:
    """Go round until the time is over; gives the samples, when each fault began, and the load's account."""
    load = Load(house, daemon, random.Random(1))
    sampler = Sampler(daemon.pid, journal=house.state / "journal.db", lanes=house.lanes, jobs=load.jobs)
    round_seconds = min(max(seconds / ROUNDS, ROUND_SECONDS[0]), ROUND_SECONDS[1])
    began, marks = time.monotonic(), []
    faults = cycle(load.chance.sample(list(FAULTS), len(FAULTS)))
    try:
        while time.monotonic() - began < seconds:
            until = time.monotonic() + round_seconds - REST_SECONDS
            sampler.phase = "work"
            load.send(20)
            fault = next(faults)
            marks.append((time.monotonic() - began, fault))
            FAULTS[fault](load)
            while time.monotonic() < until:
                if load.jobs()[0] < 30:
                    load.send(5)
                time.sleep(0.2)
            load.settle()
            sampler.phase = "calm"
            time.sleep(UNLOAD_SECONDS)
            sampler.phase = "rest"
            time.sleep(REST_SECONDS - UNLOAD_SECONDS)
    finally:
        sampler.stop()
    return sampler.samples, marks, load


def judged(samples: list[Sample]) -> list[str]:
    """Say of each gauge how it went; GREW stands where that is more than allowed."""
    lines = []
    for limit in LIMITS:
        try:
            found = trend(samples, limit)
        except ValueError as error:
            return [f"not judged: {error}"]
        unit, word = (_MEBIBYTE, " MiB") if limit.per_hour else (1, "")
        lines.append(
            f"{limit.gauge:12} at rest: first half {found.first / unit:.2f}{word}, second half "
            f"{found.second / unit:.2f}{word}; {found.per_hour / unit:+.2f}{word} an hour, "
            f"{found.growth / unit:+.2f}{word} over the run, allowed {found.allowed / unit:.2f}{word}"
            f"{': GREW' if found.grows else ''}"
        )
    ended = samples[-1].ended_jobs - samples[0].ended_jobs
    spent = samples[-1].cpu - samples[0].cpu
    peak = max(sample.private for sample in samples)
    cost = f"{1000 * spent / max(ended, 1):.1f} ms of the daemon's own processor time each"
    journal = samples[-1].journal
    lines.append(f"peak private {peak / _MEBIBYTE:.1f} MiB; {ended} jobs ended, {cost}")
    lines.append(f"journal {journal / _MEBIBYTE:.2f} MiB, {journal / max(ended, 1):.0f} bytes a job")
    return lines


if __name__ == "__main__":
    sys.exit(main())
