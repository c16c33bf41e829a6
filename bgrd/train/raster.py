"""Arithmetic on pixels for training samples; the only importer of OpenCV.

Pictures are float32 (height, width, 3), RGB in 0..1; planes float32 (height, width) in 0..1; points are (x, y) in
pixels, the middle of the first pixel at (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bytes",
    "Picture",
    "Plane",
    "Points",
    "affine",
    "blur",
    "cells",
    "decode",
    "depth",
    "dilate",
    "drag",
    "erode",
    "fill",
    "look_up",
    "mixed",
    "one_thread",
    "perspective",
    "remap",
    "resize",
    "rims",
    "scattered",
    "slopes",
    "squeeze",
    "stamped",
    "strokes",
    "thrice",
    "warp",
]

Picture = NDArray[np.float32]
Plane = NDArray[np.float32]
Points = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_FINE = 2
"""Outlines are filled at twice the size and averaged; OpenCV fills the rim too, so that all is 1/3 pixel wider."""
_SHIFT = 4
"""Binary places of a coordinate handed to OpenCV."""


def one_thread() -> None:
    """Keep OpenCV on the calling thread: samples are small, and whoever wants more starts more workers."""
    cv2.setNumThreads(0)


def decode(data: bytes, *, channels: int) -> Bytes | None:
    """Decode a JPEG or PNG to (height, width, 3) RGB, (.., 4) RGBA or (..) grey; None where it is no such picture."""
    flags = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR_RGB, 4: cv2.IMREAD_UNCHANGED}[channels]
    try:
        found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if found is None or found.dtype != np.uint8:
        return None
    if channels == 4:
        return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA), np.uint8) if found.shape[2:] == (4,) else None
    return np.asarray(found, np.uint8)


def squeeze(picture: Bytes, *, quality: int) -> Bytes:
    """Put an RGB picture through JPEG of a quality and back."""
    packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB), np.uint8)


def look_up(picture: Bytes, *, table: NDArray[Any]) -> NDArray[Any]:
    """Send each byte of RGB through a table of (1, 256, 3), its own for each channel; gives the table's type."""
    return np.asarray(cv2.LUT(picture, table))


def resize(image: NDArray[Any], *, width: int, height: int, smooth: bool = True) -> NDArray[Any]:
    """Resize: by area where it shrinks; where it grows, cubic or, without `smooth`, by nearest."""
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    grow = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else grow))


def blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur by a Gaussian of `sigma` pixels; wide ones on a smaller copy, which nobody can tell."""
    if sigma < 0.3:
        return image
    step = int(sigma // 4) + 1
    if step == 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(width // step, 2), max(height // step, 2)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def drag(image: NDArray[Any], *, length: int, angle: float) -> NDArray[Any]:
    """Blur along a line about `length` pixels long at `angle` radians, as a moving camera does; nothing moves."""
    middle = length // 2
    kernel = np.zeros((2 * middle + 1,) * 2, np.float32)
    step = np.array([np.cos(angle), np.sin(angle)]) * middle
    ends = [tuple(middle + sign * round(float(value)) for value in step) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    # The line that is drawn leans to one end: a picture would move against the alpha it is to agree with.
    kernel += kernel[::-1, ::-1]
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def affine(*, angle: float, scale: tuple[float, float], source: Points, target: Points) -> NDArray[np.float64]:
    """Give the 3x3 matrix that scales and turns by `angle` radians about `source`, which it sets on `target`."""
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(scale)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = target - linear @ source
    return matrix


def perspective(source: Points, target: Points) -> NDArray[np.float64]:
    """Give the 3x3 matrix that sends four points to four others."""
    return np.asarray(cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32)), np.float64)


def warp(
    image: NDArray[Any], matrix: NDArray[np.float64], *, side: tuple[int, int], mirror: bool = False
) -> NDArray[Any]:
    """Draw an image through a 3x3 matrix into (width, height); outside is 0 or, with `mirror`, its mirror image.

    Where the matrix shrinks by more than 1.5 the image is averaged down first, or thin things would flicker out.
    """
    factor = 1 / np.sqrt(max(abs(float(np.linalg.det(matrix[:2, :2]))), 1e-6))
    if factor > 1.5:
        height, width = image.shape[:2]
        small = (max(round(width / factor), 1), max(round(height / factor), 1))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA))
        ratio = np.array([width / small[0], height / small[1]])
        back = np.diag([*ratio, 1.0])
        back[:2, 2] = (ratio - 1) / 2
        matrix = matrix @ back
    border = cv2.BORDER_REFLECT if mirror else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpPerspective(image, matrix, side, flags=cv2.INTER_LINEAR, borderMode=border))


def remap(image: NDArray[np.float32], *, x: Plane, y: Plane) -> NDArray[np.float32]:
    """Read an image at float positions, mirrored beyond its border."""
    found = cv2.remap(image, x, y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float32)


def fill(outlines: Sequence[Points], *, width: int, height: int, union: bool = False) -> Plane:
    """Give the coverage of closed outlines together: an outline within another is a hole, or with `union` is not."""
    plane = np.zeros((height * _FINE, width * _FINE), np.uint8)
    points = _fixed(outlines)
    for group in [[each] for each in points] if union else [points]:
        cv2.fillPoly(plane, group, 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return _coarse(plane, width=width, height=height)


def strokes(lines: Sequence[Points], *, thickness: float, width: int, height: int) -> Plane:
    """Give the coverage of open lines, all `thickness` pixels thick; under half a pixel they fade and do not break."""
    plane = np.zeros((height * _FINE, width * _FINE), np.uint8)
    whole = max(round(thickness * _FINE), 1)
    value = round(255 * min(thickness * _FINE / whole, 1.0))
    cv2.polylines(
        plane, _fixed(lines), isClosed=False, color=value, thickness=whole, lineType=cv2.LINE_AA, shift=_SHIFT
    )
    return _coarse(plane, width=width, height=height)


def rims(plane: Plane) -> list[Points]:
    """Give the outer outlines of where a plane is above one half."""
    found = cv2.findContours((plane > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return [np.asarray(outline, np.float32).reshape(-1, 2) for outline in found]


def _fixed(lines: Sequence[Points]) -> list[NDArray[np.int32]]:
    limit = 1 << 17
    return [
        np.clip(np.round(((line + 0.5) * _FINE - 0.5) * (1 << _SHIFT)), -limit, limit).astype(np.int32)
        for line in lines
    ]


def _coarse(plane: Bytes, *, width: int, height: int) -> Plane:
    small = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def depth(plane: Plane) -> Plane:
    """Give how many pixels each point lies inside of where the plane is above one half."""
    inside = (plane > 0.5).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)


def cells(points: Points, *, width: int, height: int) -> tuple[Plane, NDArray[np.int32]]:
    """Give each pixel's distance to the nearest of `points` and a number of that point, from 1."""
    seeds = np.full((height, width), 255, np.uint8)
    seeds[np.clip(points[:, 1], 0, height - 1).astype(int), np.clip(points[:, 0], 0, width - 1).astype(int)] = 0
    far, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_CCOMP)
    return np.asarray(far, np.float32), np.asarray(label, np.int32)


def slopes(plane: Plane) -> tuple[Plane, Plane]:
    """Give how much a plane rises a pixel to the right and downwards."""
    across = cv2.Sobel(plane, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    down = cv2.Sobel(plane, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def erode(plane: Plane, *, pixels: int) -> Plane:
    """Give the least value within a square of `pixels` around each point."""
    return np.asarray(cv2.erode(plane, np.ones((2 * pixels + 1,) * 2, np.uint8)), np.float32)


def dilate(plane: Plane, *, pixels: int) -> Plane:
    """Give the greatest value within a square of `pixels` around each point."""
    return np.asarray(cv2.dilate(plane, np.ones((2 * pixels + 1,) * 2, np.uint8)), np.float32)


def mixed(picture: NDArray[Any], matrix: NDArray[np.float32]) -> NDArray[Any]:
    """Mix an RGB picture's channels by a (3, 3) matrix, or a (3, 4) one whose last column is added."""
    return np.asarray(cv2.transform(picture, matrix))


def stamped(picture: Bytes, text: str, *, spot: tuple[int, int], size: float, colour: tuple[int, int, int]) -> Bytes:
    """Write a line of text, its lower left corner at `spot`, `size` times as large as OpenCV's plain letters."""
    return np.asarray(
        cv2.putText(picture.copy(), text, spot, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA), np.uint8
    )


def scattered(picture: Picture, outlines: Sequence[Points], *, colours: NDArray[np.float32]) -> Picture:
    """Give a picture with outlines filled by colours (count, 3), one over the other."""
    found = picture.copy()
    for outline, colour in zip(outlines, colours, strict=True):
        points = np.round(outline * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(found, [points], [float(part) for part in colour], lineType=cv2.LINE_8, shift=_SHIFT)
    return found


def thrice(plane: Plane) -> Picture:
    """Give a plane for each of three channels: four times as fast as letting numpy spread it over a product."""
    return np.asarray(cv2.merge([plane, plane, plane]), np.float32)
