"""Which results have sixteen bits a sample, and which have eight and say so."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bgrd.engine.pipeline import process
from bgrd.errors import ConfigError, Fault
from bgrd.imaging.decode import decode
from bgrd.imaging.verify import verify
from bgrd.job import Recipe
from bgrd.library import cut_out
from bgrd.models.session import Session
from bgrd.product import Frame, Ground, Product, Shadow
from tests.pictures.making import grey_profile, model, profile
from tests.pictures.sixteen import Rows, noisy, png16, read16, tiff16

SESSION = Session(model(spec={"name": "tiny", "side": 32, "mean": 0.5, "std": 0.1}), spec=None, threads=1, name="tiny")
CUT_OUT = Product(depth="source")
DEFLATE = 8


def test_the_profile_and_the_resolution_are_kept() -> None:
    """What 8 bits keep, 16 bits keep too, in both formats."""
    icc = (b"iCCP", b"x\0\0" + zlib.compress(profile()))
    data = png16(noisy(4, 4, 3), chunks=[icc, (b"pHYs", struct.pack(">IIB", 11_811, 11_811, 1))])
    for format_ in ("png", "tiff"):
        product = Product(format=format_, depth="source")
        written, report = processed(data, product)
        found = Image.open(io.BytesIO(written[0]))
        assert found.info["icc_profile"] == profile()
        assert round(float(found.info["dpi"][0])) == 300
        assert report.depths == (16,)


def processed(data: bytes, *products: Product, **words: Any) -> tuple[list[bytes], Any]:
    """Run the whole pipeline with a model for which brightness is the subject."""
    streams = [io.BytesIO() for _ in products]
    recipe = Recipe(products=products, refine="none", **words)
    report = process(data, recipe=recipe, session=SESSION, write=streams.__getitem__)
    for stream, product, size, bits in zip(streams, products, report.sizes, report.depths, strict=True):
        verify(stream, product, size=size, bits=bits)
    return [stream.getvalue() for stream in streams], report


def test_the_pipeline_gives_every_product_in_16_bits() -> None:
    """Cut-out, mask and background of one source, an 8-bit one among them, of the same opacity; nothing is used up."""
    rows = noisy(40, 30, 4)
    products = (
        Product(depth="source"),
        Product(kind="background", format="tiff", depth="source"),
        Product(),
        Product(kind="mask", depth="source"),
        Product(kind="mask"),
    )
    written, report = processed(png16(rows), *products)
    assert report.depths == (16, 16, 8, 16, 8)
    assert report.notes == ("Reduced from 16 to 8 bits.",)
    flat = [pixel for row in rows for pixel in row]
    cut = [pixel for row in read16(written[0]) for pixel in row]
    mask = [pixel[0] for row in read16(written[3]) for pixel in row]
    assert [pixel[3] for pixel in cut] == mask
    assert all(pixel in {(0,) * 4, (*own[:3], pixel[3])} for pixel, own in zip(cut, flat, strict=True))
    behind = [pixel for row in read16(written[1]) for pixel in row]
    own = [pixel[3] for pixel in flat]
    assert all(abs(here[3] + there[3] - whole) <= 1 for here, there, whole in zip(cut, behind, own, strict=True))


def test_a_result_of_8_bits_leaves_the_samples_to_those_after_it() -> None:
    """A transparent colour, which 16 bits are compared with, is still there when a mask is written last."""
    rows: Rows = [[(0xFFF0, 0xFFF1, 0xFFF2)] * 20 for _ in range(20)]
    rows[10][10] = key = (0xFEFE, 0xFEFE, 0xFEFE)
    data = png16(rows, chunks=[(b"tRNS", struct.pack(">HHH", *key))])
    mask = Product(kind="mask", depth="source")
    both, _report = processed(data, Product(), mask)
    alone, _report = processed(data, mask)
    assert both[1] == alone[0]
    assert read16(alone[0])[10][10] == (0,)
    assert read16(alone[0])[10][11] > (0,)


def test_a_source_of_8_bits_stays_one() -> None:
    """The key changes no byte of what is made of it, and notes nothing."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (20, 20), bytes(range(240)) * 5).save(stream, "PNG")
    asked, report = processed(stream.getvalue(), CUT_OUT, Product(kind="mask", format="tiff", depth="source"))
    assert asked == processed(stream.getvalue(), Product(), Product(kind="mask", format="tiff"))[0]
    assert (report.depths, report.notes) == ((8, 8), ())


