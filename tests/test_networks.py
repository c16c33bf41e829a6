"""Every kind of row, whole: what bgrd makes of a network's answer is what its published code makes of it.

The references are written here once more, in float64, from what each model's own code says; nothing of bgrd is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from PIL import Image, ImageDraw

from bgrd.imaging.matte import matte, unrefined
from bgrd.imaging.prepare import prepare
from bgrd.models.catalogue import ROWS
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from tests.pictures.making import noise
from tests.pictures.networks import KINDS, isnet, u2net

Array = NDArray[Any]
Run = Callable[[Array], list[Array]]

IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
BILINEAR = Image.Resampling.BILINEAR


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Give a scene with shapes, slopes and grain, wider than high."""
    image = noise(90, 60, seed=3).resize((900, 600), Image.Resampling.BICUBIC)
    slope = Image.linear_gradient("L").resize((900, 600)).convert("RGB")
    image = Image.blend(image, slope, 0.6)
    draw = ImageDraw.Draw(image)
    draw.ellipse((300, 100, 600, 520), fill=(220, 160, 120))
    draw.rectangle((80, 300, 200, 590), fill=(30, 60, 160))
    return image


def four_pixels(image: Image.Image, side: int) -> Array:
    """Resize as torch's interpolate does, `align_corners` false: (side, side, 3) in 0..255."""
    pixels = np.asarray(image, np.float64)
    for axis in (0, 1):
        length = pixels.shape[axis]
        places = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        first = np.floor(places).astype(int)
        share = (places - first).reshape([-1 if other == axis else 1 for other in range(3)])
        after = np.minimum(first + 1, length - 1)
        pixels = pixels.take(first, axis) * (1 - share) + pixels.take(after, axis) * share
    return pixels


def fed(values: Array, mean: Any, std: Any) -> Array:
    """Normalise (h, w, 3) and lay it out as (1, 3, h, w)."""
    return np.asarray((values - mean) / std).transpose(2, 0, 1)[None]


def spread(mask: Array) -> Array:
    """Bring a mask to 0..1 by its least and its most."""
    return np.asarray((mask - mask.min()) / (mask.max() - mask.min()))


def sigmoid(values: Array) -> Array:
    """Give the logistic function."""
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))))


def u2net_code(image: Image.Image, run: Run) -> Array:
    """Follow u2net_test.py: divide by the most, ImageNet, first output, spread."""
    small = np.asarray(image.resize((320, 320), BILINEAR), np.float64)
    return spread(run(fed(small / small.max(), *IMAGENET))[0][0, 0])


def isnet_code(image: Image.Image, run: Run) -> Array:
    """Follow Inference.py of DIS: four pixels, one half away, first output, spread."""
    return spread(run(fed(four_pixels(image, 1024) / 255, 0.5, 1.0))[0][0, 0])


def anime_code(image: Image.Image, run: Run) -> Array:
    """IS-Net fed with ImageNet's mean alone."""
    return spread(run(fed(four_pixels(image, 1024) / 255, IMAGENET[0], 1.0))[0][0, 0])


def imgly_code(image: Image.Image, run: Run) -> Array:
    """Take 128 away and divide by 256; the answer is the mask."""
    return run(((four_pixels(image, 1024) - 128) / 256).transpose(2, 0, 1)[None])[0].reshape(1024, 1024)


def birefnet_code(image: Image.Image, run: Run) -> Array:
    """Follow BiRefNet's inference: ImageNet, and the sigmoid outside."""
    small = np.asarray(image.resize((1024, 1024), BILINEAR), np.float64) / 255
    return sigmoid(run(fed(small, *IMAGENET))[0][0, 0])


def rmbg2_code(image: Image.Image, run: Run) -> Array:
    """As BiRefNet, with the sigmoid inside."""
    small = np.asarray(image.resize((1024, 1024), BILINEAR), np.float64) / 255
    return np.asarray(run(fed(small, *IMAGENET))[0][0, 0])


def modnet_code(image: Image.Image, run: Run) -> Array:
    """Short side 512, sides by 32, area means, one half away and twice as wide."""
    small = np.asarray(image.resize((768, 512), Image.Resampling.BOX), np.float64) / 255
    return np.asarray(run(fed(small, 0.5, 0.5))[0][0, 0])


def deeplab_code(image: Image.Image, run: Run) -> Array:
    """Follow torchvision: short side 520, ImageNet, the class with the most; background is class 0."""
    small = np.asarray(image.resize((784, 520), BILINEAR), np.float64) / 255
    return np.asarray(run(fed(small, *IMAGENET))[0][0].argmax(axis=0) != 0, np.float64)


def resunet_code(image: Image.Image, run: Run) -> Array:
    """Blue first, 0..1, channels last in and out, the first of four masks."""
    return run(four_pixels(image, 512)[None, :, :, ::-1] / 255)[0][0, :, :, 0]


@dataclass(frozen=True, slots=True)
class Kind:
    """A row, the network that stands in for its file, and its published code."""

    row: str
    network: Callable[[], bytes]
    code: Callable[[Image.Image, Run], Array]


