"""The options of what is made as words beside the configuration: the flags of `bgrd once`, the library's keywords."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from bgrd.config.complaints import complaint
from bgrd.config.edge import EdgeOptions
from bgrd.config.idle import idle_keys
from bgrd.config.output import OutputOptions, ProductTable
from bgrd.config.recipe import recipe_of
from bgrd.config.settings import Options, Settings
from bgrd.errors import ConfigError
from bgrd.job import Recipe

__all__ = ["KEYS", "models_directory", "recipe_from"]

KEYS = frozenset(EdgeOptions.model_fields) | frozenset(OutputOptions.model_fields)
"""What may be said in words: all that decides what is made, nothing of watching and delivering."""


def recipe_from(words: Mapping[str, object], *, base: Options, spelt: Callable[[str], str] = str) -> Recipe:
    """Give the recipe of `base` with words on top, checked as in the configuration; a relative path starts here.

    Raises ConfigError "<key>: ..." with the key as `spelt` gives it.
    """
    unknown = next((key for key in words if key not in KEYS), None)
    if unknown is not None:
        message = f"{spelt(unknown)}: is no word for what is made; there are {', '.join(sorted(KEYS))}"
        raise ConfigError(message)
    try:
        given = Options.model_validate(words)
    except ValidationError as error:
        raise ConfigError("\n".join(_told(detail, spelt) for detail in error.errors())) from error
    options = _over(base, given, words)
    try:
        recipe = recipe_of(options, where="")
    except ConfigError as error:
        key, _colon, text = str(error).removeprefix(".").partition(":")
        message = f"{spelt(key) if key in KEYS else 'defaults.' + key}:{text}"
        raise ConfigError(message) from error
    idle = next((key for key in idle_keys(options, words) if key in words), None)
    if idle is not None:
        message = f"{spelt(idle)}: changes nothing of what is made"
        raise ConfigError(message)
    return recipe


def models_directory() -> Path:
    """Give where models are kept where nobody says otherwise."""
    return Settings().models_directory


def _over(base: Options, given: Options, words: Collection[str]) -> Options:
    """Give `base` with the words on top, also of what its product tables set: without that they inherit the words."""
    taken = {key: getattr(given, key) for key in words}
    if not {"product", "products"} & taken.keys():
        taken["product"] = tuple(
            ProductTable.model_construct(**{key: getattr(table, key) for key in table.model_fields_set - taken.keys()})
            for table in base.product
        )
    return base.model_copy(update={"product": (), **taken})


def _told(detail: Mapping[str, object], spelt: Callable[[str], str]) -> str:
    """Give one error with its key, and what stands in the key's list by its number."""
    where = detail["loc"]
    key = where if isinstance(where, tuple) else ()
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key[1:])
    told = complaint(str(detail["type"]), ("defaults", *key), detail)
    return f"{spelt(str(key[0])) + text}: {told}" if key else told
