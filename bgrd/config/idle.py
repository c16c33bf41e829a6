"""Keys that are set and change nothing of what is made: whoever set them meant something, so it is said."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bgrd.config.output import ProductOptions
from bgrd.config.recipe import recipe_of
from bgrd.config.settings import Options
from bgrd.errors import ConfigError

__all__ = ["idle_keys"]

_DEFAULTS = {key: field.default for key, field in ProductOptions.model_fields.items()}


def idle_keys(options: Options, own: Collection[str]) -> Iterator[str]:
    """Yield those of `own`, and of the product tables' keys, without which the same would be made.

    A key that says its default is no such key: it may take back what is said elsewhere. `options` make a recipe.
    """
    for key in sorted(_telling(options, own)):
        if _same(options, options.model_copy(update={key: _DEFAULTS[key]})):
            yield key
    for index, table in enumerate(options.product):
        for key in sorted(_telling(table, table.model_fields_set)):
            tables = list(options.product)
            tables[index] = table.model_copy(update={key: _DEFAULTS[key]})
            if _same(options, options.model_copy(update={"product": tuple(tables)})):
                yield f"product[{index}].{key}"


def _telling(table: ProductOptions, own: Collection[str]) -> set[str]:
    return {key for key in _DEFAULTS.keys() & set(own) if getattr(table, key) != _DEFAULTS[key]}


def _same(options: Options, others: Options) -> bool:
    try:
        return recipe_of(others, where="") == recipe_of(options, where="")
    except ConfigError:
        return False  # without the key nothing could be made
