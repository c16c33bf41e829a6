"""What a run tells of itself while it goes on; how that is shown is the command's affair."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress"]


class Progress(Protocol):
    """Told by the run."""

    def step(self, done: float, *, samples: int, loss: float) -> None:
        """Take one step more: the share of the run that is done, and the loss of the step."""
        ...

    def judged(self, *, samples: int, loss: float, iou: float, mae: float, best: float) -> None:
        """Take a validation; `loss` is the mean since the last one, `best` the best overlap so far."""
        ...
