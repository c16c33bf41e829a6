"""Products of every kind from a real daemon, and a folder whose ground is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgrd.config.load import folders, load
from bgrd.engine.inline import cut_out
from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.making import encoded
from tests.pictures.scenes import phone_photo, photo
from tests.pictures.sixteen import png16, read16

pytestmark = pytest.mark.timeout(240)

FOLDER = '[[folder]]\nname = "shop"\ninbox = "~/bgr/inbox"\noutbox = "~/bgr/outbox"\n'
PRODUCTS = """
trim = true
[[folder.product]]
kind = "cutout"
on = "white"
format = "jpeg"
aspect = "1:1"
margin = 0.08
[[folder.product]]
kind = "cutout"
on = "beach.png"
canvas = "300x200"
anchor = "bottom"
shadow = 0.5
result_name = "{stem}-on-{folder}"
[[folder.product]]
kind = "mask"
format = "tiff"
[[folder.product]]
kind = "background"
format = "avif"
max_side = 100
[[folder.product]]
kind = "compare"
format = "webp"
quality = 80
on = "blur"
"""
BLUE, GREEN = (encoded(Image.new("RGB", (64, 48), colour), "PNG") for colour in ((0, 0, 200), (0, 200, 0)))


def test_every_product_of_one_picture(tmp_path: Path) -> None:
    """Each with its name, format, mode and size; the library and `bgrd once` give the same pixels."""
    house = House(tmp_path / "house").folders()
    house.configure(FOLDER + PRODUCTS)
    (house.configuration.parent / "beach.png").write_bytes(BLUE)
    data = phone_photo()
    with Daemon(house) as daemon:
        (house.inbox / "a.jpg").write_bytes(data)
        (event,) = daemon.done({"a.jpg"}).values()
        assert sorted(event["results"]) == sorted(house.results())
        assert daemon.stop() == 0
    found = {}
    for name, path in house.results().items():
        with Image.open(path) as image:
            image.load()
            found[name] = (image.format, image.mode, image.size)
    square = found["a.jpg"][2]
    assert square[0] == square[1]
    assert found == {
        "a.jpg": ("JPEG", "RGB", square),
        "a-on-shop.png": ("PNG", "RGB", (300, 200)),
        "a.mask.tiff": ("TIFF", "L", found["a.mask.tiff"][2]),
        "a.background.avif": ("AVIF", "RGBA", (67, 100)),
        "a.compare.webp": ("WEBP", "RGB", (320, 240)),
    }
    (folder,) = folders(load(house.configuration, environ=house.environment))
    stage = Image.open(house.results()["a-on-shop.png"])
    expected = cut_out(data, replace(folder.recipe, products=folder.recipe.products[1:2]))
    assert stage.tobytes() == expected.tobytes()
    (house.home / "a.jpg").write_bytes(data)
    beach = house.configuration.parent / "beach.png"
    flags: list[str | Path] = ["--trim", "--on", beach, "--canvas", "300x200", "--anchor", "bottom", "--shadow", "0.5"]
    assert house.run("once", house.home / "a.jpg", "-o", house.home / "once", *flags).returncode == 0
    with Image.open(house.home / "once/a.png") as alone:
        assert alone.tobytes() == stage.tobytes()
    assert stage.getpixel((0, 0)) == (0, 0, 200)
    assert np.asarray(stage)[-1].max(axis=1).max() > 0


def test_sixteen_bits_through_the_daemon_and_by_hand(tmp_path: Path) -> None:
    """A folder that asks for the depth of its sources gets it bit for bit, and `bgrd once` gives the same pixels.

    A comparison beside them keeps 8 bits, as does what comes from a photo of 8.
    """
    house = House(tmp_path / "house").folders()
    house.configure(f'{FOLDER}depth = "source"\nproducts = ["cutout", "mask", "compare"]\n')
    shown = np.asarray(photo(72, 54).convert("RGB"), int)
    values = shown * 256 + np.random.default_rng(4).integers(0, 256, shown.shape)
    rows = [[tuple(pixel) for pixel in row] for row in values.tolist()]
    with Daemon(house) as daemon:
        (house.inbox / "a.png").write_bytes(png16(rows))
        (house.inbox / "b.png").write_bytes(encoded(photo(72, 54), "PNG"))
        events = daemon.done({"a.png", "b.png"})
        assert daemon.stop() == 0
    assert events["a.png"]["notes"] == ["Reduced from 16 to 8 bits."]
    assert "notes" not in events["b.png"] or not events["b.png"]["notes"]
    found = house.results()
    cut, mask = (read16(found[name].read_bytes()) for name in ("a.png", "a.mask.png"))
    opacities = [pixel[3] for row in cut for pixel in row]
    assert {0, 65_535} <= set(opacities)
    assert opacities == [pixel[0] for row in mask for pixel in row]
    flat = [pixel for row in rows for pixel in row]
    assert [pixel for row in cut for pixel in row] == [
        (*own, opacity) if opacity else (0, 0, 0, 0) for own, opacity in zip(flat, opacities, strict=True)
    ]
    (house.home / "a.png").write_bytes(png16(rows))
    flags = ("--depth", "source", "--format", "tiff", "--trim", "--aspect", "1:1")
    assert house.run("once", house.home / "a.png", "-o", house.home / "once", *flags).returncode == 0
    alone = read16((house.home / "once/a.tiff").read_bytes())
    assert len(alone) == len(alone[0])
    assert {pixel for row in alone for pixel in row} - {(0, 0, 0, 0)} <= {pixel for row in cut for pixel in row}


@pytest.mark.long
def test_a_folder_waits_for_its_ground(tmp_path: Path) -> None:
    """Missing, then no picture: the folder says which and why, and charges nobody; there, it goes on by itself.

    Another picture under the same name is what the next cut-out stands on.
    """
    house = House(tmp_path / "house").folders()
    beach = house.home / "beach.png"
    house.configure(f'{FOLDER}on = "~/beach.png"\n')
    with Daemon(house) as daemon:
        (blocked,) = daemon.heard("folder.blocked", folder="shop")
        assert f"{beach} of `on` cannot be used: No such file" in blocked["reason"]
        daemon.ready()
        (house.inbox / "a.png").write_bytes(encoded(photo(), "PNG"))
        beach.write_bytes(b"no picture at all")
        daemon.until(lambda: any("not a picture" in event["reason"] for event in daemon.events("folder.blocked")))
        assert "beach.png" in house.run("status").stdout
        beach.write_bytes(BLUE)
        daemon.done({"a.png"})
        aside = house.home / "aside.png"
        aside.write_bytes(GREEN)
        aside.replace(beach)
        (house.inbox / "b.png").write_bytes(encoded(photo(seed=2), "PNG"))
        daemon.done({"b.png"})
        assert daemon.stop() == 0
    for name, colour in (("a.png", (0, 0, 200)), ("b.png", (0, 200, 0))):
        with Image.open(house.outbox / name) as image:
            assert np.abs(np.asarray(image, int)[0, 0] - colour).max() <= 8
    jobs = house.jobs()
    assert {(job.state, job.attempts) for job in jobs} == {(State.DONE, 0)}
    assert len({job.recipe for job in jobs}) == 2, "the ground's bytes are part of the recipe that is recorded"
