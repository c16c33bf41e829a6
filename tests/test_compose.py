"""Picture and opacity to what a product shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bgrd.imaging.compose import compose
from bgrd.imaging.foreground import Patch
from bgrd.imaging.picture import Picture
from bgrd.product import Frame, Ground, Product, ProductKind, Shadow
from tests.pictures.making import noise

MASK = Image.frombytes("L", (16, 16), bytes(range(256)))
PICTURE = Picture(image=noise(16, 16))


def test_a_cut_out_keeps_colours_and_takes_the_mask() -> None:
    """Visible pixels keep their colour exactly, and opacity is the mask."""
    cut = np.asarray(compose(PICTURE, MASK, Product()))
    assert cut.shape == (16, 16, 4)
    assert np.array_equal(cut[:, :, 3], np.asarray(MASK))
    seen = cut[:, :, 3] > 0
    assert np.array_equal(cut[:, :, :3][seen], np.asarray(PICTURE.image)[seen])


def test_the_background_is_gone() -> None:
    """Under opacity 0 the colour is zero: nothing of the background is left to be brought back."""
    mask = Image.new("L", (16, 16), 0)
    assert not np.asarray(compose(PICTURE, mask, Product())).any()


def test_own_opacity_is_multiplied_in() -> None:
    """What a screenshot had made transparent stays so, whatever the model says."""
    own = Image.new("L", (16, 16), 128)
    own.putpixel((15, 15), 0)
    picture = Picture(image=PICTURE.image, alpha=own)
    cut = np.asarray(compose(picture, Image.new("L", (16, 16), 255), Product()))
    assert cut[0, 0, 3] == 128
    assert cut[15, 15].tolist() == [0, 0, 0, 0]
    assert compose(picture, MASK, Product(kind="mask")).getpixel((15, 15)) == 0


def test_a_mask_is_the_opacity() -> None:
    """The mask product is the opacity as grey."""
    assert compose(PICTURE, MASK, Product(kind="mask")).tobytes() == MASK.tobytes()


def test_a_colour_ground() -> None:
    """On a colour the cut-out is opaque RGB: all picture at 255, all colour at 0, between in proportion."""
    shown = np.asarray(compose(PICTURE, MASK, Product(ground=Ground(kind="colour", colour=(10, 200, 30)))))
    source, share = np.asarray(PICTURE.image, float), np.asarray(MASK, float)[:, :, None] / 255
    assert shown.shape == (16, 16, 3)
    assert np.abs(shown - (source * share + np.array([10, 200, 30]) * (1 - share))).max() <= 1
    assert shown[0, 0].tolist() == [10, 200, 30]
    assert shown[15, 15].tolist() == source[15, 15].tolist()


def test_cleaned_colours_are_shown() -> None:
    """Where there are cleaned colours a cut-out has them, on a ground by its opacity; under opacity 0 they are gone."""
    blue = np.zeros((8, 16, 3), np.uint8) + np.array([0, 0, 250], np.uint8)
    cleaned = [Patch(box=(0, 0, 16, 8), colours=blue)]
    cut = np.asarray(compose(PICTURE, MASK, Product(), cleaned=cleaned))
    assert cut[0, 0].tolist() == [0, 0, 0, 0]
    assert cut[4, 4].tolist() == [0, 0, 250, 68]
    assert cut[8, 0, :3].tolist() == np.asarray(PICTURE.image)[8, 0].tolist()
    red = Product(ground=Ground(kind="colour", colour=(200, 0, 0)))
    shown = np.asarray(compose(PICTURE, MASK, red, cleaned=cleaned), dtype=np.float64)
    assert np.abs(shown[4, 4] - np.array([200 * (1 - 68 / 255), 0, 250 * 68 / 255])).max() <= 1
    assert compose(PICTURE, MASK, Product(kind="mask"), cleaned=cleaned).tobytes() == MASK.tobytes()


@pytest.mark.parametrize(
    "product", [Product(), Product(shadow=Shadow(opacity=0.5)), Product(ground=Ground(kind="blur", blur=0.1))]
)
def test_cleaned_colours_are_the_subjects_alone(product: Product) -> None:
    """The picture itself, and a ground made of it, keep theirs; used up or not the result is the same."""
    cleaned = [Patch(box=(0, 0, 16, 16), colours=np.full((16, 16, 3), 99, np.uint8))]
    before = PICTURE.image.tobytes()
    cut = compose(PICTURE, MASK, product, cleaned=cleaned)
    assert PICTURE.image.tobytes() == before
    assert cut.tobytes() != compose(PICTURE, MASK, product).tobytes()
    nothing = Image.new("L", PICTURE.image.size)
    assert compose(PICTURE, nothing, product, cleaned=cleaned).tobytes() == compose(PICTURE, nothing, product).tobytes()
    assert compose(used(), MASK, product, cleaned=cleaned, consume=True).tobytes() == cut.tobytes()


def test_the_background_keeps_its_colours() -> None:
    """Cleaned colours are the subject's: in the background, and in what was before, none of them is seen."""
    cleaned = [Patch(box=(0, 0, 16, 16), colours=np.full((16, 16, 3), 99, np.uint8))]
    plain, bare = (compose(PICTURE, MASK, Product(kind="background"), cleaned=part) for part in ([], cleaned))
    assert plain.tobytes() == bare.tobytes()
    pair = compose(PICTURE, MASK, Product(kind="compare"), cleaned=cleaned)
    assert pair.crop((0, 0, 16, 16)).tobytes() == PICTURE.image.tobytes()
    assert pair.getpixel((31, 15)) == (99, 99, 99)


