"""One picture from bytes to results."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

import bgrd
from bgrd.engine import inline, pipeline
from bgrd.engine.inline import cut_out
from bgrd.engine.pipeline import load_ground, process
from bgrd.errors import InputFault, MemoryFault
from bgrd.imaging.compose import compose
from bgrd.imaging.matte import _table
from bgrd.imaging.picture import Picture
from bgrd.imaging.prepare import prepare
from bgrd.imaging.resample import enlarged
from bgrd.imaging.verify import verify
from bgrd.job import Recipe, recipe_hash
from bgrd.models.session import Session
from bgrd.product import Frame, Ground, Product, Shadow
from tests.pictures.making import corners, encoded, exif_with, model, noise, profile

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
    assert set(report.times) == {"decode", "prepare", "infer", "matte", "refine", "clean", "compose", "encode"}
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
    session = inline._session("bgrd-lite")
    process(data, recipe=Recipe(), session=session, write=streams)
    expected = streams.image().tobytes()
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    image = Image.open(io.BytesIO(data))
    for given in (data, path, image, np.asarray(image)):
        found = bgrd.cut_out(given)
        assert (found.mode, found.tobytes()) == ("RGBA", expected)
    assert cut_out(data).info["icc_profile"] == profile()


PLAIN = Recipe(refine="none")


@pytest.mark.parametrize("product", PRODUCTS[:3])
@pytest.mark.parametrize(("threshold", "feather"), [(0.5, 1.0), (0.4, 0.3), (0.502, 0.0)])
def test_with_all_off_it_is_the_model_alone(product: Product, threshold: float, feather: float) -> None:
    """Unrefined and uncleaned, each pixel is the model's share enlarged and the edge's two numbers, nothing else."""
    image, session = scene(), inline._session("bgrd-lite")
    tensor = prepare(image, session.spec)
    shares = np.asarray(session.run(tensor)[0][0, 0].clip(0, 1))
    mask = enlarged(Image.fromarray(np.rint(shares * 255).astype(np.uint8)), image.size, "bicubic")
    alpha = mask.point(_table(threshold, feather))
    expected = compose(Picture(image=image), alpha, product)
    recipe = replace(PLAIN, threshold=threshold, feather=feather, products=(product,))
    assert cut_out(image, recipe).tobytes() == expected.tobytes()


def scene() -> Image.Image:
    """Make a picture in which the built-in model finds something."""
    image = Image.blend(Image.new("RGB", (400, 300), (90, 140, 160)), noise(400, 300), 0.1)
    ImageDraw.Draw(image).ellipse((120, 60, 280, 260), fill=(200, 60, 40))
    return image


def test_each_setting_of_the_edge_is_heard() -> None:
    """Refining, cleaning, and leaving parts out each change the result, alone and on the other steps' work."""
    seen = {cut_out(scene(), recipe).tobytes() for recipe in (PLAIN, Recipe(), Recipe(clean_colours=True))}
    assert len(seen) == 3
    image = Image.new("RGB", (256, 256))
    image.paste((255, 255, 255), (20, 20, 120, 240))
    image.paste((255, 255, 255), (180, 20, 250, 100))
    image.paste((0, 0, 0), (48, 48, 72, 72))

    def solid(**options: Any) -> tuple[bool, bool, bool]:
        streams = Streams()
        recipe = Recipe(products=(Product(kind="mask"),), **options)
        process(encoded(image, "PNG"), recipe=recipe, session=SESSION, write=streams)
        mask = streams.image()
        return tuple(mask.getpixel(place) == 255 for place in ((80, 150), (215, 60), (60, 60)))  # type: ignore[return-value]

    assert solid() == (True, True, False)
    assert solid(specks=0.5) == (True, False, False)
    assert solid(largest=True) == (True, False, False)
    assert solid(holes=0.05) == (True, True, True)


LOADING = """
import io, sys
from bgrd.engine import inline, pipeline
from bgrd.job import Recipe
session = inline._session("bgrd-lite")
pipeline.preload()
before = set(sys.modules)
recipe = Recipe(specks=0.1, holes=0.1, largest=True)
pipeline.process(sys.stdin.buffer.read(), recipe=recipe, session=session, write=lambda index: io.BytesIO())
print(sorted(set(sys.modules) - before))
"""


def test_no_step_loads_anything() -> None:
    """With every step of the edge on nothing is imported after the start, which a lane could not do."""
    data = encoded(scene(), "PNG")
    done = subprocess.run([sys.executable, "-c", LOADING], input=data, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_a_recipe_survives_the_way_to_a_lane() -> None:
    """Every setting of the edge comes back from JSON, and each makes another recipe of it."""
    recipes = [
        Recipe(),
        PLAIN,
        Recipe(specks=0.1),
        Recipe(holes=0.1),
        Recipe(largest=True),
        Recipe(clean_colours=True),
    ]
    for recipe in recipes:
        assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert len({recipe_hash(recipe, model_sha256="0") for recipe in recipes}) == len(recipes)


def test_a_hard_cut_stays_hard_when_refined() -> None:
    """The edge comes after refinement: a feather of 0 leaves nothing half transparent."""
    mask = cut_out(scene(), Recipe(products=(Product(kind="mask"),), feather=0.0))
    assert set(mask.tobytes()) == {0, 255}


def test_a_pictures_own_opacity_is_kept_in_every_step() -> None:
    """Refined and cleaned, what a picture had hidden stays hidden and without colour."""
    image = scene()
    own = Image.new("L", image.size, 255)
    own.paste(0, (200, 0, 400, 300))
    image.putalpha(own)
    cut = np.asarray(cut_out(image, Recipe(clean_colours=True)))
    assert not cut[:, 200:].any()
    assert cut[:, :200, 3].any()


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
