"""One picture from bytes to results: decode, prepare, infer, matte, compose, encode.

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

from numpy.typing import NDArray
from PIL import Image

from bgrd.engine.supply import ground_fault
from bgrd.errors import Fault, MemoryFault, ModelFault, UnknownFault
from bgrd.imaging.compose import compose, whole_opacity
from bgrd.imaging.decode import decode
from bgrd.imaging.decode import preload as preload_decoders
from bgrd.imaging.encode import encode
from bgrd.imaging.frame import Box, subject_box
from bgrd.imaging.given import Given, taken
from bgrd.imaging.ground import flattened
from bgrd.imaging.matte import edge, matte
from bgrd.imaging.picture import Picture
from bgrd.imaging.prepare import prepare
from bgrd.job import Recipe
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec, parse
from bgrd.models.store import find
from bgrd.product import Product
from bgrd.steps import passed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MAX_PIXELS",
    "Begun",
    "Report",
    "begin",
    "cut_out",
    "finish",
    "load_ground",
    "preload",
    "process",
]

MAX_PIXELS = 250_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a picture: its upright size, notes, seconds per stage, bytes and size in pixels per product."""

    width: int
    height: int
    format: str
    notes: tuple[str, ...]
    times: dict[str, float]
    products: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]


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
    grounds: Sequence[Picture] = (),
    write: Callable[[int], BinaryIO],
) -> Report:
    """Turn a file's bytes into every product of the recipe; product i goes to the stream `write(i)` gives.

    `grounds` are the recipe's pictures, from `load_ground`.

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
        return finish(begun, outputs, recipe=recipe, spec=session.spec, grounds=grounds, write=write)
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


def load_ground(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a picture that cut-outs stand on: upright and opaque. Raises the faults of decoding."""
    picture = decode(data, max_pixels=max_pixels)
    with _memory():
        return flattened(picture)


def finish(
    begun: Begun,
    outputs: Sequence[NDArray[Any]],
    *,
    recipe: Recipe,
    spec: ModelSpec,
    grounds: Sequence[Picture] = (),
    write: Callable[[int], BinaryIO],
) -> Report:
    """Matte, compose and encode: all that comes after the model. Uses up the picture's pixels."""
    times, picture = begun.times, begun.picture
    with _timed(times, "matte"), _memory():
        alpha = _opacity(picture, outputs, recipe=recipe, spec=spec)
        subject, notes = _subject(picture, alpha, recipe.products)
    passed("lane.matted")
    bytes_written: list[int] = []
    sizes: list[tuple[int, int]] = []
    last = max((i for i, product in enumerate(recipe.products) if product.kind != "mask"), default=-1)
    for index, product in enumerate(recipe.products):
        with _timed(times, "compose"), _memory():
            image = compose(picture, alpha, product, subject=subject, grounds=grounds, consume=index == last)
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
            bytes_written.append(stream.tell() - start)
            sizes.append(image.size)
        passed("lane.encoded")
        del image
    width, height = alpha.size
    return Report(
        width=width,
        height=height,
        format=picture.format,
        notes=(*picture.notes, *notes),
        times=times,
        products=tuple(bytes_written),
        sizes=tuple(sizes),
    )


def _subject(picture: Picture, alpha: Image.Image, products: Sequence[Product]) -> tuple[Box | None, tuple[str, ...]]:
    """Give the box of the subject where a product is trimmed to it, and a note where there is nothing to trim to."""
    if not any(product.frame.trim and product.kind in {"cutout", "mask"} for product in products):
        return None, ()
    box = subject_box(whole_opacity(picture, alpha))
    return box, () if box is not None else ("No subject was found, so nothing was trimmed.",)


def cut_out(image: Given, recipe: Recipe | None = None, *, models_directory: Path = Path()) -> Image.Image:
    """Cut the subject out of one picture: the first product of `recipe`, the same pixels as the daemon's.

    Takes a Pillow image, a file's bytes, a path, or an array (h, w), (h, w, 3) or (h, w, 4) of uint8. The model is
    the built-in one, or lies in `models_directory`, and stays in memory. Raises the faults of decoding and of the
    model, and GroundFault.
    """
    recipe = recipe or Recipe()
    session = _session(recipe.model, models_directory)
    picture = taken(image, max_pixels=MAX_PIXELS)
    tensor = prepare(picture.image, session.spec, alpha=picture.alpha, dtype=session.element_type)
    alpha = _opacity(picture, session.run(tensor), recipe=recipe, spec=session.spec)
    product = recipe.products[0]
    subject, _notes = _subject(picture, alpha, (product,))
    grounds = [_ground(path) for path in recipe.grounds]
    result = compose(picture, alpha, product, subject=subject, grounds=grounds, consume=True)
    if picture.icc:
        result.info["icc_profile"] = picture.icc
    return result


@lru_cache(maxsize=1)
def _session(name: str, directory: Path = Path()) -> Session:
    """Load a model for the library's face; one thread, as in a lane, so that the pixels are the same."""
    choice = find(name, custom={}, directory=directory)
    spec = parse(choice.spec, where=name) if choice.spec else None
    return Session(choice.path.read_bytes(), spec=spec, threads=1, name=name)


def _ground(path: Path) -> Picture:
    """Read a picture to stand on; the same one for as long as the file stays as it is. Raises GroundFault."""
    try:
        status = path.stat()
        return _read_ground(path, status.st_size, status.st_mtime_ns)
    except (OSError, Fault) as error:
        raise ground_fault(path, getattr(error, "strerror", None) or error) from error


@lru_cache(maxsize=4)
def _read_ground(path: Path, size: int, mtime_ns: int) -> Picture:
    del size, mtime_ns
    return load_ground(path.read_bytes())


def _opacity(picture: Picture, outputs: Sequence[NDArray[Any]], *, recipe: Recipe, spec: ModelSpec) -> Image.Image:
    values = matte(outputs, spec)
    return edge(
        values,
        size=picture.image.size,
        threshold=recipe.threshold,
        feather=recipe.feather,
        upscale=spec.upscale,
    )


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
