"""What a data set keeps of a picture: upright, small enough, exact where it can be, or a reason."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from bgrd.train.shrink import Options, RejectedError, background, cutout, pair
from tests.pictures.making import UNHURRIED, encoded, exif_with
from tests.pictures.sets import cutout as made_cutout
from tests.pictures.sets import disc, photo

OPTIONS = Options(side=32)
AS_IT_IS = Options(side=320)
TURNED = exif_with({274: 6})


def image_of(data: bytes | None) -> Image.Image:
    """Open what was made."""
    assert data is not None
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def jpeg(image: Image.Image, **options: bytes) -> bytes:
    """Write a photo."""
    return encoded(image, "JPEG", quality=90, **options)


@UNHURRIED
@given(width=st.integers(16, 90), height=st.integers(16, 90), side=st.integers(16, 64))
def test_photo_and_mask_have_one_size(width: int, height: int, side: int) -> None:
    """The longer side is at most the side asked for, nothing is enlarged, the shape stays, and both sizes are equal."""
    found = pair(jpeg(photo(1, (width, height))), encoded(disc((width, height)), "PNG"), replace(OPTIONS, side=side))
    image, mask = image_of(found.image), image_of(found.mask)
    assert image.size == mask.size
    assert (image.mode, mask.mode) == ("RGB", "L")
    assert max(image.size) == min(side, max(width, height))
    scale = max(image.size) / max(width, height)
    assert abs(image.width - width * scale) <= 0.5 or image.width == 1
    assert abs(image.height - height * scale) <= 0.5 or image.height == 1


def test_a_mask_is_scaled_by_area() -> None:
    """A shrunk mask covers the same share of the picture, is soft at its edge, and never rings."""
    mask = disc((640, 480))
    found = np.asarray(image_of(pair(jpeg(photo(1, (640, 480))), encoded(mask, "PNG"), OPTIONS).mask))
    assert abs(found.mean() - np.asarray(mask).mean()) < 1
    assert (found[0] == 0).all()
    assert found[12, 16] == 255
    assert ((found > 0) & (found < 255)).any()


def test_a_plain_jpeg_keeps_its_bytes() -> None:
    """What is small enough and upright loses nothing."""
    data = jpeg(photo(1))
    assert background(data, AS_IT_IS).image == data
    assert pair(data, encoded(disc(), "PNG"), AS_IT_IS).image == data


@pytest.mark.parametrize(
    "data",
    [
        jpeg(photo(1), exif=exif_with({271: "maker"})),
        jpeg(photo(1), comment=b"hello"),
        jpeg(photo(1), exif=TURNED),
        encoded(photo(1), "JPEG") + b"more",
        encoded(photo(1).convert("L"), "JPEG"),
        encoded(photo(1).convert("CMYK"), "JPEG"),
        encoded(photo(1), "PNG"),
    ],
    ids=["exif", "comment", "turned", "trailing", "grey", "cmyk", "png"],
)
def test_everything_else_becomes_a_plain_jpeg(data: bytes) -> None:
    """Metadata, other modes and other formats do not come along."""
    found = background(data, AS_IT_IS)
    image = image_of(found.image)
    assert found.image != data
    assert (found.suffix, image.format, image.mode) == (".jpg", "JPEG", "RGB")
    assert not {"exif", "comment", "icc_profile"} & image.info.keys()


def test_pictures_are_upright() -> None:
    """A photo that its EXIF turns fits a mask as it is seen, and not one as it is stored."""
    stored = photo(1, (64, 48))
    seen = stored.transpose(Image.Transpose.ROTATE_270)
    data = jpeg(stored, exif=TURNED)
    found = pair(data, encoded(disc(seen.size), "PNG"), AS_IT_IS)
    assert image_of(found.image).size == seen.size
    assert np.abs(np.asarray(image_of(found.image), np.int16) - np.asarray(seen, np.int16)).mean() < 12
    with pytest.raises(RejectedError, match="has a mask of another size: 48 x 64 and 64 x 48, both upright"):
        pair(data, encoded(disc(stored.size), "PNG"), AS_IT_IS)


@pytest.mark.parametrize(
    ("image", "mask", "told"),
    [
        (jpeg(photo(1))[:300], encoded(disc(), "PNG"), "cannot be used: the photo: .*truncated"),
        (b"", encoded(disc(), "PNG"), "cannot be used: the photo: The file is empty"),
        (b"some text", encoded(disc(), "PNG"), "cannot be used: the photo: The file is not a picture"),
        (jpeg(photo(1)), encoded(disc(), "PNG")[:80], "cannot be used: its mask: "),
        (jpeg(photo(1)), encoded(disc((48, 48)), "PNG"), "has a mask of another size: 64 x 48 and 48 x 48"),
        (jpeg(photo(1)), encoded(Image.new("L", (64, 48)), "PNG"), "has a mask that is empty"),
        (jpeg(photo(1)), encoded(Image.new("L", (64, 48), 255), "PNG"), "has a mask that is full"),
        (jpeg(photo(1)), encoded(ImageChops.invert(disc()), "PNG"), "has a mask that looks reversed"),
        (jpeg(photo(1)), encoded(photo(2), "PNG"), "has a mask in colours"),
    ],
)
def test_bad_pairs_are_told(image: bytes, mask: bytes, told: str) -> None:
    """Each with its own sentence."""
    with pytest.raises(RejectedError, match=told):
        pair(image, mask, OPTIONS)


def test_reversed_masks_are_turned_round_where_asked() -> None:
    """And only those."""
    options = replace(AS_IT_IS, fix_inverted=True)
    found = pair(jpeg(photo(1)), encoded(ImageChops.invert(disc()), "PNG"), options)
    assert found.turned
    assert image_of(found.mask).copy() == disc()
    assert not pair(jpeg(photo(1)), encoded(disc(), "PNG"), options).turned
    with pytest.raises(RejectedError, match="is empty"):
        pair(jpeg(photo(1)), encoded(Image.new("L", (64, 48)), "PNG"), options)


def test_before_and_after_make_a_pair() -> None:
    """A cut-out in the mask's place is taken by its opacity."""
    found = pair(jpeg(photo(1)), encoded(made_cutout(1), "WEBP", lossless=True), AS_IT_IS)
    assert image_of(found.mask).copy() == disc()


