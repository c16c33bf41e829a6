"""What a scenario gets, and what it gives: frozen figures, each held against its target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.speed.targets import TARGETS, Target

__all__ = ["Figure", "NotRun", "Outcome", "Scenario", "Setting", "outcome"]


class NotRun(Exception):
    """A scenario cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a run is made: below which directory, how thoroughly, and where progress is told.

    `quick` only shows that a scenario works: few and small pictures, short times. `minutes` is how long it idles.
    """

    scratch: Path
    quick: bool
    minutes: float
    make_peer: bool
    tell: Callable[[str], None]

    def pick(self, usual: int, *, quick: int) -> int:
        """Give a number by how thorough the run is."""
        return quick if self.quick else usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value; `key` is that of its target."""

    key: str
    value: float

    @property
    def target(self) -> Target:
        """What it is held against."""
        return TARGETS[self.key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a scenario found: figures with targets, and all else worth keeping. Seconds and bytes unless said."""

    figures: tuple[Figure, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


Scenario = Callable[[Setting], Outcome]


def outcome(figures: Mapping[str, float], **facts: Any) -> Outcome:
    """Make an outcome of figures by key."""
    return Outcome(figures=tuple(Figure(key=key, value=value) for key, value in figures.items()), facts=facts)
