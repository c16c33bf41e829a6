"""What the figures of one picture are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from bgrd.train.measures import boundary_f, f_curve, figures, s_measure, weighted_f


def bytes_of(*rows: list[int]) -> NDArray[np.uint8]:
    """Give a small picture."""
    return np.array(rows, dtype=np.uint8)


def square(left: int, *, side: int = 20) -> NDArray[np.bool_]:
    """Give a square in a picture of 100 x 100."""
    mask = np.zeros((100, 100), dtype=np.bool_)
    mask[40 : 40 + side, left : left + side] = True
    return mask


def test_intersection_over_union_is_counted_from_one_half() -> None:
    """Of [255, 128, 127, 0] two pixels are found; the truth has the second and third: one of three is shared."""
    found = figures(bytes_of([255, 128], [127, 0]), bytes_of([0, 255], [255, 0]))
    assert found.iou == pytest.approx(1 / 3)


def test_the_mean_error_knows_soft_truth() -> None:
    """A result of 100 against a truth of 100 is right, not 100 of 255 off; the rest is 51 of 255 off in one of four."""
    found = figures(bytes_of([100, 255], [0, 51]), bytes_of([100, 255], [0, 0]))
    assert found.mae == pytest.approx(0.2 / 4)


def test_the_curve_has_f_at_every_threshold() -> None:
    """F is 1.3 P R / (0.3 P + R): with 2 true pixels, 4, 3, 1 and 0 found from 0, 1, 101 and 201 on."""
    curve = f_curve(bytes_of([200, 100, 100, 0]), bytes_of([255, 255, 0, 0]) > 0)
    precision, recall = 2 / 3, 1.0
    assert curve[50] == pytest.approx(1.3 * precision * recall / (0.3 * precision + recall))
    assert curve[[0, 1, 100, 101, 200, 201, 255]] == pytest.approx(
        [2.6 / 4.6, 2.6 / 3.6, 2.6 / 3.6, 1.3 / 1.6, 1.3 / 1.6, 0.0, 0.0]
    )


def test_structure_of_a_grey_result() -> None:
    """A result of 0.5 everywhere against the left half of 4 x 4 comes to 0.4 for objects and 0.125 for parts.

    Subject and ground are 0.8 each; of the parts around the subject's middle (3 rows, 1 column) those that are all
    subject count as alike, 4 of 16 pixels.
    """
    subject = np.zeros((4, 4), dtype=np.bool_)
    subject[:, :2] = True
    assert s_measure(np.full((4, 4), 0.5), subject) == pytest.approx(0.525)


def test_structure_where_the_middle_is_at_the_end() -> None:
    """A subject in the last column leaves parts without pixels, which count nothing: a right result is still right."""
    subject = np.zeros((3, 3), dtype=np.bool_)
    subject[:, 2] = True
    assert s_measure(subject.astype(np.float64), subject) == pytest.approx(1.0)


def test_structure_of_a_picture_full_of_subject() -> None:
    """Where all is subject, it is the mean of the shares."""
    assert s_measure(np.array([[1.0, 0.5]]), np.ones((1, 2), dtype=np.bool_)) == pytest.approx(0.75)


def test_errors_far_from_the_subject_weigh_more() -> None:
    """One wrong pixel 5 away weighs 1.5: precision 1 / 2.5, recall 1."""
    subject = np.array([[True, False, False, False, False, False]])
    shares = np.array([[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    assert weighted_f(shares, subject) == pytest.approx(2 * 0.4 / 1.4)


def test_errors_inside_are_shared_with_neighbours() -> None:
    """A single pixel that was missed counts with the middle of the Gaussian of 7 x 7 alone, 0.154389 squared."""
    recall = 1.0 - 0.154389**2
    assert weighted_f(np.array([[0.0]]), np.array([[True]])) == pytest.approx(2 * recall / (recall + 1), abs=1e-6)


def test_outlines_within_the_tolerance_are_the_same() -> None:
    """At 100 x 100 two pixels are allowed."""
    assert boundary_f(square(42), square(40)) == 1.0


def test_outlines_beyond_the_tolerance_are_counted() -> None:
    """Three pixels aside, of 76 outline pixels 19 above, 19 below and 4 at the far edge's corners still meet."""
    assert boundary_f(square(43), square(40)) == pytest.approx(42 / 76)


def test_no_outline_meets_only_its_like() -> None:
    """A picture full of subject has no outline: found full it is right, found empty or in part it is wrong."""
    full = np.ones((100, 100), dtype=np.bool_)
    assert [boundary_f(found, full) for found in (full, ~full, square(40))] == [1.0, 0.0, 0.0]


@given(truth=arrays.arrays(np.uint8, (7, 9)))
def test_a_right_result_is_right_in_everything(truth: NDArray[np.uint8]) -> None:
    """Whatever the truth, itself cut at one half scores 1, with no error, by every measure."""
    cut = np.where(truth >= 128, 255, 0).astype(np.uint8)
    cut[3, 4] = 255
    found = figures(cut, cut)
    assert (found.iou, found.mae, found.boundary_f) == (1.0, 0.0, 1.0)
    assert (found.s_measure, found.weighted_f, found.f_curve.max()) == pytest.approx((1.0, 1.0, 1.0))


@given(result=arrays.arrays(np.uint8, (5, 6)), truth=arrays.arrays(np.uint8, (5, 6)), row=st.integers(0, 4))
def test_every_figure_is_a_share(result: NDArray[np.uint8], truth: NDArray[np.uint8], row: int) -> None:
    """Whatever is held against whatever, figures are finite and within 0..1."""
    truth[row, 2] = 200
    found = figures(result, truth)
    numbers = [found.iou, found.mae, found.s_measure, found.weighted_f, found.boundary_f, *found.f_curve]
    assert all(0.0 <= number <= 1.0 + 1e-9 for number in numbers)


def test_a_truth_without_subject_cannot_be_judged() -> None:
    """Nothing is to be found there, so no share of it can be."""
    with pytest.raises(ValueError, match="no subject"):
        figures(bytes_of([0, 0]), bytes_of([0, 127]))


def test_sizes_must_agree() -> None:
    """A result of another size is nobody's."""
    with pytest.raises(ValueError, match=r"\(1, 2\) cannot be held against a truth of \(2, 1\)"):
        figures(bytes_of([0, 0]), bytes_of([0], [255]))
