"""Pictures brought to another size by products of matrices."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tracemalloc
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bgrd.imaging import resample
from bgrd.imaging.resample import FILTERS, enlarged, shrunk
from tests.pictures.making import UNHURRIED, noise

KERNELS = ("bilinear", "bicubic", "lanczos")

Size = tuple[int, int]


def always() -> Any:
    """Give a context in which Pillow shrinks nothing, however small it is."""
    return patch.object(resample, "_pays", return_value=True)


def apart(found: NDArray[np.uint8], image: Image.Image, kernel: str) -> NDArray[np.int_]:
    """Give how far the pixels are from Pillow's."""
    theirs = image.resize((found.shape[1], found.shape[0]), FILTERS[kernel])
    return np.asarray(np.abs(found.astype(int) - np.asarray(theirs)))


@given(
    across=st.integers(1, 12),
    scale=st.floats(10.0, 30.0),
    height=st.integers(1, 180),
    down=st.integers(1, 40),
    kernel=st.sampled_from(KERNELS),
    seed=st.integers(0, 5),
)
@example(across=1, scale=3000.0, height=1, down=1, kernel="lanczos", seed=0)
@example(across=300, scale=10.0, height=2, down=2, kernel="lanczos", seed=0)
@UNHURRIED
def test_shrinking_is_within_two_steps_of_pillow(
    across: int, scale: float, height: int, down: int, kernel: str, seed: int
) -> None:
    """Every pixel, whatever the sizes: below the filter's reach, narrow, equal, one pixel."""
    width = math.ceil(across * scale)
    height = min(height, int(width * 1.55))
    down = min(down, height)
    image = noise(width, height, seed=seed)
    with patch.object(Image.Image, "resize", side_effect=AssertionError("by Pillow")):
        found = shrunk(image, (across, down), kernel)
    assert found.shape == (down, across, 3)
    assert apart(found, image, kernel).max() <= 2


@given(
    small=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    more=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    kernel=st.sampled_from(KERNELS),
    seed=st.integers(0, 5),
)
@example(small=(1, 1), more=(0, 0), kernel="lanczos", seed=0)
@example(small=(2, 1), more=(3000, 0), kernel="lanczos", seed=0)
@example(small=(1, 320), more=(0, 3000), kernel="bicubic", seed=0)
@UNHURRIED
def test_enlarging_is_within_two_steps_of_pillow(small: Size, more: Size, kernel: str, seed: int) -> None:
    """Every pixel, whatever the sizes: one pixel, narrow, equal, a little or much larger."""
    image, size = noise(*small, seed=seed).convert("L"), (small[0] + more[0], small[1] + more[1])
    with patch.object(Image.Image, "resize", side_effect=AssertionError("by Pillow")):
        found = enlarged(image, size, kernel)
    assert (found.mode, found.size) == ("L", size)
    assert apart(np.asarray(found), image, kernel).max() <= 2


@pytest.mark.parametrize("kernel", KERNELS)
def test_few_pixels_differ_from_pillow_at_all(kernel: str) -> None:
    """One in fifty at most, of noise, which is the hardest picture there is; the last strip is a short one."""
    image = noise(3300, 771)
    with always():
        assert (apart(shrunk(image, (100, 90), kernel), image, kernel) > 0).mean() < 0.02
    small = noise(100, 90).convert("L")
    assert (apart(np.asarray(enlarged(small, (1333, 771), kernel)), small, kernel) > 0).mean() < 0.02


@given(value=st.integers(0, 255), size=st.tuples(st.integers(1, 500), st.integers(1, 500)))
@example(value=255, size=(70_000, 1))
@example(value=255, size=(1, 70_000))
@UNHURRIED
def test_what_is_flat_stays_flat(value: int, size: Size) -> None:
    """To the last pixel, with every filter: the weights sum to one."""
    small = (min(size[0], 37), min(size[1], 23))
    for kernel in KERNELS:
        with always():
            assert (shrunk(Image.new("RGB", size, (value,) * 3), small, kernel) == value).all()
        assert (np.asarray(enlarged(Image.new("L", small, value), size, kernel)) == value).all()


