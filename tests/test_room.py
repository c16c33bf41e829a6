"""Whether the memory a picture takes can be had."""

from __future__ import annotations

import io
import math
import resource
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import cast

import pytest
from PIL.ImageFile import ImageFile
from pillow_heif import HeifImageFile, from_bytes, from_pillow

from bgrd.engine.demand import BASE_BYTES, PICTURE_BYTES
from bgrd.imaging.room import has_room, most_bytes, rarer
from tests.pictures.making import encoded, png_of_size
from tests.pictures.scenes import photo
from tests.pictures.sixteen import noisy, tiff16

REPOSITORY = Path(__file__).parent.parent
CRAMPED = """
import os, resource, sys
import pillow_heif
from bgrd.errors import Fault
from bgrd.imaging.decode import decode
data = open(sys.argv[1], "rb").read()
deep = sys.argv[1].endswith("/deep")
for allowed in map(int, sys.argv[2:]):
    if os.fork() == 0:
        now = int(open("/proc/self/status").read().partition("VmData:")[2].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (now + allowed, resource.RLIM_INFINITY))
        try:
            decode(data, max_pixels=10**9, deep=deep)
        except Fault as fault:
            print(fault.kind, flush=True)
        else:
            print("done", flush=True)
        os._exit(0)
    os.wait()
"""
"""A process that decodes a picture again and again, with so many bytes more than it has before."""


def test_there_is_always_an_end() -> None:
    """A few bytes can be had, more than a process can address cannot."""
    assert has_room(most_bytes((100, 100), "JPEG"))
    assert not has_room(2**60)


def test_asking_takes_nothing() -> None:
    """What was asked for is given back, untouched."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert has_room(2**30)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


DEEP = ["deep PNG", "deep TIFF"]


def large(name: str) -> bytes:
    """Make a picture of a million pixels by a writer, with the options that take its reader the most memory."""
    image = photo(200, 150).resize((1200, 900))
    match name:
        case "HEIF":
            stream = io.BytesIO()
            from_pillow(image).save(stream, quality=40)
            return stream.getvalue()
        case "progressive":
            return encoded(image, "JPEG", progressive=True, subsampling=0)
        case "one strip":
            return encoded(image, "TIFF", compression="tiff_lzw", tiffinfo={278: 900})
        case "lossless":
            return encoded(image, "WEBP", lossless=True, quality=0, method=0)
        case "deep PNG":
            return png_of_size(1200, 900, bits=16, colour_type=6, rows=(b"\0" + Random(1).randbytes(9600)) * 900)
        case "deep TIFF":
            return tiff16([noisy(1200, 1, 4)[0]] * 900, compression=8)
        case "RGBA":
            return encoded(image.convert("RGBA"), "PNG", compress_level=1)
        case _:
            options = {"WEBP": {"method": 0}, "AVIF": {"speed": 10}}
            return encoded(image, name, **options.get(name, {}))


@pytest.mark.parametrize(
    "name",
    ["JPEG", "progressive", "PNG", "RGBA", "WEBP", "lossless", "AVIF", "HEIF", "one strip", "BMP", "GIF", *DEEP],
)
def test_a_shortage_is_never_called_damage(name: str, tmp_path: Path) -> None:
    """A good picture that gets too little memory is a matter of memory, at whatever step its decoder runs short."""
    data = large(name)
    picture = tmp_path / ("deep" if name.startswith("deep") else "picture")
    picture.write_bytes(data)
    most = most_bytes((1200, 900), {"lossless": "WEBP"}.get(name, name))
    allowed = [str(int(share * most)) for share in (0.02, 0.15, 0.3, 0.5, 0.7)]
    command = [sys.executable, "-c", CRAMPED, str(picture), *allowed]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout.split()
    assert len(said) == len(allowed)
    assert set(said) <= {"memory", "done"}, said
    assert said[0] == "memory"


WRITTEN = """
import io, os, resource, sys
from PIL import Image
from bgrd.engine.pipeline import preload
from bgrd.errors import Fault
from bgrd.imaging.decode import decode
from bgrd.imaging.encode import encode
from bgrd.product import Product
preload()
image = decode(open(sys.argv[1], "rb").read(), max_pixels=10**9).image
product = Product(format=sys.argv[2], level=int(sys.argv[3]), quality=int(sys.argv[4]) or None)
for allowed in map(int, sys.argv[5:]):
    if os.fork() == 0:
        now = int(open("/proc/self/status").read().partition("VmData:")[2].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (now + allowed, resource.RLIM_INFINITY))
        try:
            encode(image, io.BytesIO(), product)
        except Fault as fault:
            print(fault.kind, flush=True)
        else:
            print("done", flush=True)
        os._exit(0)
    os.wait()