def used() -> Picture:
    """Give the picture in a copy that may be used up."""
    return replace(PICTURE, image=PICTURE.image.copy())


@pytest.mark.parametrize("product", [Product(), Product(ground=Ground(kind="colour", colour=(1, 2, 3)))])
def test_the_picture_is_left_alone_unless_used_up(product: Product) -> None:
    """Several products of one picture do not disturb each other; using it up gives the same pixels."""
    before = PICTURE.image.tobytes()
    first = compose(PICTURE, MASK, product)
    assert PICTURE.image.tobytes() == before
    used = Picture(image=PICTURE.image.copy())
    assert compose(used, MASK, product, consume=True).tobytes() == first.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (20_000, 4)])
def test_sizes(size: tuple[int, int]) -> None:
    """A result has the picture's exact size."""
    assert compose(Picture(image=Image.new("RGB", size)), Image.new("L", size, 7), Product()).size == size


HALF = Image.new("L", (64, 64), 0)
HALF.paste(255, (16, 16, 48, 48))
WHITE = Picture(image=Image.new("RGB", (64, 64), (255, 255, 255)))
SUBJECT = (16, 16, 48, 48)
SHADOW = Shadow(opacity=0.5)


def test_no_fringe_where_a_cut_out_is_made_smaller() -> None:
    """A white subject before black stays white to its edge, on nothing and on white, also where it is enlarged."""
    picture = Picture(image=Image.merge("RGB", (HALF, HALF, HALF)))
    soft = HALF.resize((64, 64), Image.Resampling.BILINEAR, box=(10, 10, 54, 54))
    for frame in (Frame(max_side=23), Frame(trim=True, canvas=(150, 150), enlarge=True)):
        cut = np.asarray(compose(WHITE, soft, Product(frame=frame), subject=SUBJECT))
        assert set(np.unique(cut[:, :, :3][cut[:, :, 3] > 0])) == {255}
        on_white = Product(frame=frame, ground=Ground(kind="colour"))
        shown = np.asarray(compose(picture, HALF, on_white, subject=SUBJECT))
        assert shown.min() > 200, "naively resized, the black around would show through as grey"


@pytest.mark.parametrize("frame", [Frame(), Frame(max_side=40), Frame(trim=True, margin=0.1), Frame(canvas=(90, 50))])
@pytest.mark.parametrize("shadow", [None, SHADOW])
@pytest.mark.parametrize("kind", ["cutout", "background"])
def test_colour_is_zero_where_nothing_is_seen(kind: ProductKind, shadow: Shadow | None, frame: Frame) -> None:
    """In every product with opacity, whatever its frame: the background is gone and not hidden."""
    shown = compose(Picture(image=noise(64, 64)), HALF, Product(kind=kind, frame=frame, shadow=shadow), subject=SUBJECT)
    pixels = np.asarray(shown)
    assert shown.mode == "RGBA"
    assert (pixels[:, :, 3] == 0).any()
    assert not pixels[pixels[:, :, 3] == 0].any()


def test_no_trace_of_colour_is_left_where_opacity_rounds_to_none() -> None:
    """Also where a soft edge is made smaller, which mixes traces of the subject into what is beside it."""
    opacity = Image.new("L", (64, 64))
    opacity.paste(Image.linear_gradient("L").resize((64, 20)), (0, 20))
    for side in range(17, 64):
        pixels = np.asarray(compose(Picture(image=noise(64, 64)), opacity, Product(frame=Frame(max_side=side))))
        assert not pixels[pixels[:, :, 3] == 0].any()


