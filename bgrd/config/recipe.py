"""From a folder's options to the recipe: the settings that change pixels, as plain values."""

from __future__ import annotations

from bgrd.config.settings import Options
from bgrd.config.values import colour_of
from bgrd.errors import ConfigError
from bgrd.job import Product, Recipe

__all__ = ["recipe_of"]

_WEBP_LEVELS = 6


def recipe_of(options: Options, *, where: str) -> Recipe:
    """Give the settings that change pixels. Raises ConfigError "<where>.<key>: ..." where they do not go together."""
    if options.format == "webp" and options.level > _WEBP_LEVELS:
        message = f"{where}.level: must be between 0 and {_WEBP_LEVELS} for webp, is {options.level}"
        raise ConfigError(message)
    lossy = options.quality if options.format == "webp" else None
    products = tuple(
        Product(
            kind=kind,
            format=options.format,
            colour=colour_of(options.background) if kind == "cutout" else None,
            level=options.level,
            quality=lossy if kind == "cutout" else None,
        )
        for kind in options.products
    )
    return Recipe(
        model=options.model,
        threshold=options.threshold,
        feather=options.feather,
        refine=options.refine,
        clean_colours=options.clean_colours,
        specks=options.specks,
        holes=options.holes,
        largest=options.largest,
        metadata=options.metadata,
        products=products,
    )
