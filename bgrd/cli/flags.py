"""The flags of `bgrd once` for what is made: one for each key of the configuration, made from its declaration."""

from __future__ import annotations

import argparse

from bgrd.config.load import Option, options
from bgrd.config.words import KEYS

__all__ = ["add_flags", "flag", "given"]

_DESTINATION = "word_"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each key; one that is not given leaves [defaults] as it is."""
    group = parser.add_argument_group("what is made", "Each is a key of the configuration and wins over [defaults].")
    for option in options():
        if option.table == "defaults" and option.key in KEYS:
            _add(group, option)


def flag(key: str) -> str:
    """Give a key as it is typed."""
    return "--" + key.replace("_", "-")


def given(namespace: argparse.Namespace) -> dict[str, object]:
    """Give the words of the flags that were given, by their keys."""
    found = vars(namespace)
    return {name.removeprefix(_DESTINATION): value for name, value in found.items() if name.startswith(_DESTINATION)}


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    allowed = f" Allowed: {option.allowed}." if option.allowed else ""
    told = f"{option.description}{allowed} (default: {option.default})".replace("%", "%%")
    destination = _DESTINATION + option.key
    if option.default in {"true", "false"}:
        action = argparse.BooleanOptionalAction
        group.add_argument(flag(option.key), dest=destination, action=action, default=argparse.SUPPRESS, help=told)
        return
    default = option.default or ""
    listed = default.startswith("[")
    if listed and not default.startswith('["'):
        told += f" With a sign at the front: {flag(option.key)}=-0.1,0.1"
    group.add_argument(
        flag(option.key),
        dest=destination,
        type=_parts if listed else str,
        metavar="A,B" if listed else option.key.upper(),
        default=argparse.SUPPRESS,
        help=told,
    )


def _parts(text: str) -> list[str]:
    """Give what is listed between commas."""
    return [part.strip() for part in text.split(",")]
