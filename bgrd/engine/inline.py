"""The pipeline in the caller's own process, for the library: no lane, no cage, the same pixels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bgrd.engine.pipeline import MAX_PIXELS, cleaned, load_ground, opacity, subject
from bgrd.engine.supply import ground_fault
from bgrd.errors import ConfigError, Fault
from bgrd.imaging.compose import compose
from bgrd.imaging.given import Given, Made, taken
from bgrd.imaging.picture import Picture
from bgrd.imaging.prepare import prepare
from bgrd.job import Recipe
from bgrd.models.session import Session
from bgrd.models.spec import parse
from bgrd.models.store import find

__all__ = ["cut_out"]


def cut_out(image: Given, recipe: Recipe | None = None, *, models_directory: Path = Path()) -> Made:
    """Cut the subject out of one picture: the first product of `recipe`, the same pixels as the daemon's.

    Takes a Pillow image, a file's bytes, a path, or an array (h, w), (h, w, 3) or (h, w, 4) of uint8. The model is
    the built-in one, or lies in `models_directory`, and stays in memory. Raises the faults of decoding and of the
    model, GroundFault, and ConfigError where the product is to have the depth of its source.
    """
    recipe = recipe or Recipe()
    if recipe.products[0].depth == "source":
        message = 'depth: must be "8" here, as a Pillow image has no colour of 16 bits; files can have it'
        raise ConfigError(message)
    session = _session(recipe.model, models_directory)
    picture = taken(image, max_pixels=MAX_PIXELS)
    tensor = prepare(picture.image, session.spec, alpha=picture.alpha, dtype=session.element_type)
    alpha = opacity(picture, session.run(tensor), recipe=recipe, spec=session.spec, times={})
    product = recipe.products[0]
    box, _notes = subject(picture, alpha, (product,))
    result = compose(
        picture,
        alpha,
        product,
        subject=box,
        grounds=[_ground(path) for path in recipe.grounds],
        cleaned=cleaned(picture, alpha, recipe=recipe, times={}),
        consume=True,
    )
    if picture.icc:
        result.info["icc_profile"] = picture.icc
    return result


@lru_cache(maxsize=1)
def _session(name: str, directory: Path = Path()) -> Session:
    """Load a model for the library's face; one thread, as in a lane, so that the pixels are the same."""
    choice = find(name, custom={}, directory=directory)
    spec = parse(choice.spec, where=name) if choice.spec else None
    data, *weights = (path.read_bytes() for path in choice.files)
    external = dict(zip(choice.external, weights, strict=True))
    session = Session(data, spec=spec, threads=1, name=name, external=external)
    session.trial()
    return session


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
