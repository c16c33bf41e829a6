"""How many lanes with how many threads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.engine.capacity import Capacity
from bgrd.engine.demand import (
    BASE_BYTES,
    PICTURE_BYTES,
    Demand,
    lanes_and_threads,
    most_demanding,
    picture_bytes,
    predicted,
)
from bgrd.engine.experience import FEW_PICTURES, Experience, Figures

MIB = 2**20
GIB = 2**30
LIGHT = Demand(model="light", model_bytes=40 * MIB, measured=True)
HEAVY = Demand(model="heavy", model_bytes=3 * GIB, measured=True)


def choose(
    processors: int, memory: int, demand: Demand, *, lanes: int = 0, threads: int = 0, picture: int = PICTURE_BYTES
) -> tuple[int, int]:
    """Choose for a machine."""
    capacity = Capacity(processors=processors, memory_bytes=2 * memory)
    return lanes_and_threads(capacity, demand, lanes=lanes, threads=threads, memory_limit=memory, picture=picture)


@pytest.mark.parametrize(
    ("processors", "memory", "demand", "expected"),
    [
        (1, 8 * GIB, LIGHT, (1, 1)),
        (2, 8 * GIB, LIGHT, (2, 1)),
        (8, 2 * GIB, LIGHT, (2, 4)),
        (8, GIB // 4, LIGHT, (1, 8)),
        (64, 64 * GIB, LIGHT, (64, 1)),
        (8, 8 * GIB, HEAVY, (2, 4)),
        (4, 2 * GIB, HEAVY, (1, 4)),
    ],
)
def test_lanes_follow_processors_and_memory(
    processors: int, memory: int, demand: Demand, expected: tuple[int, int]
) -> None:
    """One-thread lanes as long as memory lasts, then threads: a heavy model has few lanes with many."""
    assert choose(processors, memory, demand) == expected


def test_settings_have_the_last_word() -> None:
    """A number that is set is taken as it is, whatever was found best."""
    best = Demand(model="m", model_bytes=MIB, measured=True, best=(2, 1))
    assert choose(2, GIB, best, lanes=5, threads=3) == (5, 3)
    assert choose(8, 16 * GIB, best, lanes=4) == (4, 2)
    assert choose(8, 16 * GIB, best, threads=3) == (2, 3)


def test_what_bench_found_is_used_while_memory_lasts() -> None:
    """The best pair is taken; where it does not fit any more the rule decides."""
    best = Demand(model="m", model_bytes=40 * MIB, measured=True, best=(3, 2))
    assert choose(8, 8 * GIB, best) == (3, 2)
    assert choose(8, GIB, best) == (1, 8)
    for odd in ((1, 10**9), (9, 1)):
        best = Demand(model="m", model_bytes=40 * MIB, measured=True, best=odd)
        assert choose(8, 16 * GIB, best) == (8, 1)


@given(
    st.integers(1, 256),
    st.integers(0, 2**40),
    st.integers(0, 2**36),
    st.none() | st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_all_lanes_together_stay_within_the_limit(
    processors: int, memory: int, model: int, best: tuple[int, int] | None
) -> None:
    """There is one lane at least, and more only where each has room for its model and a large picture."""
    demand = Demand(model="m", model_bytes=model, measured=True, best=best)
    lanes, threads = choose(processors, memory, demand)
    assert lanes >= 1
    assert threads >= 1
    assert lanes == 1 or lanes * demand.lane_bytes(PICTURE_BYTES) <= memory


def test_a_model_nobody_has_loaded_is_reckoned_high() -> None:
    """By file and side no measured network takes more than is predicted; an unknown side counts as a large one."""
    for size, side, measured in ((4, 256, 33), (4, 320, 221), (168, 320, 426), (168, 1024, 905)):
        demand = predicted("m", size=size * MIB, side=side, figures=None)
        assert not demand.measured
        assert demand.model_bytes > measured * MIB
    unknown = predicted("m", size=MIB, side=None, figures=None)
    assert unknown.model_bytes == predicted("m", size=MIB, side=1024, figures=None).model_bytes


def test_what_was_measured_counts() -> None:
    """Figures stand in place of the prediction, with what was found best."""
    figures = Figures(name="m", sha256="0" * 64, size=MIB, resident_bytes=50 * MIB, best=(4, 2))
    demand = predicted("m", size=MIB, side=1024, figures=figures)
    assert (demand.model_bytes, demand.measured, demand.best) == (50 * MIB, True, (4, 2))
    assert demand.lane_bytes(MIB) == BASE_BYTES + 51 * MIB


def test_loading_may_take_more_than_working() -> None:
    """A large file with a small input holds most while its session is built, for which a lane has to have room."""
    figures = Figures(name="m", sha256="0" * 64, size=GIB, resident_bytes=GIB)
    demand = predicted("m", size=GIB, side=256, figures=figures)
    assert demand.lane_bytes(PICTURE_BYTES) > BASE_BYTES + 3.7 * GIB
    assert predicted("m", size=MIB, side=256, figures=figures).lane_bytes(MIB) == BASE_BYTES + GIB + MIB


def test_the_most_demanding_model_decides() -> None:
    """Where several are in use."""
    assert most_demanding([LIGHT, HEAVY, LIGHT]) is HEAVY


def test_room_for_a_picture_follows_those_that_came() -> None:
    """50 megapixels until enough came; then the largest and a quarter, 12 megapixels at least and 50 at most."""
    few = Experience(machine="", pictures=FEW_PICTURES - 1, picture_bytes=MIB)
    small = Experience(machine="", pictures=FEW_PICTURES, picture_bytes=MIB)
    middle = Experience(machine="", pictures=FEW_PICTURES, picture_bytes=300 * MIB)
    huge = Experience(machine="", pictures=FEW_PICTURES, picture_bytes=9 * GIB)
    assert [picture_bytes(each) // MIB for each in (few, small, middle, huge)] == [600, 144, 375, 600]
