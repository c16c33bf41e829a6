"""The library's face: the same pixels as the daemon's, in a line of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bgrd.config.settings import Options
from bgrd.config.words import models_directory, recipe_from
from bgrd.engine import inline

if TYPE_CHECKING:
    from bgrd.imaging.given import Given, Made
    from bgrd.job import Recipe

__all__ = ["cut_out", "recipe"]


def recipe(**words: object) -> Recipe:
    """Give a recipe of the configuration's words, as `recipe(on="white", trim=True, margin=0.08)`.

    No configuration is read: what is not said has its default. Raises ConfigError that names the word.
    """
    return recipe_from(words, base=Options())


def cut_out(image: Given, recipe: Recipe | None = None, **words: object) -> Made:
    """Cut the subject out of one picture: the first product of `recipe`, or of words such as `on="white"`.

    What is given is pixels with their colour profile: format, level, quality, metadata and result_name have no say.

    Takes a Pillow image, a file's bytes, a path, or an array (h, w), (h, w, 3) or (h, w, 4) of uint8. The model stays
    in memory. Raises ConfigError that names a wrong word, the faults of decoding and of the model, and GroundFault
    where the picture to stand on cannot be used.
    """
    if recipe is not None and words:
        message = f"cut_out takes a recipe or words, not both: {', '.join(sorted(words))}"
        raise TypeError(message)
    made = recipe_from(words, base=Options()) if words else recipe
    return inline.cut_out(image, made, models_directory=models_directory())
