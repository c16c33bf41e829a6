"""What the pipeline needs of a model, wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from bgrd.models.spec import ModelSpec

__all__ = ["Runner"]


class Runner(Protocol):
    """A session in this process, or in another that several lanes share."""

    @property
    def spec(self) -> ModelSpec:
        """What it wants in and gives out, nothing left open."""

    @property
    def element_type(self) -> str:
        """What its input is made of: float32, float16."""

    def run(self, tensor: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """Run one tensor; gives its outputs, which hold until the next run. Raises Fault."""
