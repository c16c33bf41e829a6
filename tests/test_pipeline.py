"""One picture from bytes to results."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

import bgrd
from bgrd.engine import pipeline
from bgrd.engine.pipeline import cut_out, load_ground, process
from bgrd.errors import InputFault, MemoryFault
from bgrd.imaging.verify import verify
from bgrd.job import Recipe
from bgrd.models.session import Session
from bgrd.product import Frame, Ground, Product, Shadow
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
    Product(ground=Ground(kind="colour", colour=(1, 2, 3))),
    Product(format="webp"),
    Product(kind="mask", format="webp", quality=80),
    Product(format="webp", ground=Ground(kind="colour", colour=(9, 9, 9)), quality=50),
    Product(format="avif"),
    Product(kind="background", format="tiff"),
    Product(kind="compare", format="jpeg", frame=Frame(max_side=50)),
    Product(ground=Ground(kind="blur"), shadow=Shadow(opacity=0.5), frame=Frame(trim=True, margin=0.1)),
    Product(ground=Ground(kind="picture"), format="jpeg", frame=Frame(canvas=(70, 30))),
)


GROUNDS = [load_ground(encoded(corners(), "PNG"))]


def test_several_products_of_one_picture() -> None:
    """Every product is the one it would be alone: using up the pixels hurts nobody."""
    data, together = encoded(noise(60, 40), "PNG"), Streams()
    report = process(data, recipe=Recipe(products=PRODUCTS), session=SESSION, grounds=GROUNDS, write=together)
    for index, product in enumerate(PRODUCTS):
        alone = Streams()
        process(data, recipe=Recipe(products=(product,)), session=SESSION, grounds=GROUNDS, write=alone)
        assert alone.files[0].getvalue() == together.files[index].getvalue()
        verify(together.files[index], product, size=report.sizes[index])
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


def test_nothing_to_trim_to_is_noted() -> None:
    """A picture in which nothing is found stays as it is, and the log says why it is not smaller."""
    streams, product = Streams(), Product(frame=Frame(trim=True))
    dark = encoded(Image.new("RGB", (30, 20)), "PNG")
    report = process(dark, recipe=Recipe(products=(product,)), session=SESSION, write=streams)
    assert streams.image().size == (30, 20)
    assert report.notes == ("No subject was found, so nothing was trimmed.",)
    bright = Image.new("RGB", (60, 60))
    bright.paste((255, 255, 255), (20, 10, 40, 50))
    report = process(encoded(bright, "PNG"), recipe=Recipe(products=(product,)), session=SESSION, write=streams)
    assert report.notes == ()
    assert (report.width, report.height) == (60, 60)
    assert report.sizes == (streams.image().size,)
    assert streams.image().width < 40
