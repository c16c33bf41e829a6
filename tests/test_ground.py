"""What a cut-out stands on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bgrd.imaging.ground import checkerboard, flattened, spread
from bgrd.imaging.picture import Picture
from bgrd.product import Fit, Ground
from tests.pictures.making import corners, noise, profile, shows_corners, swapped_profile

PICTURE = Picture(image=noise(60, 40))
BELOW = Picture(image=corners(48, 32))


def on(size: tuple[int, int], fit: Fit = "cover", below: Picture = BELOW, picture: Picture = PICTURE) -> Image.Image:
    """Lay a picture out as a ground."""
    return spread(Ground(kind="picture", fit=fit), size, picture=picture, opacity=nowhere(picture), pictures=[below])


@pytest.mark.parametrize("size", [(1, 1), (48, 32), (96, 64), (30, 90), (500, 20)])
@pytest.mark.parametrize("fit", ["cover", "contain", "tile"])
@pytest.mark.parametrize("kind", ["picture", "blur", "colour"])
def test_a_ground_has_the_size_of_the_result(size: tuple[int, int], fit: Fit, kind: str) -> None:
    """Exactly, in RGB, and what it is made of is left alone."""
    before = BELOW.image.tobytes(), PICTURE.image.tobytes()
    ground = Ground(kind=kind, fit=fit)  # type: ignore[arg-type]
    found = spread(ground, size, picture=PICTURE, opacity=nowhere(PICTURE), pictures=[BELOW])
    assert (found.mode, found.size) == ("RGB", size)
    found.paste((1, 2, 3), (0, 0, *size))
    assert (BELOW.image.tobytes(), PICTURE.image.tobytes()) == before


def test_a_picture_of_the_same_size_is_taken_as_it_is() -> None:
    """Cover and contain change no pixel then, and one tile fills it."""
    for fit in ("cover", "contain", "tile"):
        assert on((48, 32), fit).tobytes() == BELOW.image.tobytes()


def test_cover_shows_the_middle() -> None:
    """A taller ground loses left and right evenly: all four corners are still there, and no white."""
    found = on((64, 128))
    assert shows_corners(found)
    assert 255 * 3 not in np.asarray(found, int).sum(axis=2)


def test_contain_shows_all_of_it_on_white() -> None:
    """A taller ground is white above and below, and the picture lies whole in the middle."""
    found = on((48, 96), "contain")
    assert found.crop((0, 32, 48, 64)).tobytes() == BELOW.image.tobytes()
    assert found.crop((0, 0, 48, 32)).getextrema() == ((255, 255),) * 3
    assert found.crop((0, 64, 48, 96)).getextrema() == ((255, 255),) * 3


def test_tiles_begin_in_the_corner() -> None:
    """The picture repeats in its own size, and is cut off at the right and below."""
    found, tile = np.asarray(on((100, 80), "tile")), np.asarray(BELOW.image)
    assert np.array_equal(found, np.tile(tile, (3, 3, 1))[:80, :100])


def test_a_single_pixel_can_be_a_ground() -> None:
    """However it is to fill the result."""
    dot = Picture(image=Image.new("RGB", (1, 1), (9, 8, 7)))
    for fit in ("cover", "tile"):
        assert on((70, 30), fit, below=dot).getcolors() == [(2100, (9, 8, 7))]


def test_the_blur_is_one() -> None:
    """Noise becomes even, the mean stays, a larger share blurs more, and 0 is the picture itself."""
    plain = Picture(image=noise(400, 300))
    spreads = []
    for share in (0.0, 0.005, 0.05):
        found = np.asarray(blurred(plain, nowhere(plain), share=share), float)
        assert abs(found.mean() - 127.5) < 1.5
        spreads.append(found.std())
    assert np.array_equal(
        np.asarray(blurred(plain, nowhere(plain), share=0.0)),
        np.asarray(plain.image),
    )
    assert spreads[0] > 4 * spreads[1] > 4 * spreads[2]


def test_nothing_of_the_subject_is_in_the_blur() -> None:
    """Neither around it nor in its place, which takes the colours from around it; half sure counts as subject."""
    image = Image.new("RGB", (400, 300), (20, 60, 200))
    image.paste((200, 160, 20), (0, 150, 400, 300))
    opacity = Image.new("L", image.size)
    opacity.paste(90, (90, 40, 310, 260))
    opacity.paste(255, (100, 50, 300, 250))
    image.paste((255, 0, 0), (90, 40, 310, 260))
    found = np.asarray(blurred(Picture(image=image), opacity, share=0.03), int)
    background = np.asarray([[20, 60, 200], [200, 160, 20]])
    assert found[..., 0].max() <= 210
    assert found[..., 1].min() >= 50
    for row, colour in ((60, background[0]), (240, background[1])):
        assert np.abs(found[row, [95, 120, 200, 280]] - colour).max() <= 60
    assert np.abs(found[[20, 280], 200] - background).max() <= 3


def test_a_picture_that_is_all_subject_is_blurred_as_it_is() -> None:
    """Where there is no background no colour is better."""
    plain = Picture(image=Image.new("RGB", (60, 40), (9, 90, 200)))
    assert blurred(plain, Image.new("L", (60, 40), 255), share=0.1).getcolors() == [(2400, (9, 90, 200))]


def nowhere(picture: Picture) -> Image.Image:
    """Give the opacity of a picture without a subject."""
    return Image.new("L", picture.image.size)


def blurred(picture: Picture, opacity: Image.Image, *, share: float) -> Image.Image:
    """Give the blurred original in its own size."""
    ground = Ground(kind="blur", blur=share)
    return spread(ground, picture.image.size, picture=picture, opacity=opacity, pictures=[])


def test_what_has_holes_stands_on_white() -> None:
    """A ground is opaque."""
    holed = Picture(image=Image.new("RGB", (4, 4), (200, 0, 0)), alpha=Image.new("L", (4, 4), 0))
    assert flattened(holed).image.getpixel((1, 1)) == (255, 255, 255)
    assert flattened(holed).alpha is None
    assert flattened(BELOW) is BELOW


def test_a_ground_is_shown_in_the_colours_of_the_picture() -> None:
    """Of one profile no pixel changes; from another it is converted; from garbage it is left as it is."""
    same = Picture(image=BELOW.image, icc=profile())
    assert (
        on((48, 32), below=same, picture=Picture(image=PICTURE.image, icc=profile())).tobytes() == same.image.tobytes()
    )
    swapped = Picture(image=BELOW.image, icc=swapped_profile())
    red_is_blue = on((48, 32), below=swapped)
    assert np.abs(np.asarray(red_is_blue, int)[:, :, ::-1] - np.asarray(BELOW.image, int)).max() <= 8
    broken = Picture(image=BELOW.image, icc=b"garbage")
    assert on((48, 32), below=broken).tobytes() == BELOW.image.tobytes()


def test_a_checkerboard_tells_transparency() -> None:
    """Two light greys in turn, in squares of at least eight pixels."""
    found = checkerboard((100, 50))
    assert found.getpixel((0, 0)) == (255, 255, 255)
    assert found.getpixel((8, 0)) == found.getpixel((0, 8)) == (204, 204, 204)
    assert found.getpixel((8, 8)) == (255, 255, 255)


def test_contain_shows_a_flat_ground_in_the_middle_too() -> None:
    """White left and right, evenly."""
    found = on((144, 32), "contain")
    assert found.crop((48, 0, 96, 32)).tobytes() == BELOW.image.tobytes()
    assert found.crop((0, 0, 48, 32)).getextrema() == ((255, 255),) * 3


def test_what_a_picture_hides_is_not_in_its_blur() -> None:
    """Where it was transparent white is blurred, and not the colour under it."""
    hidden = Picture(image=Image.new("RGB", (40, 40), (200, 0, 0)), alpha=Image.new("L", (40, 40), 0))
    found = blurred(hidden, nowhere(hidden), share=0.1)
    assert found.getextrema() == ((255, 255),) * 3


def test_the_blur_is_a_share_of_the_longer_side() -> None:
    """A flat picture is blurred as much as a square one as wide."""
    edge = Image.new("RGB", (400, 400))
    edge.paste((255, 255, 255), (200, 0, 400, 400))
    pictures = [Picture(image=edge.crop((0, 0, 400, side))) for side in (400, 100)]
    square, flat = (np.asarray(blurred(picture, nowhere(picture), share=0.05)) for picture in pictures)
    assert np.array_equal(square[50], flat[50])
