"""A run's samples as a picture: one panel a gauge, the rests marked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.gauges import Sample

__all__ = ["plot"]

_MEBIBYTE = 2**20


def plot(samples: Sequence[Sample], path: Path, *, title: str, marks: Sequence[tuple[float, str]] = ()) -> None:
    """Draw the gauges over the minutes of the run into a PNG; `marks` are moments with a word each."""
    minutes = [sample.second / 60 for sample in samples]
    panels: list[tuple[str, dict[str, list[float]]]] = [
        (
            "daemon, MiB",
            {
                "resident": [sample.resident / _MEBIBYTE for sample in samples],
                "private": [sample.private / _MEBIBYTE for sample in samples],
            },
        ),
        ("lanes, MiB", {"resident, all": [sample.lanes_resident / _MEBIBYTE for sample in samples]}),
        (
            "count",
            {
                "descriptors": [float(sample.descriptors) for sample in samples],
                "threads": [float(sample.threads) for sample in samples],
                "lanes": [float(sample.lanes) for sample in samples],
            },
        ),
        ("watches", {"inotify": [float(sample.watches) for sample in samples]}),
        (
            "jobs",
            {
                "open": [float(sample.open_jobs) for sample in samples],
                "ended": [float(sample.ended_jobs) for sample in samples],
            },
        ),
        ("journal, MiB", {"with its log": [sample.journal / _MEBIBYTE for sample in samples]}),
        ("daemon, cores", {"used": _rates(samples)}),
    ]
    figure, axes = plt.subplots(len(panels), 1, figsize=(12, 2.1 * len(panels)), sharex=True, layout="constrained")
    for axis, (label, lines) in zip(axes, panels, strict=True):
        for name, values in lines.items():
            axis.plot(minutes, values, linewidth=1, label=name)
        axis.fill_between(
            minutes,
            0,
            1,
            where=[sample.phase == "rest" for sample in samples],
            transform=axis.get_xaxis_transform(),
            color="0.92",
            linewidth=0,
        )
        for second, _ in marks:
            axis.axvline(second / 60, color="tab:red", linewidth=0.5, alpha=0.5)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper left", fontsize="small")
    for second, word in marks:
        axes[0].text(second / 60, 1.02, word, transform=axes[0].get_xaxis_transform(), rotation=60, fontsize=6)
    axes[-1].set_xlabel("minutes (grey: at rest; red: a fault begins)")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _rates(samples: Sequence[Sample]) -> list[float]:
    """Give the processor time used between each sample and the one before, by the second."""
    pairs = pairwise(samples)
    rates = ((late.cpu - early.cpu) / max(late.second - early.second, 1e-3) for early, late in pairs)
    return [0.0, *rates][: len(samples)]
