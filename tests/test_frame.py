"""What part of a picture a result shows, at what size, and where."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from bgrd.errors import InputFault
from bgrd.imaging.frame import Box, Layout, layout, subject_box
from bgrd.product import Anchor, Frame

SIDES = st.integers(1, 3000)
MARGINS = st.sampled_from([0.0, 0.08, 0.25, 0.45])


@st.composite
def placed(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    """Draw a picture's size and a subject's box in it."""
    size = draw(SIDES), draw(SIDES)
    left, top = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
    return size, (left, top, draw(st.integers(left + 1, size[0])), draw(st.integers(top + 1, size[1])))


@st.composite
def frames(draw: st.DrawFn, *, fixed: bool = False, longest: tuple[int, ...] = (0, 1, 64, 1000)) -> Frame:
    """Draw a frame as the configuration lets it through."""
    sizes = st.tuples(st.integers(1, 2000), st.integers(1, 2000))
    canvas = draw(sizes if fixed else st.none() | sizes)
    aspect = draw(st.none() | st.tuples(st.integers(1, 20), st.integers(1, 20)))
    margin = draw(MARGINS)
    sides = canvas or aspect
    room = sides is None or 2 * margin * max(sides) < min(sides)
    return Frame(
        trim=fixed or draw(st.booleans()),
        margin=margin if room else 0.0,
        aspect=aspect,
        canvas=canvas,
        enlarge=draw(st.booleans()),
        anchor=draw(st.sampled_from(get_args(Anchor))),
        max_side=draw(st.sampled_from(longest)),
    )


def laid_out(size: tuple[int, int], frame: Frame, subject: Box | None) -> Layout:
    """Lay out, where the canvas is one that can be."""
    try:
        return layout(size, frame, subject=subject)
    except InputFault:
        assume(False)  # noqa: FBT003 - its only form
        raise


@given(placed(), frames())
def test_the_subject_is_always_inside(where: tuple[tuple[int, int], Box], frame: Frame) -> None:
    """What is shown has pixels and lies wholly in the canvas, whatever is asked for."""
    size, subject = where
    plan = laid_out(size, frame, subject)
    assert plan.box == (subject if frame.trim else (0, 0, *size))
    for start, side, room in zip(plan.at, plan.size, plan.canvas, strict=True):
        assert side >= 1
        assert 0 <= start <= room - side


@given(placed(), frames())
def test_the_canvas_is_what_was_asked_for(where: tuple[tuple[int, int], Box], frame: Frame) -> None:
    """A fixed canvas is exact, an aspect exact to rounding, and no side longer than the longest."""
    size, subject = where
    plan = laid_out(size, frame, subject)
    if frame.canvas is not None:
        assert plan.canvas == frame.canvas
        return
    if frame.aspect is not None:
        across, down = frame.aspect
        scale = max(across, down) / max(plan.canvas) if frame.max_side else 1.0
        assert abs(plan.canvas[0] * down - plan.canvas[1] * across) <= (across + down) * max(1.0, scale)
    if frame.max_side:
        assert max(plan.canvas) <= frame.max_side


@given(placed(), frames())
def test_the_subject_is_enlarged_only_where_that_is_said(where: tuple[tuple[int, int], Box], frame: Frame) -> None:
    """And it keeps its proportions, but for what a pixel is made of."""
    plan = laid_out(where[0], frame, where[1])
    shown = (plan.box[2] - plan.box[0], plan.box[3] - plan.box[1])
    if not (frame.enlarge and frame.canvas):
        assert plan.size[0] <= shown[0]
        assert plan.size[1] <= shown[1]
    scales = [side / whole for side, whole in zip(plan.size, shown, strict=True)]
    off = [0.5 / whole for whole in shown]
    assert abs(scales[0] - scales[1]) <= sum(off) + 1e-9 or min(plan.size) == 1


@given(placed(), frames(longest=(0, 1000)))
def test_the_margin_stays_empty(where: tuple[tuple[int, int], Box], frame: Frame) -> None:
    """On all sides lies at least the margin, to rounding."""
    plan = laid_out(where[0], frame, where[1])
    assume(min(plan.size) > 1)
    rim = frame.margin * max(plan.canvas)
    for start, side, room in zip(plan.at, plan.size, plan.canvas, strict=True):
        assert start >= rim - 2
        assert room - side - start >= rim - 2


@given(placed(), frames())
def test_the_anchor_is_honoured(where: tuple[tuple[int, int], Box], frame: Frame) -> None:
    """At a side no more than the margin is left there; in the middle both sides have the same, to a pixel."""
    plan = laid_out(where[0], frame, where[1])
    rim = round(frame.margin * max(plan.canvas))
    for axis, (low, high) in enumerate((("left", "right"), ("top", "bottom"))):
        before, after = plan.at[axis], plan.canvas[axis] - plan.size[axis] - plan.at[axis]
        if low in frame.anchor:
            assert before <= rim
        elif high in frame.anchor:
            assert after <= rim + 1
        else:
            assert abs(before - after) <= 1


@given(placed(), st.sampled_from([(1, 1), (4, 5), (16, 9)]))
def test_a_canvas_of_an_aspect_is_the_smallest(where: tuple[tuple[int, int], Box], aspect: tuple[int, int]) -> None:
    """Without a margin the subject touches two opposite sides."""
    plan = laid_out(where[0], Frame(trim=True, aspect=aspect), where[1])
    assert any(room - side <= 1 for room, side in zip(plan.canvas, plan.size, strict=True))


@given(placed(), frames(fixed=True))
def test_a_result_laid_out_again_stays_as_it_is(where: tuple[tuple[int, int], Box], frame: Frame) -> None:
    """A result whose subject lies where it was put is trimmed and put there again."""
    first = laid_out(where[0], frame, where[1])
    again = (*first.at, first.at[0] + first.size[0], first.at[1] + first.size[1])
    second = laid_out(first.canvas, frame, again)
    assert second.canvas == first.canvas
    assert all(abs(one - other) <= 1 for one, other in zip(first.size, second.size, strict=True)) or frame.enlarge


def test_nothing_asked_for_changes_nothing() -> None:
    """The default frame is the picture's own, and so is one of its size."""
    assert layout((40, 30), Frame()).plain
    assert layout((40, 30), Frame(canvas=(40, 30))).plain
    assert layout((40, 30), Frame(trim=True)).plain
    assert not layout((40, 30), Frame(trim=True), subject=(1, 0, 40, 30)).plain
    assert not layout((40, 30), Frame(max_side=20)).plain


