"""When to walk and when to try again: bgrd.intake.pace."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bgrd.intake.pace import Backoff, Pace, walk_pause

SECONDS = st.floats(0.0, 1e5)


def test_pauses_double_up_to_the_longest_and_begin_anew() -> None:
    """1, 2, 4, then the longest; after a success it is quick again."""
    backoff = Backoff(first=1.0, longest=5.0)
    assert [backoff.pause() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.pause() == 1.0


@given(SECONDS, SECONDS)
def test_walks_cost_a_thousandth_of_a_core_while_changes_are_heard(processor: float, wall: float) -> None:
    """The pause is never below the setting nor below a thousand times the processor time."""
    pause = _pause(heard=True, processor=processor, wall=wall)
    assert pause >= 30.0
    assert pause >= 1000 * processor


@given(SECONDS, SECONDS)
def test_polled_folders_are_walked_often_but_not_all_the_time(processor: float, wall: float) -> None:
    """The pause is the setting's, longer where a walk is slow, and ten minutes at most."""
    pause = _pause(heard=False, processor=processor, wall=wall)
    assert 5.0 <= pause <= 600.0
    assert pause >= min(20 * wall, 600.0)


def _pause(*, heard: bool, processor: float, wall: float) -> float:
    return walk_pause(
        heard=heard, rescan_seconds=30.0, poll_seconds=5.0, processor_seconds=processor, wall_seconds=wall
    )


def test_the_first_walk_is_due_at_once_and_the_next_after_the_pause() -> None:
    """While one is under way none is due."""
    pace = Pace(rescan_seconds=30.0, poll_seconds=5.0)
    assert pace.due_at(heard=True) == -math.inf
    pace.begin()
    assert pace.due_at(heard=True) == math.inf
    pace.end(100.0, processor_seconds=0.1, wall_seconds=0.2)
    assert pace.due_at(heard=True) == 200.0
    assert pace.due_at(heard=False) == 105.0


def test_who_asks_is_served_soon_but_not_without_pause() -> None:
    """A walk that is asked for, even during another, follows after twice that one's time; a broken off one at once."""
    pace = Pace(rescan_seconds=30.0, poll_seconds=5.0)
    pace.begin()
    pace.ask()
    pace.end(100.0, processor_seconds=0.1, wall_seconds=2.0)
    assert pace.due_at(heard=True) == 104.0
    pace.abort()
    assert pace.due_at(heard=True) == -math.inf


def test_a_walk_that_begins_is_what_was_asked_for() -> None:
    """After it has begun nothing is wanted until somebody asks again."""
    pace = Pace(rescan_seconds=30.0, poll_seconds=5.0)
    pace.begin()
    assert not pace.asked
