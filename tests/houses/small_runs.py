"""A run that is over in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bgrd.train.begin import Wish

__all__ = ["QUICK", "Silent", "wish"]

QUICK: dict[str, Any] = {"side": [32], "batch": 4, "samples": 8, "validate_every": 8, "workers": 0, "threads": 1}
"""Two steps and one judgement."""


class Silent:
    """Tells nobody."""

    def step(self, done: float, *, samples: int, loss: float) -> None:
        """Say nothing."""

    def judged(self, *, samples: int, loss: float, iou: float, mae: float, best: float) -> None:
        """Say nothing."""


def wish(data: Path, out: Path, **changes: Any) -> Wish:
    """Ask for a quick run."""
    values: dict[str, Any] = {"given": {} if changes.get("resume") else QUICK}
    return Wish(data=data, out=out, **(values | changes))
