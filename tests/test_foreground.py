"""The subject's own colours at its edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bgrd.imaging import foreground as module
from bgrd.imaging.foreground import foreground, laid
from bgrd.imaging.means import means
from tests.pictures.making import UNHURRIED, noise
from tests.test_refine import disc

Floats = NDArray[np.float64]
SIZES = [(1, 1), (1, 300), (300, 1), (3000, 5), (90, 70)]


def soft(size: tuple[int, int] = (360, 240)) -> Image.Image:
    """Make the opacity of a disc out of focus."""
    return disc(size).filter(ImageFilter.GaussianBlur(4))


def colours(size: tuple[int, int], base: tuple[int, int, int], seed: int) -> Image.Image:
    """Make coarse and fine variation about a colour."""
    varied = noise(9, 6, seed=seed).resize(size, Image.Resampling.BICUBIC)
    fine = Image.blend(varied, noise(*size, seed=seed), 0.1)
    return Image.blend(Image.new("RGB", size, base), fine, 0.3)


def mixed(subject: Image.Image, ground: Image.Image, alpha: Image.Image) -> Image.Image:
    """Lay a subject on a ground."""
    image = ground.copy()
    image.paste(subject, None, alpha)
    return image


def cleaned(image: Image.Image, alpha: Image.Image, own: Image.Image | None = None) -> Image.Image:
    """Give the picture with the subject's colours laid over it."""
    found = image.copy()
    laid(found, foreground(image, alpha, own))
    return found


def by_hand(image: Image.Image, alpha: Image.Image) -> Floats:
    """Give blur-fusion over the whole picture in double precision, with no 8-bit step in between."""
    grids = [module._grid(image.size, cells) for cells in (80, 320)]

    fine, fine_alpha = (each.resize(grids[1], Image.Resampling.BOX) for each in (image, alpha))
    coarse, coarse_alpha = (each.resize(grids[0], Image.Resampling.BOX) for each in (fine, fine_alpha))

    def values(each: Image.Image) -> Floats:
        found = np.asarray(each, dtype=np.float64)
        return found.transpose(2, 0, 1) if each.mode == "RGB" else found / 255

    def grown(planes: Floats, size: tuple[int, int]) -> Floats:
        parts = [Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BILINEAR) for plane in planes]
        return np.stack([np.asarray(part, dtype=np.float64) for part in parts])

    def weighted(planes: Floats, weight: Floats, radius: int) -> Floats:
        stack = np.concatenate([planes * weight, weight[None]]).astype(np.float32)
        found = means(stack, (radius, radius)).astype(np.float64)
        return np.asarray((found[:3] + 1e-4 * planes) / (found[3] + 1e-4))

    def rest(seen: Floats, share: Floats, subject: Floats, ground: Floats) -> Floats:
        return np.asarray((subject + share * (seen - ground - share * (subject - ground))).clip(0, 255))

    share = values(coarse_alpha)
    sure = means(np.stack([share > 0.9, share < 0.1]).astype(np.float32), (2, 2))
    trust = grown((sure / 0.125).clip(0, 1).prod(axis=0)[None].astype(np.float64), grids[1])
    subject, ground = (grown(weighted(values(coarse), each, 5), grids[1]) for each in (share, 1 - share))
    share = values(fine_alpha)
    subject = weighted(rest(values(fine), share, subject, ground), share, 1)
    ground = weighted(ground, 1 - share, 1)
    subject, ground, trust = (grown(each, image.size) for each in (subject, ground, trust))
    pixels, opacity = values(image), values(alpha)[None]
    found = pixels + trust * (rest(pixels, opacity, subject, ground) - pixels)
    slight = (np.abs(opacity - 0.5) * 255 >= 124.5).repeat(3, axis=0)
    return np.asarray(np.where(slight, pixels, found).transpose(1, 2, 0))


@pytest.mark.parametrize("size", [(360, 240), (700, 500), (64, 48)])
def test_it_is_blur_fusion(size: tuple[int, int]) -> None:
    """Tile by tile in single precision gives what the definition gives, to one in 255."""
    alpha = soft(size)
    image = mixed(colours(size, (190, 120, 60), 1), colours(size, (70, 120, 90), 2), alpha)
    away = np.abs(np.asarray(cleaned(image, alpha), dtype=np.float64) - by_hand(image, alpha))
    assert away.max() <= 1.0


def test_no_fringe_on_a_new_ground() -> None:
    """On black, on white and on a colour the edge comes at least twice as close to the truth as uncleaned."""
    alpha = soft()
    subject = colours(alpha.size, (190, 120, 60), 1)
    image = mixed(subject, colours(alpha.size, (60, 140, 200), 2), alpha)
    better = cleaned(image, alpha)
    for ground in ("black", "white", "red"):
        fresh = Image.new("RGB", alpha.size, ground)
        truth, plain, clean = (np.asarray(mixed(each, fresh, alpha), float) for each in (subject, image, better))
        assert np.abs(clean - truth).sum() * 2 < np.abs(plain - truth).sum()


def test_solid_and_clear_pixels_keep_their_colours() -> None:
    """Only what is partly transparent is changed."""
    alpha = soft()
    image = mixed(colours(alpha.size, (190, 120, 60), 1), colours(alpha.size, (60, 140, 200), 2), alpha)
    opacity = np.asarray(alpha)
    partial = (opacity > 3) & (opacity < 252)
    before, after = np.asarray(image), np.asarray(cleaned(image, alpha))
    assert np.array_equal(before[~partial], after[~partial])
    assert not np.array_equal(before, after)


@given(value=st.integers(0, 255), size=st.sampled_from(SIZES), seed=st.integers(0, 99))
@UNHURRIED
def test_a_flat_opacity_changes_nothing(value: int, size: tuple[int, int], seed: int) -> None:
    """Where there is no edge nothing is known of the subject's colours, and none is changed."""
    image = noise(*size, seed=seed)
    assert cleaned(image, Image.new("L", size, value)).tobytes() == image.tobytes()


@given(size=st.sampled_from(SIZES), seed=st.integers(0, 99))
@UNHURRIED
def test_sizes(size: tuple[int, int], seed: int) -> None:
    """Any opacity of any picture is taken, and the picture is left alone."""
    image, alpha = noise(*size, seed=seed), noise(*size, mode="L", seed=seed)
    before = image.tobytes()
    assert cleaned(image, alpha).size == size
    assert cleaned(image, alpha, noise(*size, mode="L", seed=seed + 1)).size == size
    assert image.tobytes() == before


def test_a_region_the_model_is_unsure_of_keeps_its_detail() -> None:
    """Half transparent all over one side, with nothing solid near, the picture's colours stay."""
    image = noise(320, 240)
    alpha = Image.new("L", image.size, 0)
    alpha.paste(128, (160, 0, 320, 240))
    assert cleaned(image, alpha).tobytes() == image.tobytes()


def test_colours_nobody_saw_have_no_say() -> None:
    """What the picture's own opacity hides changes no visible pixel."""
    alpha = soft((400, 300))
    image = mixed(colours(alpha.size, (190, 120, 60), 1), colours(alpha.size, (60, 140, 200), 2), alpha)
    own = Image.new("L", alpha.size, 255)
    own.paste(0, (0, 0, 400, 80))
    hidden = image.copy()
    hidden.paste((0, 255, 0), (0, 0, 400, 80))
    first, second = (np.asarray(cleaned(each, alpha, own))[80:] for each in (image, hidden))
    assert np.array_equal(first, second)
    whole = np.asarray(cleaned(image, alpha), int)[80:]
    assert np.abs(first - whole).mean() < 0.04, "what is hidden counts as black: four times as far off"
