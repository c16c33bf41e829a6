"""A picture of what a data set holds: how many pictures of each category and source, by split."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bgrd.train.entry import SPLITS, Entry

__all__ = ["draw_categories"]

_COLOURS = {"train": "#3b6ea5", "validation": "#e08e2b", "test": "#7a9e48"}
_ROW_INCHES = 0.28
_MOST_ROWS = 60


def draw_categories(entries: Sequence[Entry], path: Path) -> None:
    """Write the picture as PNG: bars of pairs, cut-outs and backgrounds by category, and by source. Raises OSError."""
    by_category = _rows(entries, lambda entry: entry.category)
    by_source = _rows(entries, lambda entry: entry.source)
    rows = max(len(by_category), len(by_source))
    figure = Figure(figsize=(13, 1.8 + _ROW_INCHES * rows), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _bars(left, by_category, f"{len(entries)} pictures by kind and category")
    _bars(right, by_source, "by kind and source")
    right.legend(loc="lower right", frameon=False)
    # Without matplotlib's own version in it the same data set gives the same bytes.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its font has not
        figure.savefig(path, format="png", metadata={"Software": None})


def _rows(entries: Sequence[Entry], of: Callable[[Entry], str]) -> list[tuple[str, Counter[str]]]:
    """Give label and pictures by split, the most first; beyond what can be read the rest is one row."""
    counted: dict[str, Counter[str]] = {}
    for entry in entries:
        counted.setdefault(f"{entry.kind}s: {of(entry)}", Counter())[entry.split] += 1
    rows = sorted(counted.items(), key=lambda row: (-row[1].total(), row[0]))
    if len(rows) <= _MOST_ROWS:
        return rows
    rest = sum((counts for _, counts in rows[_MOST_ROWS - 1 :]), Counter[str]())
    return [*rows[: _MOST_ROWS - 1], (f"{len(rows) - _MOST_ROWS + 1} others", rest)]


def _bars(axes: Axes, rows: Sequence[tuple[str, Counter[str]]], title: str) -> None:
    places = range(len(rows))
    start = [0] * len(rows)
    for split in SPLITS:
        counts = [row[split] for _, row in rows]
        if any(counts):
            axes.barh(places, counts, left=start, color=_COLOURS[split], label=split)
        start = [before + count for before, count in zip(start, counts, strict=True)]
    for place, total in enumerate(start):
        axes.text(total, place, f" {total}", va="center", fontsize=8)
    # A dollar sign would begin a formula.
    axes.set_yticks(places, [label.replace("$", r"\$") for label, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