@pytest.mark.parametrize(
    "frame",
    [
        Frame(max_side=40),
        Frame(trim=True, margin=0.1, aspect=(4, 5)),
        Frame(trim=True, canvas=(200, 100), enlarge=True, anchor="bottom-right"),
    ],
)
def test_cut_out_and_mask_lie_on_each_other(frame: Frame) -> None:
    """With the same keys the mask is the cut-out's opacity, pixel by pixel."""
    picture = Picture(image=noise(64, 64))
    soft = HALF.resize((64, 64), Image.Resampling.BILINEAR, box=(10, 10, 54, 54))
    cut = compose(picture, soft, Product(frame=frame), subject=SUBJECT)
    mask = compose(picture, soft, Product(kind="mask", frame=frame), subject=SUBJECT)
    assert cut.getchannel("A").tobytes() == mask.tobytes()


def test_the_background_has_the_subject_taken_out() -> None:
    """Transparent where the subject is, as it was elsewhere, in the picture's frame whatever the folder's is."""
    picture = Picture(image=noise(64, 64), alpha=Image.new("L", (64, 64), 200))
    shown = np.asarray(compose(picture, HALF, Product(kind="background", frame=Frame(trim=True)), subject=SUBJECT))
    assert shown.shape == (64, 64, 4)
    assert not shown[20:40, 20:40].any()
    assert set(np.unique(shown[:10, :, 3])) == {200}
    assert np.array_equal(shown[:10, :, :3], np.asarray(picture.image)[:10])


def test_before_and_after_side_by_side() -> None:
    """Left the picture, right its cut-out: on a checkerboard, or on its ground; opaque; not longer than it may be."""
    picture = Picture(image=noise(64, 64))
    shown = compose(picture, HALF, Product(kind="compare"))
    assert (shown.mode, shown.size) == ("RGB", (128, 64))
    assert shown.crop((0, 0, 64, 64)).tobytes() == picture.image.tobytes()
    assert shown.crop((80, 16, 112, 48)).tobytes() == picture.image.crop(SUBJECT).tobytes()
    assert {shown.getpixel((64, 0)), shown.getpixel((72, 0))} == {(255, 255, 255), (204, 204, 204)}
    blue = Product(kind="compare", ground=Ground(kind="colour", colour=(0, 0, 255)), frame=Frame(max_side=50))
    small = compose(picture, HALF, blue)
    assert small.size == (50, 25)
    assert small.getpixel((26, 1)) == (0, 0, 255)


def test_a_shadow_lies_under_the_subject() -> None:
    """Beside the subject it darkens; the subject itself keeps its colours; on nothing it is black with opacity."""
    shadow = Shadow(opacity=0.5, size=0.0, offset=(0.25, 0.0))
    cut = np.asarray(compose(WHITE, HALF, Product(shadow=shadow)))
    assert cut[30, 30].tolist() == [255, 255, 255, 255]
    assert cut[30, 55].tolist() == [0, 0, 0, 128]
    shown = compose(WHITE, HALF, Product(shadow=shadow, ground=Ground(kind="colour", colour=(100, 200, 50))))
    assert shown.getpixel((30, 30)) == (255, 255, 255)
    assert shown.getpixel((55, 30)) in {(50, 100, 25), (49, 99, 24), (50, 99, 24), (50, 99, 25)}
    assert shown.getpixel((5, 30)) == (100, 200, 50)


def test_a_picture_as_ground() -> None:
    """The subject stands on it where the anchor says, at the bottom as on a stage."""
    below = Picture(image=Image.new("RGB", (10, 10), (1, 2, 3)))
    stage = Product(ground=Ground(kind="picture"), frame=Frame(trim=True, canvas=(100, 80), anchor="bottom"))
    shown = compose(WHITE, HALF, stage, subject=SUBJECT, grounds=[below])
    assert (shown.mode, shown.size) == ("RGB", (100, 80))
    assert shown.getpixel((50, 79)) == (255, 255, 255)
    assert shown.getpixel((50, 47)) == (1, 2, 3)
    assert shown.getpixel((33, 79)) == (1, 2, 3)


def test_the_blurred_original_as_ground() -> None:
    """The subject is sharp before it."""
    picture = Picture(image=noise(64, 64))
    shown = np.asarray(compose(picture, HALF, Product(ground=Ground(kind="blur", blur=0.1))), float)
    source = np.asarray(picture.image, float)
    assert np.array_equal(shown[16:48, 16:48], source[16:48, 16:48])
    assert shown[:16].std() < source[:16].std() / 4