def test_a_product_picture() -> None:
    """A square with a margin of 8 % around: the subject is 84 % of its side."""
    plan = layout((4000, 3000), Frame(trim=True, aspect=(1, 1), margin=0.08), subject=(1000, 500, 1840, 920))
    assert plan == Layout(box=(1000, 500, 1840, 920), size=(840, 420), at=(80, 290), canvas=(1000, 1000))


def test_a_canvas_beyond_all_measure_is_refused() -> None:
    """A margin that makes a large picture a hundred times larger is told in a sentence."""
    with pytest.raises(InputFault, match="100000 x 97000 pixels"):
        layout((10_000, 7_000), Frame(margin=0.45))


def test_the_box_holds_what_can_be_seen() -> None:
    """Traces that nobody sees do not count, and where nothing is seen there is no box."""
    alpha = Image.new("L", (30, 20), 25)
    assert subject_box(alpha) is None
    alpha.paste(200, (5, 6, 9, 11))
    alpha.putpixel((20, 2), 26)
    assert subject_box(alpha) == (5, 2, 21, 11)


def test_a_whole_number_is_not_rounded_up() -> None:
    """13 pixels of height, and a margin of 0.2 of 16 above and below: nine parts of five pixels."""
    frame = Frame(aspect=(16, 9), margin=0.2)
    assert layout((10, 13), frame).canvas == (80, 45)


def test_the_largest_canvas_can_be_made() -> None:
    """What the configuration lets through is no more than any picture has."""
    assert layout((10, 10), Frame(canvas=(16_384, 16_384))).canvas == (16_384, 16_384)
