"""What a soak holds to have grown: bench.gauges."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.gauges import LIMITS, WARM_JOBS, Sample, Sampler, trend
from bench.plot import plot

MEBIBYTE = 2**20
PRIVATE, DESCRIPTORS = (next(limit for limit in LIMITS if limit.gauge == name) for name in ("private", "descriptors"))


def run(private: Callable[[float], float], *, minutes: int = 20, jobs_a_second: int = 10) -> list[Sample]:
    """Make a run's samples: half of each minute at rest; at work everything is ten times as much."""
    samples = []
    for second in range(0, minutes * 60, 2):
        rest = second % 60 >= 30
        samples.append(
            Sample(
                second=float(second),
                phase="rest" if rest else "work",
                resident=0,
                private=int(private(second / 60) * (1 if rest else 10)),
                descriptors=24 if rest else 50,
                threads=1,
                watches=1,
                cpu=0.0,
                lanes=0,
                lanes_resident=0,
                journal=0,
                open_jobs=0,
                ended_jobs=second * jobs_a_second,
            )
        )
    return samples


def test_a_slow_leak_is_seen() -> None:
    """A megabyte in five minutes, hidden below what work takes, is growth."""
    found = trend(run(lambda minute: (30 + minute / 5) * MEBIBYTE), PRIVATE)
    assert found.grows
    assert found.per_hour == pytest.approx(12 * MEBIBYTE, rel=0.01)


def test_what_levels_off_has_not_grown() -> None:
    """Caches that fill while the first jobs end, and one rest that is off, are no growth."""
    full = WARM_JOBS / 10 / 60

    def private(minute: float) -> float:
        return (30 + 4 * min(minute / full, 1) + 9 * (11 <= minute < 12)) * MEBIBYTE

    assert not trend(run(private), PRIVATE).grows
    assert not trend(run(private), DESCRIPTORS).grows


def test_too_short_a_run_tells_nothing() -> None:
    """Fewer than four rests are no ground for a judgement."""
    with pytest.raises(ValueError, match="run longer"):
        trend(run(lambda _: 1.0, minutes=3), PRIVATE)


def test_a_process_is_sampled(tmp_path: Path) -> None:
    """Memory, descriptors and threads of a living process are told, and a journal's size with its companions."""
    for name in ("journal.db", "journal.db-wal"):
        (tmp_path / name).write_bytes(b"x" * 100)
    sampler = Sampler(os.getpid(), journal=tmp_path / "journal.db", lanes=list, jobs=lambda: (1, 2))
    try:
        sample = sampler._sample()
    finally:
        sampler.stop()
    assert sample.resident >= sample.private > MEBIBYTE
    assert sample.descriptors > 2
    assert sample.threads >= 2
    assert (sample.journal, sample.open_jobs, sample.ended_jobs, sample.phase) == (200, 1, 2, "start")


def test_a_run_is_drawn(tmp_path: Path) -> None:
    """Any run becomes a picture, one without a single sample too."""
    for samples in (run(lambda minute: minute * MEBIBYTE, minutes=4), []):
        plot(samples, tmp_path / "new/soak.png", title="a run", marks=[(60.0, "a fault")])
        with Image.open(tmp_path / "new/soak.png") as drawn:
            assert drawn.width > 1000
