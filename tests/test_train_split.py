"""The split holds back a share of every source, keeps groups whole, and is always the same."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bgrd.train.split import held_back

MEMBERS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=40)


@given(members=MEMBERS, share=st.floats(0, 1), seed=st.integers())
def test_groups_stay_whole_and_no_source_gives_too_much(
    members: list[tuple[str, int]], share: float, seed: int
) -> None:
    """Whatever the groups, none is divided, and of no source more is held back than its rounded share."""
    sources, groups = [source for source, _ in members], [group for _, group in members]
    names = [str(place) for place in range(len(members))]
    back = held_back(sources, names, groups, share=share, seed=seed)
    sides: dict[int, set[bool]] = {}
    for group, side in zip(groups, back, strict=True):
        sides.setdefault(group, set()).add(side)
    assert all(len(each) == 1 for each in sides.values())
    counts, taken = Counter(sources), Counter(source for source, side in zip(sources, back, strict=True) if side)
    assert all(taken[source] <= round(share * count) for source, count in counts.items())
    assert back == held_back(sources, names, groups, share=share, seed=seed)


@given(count=st.integers(0, 200), seed=st.integers(0, 99))
def test_without_groups_exactly_the_share_is_held_back(count: int, seed: int) -> None:
    """A tenth, rounded, of each source."""
    names = [str(place) for place in range(count)]
    back = held_back(["a"] * count, names, list(range(count)), share=0.1, seed=seed)
    assert sum(back) == round(count / 10)


def test_another_seed_holds_others_back() -> None:
    """Chance is the seed's, not the names'."""
    names = [str(place) for place in range(100)]
    splits = [held_back(["a"] * 100, names, list(range(100)), share=0.1, seed=seed) for seed in range(3)]
    assert splits[0] != splits[1] != splits[2]


def test_one_picture_more_moves_few_others() -> None:
    """Data that grows keeps its split: of 100 pictures at most two change sides when one comes in front."""
    names = [str(place) for place in range(101)]
    before = held_back(["a"] * 100, names[1:], list(range(100)), share=0.1, seed=0)
    after = held_back(["a"] * 101, names, list(range(101)), share=0.1, seed=0)
    assert sum(one != other for one, other in zip(before, after[1:], strict=True)) <= 2
