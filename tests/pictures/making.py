"""Small pictures of every kind and tiny real models, made by code; shared by the tests."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageCms

from bgrd.imaging.decode import decode
from bgrd.imaging.picture import Picture

__all__ = [
    "CORNERS",
    "UNHURRIED",
    "cmyk_profile",
    "corners",
    "encoded",
    "exif_with",
    "grey_profile",
    "model",
    "noise",
    "png_chunk",
    "png_of_size",
    "png_with",
    "profile",
    "shows_corners",
    "swapped_profile",
    "taken",
]

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Decoding takes as long as a busy machine makes it."""

CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
"""Top left, top right, bottom left, bottom right."""


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """Make a picture whose four quarters tell which way is up."""
    image = Image.new("RGB", (width, height))
    half_width, half_height = width // 2, height // 2
    for index, colour in enumerate(CORNERS):
        left, top = (index % 2) * half_width, (index // 2) * half_height
        image.paste(colour, (left, top, left + width - half_width, top + height - half_height))
    return image


def noise(width: int = 64, height: int = 64, *, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """Make a picture that does not compress."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    """Write a picture to bytes by Pillow's writer `name`."""
    stream = io.BytesIO()
    image.save(stream, format=name, **options)
    return stream.getvalue()


def taken(data: bytes, **options: bool) -> Picture:
    """Decode with a limit of a million pixels, and hold what every picture promises."""
    picture = decode(data, max_pixels=1_000_000, **options)
    assert picture.image.mode == "RGB"
    if picture.alpha is not None:
        assert picture.alpha.mode == "L"
        assert picture.alpha.size == picture.image.size
    return picture


def shows_corners(image: Image.Image, *, tolerance: int = 60) -> bool:
    """Whether the four quarters stand where they belong."""
    width, height = image.size
    places = [(width // 4, height // 4), (3 * width // 4, height // 4)]
    places += [(x, 3 * height // 4) for x, _ in places]
    found = [image.getpixel(place) for place in places]
    return all(
        abs(part - wanted) <= tolerance
        for colour, corner in zip(found, CORNERS, strict=True)
        for part, wanted in zip(colour if isinstance(colour, tuple) else (), corner, strict=True)
    )


def exif_with(tags: Mapping[int, Any], *, exif: Mapping[int, Any] = {}, gps: Mapping[int, Any] = {}) -> bytes:
    """Make an EXIF block of plain tags, an Exif directory and a GPS directory."""
    block = Image.Exif()
    for tag, value in tags.items():
        block[tag] = value
    if exif:
        block[0x8769] = dict(exif)
    if gps:
        block[0x8825] = dict(gps)
    return block.tobytes()


@lru_cache
def profile(space: str = "sRGB") -> bytes:
    """Make an ICC profile of Pillow's own kinds: sRGB, LAB, XYZ; always the same bytes, which hold the time."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()  # type: ignore[arg-type]


def grey_profile(gamma: float = 1.0) -> bytes:
    """Make a minimal grey ICC profile with a plain gamma curve. Source: ICC.1:2022, 7.2, 8.4.3."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    text += bytes(-len(text) % 4)
    return _icc(b"GRAY", b"mntr", ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)))


def swapped_profile() -> bytes:
    """Make an RGB profile of sRGB's kind in which red and blue have changed places. Source: ICC.1:2022, 8.3.3."""
    # sRGB's primaries adapted to D50, as IEC 61966-2-1 profiles have them.
    columns = {
        b"rXYZ": (0.1431, 0.0606, 0.7141),
        b"gXYZ": (0.3851, 0.7169, 0.0971),
        b"bXYZ": (0.4361, 0.2225, 0.0139),
    }
    tags = [
        (name, b"XYZ " + bytes(4) + struct.pack(">iii", *(round(part * 65536) for part in column)))
        for name, column in columns.items()
    ]
    curve = (
        b"para"
        + bytes(4)
        + struct.pack(
            ">HHiiiii", 3, 0, *(round(part * 65536) for part in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
        )
    )
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    white = b"XYZ " + bytes(4) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"swap\0" + bytes(78)
    text += bytes(-len(text) % 4)
    return _icc(b"RGB ", b"mntr", [(b"desc", text), (b"wtpt", white), *tags])


def cmyk_profile() -> bytes:
    """Make a minimal CMYK ICC profile: a table of 2 points a side from ink to Lab. Source: ICC.1:2001, 6.5.8."""
    grid = bytearray()
    for index in range(16):
        cyan, magenta, yellow, black = (index >> 3 & 1, index >> 2 & 1, index >> 1 & 1, index & 1)
        light = 0 if black else 255 - 50 * (cyan + magenta + yellow)
        grid += bytes((light, 128, 128))
    identity = b"".join(struct.pack(">i", 65536 if row == column else 0) for row in range(3) for column in range(3))
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + ramp * 4 + bytes(grid) + ramp * 3
    table += bytes(-len(table) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"cmyk\0" + bytes(78)
    text += bytes(-len(text) % 4)
    return _icc(b"CMYK", b"prtr", ((b"desc", text), (b"wtpt", white), (b"A2B0", table)), connection=b"Lab ")


def _icc(space: bytes, kind: bytes, tags: Sequence[tuple[bytes, bytes]], *, connection: bytes = b"XYZ ") -> bytes:
    offset = 128 + 4 + 12 * len(tags)
    directory, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags:
        directory += name + struct.pack(">II", offset + len(bodies), len(body))
        bodies += body
    size = offset + len(bodies)
    head = struct.pack(">I", size) + bytes(4) + b"\x02\x10\0\0" + kind + space + connection + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return head + bytes(128 - len(head)) + directory + bodies


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Make one PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Put chunks into a PNG right behind its header."""
    return data[:33] + b"".join(png_chunk(name, body) for name, body in chunks) + data[33:]


def png_of_size(width: int, height: int, *, bits: int = 8, colour_type: int = 2, rows: bytes = b"") -> bytes:
    """Make a PNG that claims a size, with the rows given (filter bytes included)."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = (b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, part) for name, part in body)


def model(
    *,
    sides: tuple[int | str, int | str] = ("height", "width"),
    layout: str = "NCHW",
    element: int = TensorProto.FLOAT,
    element_in: int | None = None,
    activation: str | None = "Sigmoid",
    weights: Sequence[Sequence[float]] = ((4.0, 4.0, 4.0),),
    bias: Sequence[float] | None = None,
    spec: Mapping[str, Any] | str | None = None,
    names: Sequence[str] = ("alpha",),
) -> bytes:
    """Make a tiny real model: a 1x1 convolution from three channels and an activation, with its spec as metadata.

    `element_in` is another type for the input alone. Every output in `names` is the same picture; `weights` has a row
    per output channel.
    """
    dtype = helper.tensor_dtype_to_np_dtype(element)
    kernel: NDArray[Any] = np.asarray(weights, dtype=dtype)[:, :, None, None]
    shift: NDArray[Any] = np.asarray([0.0] * len(weights) if bias is None else bias, dtype=dtype)
    shape_in, shape_out = (
        ["batch", channels, *sides] if layout == "NCHW" else ["batch", *sides, channels]
        for channels in (3, len(weights))
    )
    nodes, last = [], "image"
    if element_in is not None:
        nodes.append(helper.make_node("Cast", [last], ["cast"], to=element))
        last = "cast"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [last], ["first"], perm=[0, 3, 1, 2]))
        last = "first"
    nodes.append(helper.make_node("Conv", [last, "kernel", "shift"], ["logits"]))
    last = "logits"
    if activation:
        nodes.append(helper.make_node(activation, [last], ["active"]))
        last = "active"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [last], ["last"], perm=[0, 2, 3, 1]))
        last = "last"
    nodes += [helper.make_node("Identity", [last], [name]) for name in names]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", element if element_in is None else element_in, shape_in)],
        [helper.make_tensor_value_info(name, element, shape_out) for name in names],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(shift, "shift")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if spec is not None:
        helper.set_model_props(made, {"bgrd": spec if isinstance(spec, str) else json.dumps(dict(spec))})
    serialised: bytes = made.SerializeToString()
    onnx.checker.check_model(made)
    return serialised
