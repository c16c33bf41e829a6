"""The results as JSON, and as the table of the README, which is made of nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.speed.figures import Figure, Outcome
from bench.speed.targets import TARGETS, Target

__all__ = ["MARKS", "merged", "reached", "read", "record", "replaced", "table", "write"]

MARKS = ("<!-- speed: made by `python -m bench.speed --publish` -->", "<!-- /speed -->")
"""Between these the README has the table."""
_NOT_MEASURED = "not measured"


def record(outcome: Outcome, *, seconds: float, **facts: Any) -> dict[str, Any]:
    """Give one scenario's outcome as JSON values: figures with target and whether it is met, and facts.

    `facts` are of the run: when it was made, and how busy the machine was before.
    """
    figures = [_told(figure) for figure in outcome.figures]
    return {**facts, "seconds": round(seconds, 1), "figures": figures, "facts": _short(dict(outcome.facts))}


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Give a run's results on top of an earlier run's, where that was made on the same machine and as thoroughly."""
    same = all(old.get(key) == new[key] for key in ("machine", "quick"))
    return {**new, "scenarios": {**(old["scenarios"] if same else {}), **new["scenarios"]}}


def reached(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give every measured figure by its key."""
    every = (figure for scenario in results["scenarios"].values() for figure in scenario.get("figures", ()))
    return {figure["key"]: figure for figure in every}


def table(results: Mapping[str, Any]) -> str:
    """Give the README's table: every target, what was reached, whether that is enough; and on what machine."""
    found, machine = reached(results), results["machine"]
    lines = ["| what | to reach | reached | |", "|---|---|---|---|"]
    for target in TARGETS.values():
        figure = found.get(target.key)
        value = _NOT_MEASURED if figure is None else _with_unit(target, figure["value"])
        word = "" if figure is None else "yes" if figure["met"] else "**no**"
        lines.append(f"| {target.text} | at {target.at} {_with_unit(target, target.bound)} | {value} | {word} |")
    known = f"{machine['processor']}, {machine['cores']} cores, onnxruntime {machine['onnxruntime']}"
    return "\n".join([*lines, "", f"Measured on {known}, Python {machine['python']}."])


def replaced(text: str, results: Mapping[str, Any]) -> str:
    """Give a text with the table between its marks made anew. Raises ValueError where it has no marks."""
    pattern = re.compile(f"({re.escape(MARKS[0])}\n).*?({re.escape(MARKS[1])})", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        message = "there is not one pair of marks"
        raise ValueError(message)
    return pattern.sub(lambda found: f"{found[1]}{table(results)}\n{found[2]}", text)


def read(path: Path) -> dict[str, Any]:
    """Give the results of a file, {"scenarios": {}} where it is not there."""
    if not path.exists():
        return {"scenarios": {}}
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def write(results: Mapping[str, Any], path: Path) -> None:
    """Write the results to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def _told(figure: Figure) -> dict[str, Any]:
    """Give a figure as JSON values; what is told is what counts, so that nobody wonders at 0.1 above 0.1."""
    value, target = _short(figure.value), figure.target
    bound = f"{target.at} {target.bound:g}"
    return {"key": figure.key, "value": value, "unit": target.unit, "target": bound, "met": target.met(value)}


def _with_unit(target: Target, value: float) -> str:
    space = "" if target.unit in {"x", "%"} else " "
    return f"{value:.3g}{space}{target.unit}".strip()


def _short(value: Any) -> Any:
    """Give a value with its numbers to four digits: more is noise."""
    match value:
        case float():
            return float(f"{value:.4g}")
        case Mapping():
            return {str(key): _short(item) for key, item in value.items()}
        case list() | tuple():
            return [_short(item) for item in value]
        case _:
            return value
