"""Sixteen bits a sample, bit for bit: from files written in the tests to results read in the tests."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.engine.pipeline import process
from bgrd.errors import ConfigError, Fault, UnknownFault
from bgrd.imaging.decode import decode
from bgrd.imaging.deep import Deepened, deepened
from bgrd.imaging.encode import encode
from bgrd.imaging.frame import Box
from bgrd.imaging.verify import verify
from bgrd.job import Recipe
from bgrd.library import cut_out
from bgrd.models.session import Session
from bgrd.product import Frame, Ground, Product, Shadow
from tests.pictures.making import UNHURRIED, exif_with, grey_profile, model, profile
from tests.pictures.sixteen import Rows, channels_of, noisy, png16, read16, tiff16, turned

SESSION = Session(model(spec={"name": "tiny", "side": 32, "mean": 0.5, "std": 0.1}), spec=None, threads=1, name="tiny")
CUT_OUT = Product(depth="source")
ORDERS: list[Literal["<", ">"]] = ["<", ">"]
NONE, LZW, DEFLATE = 1, 5, 8


def alpha_of(size: tuple[int, int], *, seed: int = 5) -> Image.Image:
    """Make an opacity with whole, half and no pixels."""
    values = [pixel[0] for row in noisy(*size, 1, seed=seed) for pixel in row]
    return Image.frombytes("L", size, bytes((0, 255, value >> 8, value >> 8)[value & 3] for value in values))


def full(size: tuple[int, int]) -> Image.Image:
    """Make an opacity that hides nothing."""
    return Image.new("L", size, 255)


def expected(rows: Rows, alpha: Image.Image, *, kind: str = "cutout", key: tuple[int, ...] | None = None) -> Rows:
    """Reckon a result in fractions, pixel by pixel."""
    made: Rows = []
    values = {(at % alpha.width, at // alpha.width): value for at, value in enumerate(alpha.tobytes())}
    for y, row in enumerate(rows):
        line: list[tuple[int, ...]] = []
        for x, pixel in enumerate(row):
            own = pixel[-1] if len(pixel) in {2, 4} else (0 if pixel == key else 65_535)
            value = 255 - values[x, y] if kind == "background" else values[x, y]
            opacity = round(Fraction(value * 257 * own, 65_535))
            colours = pixel[:3] if len(pixel) > 2 else pixel[:1] * 3
            shown = (*colours, opacity) if opacity else (0, 0, 0, 0)
            line.append((opacity,) if kind == "mask" else shown)
        made.append(line)
    return made


def results(data: bytes, product: Product, alpha: Image.Image, *, subject: Box | None = None) -> Rows:
    """Write what a product shows of a file, hold that it verifies, and read it."""
    picture = decode(data, max_pixels=10**6, deep=True)
    assert picture.deep is not None
    assert picture.notes == ()
    made = deepened(picture, alpha, product, subject=subject)
    assert isinstance(made, Deepened)
    stream = io.BytesIO()
    encode(made, stream, product, icc=picture.icc, exif=picture.exif, dpi=picture.dpi)
    verify(stream, product, size=made.size, bits=16)
    with pytest.raises(UnknownFault, match=r"16 bits a sample, not 8|not .* L"):
        verify(stream, product, size=made.size)
    return read16(stream.getvalue())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("adam7", [False, True])
def test_a_png_is_exact(channels: int, *, adam7: bool) -> None:
    """Every colour type, by all five filters, interlaced too: the source's samples and 65535."""
    rows = noisy(13, 11, channels)
    assert results(png16(rows, adam7=adam7), CUT_OUT, full((13, 11))) == expected(rows, full((13, 11)))


@pytest.mark.parametrize("kind", range(5))
def test_each_filter_of_a_png_is_undone(kind: int) -> None:
    """Every filter alone."""
    rows = noisy(9, 7, 3)
    assert results(png16(rows, kinds=(kind,)), CUT_OUT, full((9, 7))) == expected(rows, full((9, 7)))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("compression", "predictor"), [(NONE, False), (DEFLATE, False), (DEFLATE, True), (LZW, False), (LZW, True)]
)
@pytest.mark.parametrize("strip_rows", [0, 4])
def test_a_tiff_is_exact(channels: int, order: str, compression: int, *, predictor: bool, strip_rows: int) -> None:
    """Either byte order, every compression that has no loss, with and without predictor, in one strip or several."""
    rows = noisy(13, 11, channels)
    data = tiff16(rows, order=order, compression=compression, predictor=predictor, strip_rows=strip_rows)
    alpha = alpha_of((13, 11))
    assert results(data, CUT_OUT, alpha) == expected(rows, alpha)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("compression", [NONE, DEFLATE])
def test_a_sample_without_meaning_is_left_out(order: str, compression: int) -> None:
    """The fourth sample of a TIFF that says that it is no opacity."""
    rows = noisy(6, 5, 4)
    data = tiff16(rows, order=order, compression=compression, tags=[(338, 0)])
    bare: Rows = [[pixel[:3] for pixel in row] for row in rows]
    assert results(data, CUT_OUT, full((6, 5))) == expected(bare, full((6, 5)))


