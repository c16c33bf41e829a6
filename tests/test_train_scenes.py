"""What scenes are composed with: exact alpha, light, hair, outlines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bgrd.errors import TrainingError
from bgrd.train.raster import Points, fill
from bgrd.train.scenes import grounds, outlines
from bgrd.train.scenes.beside import held, seated
from bgrd.train.scenes.layers import Layer, over
from bgrd.train.scenes.materials import Material, coloured, glass, lamp, lit, metal
from bgrd.train.scenes.parts import Part, fitted, hairy, painted_parts
from bgrd.train.scenes.placing import matched, shadowed, stand
from bgrd.train.scenes.rays import entered
from bgrd.train.scenes.stage import Stage, as_bytes, as_floats
from bgrd.train.stock import Stock

SIDE = 64


def stage(seed: int = 0) -> Stage:
    """Give a stage without any pictures."""
    return Stage(stock=Stock(), side=SIDE, rng=np.random.default_rng(seed))


def plain(value: float) -> NDArray[np.float32]:
    """Give a ground of one grey."""
    return np.full((SIDE, SIDE, 3), value, np.float32)


def dull(tone: tuple[float, float, float]) -> Material:
    """Give a flat colour that takes no light."""
    return Material(surface=coloured(stage(), np.array(tone, np.float32), amount=0.0), bulge=0)


def ball() -> Layer:
    """Give a red disc in the middle."""
    part = Part(outlines=[outlines.ellipse(32, 32, across=18, down=18)], made=dull((1, 0, 0)))
    return painted_parts(stage(), [part], ground=plain(0), light=lamp(stage()))


@given(seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_composition_is_alpha_times_colour_plus_the_rest_of_the_ground(seed: int) -> None:
    """`over` is the composite equation to a float's last digits, whatever was laid before."""
    rng = np.random.default_rng(seed)
    ground, first, second = rng.random((3, 8, 8, 3), np.float32)
    one, other = rng.random((2, 8, 8), np.float32)
    layer = Layer.of(first, one)
    layer.lay(second, other)
    expected = ground * (1 - one[..., None]) + first * one[..., None]
    expected = expected * (1 - other[..., None]) + second * other[..., None]
    assert over(layer, ground) == pytest.approx(expected, abs=1e-5)
    assert over(Layer.of(first, one).under(Layer.of(second, other)), ground) == pytest.approx(expected, abs=1e-5)


def test_a_layer_laid_in_a_corner_changes_that_corner_alone() -> None:
    """Outside the patch neither colour nor alpha moves."""
    layer = Layer.empty(8)
    layer.lay(np.ones((2, 3, 3), np.float32), np.ones((2, 3), np.float32), left=5, top=6)
    assert layer.alpha.sum() == 6
    assert layer.alpha[6:, 5:].all()