def test_a_cutout_keeps_its_colours_at_the_edge() -> None:
    """Shrinking mixes in no colour that nobody sees."""
    image = Image.new("RGBA", (128, 96), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), mask=disc((128, 96)))
    found = np.asarray(image_of(cutout(encoded(image, "PNG"), OPTIONS).image))
    assert found.shape == (24, 32, 4)
    assert (found[found[..., 3] > 8][:, 1] == 0).all()


def test_what_vanishes_when_it_is_shrunk_is_told() -> None:
    """A hairline is a subject at its full size and none at the side asked for, as a slit is a ground: both are named.

    Of such a picture no sample could be drawn, and a run would end at the same one each time it goes on.
    """
    hairline = Image.new("L", (640, 480))
    hairline.paste(255, (0, 240, 640, 241))
    image = photo(1, (640, 480))
    for opacity, gone in ((hairline, "subject"), (ImageChops.invert(hairline), "ground")):
        told = rf"^has a {gone} too thin for --side 32: shrunk to that, next to nothing of it is left$"
        image.putalpha(opacity)
        with pytest.raises(RejectedError, match=told):
            cutout(encoded(image, "PNG"), OPTIONS)
        with pytest.raises(RejectedError, match=told):
            pair(jpeg(photo(1, image.size)), encoded(opacity, "PNG"), replace(OPTIONS, corrected="mask"))
        assert image_of(cutout(encoded(image, "PNG"), replace(OPTIONS, side=640)).image).size == image.size
    with pytest.raises(RejectedError, match="has a subject too thin for --side 32"):
        pair(jpeg(photo(1, image.size)), encoded(hairline, "PNG"), OPTIONS)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (photo(1), "has no transparency"),
        (made_cutout(1).convert("RGB").convert("RGBA"), "has no transparency"),
        (Image.new("RGBA", (64, 48)), "has opacity that is empty"),
    ],
)
def test_bad_cutouts_are_told(image: Image.Image, told: str) -> None:
    """Opaque and empty ones."""
    with pytest.raises(RejectedError, match=told):
        cutout(encoded(image, "PNG"), OPTIONS)


def test_a_hollow_cutout_is_good() -> None:
    """A picture frame that was cut down to itself covers its rim and not its middle."""
    image = photo(1)
    image.putalpha(ImageChops.invert(disc()))
    assert image_of(cutout(encoded(image, "PNG"), AS_IT_IS).image).getchannel("A").copy() == ImageChops.invert(disc())


class TestCorrections:
    """Corrected results have the folder's frame to live with."""

    CUTOUT = Options(side=320, corrected="cutout", scaled=True)

    def test_a_smaller_result_is_laid_over_its_photo(self) -> None:
        """Where the folder scales its results as a whole, the mask is brought to the photo's size."""
        found = pair(jpeg(photo(1, (640, 480))), encoded(made_cutout(1, (160, 120)), "PNG"), self.CUTOUT)
        image, mask = image_of(found.image), image_of(found.mask)
        assert image.size == mask.size == (320, 240)
        difference = np.abs(np.asarray(mask, np.int16) - np.asarray(disc((320, 240)), np.int16))
        assert difference.mean() < 3

    @pytest.mark.parametrize("size", [(160, 160), (160, 119), (640, 480)])
    def test_one_of_another_shape_is_not(self, size: tuple[int, int]) -> None:
        """Nor any other size where the folder trims: nobody knows where it lay."""
        options = replace(self.CUTOUT, scaled=size != (640, 480))
        with pytest.raises(RejectedError, match=r"another size than its photo, 320 x 240 and .*: what was trimmed"):
            pair(jpeg(photo(1, (320, 240))), encoded(made_cutout(1, size), "PNG"), options)

    def test_an_opaque_correction_says_nothing(self) -> None:
        """A cut-out on white is not told from a photo."""
        with pytest.raises(RejectedError, match="has no transparency: only a cut-out that stands on nothing"):
            pair(jpeg(photo(1)), jpeg(photo(1)), self.CUTOUT)

    def test_a_hollow_correction_is_never_turned_round(self) -> None:
        """Whoever corrects by hand knows which side is which, whatever other masks are turned round for."""
        hollow = photo(1)
        hollow.putalpha(ImageChops.invert(disc()))
        options = replace(self.CUTOUT, fix_inverted=True)
        found = pair(jpeg(photo(1)), encoded(hollow, "PNG"), options)
        assert image_of(found.mask).copy() == ImageChops.invert(disc())
        assert not found.turned

    def test_an_emptied_correction_is_told(self) -> None:
        """In words that speak of no mask."""
        with pytest.raises(RejectedError, match=r"^is empty: next to nothing in it is brighter than half"):
            pair(jpeg(photo(1)), encoded(Image.new("RGBA", (64, 48)), "PNG"), self.CUTOUT)
