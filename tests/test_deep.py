"""Sixteen bits a sample, bit for bit: from files written in the tests to results read in the tests."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.errors import UnknownFault
from bgrd.imaging.decode import decode
from bgrd.imaging.deep import Deepened, deepened
from bgrd.imaging.encode import encode
from bgrd.imaging.frame import Box
from bgrd.imaging.verify import verify
from bgrd.product import Frame, Product
from tests.pictures.making import UNHURRIED, exif_with
from tests.pictures.sixteen import Rows, channels_of, noisy, png16, read16, tiff16, turned

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


def test_the_samples_are_those_given() -> None:
    """The writers of the tests hold what they are given, by their own readers."""
    rows = noisy(5, 6, 3)
    assert channels_of(rows) == 3
    assert read16(png16(rows)) == read16(tiff16(rows, compression=DEFLATE, predictor=True)) == rows
