"""One picture from bytes to results: decode, prepare, infer, matte, refine, compose, encode.

Split at infer: `begin` needs no model in memory but its spec, `finish` needs its answer only.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image

from bgrd.errors import MemoryFault, ModelFault, UnknownFault
from bgrd.imaging.compose import compose, whole_opacity
from bgrd.imaging.decode import decode
from bgrd.imaging.decode import preload as preload_decoders
from bgrd.imaging.deep import REDUCED, Deepened, deepened
from bgrd.imaging.encode import encode
from bgrd.imaging.foreground import foreground
from bgrd.imaging.frame import Box, subject_box
from bgrd.imaging.ground import flattened
from bgrd.imaging.matte import edge, matte, unrefined
from bgrd.imaging.parts import tidied
from bgrd.imaging.picture import Picture
from bgrd.imaging.prepare import over_neutral, prepare
from bgrd.imaging.refine import refined
from bgrd.imaging.resample import preload as preload_products
from bgrd.job import Recipe
from bgrd.models.runner import Runner
from bgrd.models.spec import ModelSpec
from bgrd.product import Product
from bgrd.steps import passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgrd.imaging.foreground import Patch

__all__ = [
    "MAX_PIXELS",
    "Begun",
    "Report",
    "begin",
    "cleaned",
    "complete",
    "finish",
    "load_ground",
    "opacity",
    "preload",
    "process",
    "subject",
]

MAX_PIXELS = 250_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a picture: its upright size, notes, seconds per stage.

    Per product its bytes, size in pixels and bits a sample (`depths`).
    """

    width: int
    height: int
    format: str
    notes: tuple[str, ...]
    times: dict[str, float]
    products: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    depths: tuple[int, ...]


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
    preload_products()
    hashlib.sha256()  # OpenSSL reads its configuration


def process(
    data: bytes,
    *,
    recipe: Recipe,
    session: Runner,
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
        data, recipe=recipe, session=session, max_pixels=max_pixels, accept_holes=accept_holes, hole_at=hole_at
    )
    return complete(begun, recipe=recipe, session=session, grounds=grounds, write=write)


def begin(
    data: bytes,
    *,
    recipe: Recipe,
    session: Runner,
    max_pixels: int,
    accept_holes: bool = False,
    hole_at: int | None = None,
) -> Begun:
    """Decode and prepare: all that comes before the model. Raises the faults of decoding."""
    times: dict[str, float] = {}
    deep = any(product.depth == "source" for product in recipe.products)
    with _timed(times, "decode"):
        picture = decode(data, max_pixels=max_pixels, accept_holes=accept_holes, hole_at=hole_at, deep=deep)
    passed("lane.decoded")
    with _timed(times, "prepare"), _memory():
        tensor = prepare(picture.image, session.spec, alpha=picture.alpha, dtype=session.element_type)
    passed("lane.prepared")
    return Begun(picture=picture, tensor=tensor, times=times)


def complete(
    begun: Begun,
    *,
    recipe: Recipe,
    session: Runner,
    grounds: Sequence[Picture] = (),
    write: Callable[[int], BinaryIO],
) -> Report:
    """Infer, and all that comes after it; see `process`. Uses up the picture's pixels."""
    try:
        with _timed(begun.times, "infer"):
            outputs = session.run(begun.tensor)
        passed("lane.inferred")
        return finish(begun, outputs, recipe=recipe, spec=session.spec, grounds=grounds, write=write)
    except ModelFault as fault:
        # The model has passed its trial: what it does to one picture must not stop the folder for all others.
        raise UnknownFault(str(fault)) from fault


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
    """Matte, refine, compose and encode: all that comes after the model. Uses up the picture's pixels."""
    times, picture = begun.times, begun.picture
    alpha = opacity(picture, outputs, recipe=recipe, spec=spec, times=times)
    with _timed(times, "matte"), _memory():
        box, notes = subject(picture, alpha, recipe.products)
        deep, shallow = _deep_ones(picture, alpha, recipe, box)
    passed("lane.matted")
    patches = cleaned(picture, alpha, recipe=recipe, times=times)
    bytes_written: list[int] = []
    sizes: list[tuple[int, int]] = []
    last = max((i for i, product in enumerate(recipe.products) if product.kind != "mask"), default=-1)
    for index, product in enumerate(recipe.products):
        with _timed(times, "compose"), _memory():
            # What is written in 16 bits needs the picture's pixels as they are.
            consume = index == last and picture.deep is None
            image = deep.get(index) or compose(
                picture, alpha, product, subject=box, grounds=grounds, cleaned=patches, consume=consume
            )
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
        notes=(*picture.notes, *notes, *shallow),
        times=times,
        products=tuple(bytes_written),
        sizes=tuple(sizes),
        depths=tuple(16 if index in deep else 8 for index in range(len(recipe.products))),
    )


def _deep_ones(
    picture: Picture, alpha: Image.Image, recipe: Recipe, box: Box | None
) -> tuple[dict[int, Deepened], list[str]]:
    """Give the results of 16 bits by their place in the recipe, and notes on those that have fewer than the source."""
    made: dict[int, Deepened] = {}
    notes: list[str] = []
    for index, product in enumerate(recipe.products if picture.deep is not None else ()):
        if product.depth == "8":
            notes.append(REDUCED)
            continue
        found = deepened(picture, alpha, product, subject=box, cleaned=recipe.clean_colours)
        if isinstance(found, Deepened):
            made[index] = found
        else:
            notes.append(f"The {product.kind} has 8 bits a sample, not 16: {found}.")
    return made, list(dict.fromkeys(notes))


def subject(picture: Picture, alpha: Image.Image, products: Sequence[Product]) -> tuple[Box | None, tuple[str, ...]]:
    """Give the box of the subject where a product is trimmed to it, and a note where there is nothing to trim to."""
    if not any(product.frame.trim and product.kind in {"cutout", "mask"} for product in products):
        return None, ()
    box = subject_box(whole_opacity(picture, alpha))
    return box, () if box is not None else ("No subject was found, so nothing was trimmed.",)


def opacity(
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


def cleaned(picture: Picture, alpha: Image.Image, *, recipe: Recipe, times: dict[str, float]) -> list[Patch]:
    """Give the subject's own colours where the recipe and a product want them."""
    with _timed(times, "clean"), _memory():
        shown = any(product.kind in {"cutout", "compare"} for product in recipe.products)
        if not (recipe.clean_colours and shown):
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