@given(seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_what_stands_keeps_its_colour_below_its_alpha(seed: int) -> None:
    """Whatever shadow, blur and light it gets: alpha within 0..1, the picture within 0..1, the middle still subject."""
    scene = stand(stage(seed), ball(), plain(0.6))
    assert scene.alpha.min() >= 0
    assert scene.alpha.max() <= 1
    assert scene.picture.min() >= -1e-4
    assert scene.picture.max() <= 1 + 1e-3
    assert scene.picture.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("kind", range(4))
def test_shadows_and_mirror_images_are_no_subject(kind: int) -> None:
    """They darken or colour the ground, and touch no alpha."""
    layer = ball()
    before = layer.alpha.copy()
    ground = shadowed(stage(3), plain(0.6), layer, kinds=(kind,))
    assert (layer.alpha == before).all()
    assert np.abs(ground - 0.6).max() > 0.01


@given(seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_a_hand_is_no_subject(seed: int) -> None:
    """What of a thing a hand hides is no longer subject, the hand is nowhere subject, and the picture stays in 0..1."""
    scene = held(stage(seed), ball(), plain(0.6))
    assert scene.alpha.min() >= 0
    assert scene.alpha.max() <= 1
    assert scene.picture.min() >= -1e-4
    assert scene.picture.max() <= 1 + 1e-3
    assert scene.alpha.sum() < 1.1 * ball().alpha.sum()
    # Beyond the ball and what may blur it, all that differs from the ground is hand or shadow.
    far = ball().soft(6).alpha < 0.01
    assert scene.alpha[far].max() < 0.1


def test_a_hand_comes_from_the_border_and_hides_some() -> None:
    """Of forty hands all but a few are seen at the border, and most have a finger before the thing."""
    scenes = [held(stage(seed), ball(), plain(0.6)) for seed in range(40)]
    rims = [
        np.concatenate([each.picture[0], each.picture[-1], *np.swapaxes(each.picture, 0, 1)[[0, -1]]])
        for each in scenes
    ]
    assert sum(float(np.ptp(rim)) > 0.1 for rim in rims) > 35
    assert sum(float(each.alpha[14:50, 14:50].sum()) < 0.98 * float(ball().alpha.sum()) for each in scenes) > 25


def test_a_thing_cut_by_the_frame_is_held_where_it_is_seen() -> None:
    """Of thirty hands most hide some of a thing that goes on beyond the lower border."""
    part = Part(outlines=[outlines.ellipse(32, 52, across=22, down=30)], made=dull((1, 0, 0)))
    layer = painted_parts(stage(), [part], ground=plain(0), light=lamp(stage()))
    shares = [float(held(stage(seed), layer, plain(0.6)).alpha.sum() / layer.alpha.sum()) for seed in range(30)]
    assert sum(share < 0.985 for share in shares) > 20


def test_what_a_thing_sits_on_lies_behind_it() -> None:
    """Flowers and leaves change the ground about the subject, and nothing changes where there is no subject."""
    changed = [seated(stage(seed), ball(), plain(0.6)) - plain(0.6) for seed in range(20)]
    near = ball().soft(8).alpha > 0.02
    assert sum(float(np.abs(each[near]).mean()) > 0.02 for each in changed) > 17
    assert np.array_equal(seated(stage(), Layer.empty(SIDE), plain(0.6)), plain(0.6))
    assert held(stage(), Layer.empty(SIDE), plain(0.6)).alpha.max() == 0


def test_light_matched_wholly_draws_the_mean_to_the_grounds() -> None:
    """A dark subject before a light ground becomes lighter, never brighter than white."""
    layer = Layer.of(plain(0.2), np.ones((SIDE, SIDE), np.float32))
    found = matched(layer, plain(0.3), amount=1.0)
    assert found.colour.mean() == pytest.approx(0.3, abs=0.02)
    assert matched(layer, plain(0.9), amount=1.0).colour.max() <= 1


def test_hair_makes_a_soft_rim() -> None:
    """Strands reach beyond the outline, cover some pixels partly, and leave the inside whole."""
    bare = ball()
    grown = hairy(stage(1), bare, length=8, fall=0.3)
    beyond = (bare.alpha == 0) & (grown.alpha > 0)
    assert beyond.sum() > 60
    assert ((grown.alpha[beyond] > 0.05) & (grown.alpha[beyond] < 0.9)).mean() > 0.3
    assert grown.alpha[32, 32] == pytest.approx(1)
    assert (grown.alpha >= bare.alpha - 1e-4).all()


def test_a_hole_shows_the_ground() -> None:
    """Within a part an inner outline is a hole: alpha 0."""
    ring = [outlines.ellipse(32, 32, across=25, down=25), outlines.ellipse(32, 32, across=10, down=10)]
    layer = painted_parts(stage(), [Part(outlines=ring, made=dull((0, 1, 0)))], ground=plain(0), light=lamp(stage()))
    assert layer.alpha[32, 32] == 0
    assert layer.alpha[32, 12] == 1


def test_parts_fill_their_frame() -> None:
    """Fitted, the longer direction runs from -1 to 1 and lines get thicker as the rest gets larger."""
    line = Part(outlines=[np.array([[0, 0], [4, 1]], np.float32)], made=dull((0, 0, 0)), thickness=0.2)
    found = fitted([line])[0]
    assert found.outlines[0][:, 0].tolist() == [-1, 1]
    assert found.thickness == pytest.approx(0.1)


def test_parts_beyond_the_frame_are_left_out() -> None:
    """A part wholly outside paints nothing and does not fail."""
    away = Part(outlines=[outlines.ellipse(500, -300, across=20, down=20)], made=dull((1, 1, 1)))
    assert not painted_parts(stage(), [away], ground=plain(0), light=lamp(stage())).alpha.any()


@pytest.mark.parametrize("made", [metal, glass])
def test_round_things_are_lit_from_their_light(made: Callable[[Stage], Material]) -> None:
    """Mirrors and glass show their surroundings: before black and before white they differ."""
    cover = fill([outlines.ellipse(32, 32, across=28, down=28)], width=SIDE, height=SIDE)
    material, light = made(stage(5)), lamp(stage(5))
    faces = [lit(plain(0.5), cover, made=material, light=light, around=plain(tone), rough=None) for tone in (0.0, 1.0)]
    assert np.abs(faces[0] - faces[1]).max() > 0.1


def test_a_dull_ball_is_brighter_towards_the_light() -> None:
    """Light from the left makes the left side lighter than the right."""
    cover = fill([outlines.ellipse(32, 32, across=28, down=28)], width=SIDE, height=SIDE)
    made = Material(surface=coloured(stage(), np.full(3, 0.5, np.float32)), bulge=1.0)
    light = np.array([-0.8, 0.0, 0.6], np.float32)
    found = lit(plain(0.5), cover, made=made, light=light, around=plain(0), rough=None)
    assert found[32, 12].mean() > found[32, 52].mean() + 0.1


@pytest.mark.parametrize(
    "name", ["ground", "outdoors", "photo", "emptied", "studio", "table", "leaves", "land", "whole_surface"]
)
def test_grounds_need_no_pictures(name: str) -> None:
    """With an empty stock each kind of ground still comes, of its size and within 0..1."""
    for seed in range(8):
        found = np.asarray(getattr(grounds, name)(stage(seed)))
        assert found.shape == (SIDE, SIDE, 3)
        assert np.isfinite(found).all()
        assert found.min() > -0.2
        assert found.max() < 1.6


def test_a_stock_without_what_is_asked_says_so() -> None:
    """Cut-outs asked of an empty stock are an error that names them."""
    with pytest.raises(TrainingError, match="no cutouts"):
        stage().one_of("cutouts")


@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [
        (outlines.rounded(-1, -0.5, 1, 0.5, radius=0.2), (-1, -0.5), (1, 0.5)),
        (outlines.ellipse(0, 0, across=1, down=0.5), (-1, -0.5), (1, 0.5)),
        (outlines.capsule([-1, 0], [1, 0], first=0.2, last=0.1), (-1.2, -0.2), (1.1, 0.2)),
        (outlines.lathe([-1, 0, 1], [0.3, 0.5, 0.2]), (-0.52, -1), (0.52, 1)),
    ],
)
def test_outlines_have_the_extent_asked(shape: Points, low: tuple[float, float], high: tuple[float, float]) -> None:
    """Rectangles, ellipses, limbs and turned things reach where they should."""
    assert shape.min(0) == pytest.approx(low, abs=0.04)
    assert shape.max(0) == pytest.approx(high, abs=0.04)


def test_rays_enter_a_ball_at_its_front() -> None:
    """Straight ahead at depth -1 with the normal towards the viewer; beside it they miss."""
    zero, away = np.zeros((1, 1), np.float32), np.full((1, 1), 2, np.float32)
    depth, normal = entered("ball", [zero, zero, zero], np.array([0, 0, 1], np.float32))
    assert depth[0, 0] == pytest.approx(-1, abs=1e-5)
    assert normal[2][0, 0] == pytest.approx(-1, abs=1e-5)
    assert np.isinf(entered("ball", [away, zero, zero], np.array([0, 0, 1], np.float32))[0][0, 0])


def test_bytes_and_floats_are_each_others_inverse() -> None:
    """All 256 values come back."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (as_bytes(as_floats(values)) == values).all()
