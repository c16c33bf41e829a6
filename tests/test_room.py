"""Whether the memory a picture takes can be had."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from pillow_heif import from_pillow

from bgrd.imaging.room import has_room, most_bytes
from tests.making import encoded
from tests.scenes import photo

REPOSITORY = Path(__file__).parent.parent
CRAMPED = """
import os, resource, sys
import pillow_heif
from bgrd.errors import Fault
from bgrd.imaging.decode import decode
data = open(sys.argv[1], "rb").read()
for allowed in map(int, sys.argv[2:]):
    if os.fork() == 0:
        now = int(open("/proc/self/status").read().partition("VmData:")[2].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (now + allowed, resource.RLIM_INFINITY))
        try:
            decode(data, max_pixels=10**9)
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
        case "RGBA":
            return encoded(image.convert("RGBA"), "PNG", compress_level=1)
        case _:
            options = {"WEBP": {"method": 0}, "AVIF": {"speed": 10}}
            return encoded(image, name, **options.get(name, {}))


@pytest.mark.parametrize(
    "name", ["JPEG", "progressive", "PNG", "RGBA", "WEBP", "lossless", "AVIF", "HEIF", "one strip", "BMP", "GIF"]
)
def test_a_shortage_is_never_called_damage(name: str, tmp_path: Path) -> None:
    """A good picture that gets too little memory is a matter of memory, at whatever step its decoder runs short."""
    data = large(name)
    (tmp_path / "picture").write_bytes(data)
    most = most_bytes((1200, 900), {"lossless": "WEBP"}.get(name, name))
    allowed = [str(int(share * most)) for share in (0.02, 0.15, 0.3, 0.5, 0.7)]
    command = [sys.executable, "-c", CRAMPED, str(tmp_path / "picture"), *allowed]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout.split()
    assert len(said) == len(allowed)
    assert set(said) <= {"memory", "done"}, said
    assert said[0] == "memory"
