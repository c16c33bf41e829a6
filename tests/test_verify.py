"""Whether a written result is what was meant."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from PIL import Image

from bgrd.errors import UnknownFault
from bgrd.imaging.encode import encode
from bgrd.imaging.verify import verify
from bgrd.product import Format, Ground, Product
from tests.pictures.making import encoded, noise

PRODUCTS = [
    Product(kind=kind, format=format_, ground=ground)
    for kind in ("cutout", "mask", "background", "compare")
    for format_ in ("png", "webp", "avif", "tiff", "jpeg")
    for ground in (Ground(), Ground(kind="blur"))
]
HOLDABLE = [product for product in PRODUCTS if product.format != "jpeg" or product.shows == "RGB"]


def written(product: Product) -> bytes:
    """Write a picture as the product says."""
    stream = io.BytesIO()
    encode(noise(60, 40, mode=product.shows), stream, product)
    return stream.getvalue()


@pytest.mark.parametrize("product", HOLDABLE)
def test_verify_refuses_what_is_not_meant(product: Product) -> None:
    """What was written is taken; a result of another size, cut short, changed or empty is refused."""
    whole = written(product)
    verify(io.BytesIO(whole), product, size=(60, 40))
    for broken, size in ((whole, (40, 60)), (whole[: len(whole) // 2], (60, 40)), (b"", (60, 40))):
        with pytest.raises(UnknownFault):
            verify(io.BytesIO(broken), product, size=size)


@pytest.mark.parametrize("format_", ["png", "webp", "tiff", "avif"])
def test_verify_has_no_limit_of_pillows(format_: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result larger than Pillow would open by itself is verified all the same."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    verify(io.BytesIO(written(Product(format=format_))), Product(format=format_), size=(60, 40))


@pytest.mark.parametrize("format_", ["png", "tiff"])
def test_verify_knows_what_a_product_shows(format_: Literal["png", "tiff"]) -> None:
    """A mask in the place of a cut-out is refused."""
    stream = io.BytesIO(encoded(noise(8, 8, mode="L"), format_))
    with pytest.raises(UnknownFault, match="RGBA"):
        verify(stream, Product(format=format_), size=(8, 8))


def test_verify_knows_the_format() -> None:
    """A JPEG in the place of a PNG is refused."""
    stream = io.BytesIO(encoded(noise(8, 8), "JPEG"))
    with pytest.raises(UnknownFault):
        verify(stream, Product(kind="compare"), size=(8, 8))


@pytest.mark.parametrize("format_", ["png", "tiff"])
def test_verify_misses_an_opacity(format_: Literal["png", "tiff"]) -> None:
    """A cut-out without its opacity is refused where the format would have kept a full one."""
    stream = io.BytesIO(encoded(noise(8, 8, mode="RGB"), format_))
    with pytest.raises(UnknownFault, match=r"not .* RGBA"):
        verify(stream, Product(format=format_), size=(8, 8))