WHOLE = (
    Kind("u2net", KINDS["u2net"], u2net_code),
    Kind("isnet-general-use", KINDS["isnet"], isnet_code),
    Kind("isnet-anime", KINDS["isnet"], anime_code),
    Kind("isnet-imgly", KINDS["isnet"], imgly_code),
    Kind("rmbg-1.4", KINDS["isnet"], isnet_code),
    Kind("birefnet-general", KINDS["birefnet"], birefnet_code),
    Kind("rmbg-2.0", KINDS["rmbg-2"], rmbg2_code),
    Kind("rmbg-2.0", KINDS["birefnet"], birefnet_code),
    Kind("modnet", KINDS["modnet"], modnet_code),
    Kind("deeplabv3-resnet101", KINDS["deeplab"], deeplab_code),
    Kind("resunet50", KINDS["resunet"], resunet_code),
)


def spec_of(row: str) -> ModelSpec:
    """Give the spec of a row that has one."""
    spec = ROWS[row].spec
    assert spec is not None
    return spec


def opacity(data: bytes, spec: ModelSpec, image: Image.Image) -> Array:
    """Go the whole way as a lane does: opened, tried, fed, matted, enlarged; (h, w) of uint8."""
    session = Session(data, spec=spec, threads=2, name=spec.name)
    session.trial()
    outputs = session.run(prepare(image, session.spec, dtype=session.element_type))
    values = matte(outputs, session.spec)
    return np.asarray(unrefined(values, size=image.size, upscale=session.spec.upscale))


def published(kind: Kind, image: Image.Image) -> Array:
    """Give what the published code makes of it, enlarged as bgrd enlarges."""
    session = onnxruntime.InferenceSession(kind.network(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    mask = kind.code(image, lambda tensor: list(session.run(None, {entry.name: tensor.astype(np.float32)})))
    small = Image.fromarray(np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8))
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: f"{kind.row}-{kind.network.__name__}")
def test_each_kind_is_fed_and_read_as_published(kind: Kind, photo: Image.Image) -> None:
    """The alpha at the picture's size agrees with the model's own code, and it is a mask with something in it."""
    found, expected = opacity(kind.network(), spec_of(kind.row), photo), published(kind, photo)
    assert expected.std() > 20
    apart = np.abs(found.astype(int) - expected.astype(int))
    assert apart.mean() <= 0.25
    assert np.percentile(apart, 99) <= 2


def rembg_way(image: Image.Image, run: Run, side: int, mean: Any, std: Any) -> Array:
    """Do what rembg's custom sessions do, to its rounding: Lanczos, the picture's most, spread, Lanczos."""
    small = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS), np.float64)
    mask = (spread(run(fed(small / small.max(), mean, std))[0][0, 0]) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.LANCZOS))


@pytest.mark.parametrize(
    ("row", "data", "numbers"),
    [("compat-rembg-320", u2net(seed=17), IMAGENET), ("compat-rembg-1024", isnet(seed=13), (0.5, 1.0))],
    ids=["320", "1024"],
)
def test_compatible_rows_keep_the_bounds(row: str, data: bytes, numbers: Any, photo: Image.Image) -> None:
    """With the same file the alpha is within 1/255 of rembg's on average and 3/255 at the 99th percentile."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    spec = spec_of(row)
    wanted = rembg_way(
        photo, lambda tensor: list(session.run(None, {entry.name: tensor.astype(np.float32)})), spec.side, *numbers
    )
    apart = np.abs(opacity(data, spec, photo).astype(int) - wanted.astype(int))
    assert wanted.std() > 20
    assert apart.mean() <= 1
    assert np.percentile(apart, 99) <= 3


FAMILIES = {
    "u2net": ("u2net", "silueta", "compat-rembg-320"),
    "isnet": ("isnet", "rmbg-1", "compat-rembg-1024"),
    "rmbg-2": ("rmbg-2",),
    "birefnet": ("birefnet",),
    "modnet": ("modnet",),
    "deeplab": ("deeplab",),
    "resunet": ("resunet",),
}


@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if row.spec is not None])
def test_every_row_takes_a_network_of_its_kind(row: str) -> None:
    """Each row's spec is resolved, tried and used with a file of its family, at its own side."""
    (kind,) = [kind for kind, names in FAMILIES.items() if row.startswith(names)]
    found = opacity(KINDS[kind](), spec_of(row), noise(64, 48))
    assert found.shape == (48, 64)
    assert found.max() > found.min()


def test_half_precision_all_through(photo: Image.Image) -> None:
    """A float16 file in and out gives the float32 file's mask but for its rounding."""
    spec = spec_of("isnet-imgly")
    whole, half = (opacity(isnet(element=element), spec, photo).astype(int) for element in (1, 10))
    assert whole.std() > 20
    assert np.abs(whole - half).mean() < 3


def test_eight_bits_inside(photo: Image.Image, tmp_path: Path) -> None:
    """A file quantised to quint8 takes and gives floats, and its mask is the float32 file's but for its rounding."""
    whole, small = tmp_path / "whole.onnx", tmp_path / "quint8.onnx"
    whole.write_bytes(isnet(seed=13))
    quantize_dynamic(whole, small, weight_type=QuantType.QUInt8)
    spec = spec_of("isnet-imgly")
    found, expected = (opacity(path.read_bytes(), spec, photo).astype(int) for path in (small, whole))
    assert expected.std() > 20
    assert np.abs(found - expected).mean() < 0.25 * expected.std()


def test_layout_and_numbers_by_the_file(photo: Image.Image) -> None:
    """One row takes the network in either layout and gives the same mask."""
    spec = spec_of("isnet-imgly")
    first, last = (opacity(isnet(layout=layout), spec, photo) for layout in ("NCHW", "NHWC"))
    assert np.abs(first.astype(int) - last.astype(int)).max() <= 1
