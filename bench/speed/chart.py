"""The results as a picture: each target a line across, each figure a bar that reaches it or does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.speed.report import reached
from bench.speed.targets import TARGETS, Target

__all__ = ["draw", "worth"]

_MET, _MISSED = "tab:green", "tab:red"
_SPAN = 8.0
"""How many times better or worse than its target a bar can show."""


def worth(target: Target, value: float) -> float:
    """Give how many times better than its target a value is; below 1 it is worse. Bounded by what a bar can show."""
    if value <= 0:
        return _SPAN if target.at == "most" else 1 / _SPAN
    ratio = value / target.bound if target.at == "least" else target.bound / value
    return min(max(ratio, 1 / _SPAN), _SPAN)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw every measured figure as how far it is from its target."""
    found = reached(results)
    rows = [(target, found[key]["value"]) for key, target in TARGETS.items() if key in found]
    figure, axis = plt.subplots(figsize=(11, 0.42 * len(rows) + 1.6), layout="constrained")
    for place, (target, value) in enumerate(rows):
        length = math.log2(worth(target, value))
        axis.barh(place, length, color=_MET if target.met(value) else _MISSED, height=0.6)
        unit = f" {target.unit}" if target.unit else ""
        told = f"  {value:.3g}{unit} (at {target.at} {target.bound:g})"
        axis.text(max(length, 0), place, told, va="center", fontsize="small")
    axis.axvline(0, color="black", linewidth=1)
    axis.set_yticks(range(len(rows)), [target.text.replace("`", "") for target, _value in rows], fontsize="small")
    axis.invert_yaxis()
    axis.margins(y=0.02)
    reach = math.log2(_SPAN)
    axis.set_xlim(-reach, reach + 2)
    ticks = range(-int(reach), int(reach) + 1)
    axis.set_xticks(ticks, [f"{2.0**tick:g}" for tick in ticks])
    axis.set_xlabel("times better than the target (the line)")
    axis.spines[["top", "right"]].set_visible(False)
    machine = results["machine"]
    figure.suptitle(f"bgrd {machine['bgrd']} on {machine['processor']}, {machine['cores']} cores", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
