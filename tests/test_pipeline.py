"""One picture from bytes to results."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pytest
from PIL import Image

import bgrd
from bgrd.engine import pipeline
from bgrd.engine.pipeline import cut_out, process, verify
from bgrd.errors import InputFault, MemoryFault, UnknownFault
from bgrd.job import Product, Recipe
from bgrd.models.session import Session
from tests.making import corners, encoded, exif_with, model, noise, profile

TINY = model(spec={"name": "tiny", "side": 32, "mean": 0.5, "std": 0.1})
SESSION = Session(TINY, spec=None, threads=1, name="tiny")


class Streams:
    """Keep what each product wrote."""

    def __init__(self) -> None:
        self.files: dict[int, io.BytesIO] = {}

    def __call__(self, index: int) -> BinaryIO:
        self.files[index] = io.BytesIO()
        return self.files[index]

    def image(self, index: int = 0) -> Image.Image:
        """Read product `index` back."""
        return Image.open(io.BytesIO(self.files[index].getvalue()))


def test_bright_is_kept_and_dark_is_gone() -> None:
    """A model for which brightness is the subject cuts the bright half out, at the exact size."""
    image = Image.new("RGB", (101, 67))
    image.paste((255, 255, 255), (50, 0, 101, 67))
    streams = Streams()
    report = process(encoded(image, "PNG"), recipe=Recipe(), session=SESSION, write=streams)
    cut = streams.image()
    assert (cut.size, cut.mode) == ((101, 67), "RGBA")
    assert cut.getpixel((5, 30)) == (0, 0, 0, 0)
    assert cut.getpixel((95, 30)) == (255, 255, 255, 255)
    assert (report.width, report.height, report.format, report.notes) == (101, 67, "PNG", ())
    assert set(report.times) == {"decode", "prepare", "infer", "matte", "compose", "encode"}
    assert report.products == (len(streams.files[0].getvalue()),)


def test_the_result_has_the_upright_size() -> None:
    """A turned photo gives an upright cut-out."""
    streams = Streams()
    report = process(
        encoded(corners(), "JPEG", exif=exif_with({274: 6})), recipe=Recipe(), session=SESSION, write=streams
    )
    assert (report.width, report.height) == (32, 48)
    assert streams.image().size == (32, 48)


PRODUCTS = (
    Product(),
    Product(kind="mask"),
    Product(colour=(1, 2, 3)),
    Product(format="webp"),
    Product(kind="mask", format="webp", quality=80),
    Product(format="webp", colour=(9, 9, 9), quality=50),
)


def test_several_products_of_one_picture() -> None:
    """Every product is the one it would be alone: using up the pixels hurts nobody."""
    data, together = encoded(noise(60, 40), "PNG"), Streams()
    report = process(data, recipe=Recipe(products=PRODUCTS), session=SESSION, write=together)
    for index, product in enumerate(PRODUCTS):
        alone = Streams()
        process(data, recipe=Recipe(products=(product,)), session=SESSION, write=alone)
        assert alone.files[0].getvalue() == together.files[index].getvalue()
        verify(together.files[index], product, size=(60, 40))
        assert report.products[index] == len(together.files[index].getvalue())


def test_it_writes_behind_what_is_there() -> None:
    """Sizes count what was written, not where the stream stood."""
    stream = io.BytesIO()
    stream.write(b"head")
    report = process(encoded(corners(), "PNG"), recipe=Recipe(), session=SESSION, write=lambda _index: stream)
    assert report.products == (len(stream.getvalue()) - 4,)


def test_faults_come_before_anything_is_written() -> None:
    """No stream is asked for where the picture is none or too large."""
    streams = Streams()
    with pytest.raises(InputFault):
        process(b"no picture", recipe=Recipe(), session=SESSION, write=streams)
    with pytest.raises(InputFault, match="too large"):
        process(encoded(corners(), "PNG"), recipe=Recipe(), session=SESSION, max_pixels=5, write=streams)
    assert not streams.files


def test_holes_can_be_accepted() -> None:
    """After its grace a file with holes is processed with a note."""
    whole = encoded(noise(512, 512), "JPEG", quality=95)
    holed = whole[:100_000] + bytes(65_536) + whole[165_536:]
    report = process(holed, recipe=Recipe(), session=SESSION, accept_holes=True, write=Streams())
    assert "holes" in report.notes[0]


def test_memory_that_runs_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MemoryError between the stages is a memory fault."""

    def starved(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pipeline, "compose", starved)
    with pytest.raises(MemoryFault):
        process(encoded(corners(), "PNG"), recipe=Recipe(), session=SESSION, write=Streams())


@pytest.mark.parametrize("product", PRODUCTS)
def test_verify_refuses_what_is_not_meant(product: Product) -> None:
    """A result of another size, cut short, changed or empty is refused."""
    streams = Streams()
    process(encoded(noise(60, 40), "PNG"), recipe=Recipe(products=(product,)), session=SESSION, write=streams)
    whole = streams.files[0].getvalue()
    verify(io.BytesIO(whole), product, size=(60, 40))
    for broken, size in ((whole, (40, 60)), (whole[: len(whole) // 2], (60, 40)), (b"", (60, 40))):
        with pytest.raises(UnknownFault):
            verify(io.BytesIO(broken), product, size=size)


@pytest.mark.parametrize("name", ["png", "webp"])
def test_verify_has_no_limit_of_pillows(name: Literal["png", "webp"], monkeypatch: pytest.MonkeyPatch) -> None:
    """A result larger than Pillow would open by itself is verified all the same."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    verify(io.BytesIO(encoded(noise(mode="RGBA"), name)), Product(format=name), size=(64, 64))


def test_verify_knows_what_a_product_shows() -> None:
    """A mask in the place of a cut-out is refused."""
    stream = io.BytesIO(encoded(noise(8, 8, mode="L"), "PNG"))
    with pytest.raises(UnknownFault, match="RGBA"):
        verify(stream, Product(), size=(8, 8))


def test_cut_out_is_the_daemons_result(tmp_path: Path) -> None:
    """The library's face gives the pixels the daemon would write, from every kind of argument."""
    data, streams = encoded(noise(80, 60).resize((160, 120)), "PNG", icc_profile=profile()), Streams()
    session = pipeline._session("bgrd-lite")
    process(data, recipe=Recipe(), session=session, write=streams)
    expected = streams.image().tobytes()
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    image = Image.open(io.BytesIO(data))
    for given in (data, path, image, np.asarray(image)):
        found = bgrd.cut_out(given)
        assert (found.mode, found.tobytes()) == ("RGBA", expected)
    assert cut_out(data).info["icc_profile"] == profile()


def test_cut_out_follows_the_recipe() -> None:
    """A recipe's first product and edge decide what is given back."""
    mask = cut_out(corners(), Recipe(products=(Product(kind="mask"),), threshold=0.502, feather=0.0))
    assert mask.mode == "L"
    assert set(mask.tobytes()) <= {0, 255}


def test_cut_out_leaves_its_argument_alone() -> None:
    """The picture given is not changed."""
    image = noise()
    before = image.tobytes()
    cut_out(image)
    assert (image.mode, image.tobytes()) == ("RGB", before)
