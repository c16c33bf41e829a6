"""A run that is over in a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bgrd.train.begin import Wish

__all__ = ["QUICK", "Silent", "torch_apart", "wish"]

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


@contextmanager
def torch_apart() -> Iterator[None]:
    """Have torch compute on one thread, and leave that and its generator as they were."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
