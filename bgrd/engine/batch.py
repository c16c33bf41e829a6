"""Which of the tensors that wait for a model go through it together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

__all__ = ["Sized", "together"]


class Sized(Protocol):
    """Whatever waits: the shape of its tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Batch, then the rest by the model's layout."""


_Waiting = TypeVar("_Waiting", bound=Sized)


def together(waiting: Sequence[_Waiting], *, most: int) -> list[_Waiting]:
    """Give those that go next, in the order they came: the one that came first, and all of its shape up to `most`.

    Nobody is waited for, and nobody is overtaken for ever: each time the first one goes.
    """
    first = waiting[0].shape if waiting else ()
    return [each for each in waiting if each.shape == first][: max(1, most)]
