"""The bench that holds bgrd's masks against rembg's: what it measures, not what it finds."""

from __future__ import annotations

from PIL import Image

from bench.fidelity import Distance, cases, distance, own_mask, table
from bgrd.models.catalogue import ROWS
from bgrd.models.session import Session
from tests.pictures.making import corners, encoded


def test_distances_are_in_steps_of_255() -> None:
    """Equal masks are 0 apart; a hundredth that is far off shows in the 99th percentile only beyond it."""
    one = Image.new("L", (100, 100), 100)
    assert distance(one, one) == (0.0, 0.0)
    assert distance(one, Image.new("L", (100, 100), 103)) == (3.0, 3.0)
    spot = one.copy()
    spot.paste(200, (0, 0, 10, 20))
    assert distance(one, spot) == (2.0, 100.0)


def test_both_bounds_count() -> None:
    """A photo is within bounds only where mean and 99th percentile are."""
    figures = [(1.0, 3.0, True), (1.01, 3.0, False), (1.0, 4.0, False)]
    for mean, ninety_ninth, within in figures:
        assert Distance(case="a", picture="b", mean=mean, ninety_ninth=ninety_ninth).within is within


def test_every_file_makes_a_mask() -> None:
    """Each case's file passes its row's trial and gives a mask of the picture's size."""
    for case in cases():
        session = Session(case.data, spec=ROWS[case.row].spec, threads=1, name=case.name)
        session.trial()
        assert own_mask(encoded(corners(60, 40), "PNG"), session).size == (60, 40)


def test_the_table_has_every_photo_and_the_sum() -> None:
    """A row a photo, the means, and how many are within bounds."""
    case = cases()[0]
    found = [
        Distance(case=case.name, picture="one", mean=0.5, ninety_ninth=2.0),
        Distance(case=case.name, picture="two", mean=1.5, ninety_ninth=2.0),
    ]
    text = table((case,), found)
    assert "| one | 0.50 / 2 |" in text
    assert "| all: mean | 1.00 |" in text
    assert "| within bounds | 1 of 2 |" in text
