"""Which tensors go through a model together."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bgrd.engine.batch import together

SHAPES = ((1, 3, 64, 64), (1, 3, 64, 96), (1, 3, 32, 64))


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """One that waits: its shape, and how many were before it when it came."""

    shape: tuple[int, ...]
    before: int


def test_nobody_waiting_is_no_batch() -> None:
    """Of none, none go."""
    assert together([], most=4) == []


def test_equal_shapes_go_together_in_their_order() -> None:
    """The first, and those after it that are like it; others are passed over, and stay."""
    one, other, two, three = (Waiting(SHAPES[number], 0) for number in (0, 1, 0, 0))
    assert together([one, other, two, three], most=2) == [one, two]
    assert together([other, three], most=8) == [other]


class Choosing(RuleBasedStateMachine):
    """Tensors come at any time; batches are taken at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Waiting] = []
        self.rounds: dict[Waiting, int] = {}

    @rule(shape=st.sampled_from(SHAPES))
    def come(self, shape: tuple[int, ...]) -> None:
        """One more waits."""
        new = Waiting(shape, len(self.waiting))
        self.waiting.append(new)
        self.rounds[new] = 0

    @rule(most=st.integers(0, 5))
    def take(self, most: int) -> None:
        """Take a batch: the first is in it, all are of its shape, no place is left without reason."""
        chosen = together(self.waiting, most=most)
        assert len(chosen) == len(set(chosen)) <= max(1, most)
        assert chosen[:1] == self.waiting[:1]
        assert [each for each in self.waiting if each in chosen] == chosen
        assert len({each.shape for each in chosen}) <= 1
        self.waiting = [each for each in self.waiting if each not in chosen]
        if len(chosen) < most and chosen:
            assert all(each.shape != chosen[0].shape for each in self.waiting)
        for each in self.waiting:
            self.rounds[each] += 1

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        """At most as many batches go before one as there were tensors before it."""
        assert all(self.rounds[each] <= each.before for each in self.waiting)


TestChoosing = Choosing.TestCase
