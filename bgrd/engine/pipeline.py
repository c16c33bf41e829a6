"""One picture from bytes to results: decode, prepare, infer, matte, refine, compose, encode.

Split at infer: `begin` needs no model in memory but its spec, `finish` needs its answer only.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bgrd.errors import MemoryFault, ModelFault, UnknownFault
from bgrd.imaging.compose import compose
from bgrd.imaging.decode import decode, from_image
from bgrd.imaging.decode import preload as preload_decoders
from bgrd.imaging.encode import encode
from bgrd.imaging.foreground import foreground
from bgrd.imaging.matte import edge, matte, unrefined
from bgrd.imaging.parts import tidied
from bgrd.imaging.picture import Picture
from bgrd.imaging.prepare import over_neutral, prepare
from bgrd.imaging.quiet import quiet
from bgrd.imaging.refine import refined
from bgrd.imaging.room import has_room, most_bytes
from bgrd.job import Product, Recipe
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec, parse
from bgrd.models.store import find
from bgrd.steps import passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgrd.imaging.foreground import Patch

__all__ = ["MAX_PIXELS", "Begun", "Report", "begin", "cut_out", "finish", "preload", "process", "verify"]

MAX_PIXELS = 250_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a picture: its upright size, notes, seconds per stage, bytes per product."""

    width: int
    height: int
    format: str
    notes: tuple[str, ...]
    times: dict[str, float]
    products: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A picture on its way, ready for the model."""

    picture: Picture
    tensor: NDArray[Any]
    times: dict[str, float] = field(default_factory=dict)


def preload() -> None:
    """Load all that would otherwise be loaded when a picture first needs it: afterwards no file has to be opened."""
    Image.preinit()  # `save` would
    preload_decoders()
    hashlib.sha256()  # OpenSSL reads its configuration


def process(
    data: bytes,
    *,
    recipe: Recipe,
    session: Session,
    max_pixels: int = MAX_PIXELS,
    accept_holes: bool = False,
    hole_at: int | None = None,
    write: Callable[[int], BinaryIO],
) -> Report:
    """Turn a file's bytes into every product of the recipe; product i goes to the stream `write(i)` gives.

    Raises the faults of decoding, UnknownFault where the model fails on it, OSError where a stream does. The caller
    closes the streams.
    """
    begun = begin(
        data,
        spec=session.spec,
        element_type=session.element_type,
        max_pixels=max_pixels,
        accept_holes=accept_holes,
        hole_at=hole_at,
    )
    try:
        with _timed(begun.times, "infer"):
            outputs = session.run(begun.tensor)
        passed("lane.inferred")
        return finish(begun, outputs, recipe=recipe, spec=session.spec, write=write)
    except ModelFault as fault:
        # The model has passed its trial: what it does to one picture must not stop the folder for all others.
        raise UnknownFault(str(fault)) from fault


def begin(
    data: bytes,
    *,
    spec: ModelSpec,
    element_type: str,
    max_pixels: int,
    accept_holes: bool = False,
    hole_at: int | None = None,
) -> Begun:
    """Decode and prepare: all that comes before the model."""
    times: dict[str, float] = {}
    with _timed(times, "decode"):
        picture = decode(data, max_pixels=max_pixels, accept_holes=accept_holes, hole_at=hole_at)
    passed("lane.decoded")
    with _timed(times, "prepare"), _memory():
        tensor = prepare(picture.image, spec, alpha=picture.alpha, dtype=element_type)
    passed("lane.prepared")
    return Begun(picture=picture, tensor=tensor, times=times)


def finish(
    begun: Begun,
    outputs: Sequence[NDArray[Any]],
    *,
    recipe: Recipe,
    spec: ModelSpec,
    write: Callable[[int], BinaryIO],
) -> Report:
    """Matte, refine, compose and encode: all that comes after the model. Uses up the picture's pixels."""
    times, picture = begun.times, begun.picture
    alpha = _opacity(picture, outputs, recipe=recipe, spec=spec, times=times)
    passed("lane.matted")
    cleaned = _cleaned(picture, alpha, recipe=recipe, times=times)
    sizes: list[int] = []
    last = max((i for i, product in enumerate(recipe.products) if product.kind == "cutout"), default=-1)
    for index, product in enumerate(recipe.products):
        with _timed(times, "compose"), _memory():
            image = compose(picture, alpha, product, cleaned=cleaned, consume=index == last)
        passed("lane.composed")
        with _timed(times, "encode"):
            stream = write(index)
            start = stream.tell()
            encode(
                image,
                stream,
                product,
                icc=picture.icc,
                exif=picture.exif,
                dpi=picture.dpi,
                metadata=recipe.metadata,
            )
            stream.flush()
            sizes.append(stream.tell() - start)
        passed("lane.encoded")
        del image
    width, height = alpha.size
    return Report(
        width=width,
        height=height,
        format=picture.format,
        notes=picture.notes,
        times=times,
        products=tuple(sizes),
    )