@UNHURRIED
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.integers(1, 4),
    seed=st.integers(0, 2**20),
    kinds=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    adam7=st.booleans(),
    product=st.builds(
        Product,
        kind=st.sampled_from(["cutout", "mask", "background"]),
        format=st.sampled_from(["png", "tiff"]),
        level=st.sampled_from([0, 1, 6]),
        depth=st.just("source"),
    ),
)
def test_every_picture_and_opacity(
    size: tuple[int, int], channels: int, seed: int, kinds: list[int], *, adam7: bool, product: Product
) -> None:
    """Whatever the samples, the model's opacity and the source's own: cut-out, mask and background, PNG and TIFF."""
    rows, alpha = noisy(*size, channels, seed=seed), alpha_of(size, seed=seed + 1)
    found = results(png16(rows, kinds=kinds, adam7=adam7), product, alpha)
    assert found == expected(rows, alpha, kind=product.kind)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("source", "channels"),
    [*(("png", channels) for channels in (1, 2, 3, 4))]
    + [(source, channels) for source in ("tiff", "packed tiff") for channels in (1, 3, 4)],
)
def test_every_orientation_is_exact(orientation: int, source: str, channels: int) -> None:
    """Samples, low bytes and opacity of their own are all turned upright."""
    rows = noisy(7, 4, channels)
    if source == "png":
        exif = exif_with({274: orientation}).removeprefix(b"Exif\0\0")
        data = png16(rows, chunks=[(b"eXIf", exif)])
    else:
        data = tiff16(rows, compression=NONE if source == "tiff" else DEFLATE, tags=[(274, orientation)])
    upright = turned(rows, orientation)
    alpha = alpha_of((len(upright[0]), len(upright)))
    assert results(data, CUT_OUT, alpha) == expected(upright, alpha)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_transparent_colour_is_exact(channels: int) -> None:
    """Only what has all 16 bits of it is hidden."""
    rows = noisy(5, 4, channels)
    rows[1][2] = rows[3][4] = key = (0x1234, 0x5678, 0x9ABC)[:channels]
    rows[0] = [tuple(sample ^ (at == changed) for at, sample in enumerate(key)) for changed in range(channels)] * 5
    rows[0] = rows[0][:5]
    data = png16(rows, chunks=[(b"tRNS", struct.pack(f">{channels}H", *key))])
    assert results(data, CUT_OUT, full((5, 4))) == expected(rows, full((5, 4)), key=key)


@pytest.mark.parametrize("own", [0xFFFF, 0xFF00, 0xFFFE, 1])
def test_an_opacity_nearly_full_stays_so(own: int) -> None:
    """What 8 bits would call opaque keeps its low byte."""
    rows: Rows = [[(1, 2, 3, own)] * 3]
    assert results(png16(rows), CUT_OUT, full((3, 1))) == rows


def test_opacity_is_rounded_to_the_nearest() -> None:
    """Every opacity of the model on those of a source that leave every kind of rest."""
    owns = (1, 2, 127, 128, 254, 256, 257, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
    rows: Rows = [[(9, 8, 7, own)] * 256 for own in owns]
    alpha = Image.frombytes("L", (256, len(owns)), bytes(range(256)) * len(owns))
    assert results(png16(rows), CUT_OUT, alpha) == expected(rows, alpha)


FRAMES: list[tuple[Frame, Box | None]] = [
    (Frame(trim=True), (3, 2, 10, 9)),
    (Frame(trim=True, margin=0.2), (3, 2, 10, 9)),
    (Frame(aspect=(3, 1)), None),
    (Frame(trim=True, canvas=(20, 17), anchor="bottom-right"), (3, 2, 10, 9)),
    (Frame(canvas=(40, 31), margin=0.1), None),
    (Frame(max_side=13), None),
]


@pytest.mark.parametrize(("frame", "subject"), FRAMES)
@pytest.mark.parametrize("kind", ["cutout", "mask"])
@pytest.mark.parametrize("format_", ["png", "tiff"])
def test_a_frame_that_scales_nothing_is_exact(
    frame: Frame, subject: Box | None, kind: Literal["cutout", "mask"], format_: Literal["png", "tiff"]
) -> None:
    """Cut down and laid on an empty canvas, sample by sample."""
    size = (13, 11)
    rows, alpha = noisy(*size, 4), alpha_of(size)
    product = Product(kind=kind, format=format_, frame=frame, depth="source")
    picture = decode(png16(rows), max_pixels=1000, deep=True)
    made = deepened(picture, alpha, product, subject=subject)
    assert isinstance(made, Deepened)
    whole = expected(rows, alpha, kind=kind)
    empty = (0,) if kind == "mask" else (0, 0, 0, 0)
    left, top, right, bottom = subject or (0, 0, *size)
    across, down = made.plan.at
    wanted: Rows = [[empty] * made.size[0] for _ in range(made.size[1])]
    for y in range(top, bottom):
        wanted[y - top + down][across : across + right - left] = whole[y][left:right]
    assert results(png16(rows), product, alpha, subject=subject) == wanted


def test_bands_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result of several bands and strips, from a file of several bands."""
    monkeypatch.setattr("bgrd.imaging.encode._BAND_BYTES", 700)
    monkeypatch.setattr("bgrd.imaging.strips._STRIP_BYTES", 700)
    rows = noisy(20, 31, 3)
    alpha = alpha_of((20, 31))
    for format_ in ("png", "tiff"):
        found = results(tiff16(rows), Product(format=format_, depth="source"), alpha)
        assert found == expected(rows, alpha)


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


def test_the_samples_are_those_given() -> None:
    """The writers of the tests hold what they are given, by their own readers."""
    rows = noisy(5, 6, 3)
    assert channels_of(rows) == 3
    assert read16(png16(rows)) == read16(tiff16(rows, compression=DEFLATE, predictor=True)) == rows
