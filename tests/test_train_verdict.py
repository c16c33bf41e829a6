"""What the figures of many pictures come to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bgrd.train.entry import Entry
from bgrd.train.evaluate import Judged
from bgrd.train.measures import Figures
from bgrd.train.verdict import Row, compared, rows, worse


def judged(name: str, iou: float, *, source: str = "one", category: str = "cats", mae: float = 0.1) -> Judged:
    """Give a picture whose F is best at the threshold 100 and comes to its IoU there."""
    curve = np.zeros(256)
    curve[100] = iou
    return Judged(
        entry=Entry(
            kind="pair",
            image=Path(f"/{name}.jpg"),
            mask=Path(f"/{name}.png"),
            category=category,
            source=source,
            licence="CC0-1.0",
            split="test",
        ),
        figures=Figures(iou=iou, mae=mae, s_measure=0.5, weighted_f=0.25, boundary_f=0.75, f_curve=curve),
    )


def named(found: list[Row]) -> dict[tuple[str, str], Row]:
    """Give rows by kind and name."""
    return {(row.kind, row.name): row for row in found}


MANY = [judged(f"one-{number}", 0.9) for number in range(3)]
OTHER = judged("two", 0.5, source="two", category="dogs", mae=0.3)


def test_each_set_has_its_means() -> None:
    """By source, by category, over sources with the same say, over pictures."""
    found = named(rows([*MANY, OTHER], seed=1))
    assert {key: row.pictures for key, row in found.items()} == {
        ("source", "one"): 3,
        ("source", "two"): 1,
        ("category", "cats"): 3,
        ("category", "dogs"): 1,
        ("sources", "all"): 4,
        ("pictures", "all"): 4,
    }
    assert found["source", "one"].estimates["iou"].value == pytest.approx(0.9)
    assert found["sources", "all"].estimates["iou"].value == pytest.approx(0.7)
    assert found["pictures", "all"].estimates["iou"].value == pytest.approx(0.8)
    assert found["pictures", "all"].estimates["mae"].value == pytest.approx(0.15)


def test_the_best_f_is_that_of_one_threshold() -> None:
    """Two pictures that are best at different thresholds cannot both have theirs: 0.45, not 0.85."""
    second = judged("other", 0.8)
    second.figures.f_curve[:] = np.roll(second.figures.f_curve, 7)
    found = named(rows([MANY[0], second], seed=1))
    assert found["pictures", "all"].estimates["max_f"].value == pytest.approx(0.45)


def test_differences_are_taken_on_the_same_draws() -> None:
    """A model that is better by the same on every picture is so beyond doubt, however much pictures differ."""
    easy = [judged(str(number), number / 10) for number in range(1, 9)]
    better = [judged(str(number), number / 10 + 0.05) for number in range(1, 9)]
    found = named(compared(better, easy, seed=1))["source", "one"].estimates["iou"]
    assert (found.value, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))


def test_worse_means_beyond_the_bounds() -> None:
    """Less IoU on every picture is worse, and so is more error; what goes both ways is not."""
    before = [judged(str(number), 0.5, mae=0.1) for number in range(8)]
    lost = [judged(str(number), 0.4 + number / 100, mae=0.2) for number in range(8)]
    mixed = [judged(str(number), 0.6 if number % 2 else 0.4, mae=0.05) for number in range(8)]
    assert worse(named(compared(lost, before, seed=1))["source", "one"]) == ("iou", "mae", "max_f")
    assert worse(named(compared(mixed, before, seed=1))["source", "one"]) == ()
    assert worse(named(compared(before, lost, seed=1))["source", "one"]) == ()


def test_other_pictures_cannot_be_compared() -> None:
    """Two models are held against each other on the same pictures only."""
    with pytest.raises(ValueError, match="same pictures"):
        compared(MANY, [*MANY[:2], OTHER], seed=1)