def test_8_bits_are_the_default() -> None:
    """Nobody pays for low bytes that were not asked for, and the log says what was left out."""
    data = png16(noisy(12, 9, 3))
    assert decode(data, max_pixels=1000).deep is None
    _written, report = processed(data, Product(), Product(format="webp"))
    assert (report.depths, report.notes) == ((8, 8), ("Reduced from 16 to 8 bits.",))


@pytest.mark.parametrize(
    ("product", "why"),
    [
        (Product(ground=Ground(kind="colour")), "it stands on a ground"),
        (Product(ground=Ground(kind="blur")), "it stands on a ground"),
        (Product(shadow=Shadow(opacity=0.5)), "it has a shadow"),
        (Product(frame=Frame(max_side=8)), "it is scaled"),
        (Product(frame=Frame(canvas=(50, 50), enlarge=True)), "it is scaled"),
        (Product(kind="mask", format="tiff", frame=Frame(canvas=(10, 10))), "it is scaled"),
        (Product(kind="background", frame=Frame(max_side=8)), "it is scaled"),
    ],
)
def test_what_mixes_samples_has_8_bits_and_says_so(product: Product, why: str) -> None:
    """Byte for byte what it is without the key, with a note that names the product and the reason."""
    data = png16(noisy(40, 30, 4))
    found, report = processed(data, replace(product, depth="source"))
    assert report.depths == (8,)
    assert report.notes == (f"The {product.kind} has 8 bits a sample, not 16: {why}.",)
    assert found == processed(data, product)[0]


def test_cleaned_colours_have_8_bits() -> None:
    """The cut-out alone: mask and background do not take part in them."""
    kinds = [Product(kind=kind, depth="source") for kind in ("cutout", "mask", "background")]
    _found, report = processed(png16(noisy(40, 30, 3)), *kinds, clean_colours=True)
    assert report.depths == (8, 16, 16)
    assert report.notes == ("The cutout has 8 bits a sample, not 16: its colours are cleaned.",)


def grey_with_profile() -> bytes:
    """Make a grey source whose profile has to be converted."""
    icc = (b"iCCP", b"x\0\0" + zlib.compress(grey_profile(2.2)))
    return png16(noisy(6, 5, 1), chunks=[icc])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (grey_with_profile(), "its colours had to be converted"),
        (tiff16(noisy(6, 5, 4), tags=[(338, 1)]), "its colours are multiplied by their opacity"),
        (tiff16(noisy(6, 5, 1), tags=[(262, 0)]), "it is neither RGB nor grey of 16 bits"),
        (tiff16(noisy(6, 5, 3), planar=True, compression=DEFLATE), "its colours lie in separate planes"),
        (tiff16(noisy(6, 5, 4), tags=[(262, 5)]), "it is neither RGB nor grey of 16 bits"),
    ],
)
def test_a_source_of_another_kind_has_8_bits_and_says_so(data: bytes, why: str) -> None:
    """Byte for byte what it is without the key."""
    found, report = processed(data, CUT_OUT)
    assert report.depths == (8,)
    assert f"The results have 8 bits a sample, not 16: {why}." in report.notes
    assert "Reduced from 16 to 8 bits." in report.notes
    assert found == processed(data, Product())[0]


def test_a_truncated_source_is_what_it_always_was() -> None:
    """The second reading meets the same faults as the first."""
    for data in (png16(noisy(20, 20, 3)), tiff16(noisy(20, 20, 3))):
        for part in (data[: len(data) // 2], data[:-40]):
            kinds = []
            for deep in (False, True):
                with pytest.raises(Fault) as caught:
                    decode(part, max_pixels=1000, deep=deep)
                kinds.append((type(caught.value), str(caught.value)))
            assert kinds[0] == kinds[1]


def test_a_pillow_image_cannot_be_16_bits() -> None:
    """The library's face, which gives one, refuses the word."""
    with pytest.raises(ConfigError, match='depth: must be "8" here'):
        cut_out(png16(noisy(4, 4, 3)), depth="source")
