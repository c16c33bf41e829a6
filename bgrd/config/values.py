"""What a text in the configuration means: paths, sizes, modes, colours; pure, and every refusal is a ValueError.

A refusal's message completes "KEY: ...", so it starts with "must be" or says what is missing.
"""

from __future__ import annotations

import math
import os
import re
import string
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bgrd.models.providers import PROVIDERS

__all__ = [
    "Surroundings",
    "aspect_of",
    "canvas_of",
    "colour_of",
    "expand",
    "file_name_of",
    "ground_of",
    "human_size",
    "mode_of",
    "place_of",
    "providers_of",
    "size_of",
    "surroundings",
]

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_WRITTEN_UNITS = ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)
_LARGEST = 2**63 - 1

_MOST_PART = 100
_MOST_CANVAS = 16_384

# Source: CSS Color Module Level 4, 6.1: the sixteen basic names, orange of CSS 2.1, and the other grey.
_COLOURS = {
    "aqua": "#00ffff",
    "black": "#000000",
    "blue": "#0000ff",
    "fuchsia": "#ff00ff",
    "gray": "#808080",
    "green": "#008000",
    "grey": "#808080",
    "lime": "#00ff00",
    "maroon": "#800000",
    "navy": "#000080",
    "olive": "#808000",
    "orange": "#ffa500",
    "purple": "#800080",
    "red": "#ff0000",
    "silver": "#c0c0c0",
    "teal": "#008080",
    "white": "#ffffff",
    "yellow": "#ffff00",
}

