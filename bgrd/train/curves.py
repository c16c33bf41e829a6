"""The curves of a run as a picture: loss, overlap with its sources, difference, learning rate."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bgrd.train.checkpoint import write_whole
from bgrd.train.log import Line

__all__ = ["draw_curves"]


def draw_curves(path: Path, lines: Sequence[Line]) -> None:
    """Draw the lines of a log as PNG. Raises CannotCreateError."""
    figure = Figure(figsize=(11, 7))
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(figure.subplots(2, 2).flat)
    sources = [name for name in (lines[0] if lines else ()) if name.startswith("iou:")]
    _panel(panels[0], lines, {"loss": "loss"})
    _panel(panels[1], lines, {"all": "iou", **{name.removeprefix("iou:"): name for name in sources}})
    _panel(panels[2], lines, {"mean absolute difference": "mae"})
    _panel(panels[3], lines, {"learning rate": "rate"})
    titles = ("Loss while learning", "Validation: overlap (IoU)", "Validation: difference", "Learning rate")
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title)
        panel.set_xlabel("samples")
        panel.grid(alpha=0.3)
    panels[1].legend(fontsize="small")
    figure.subplots_adjust(left=0.06, right=0.98, bottom=0.07, top=0.95, hspace=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_whole(path, buffer.getvalue())


def _panel(panel: Axes, lines: Sequence[Line], curves: dict[str, str]) -> None:
    samples = [line["samples"] for line in lines]
    for label, name in curves.items():
        panel.plot(samples, [line[name] for line in lines], label=label, linewidth=2 if name == "iou" else 1)