@given(size=st.tuples(st.integers(1, 400), st.integers(1, 400)), kernel=st.sampled_from(KERNELS))
@UNHURRIED
def test_no_sum_is_rounded_before_its_end(size: Size, kernel: str) -> None:
    """Products in twice the precision give the same bytes: so does every order in which float32s are summed."""

    def doubled(left: NDArray[Any], right: NDArray[Any], out: NDArray[Any]) -> None:
        out[...] = np.einsum("ij,jk->ik", left.astype(np.float64), right.astype(np.float64))

    image, small = noise(*size), (min(size[0], 19), min(size[1], 40))
    black = image.point(lambda value: 255 * (value > 127))  # the largest sums
    for picture in (image, black):
        with always():
            found = shrunk(picture, small, kernel), np.asarray(enlarged(picture.convert("L"), (450, 420), kernel))
            with patch.object(np, "matmul", doubled):
                exact = shrunk(picture, small, kernel), np.asarray(enlarged(picture.convert("L"), (450, 420), kernel))
        assert all(np.array_equal(*pair) for pair in zip(found, exact, strict=True))


def test_weights_too_fine_for_exact_sums_are_refused() -> None:
    """Nothing is rounded in silence: with a bit more in the weights it says so."""
    with patch.object(resample, "_UNIT", 2**16), pytest.raises(ArithmeticError, match="lanczos from 500 to 20"):
        shrunk(noise(500, 20), (20, 20), "lanczos")


_HASHED = """
import hashlib
from bgrd.imaging.resample import enlarged, shrunk
from tests.pictures.making import noise
image = noise(1500, 700)
small = shrunk(image, (128, 128), "lanczos")
print(hashlib.sha256(small.tobytes() + enlarged(image.convert("L"), (3000, 2000), "lanczos").tobytes()).hexdigest())
"""


def test_threads_change_nothing() -> None:
    """The bytes are the same with one thread of the library that multiplies, with two, and with its oldest kernels."""
    settings: list[dict[str, str]] = [
        {"OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Prescott"},
    ]
    found = {
        subprocess.run(
            [sys.executable, "-c", _HASHED], env={**os.environ, **setting}, capture_output=True, check=True, text=True
        ).stdout
        for setting in settings
    }
    assert len(found) == 1


_SHORT = """
import resource
import numpy as np
from pathlib import Path
from bgrd.imaging.resample import enlarged, preload
from tests.pictures.making import noise
small = noise(64, 64).convert("L")
preload()
held = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
resource.setrlimit(resource.RLIMIT_DATA, ((held << 10) + 2**23,) * 2)
print(enlarged(small, (1000, 1000), "lanczos").size)
try:
    enlarged(small, (8000, 8000), "lanczos")
except MemoryError:
    print("short")
"""


def test_short_of_memory_after_preload() -> None:
    """The library that multiplies has its buffer by then; without one it would end the process. The rest is told."""
    done = subprocess.run([sys.executable, "-c", _SHORT], capture_output=True, check=False, text=True)
    assert done.stdout.splitlines() == ["(1000, 1000)", "short"], done.stderr


@pytest.mark.parametrize(
    ("size", "small", "kernel"),
    [
        ((300, 300), (100, 100), "lanczos"),
        ((2000, 50), (20, 60), "lanczos"),
        ((2000, 2000), (20, 20), "box"),
        ((400, 700), (40, 40), "lanczos"),
    ],
)
def test_pillow_shrinks_what_is_left_to_it(size: Size, small: Size, kernel: str) -> None:
    """Little shrinking, what grows one way, the box, and tall pictures: those are Pillow's pixels to the last."""
    image = noise(*size)
    assert not apart(shrunk(image, small, kernel), image, kernel).any()


@pytest.mark.parametrize(("size", "kernel"), [((200, 40), "lanczos"), ((40, 200), "bicubic"), ((200, 200), "box")])
def test_pillow_enlarges_what_shrinks_one_way(size: Size, kernel: str) -> None:
    """It may then take the passes in the other order, which moves more than rounding does; the box is its too."""
    small = noise(64, 64).convert("L")
    assert not apart(np.asarray(enlarged(small, size, kernel)), small, kernel).any()


@pytest.mark.parametrize("size", [(6000, 4000), (40_000, 600)])
def test_no_floats_of_full_size(size: Size) -> None:
    """Beside a byte per value between the passes, which Pillow has too, 15 MB however large the picture is."""
    image, small = Image.new("RGB", size), Image.new("L", (320, 320))
    peaks = []
    tracemalloc.start()
    try:
        for step in (lambda: shrunk(image, (320, 320), "lanczos"), lambda: enlarged(small, size, "lanczos")):
            tracemalloc.reset_peak()
            step()
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[0] - 3 * 320 * size[1] < 15e6
    assert peaks[1] - 320 * size[0] - size[0] * size[1] < 15e6