# Source: XDG Base Directory Specification 0.8, which also says that a relative value is to be ignored.
_XDG_FALLBACKS = {
    "XDG_CONFIG_HOME": "~/.config",
    "XDG_DATA_HOME": "~/.local/share",
    "XDG_STATE_HOME": "~/.local/state",
    "XDG_CACHE_HOME": "~/.cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a path in the settings is relative to, and where its `$NAMES` come from."""

    base: Path
    environ: Mapping[str, str]


# A context variable, since pydantic hands no validation context to a BaseSettings constructor.
surroundings: ContextVar[Surroundings | None] = ContextVar("surroundings", default=None)


def place_of(value: object) -> Path:
    """Give the absolute path that a setting names in the `surroundings`, or else in this process. Raises ValueError."""
    if not isinstance(value, str | Path):
        message = f"must be a path, is {value!r}"
        raise ValueError(message)
    around = surroundings.get() or Surroundings(base=Path.cwd(), environ=os.environ)
    return expand(str(value), base=around.base, environ=around.environ)


def expand(text: str, *, base: Path, environ: Mapping[str, str]) -> Path:
    """Give the absolute path a text stands for: `~`, `$NAME` and `${NAME}` are replaced, `base` is where it starts.

    `..` is resolved by the text alone, `$$` is a dollar sign. The XDG base directories have their standard values
    where they are not set. Raises ValueError.
    """
    if not text or "\0" in text:
        message = "must be a path, is empty" if not text else "must be a path, has a NUL character in it"
        raise ValueError(message)
    home = environ.get("HOME") or os.path.expanduser("~")
    if text.startswith("~") and text != "~" and not text.startswith("~/"):
        message = f"must be a whole path, not another user's home ({text!r})"
        raise ValueError(message)
    text = home + text[1:] if text.startswith("~") else text
    named = {**environ, **_base_directories(home, environ)}
    try:
        text = string.Template(text).substitute(named)
    except KeyError as error:
        message = f"names ${error.args[0]}, which is not set"
        raise ValueError(message) from error
    except ValueError as error:
        message = f"must be a path, has a lone $ in it ({text!r}); a dollar sign is written $$"
        raise ValueError(message) from error
    path = os.path.normpath(base / text)
    return Path(path[1:] if path.startswith("//") else path)


def _base_directories(home: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the XDG base directories as they stand in the environment, or else their standard values."""
    return {
        name: value if (value := environ.get(name, "")).startswith("/") else home + fallback[1:]
        for name, fallback in _XDG_FALLBACKS.items()
    }


def file_name_of(text: str) -> str:
    """Give a name below a model's folder as it is. Raises ValueError for one that leads out of it."""
    parts = text.split("/")
    if "\0" in text or any(part in {"", ".", ".."} for part in parts):
        message = f"must be a name below the model's own folder, is {text!r}"
        raise ValueError(message)
    return text


def providers_of(value: object) -> tuple[str, ...]:
    """Give the providers' short names that a setting lists. Raises ValueError."""
    names = list(value) if isinstance(value, list | tuple) else []
    known = all(isinstance(name, str) and name in PROVIDERS for name in names)
    if not (names and known) or len(set(names)) != len(names):
        message = f'must be "auto" or a list of {", ".join(PROVIDERS)}, is {value!r}'
        raise ValueError(message)
    return tuple(str(name) for name in names)


def size_of(value: object) -> int:
    """Give the number of bytes of `268435456` or of a text such as "256 MiB" or "1.5 GB". Raises ValueError."""
    message = f'must be a number of bytes or a size like "256 MiB", is {value!r}'
    if isinstance(value, int) and not isinstance(value, bool):
        count = value
    else:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None or match[2].lower() not in _UNITS:
            raise ValueError(message)
        count = int(Decimal(match[1]) * _UNITS[match[2].lower()])
    if not 0 <= count <= _LARGEST:
        raise ValueError(message)
    return count


def human_size(count: int) -> str:
    """Give the shortest text that `size_of` turns into exactly `count` bytes, or else the number itself."""
    fitting = [
        f"{count // _UNITS[unit.lower()]} {unit}"
        for unit in _WRITTEN_UNITS
        if count and count % _UNITS[unit.lower()] == 0
    ]
    return min(fitting, key=len, default=str(count))


def mode_of(value: object) -> int:
    """Give the permission bits of an octal text such as "0640". Raises ValueError.

    Only text: TOML reads 0640 as an error and 640 as a number that is no mode anyone meant.
    """
    if not isinstance(value, str) or re.fullmatch(r"(0o?)?[0-7]{3}", value) is None:
        message = f'must be an octal text like "0640", is {value!r}'
        raise ValueError(message)
    return int(value, 8)


def colour_of(text: str) -> tuple[int, int, int]:
    """Give the RGB 0..255 of "#rrggbb", "#rgb" or one of CSS's basic colours by name. Raises ValueError."""
    text = _COLOURS.get(text.lower(), text)
    if re.fullmatch(r"#([0-9a-fA-F]{3}){1,2}", text) is None:
        message = (
            f'must be "transparent", "blur", a colour like "white" or "#ffffff", or a path to a picture, is {text!r}'
        )
        raise ValueError(message)
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def ground_of(value: object) -> str:
    """Give what a cut-out stands on: "transparent", "blur", a colour in lower case, or a picture's absolute path.

    A path is told by a slash or a suffix. Raises ValueError.
    """
    if not isinstance(value, str | Path):
        message = f"must be a text, is {value!r}"
        raise ValueError(message)
    text = str(value)
    if isinstance(value, Path) or "/" in text or (text[:1] != "#" and "." in text):
        return str(place_of(value))
    text = text.lower()
    if text not in {"transparent", "blur"}:
        colour_of(text)
    return text


def aspect_of(value: object) -> tuple[int, int] | None:
    """Give width and height of an aspect such as "4:5", in lowest terms; None through. Raises ValueError."""
    sides = _two(value, separator=":", most=_MOST_PART, what='"none" or an aspect like "4:5"')
    if sides is None:
        return None
    divisor = math.gcd(*sides)
    return sides[0] // divisor, sides[1] // divisor


def canvas_of(value: object) -> tuple[int, int] | None:
    """Give width and height of a size in pixels such as "512x512"; None through. Raises ValueError."""
    return _two(value, separator="x", most=_MOST_CANVAS, what='"none" or a size in pixels like "512x512"')


def _two(value: object, *, separator: str, most: int, what: str) -> tuple[int, int] | None:
    if value is None:
        return None
    # Two numbers are what was read before, or what Python says.
    text = separator.join(map(str, value)) if isinstance(value, tuple | list) else value
    match = re.fullmatch(rf"(\d{{1,6}}){separator}(\d{{1,6}})", text, re.ASCII) if isinstance(text, str) else None
    if match is None or not all(1 <= int(side) <= most for side in match.groups()):
        message = f"must be {what}, each number from 1 to {most}, is {value!r}"
        raise ValueError(message)
    return int(match[1]), int(match[2])