"""
"""The same for a picture that is written."""


@pytest.mark.parametrize(
    ("name", "level", "quality"),
    [("avif", 1, 0), ("avif", 0, 95), ("jpeg", 9, 95), ("tiff", 1, 0), ("webp", 1, 80), ("png", 6, 0)],
)
def test_a_shortage_is_never_called_a_failure_to_write(name: str, level: int, quality: int, tmp_path: Path) -> None:
    """An encoder that runs short at whatever step is short of memory; with what is reckoned it is done."""
    (tmp_path / "picture").write_bytes(large("PNG"))
    most = most_bytes((1200, 900), f"new {'full ' if (name, quality) == ('avif', 95) else ''}{name}")
    allowed = [str(int(share * most)) for share in (0.02, 0.15, 0.3, 0.5, 0.7, 1.0)]
    options = [str(tmp_path / "picture"), name, str(level), str(quality)]
    command = [sys.executable, "-c", WRITTEN, *options, *allowed]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout.split()
    assert len(said) == len(allowed)
    assert set(said) <= {"memory", "done"}, said
    assert said[-1] == "done"


HEIFS = {
    "HEIF": ("RGB", 420),
    "full HEIF": ("RGB", 444),
    "full HEIF with opacity": ("RGBA", 444),
    "deep HEIF": ("RGB;16", 420),
    "deep full HEIF": ("RGB;16", 444),
    "deep full HEIF with opacity": ("RGBA;16", 444),
}


@pytest.mark.parametrize("name", HEIFS)
def test_room_for_a_heif_is_enough_for_it(name: str, tmp_path: Path) -> None:
    """Its decoder would end the process: the figure of its kind lets it through, and it is done in so much memory."""
    mode, chroma = HEIFS[name]
    image = photo(200, 150).resize((1600, 1200)).convert(mode.partition(";")[0])
    pixels = image.tobytes()
    if ";" in mode:
        pixels = b"".join(bytes((0, value)) for value in pixels)
    stream = io.BytesIO()
    from_bytes(mode, image.size, pixels).save(stream, quality=20, chroma=chroma, enc_params={"preset": "ultrafast"})
    (tmp_path / "picture").write_bytes(stream.getvalue())
    opened = cast("type[ImageFile]", HeifImageFile)(stream)
    kind = rarer("HEIF", mode=opened.mode, info=opened.info)
    assert kind == name.removesuffix(" with opacity")
    allowed = str(most_bytes(image.size, kind) + 2**20)
    command = [sys.executable, "-c", CRAMPED, str(tmp_path / "picture"), allowed]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout.split()
    assert said == ["done"]


LANE_BYTES = BASE_BYTES + 55 * 2**20 + PICTURE_BYTES
"""What a lane takes with the built-in model, and no less than that."""

LOADED = """
import resource, sys
from pathlib import Path
import bgrd
from bgrd.engine.pipeline import preload
from bgrd.imaging.room import has_room
from bgrd.models.session import Session
preload()
model = Path(bgrd.__file__).parent / "models/data/bgrd-lite.onnx"
session = Session(model.read_bytes(), spec=None, threads=1, name="bgrd-lite")
session.trial()
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]), resource.RLIM_INFINITY))
print([has_room(int(most)) for most in sys.argv[2:]])
"""
"""A lane at rest, with its model."""


def test_a_lane_has_room_for_what_phones_take() -> None:
    """Pictures of 50 megapixels that would be refused untried fit into what a lane has beside its light model."""
    side = math.isqrt(50_000_000)
    wanted = [most_bytes((side, side), kind) for kind in ("HEIF", "deep HEIF")]
    command = [sys.executable, "-c", LOADED, str(LANE_BYTES), *map(str, wanted), str(LANE_BYTES)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout.strip()
    assert said == "[True, True, False]"