def verify(stream: BinaryIO, product: Product, *, size: tuple[int, int]) -> None:
    """Decode a written product to its last pixel; raises UnknownFault unless it is what was meant to be written."""
    stream.seek(0)
    wanted = "L" if product.kind == "mask" else "RGB" if product.colour is not None else "RGBA"
    try:
        with _memory(), quiet():
            image = PngImageFile(stream) if product.format == "png" else WebPImageFile(stream)
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if not has_room(most_bytes(size, product.format.upper())):  # a decoder that gets no memory calls it damage
            message = "There is not enough memory to check the result."
            raise MemoryFault(message) from error
        message = "The result could not be read back after writing."
        raise UnknownFault(message) from error
    if image.size != size or image.mode not in {wanted, "RGB" if product.format == "webp" else wanted}:
        message = f"The result read back is {image.size} {image.mode}, not {size} {wanted}."
        raise UnknownFault(message)


def cut_out(image: Image.Image | bytes | Path | NDArray[Any], recipe: Recipe | None = None) -> Image.Image:
    """Cut the subject out of one picture: the first product of `recipe`, the same pixels as the daemon's.

    Takes a Pillow image, a file's bytes, a path, or an array (h, w), (h, w, 3) or (h, w, 4) of uint8. The model is
    the built-in one and stays in memory. Raises the faults of decoding and of the model.
    """
    recipe = recipe or Recipe()
    session = _session(recipe.model)
    picture = _taken(image)
    tensor = prepare(picture.image, session.spec, alpha=picture.alpha, dtype=session.element_type)
    alpha = _opacity(picture, session.run(tensor), recipe=recipe, spec=session.spec, times={})
    cleaned = _cleaned(picture, alpha, recipe=recipe, times={})
    result = compose(picture, alpha, recipe.products[0], cleaned=cleaned, consume=True)
    if picture.icc:
        result.info["icc_profile"] = picture.icc
    return result


def _taken(image: Image.Image | bytes | Path | NDArray[Any]) -> Picture:
    if isinstance(image, Path):
        image = image.read_bytes()
    if isinstance(image, bytes):
        return decode(image, max_pixels=MAX_PIXELS)
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    return from_image(image, max_pixels=MAX_PIXELS)


@lru_cache(maxsize=1)
def _session(name: str) -> Session:
    """Load a model for the library's face; one thread, as in a lane, so that the pixels are the same."""
    choice = find(name, custom={}, directory=Path())
    spec = parse(choice.spec, where=name) if choice.spec else None
    data, *weights = (path.read_bytes() for path in choice.files)
    external = dict(zip(choice.external, weights, strict=True))
    session = Session(data, spec=spec, threads=1, name=name, external=external)
    session.trial()
    return session


def _opacity(
    picture: Picture, outputs: Sequence[NDArray[Any]], *, recipe: Recipe, spec: ModelSpec, times: dict[str, float]
) -> Image.Image:
    """Give the opacity of every pixel of the picture as the model and the recipe have it (L)."""
    with _timed(times, "matte"), _memory():
        values = tidied(
            matte(outputs, spec),
            threshold=recipe.threshold,
            specks=recipe.specks,
            holes=recipe.holes,
            largest=recipe.largest,
        )
        mask = unrefined(values, size=picture.image.size, upscale=spec.upscale)
    with _timed(times, "refine"), _memory():
        if recipe.refine == "guided":
            mask = refined(over_neutral(picture.image, picture.alpha), values, mask)
        return edge(mask, threshold=recipe.threshold, feather=recipe.feather)


def _cleaned(picture: Picture, alpha: Image.Image, *, recipe: Recipe, times: dict[str, float]) -> list[Patch]:
    """Give the subject's own colours where the recipe and a product want them."""
    with _timed(times, "clean"), _memory():
        if not recipe.clean_colours or all(product.kind == "mask" for product in recipe.products):
            return []
        return foreground(picture.image, alpha, picture.alpha)


@contextmanager
def _timed(times: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds the block takes to `times[stage]`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        times[stage] = times.get(stage, 0.0) + time.perf_counter() - start


@contextmanager
def _memory() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        message = "There is not enough memory for this picture."
        raise MemoryFault(message) from error
