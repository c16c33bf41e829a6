"""The example configuration, made from the declared options: every key with its default and what it means."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator

from bgrd.config.load import Option, options
from bgrd.config.settings import DEFAULT_FOLDER

__all__ = ["example", "uncommented"]

_WIDTH = 100
_HEAD = """\
# bgrd's settings: ~/.config/bgrd/config.toml
#
# Every key there is, with its default. A line that starts with "#" and no space is a setting: take the "#" away
# to change it. Sizes are bytes or texts like "256 MiB". In paths, ~ and $NAME are replaced; a relative path starts at
# this file's folder. `bgrd check` says what is wrong. A variable BGRD_<KEY> or BGRD_<TABLE>__<KEY> wins over this file.
"""
_TITLES = {
    "defaults": "What every folder inherits; each of these keys may stand in a [[folder]] table as well.",
    "folder": "An inbox and what happens to pictures in it; any number of these tables. "
    "Without one bgrd watches this folder, and makes its directories.",
    "folder.product": "One product of the folder above, in place of its `products`; any number of these tables, none "
    "by default. Each of the keys from `on` to `result_name` may stand here; what does not is the folder's.",
    "model": "A model file of your own; any number of these tables, none by default. "
    "A file that does not describe itself needs its spec here as well.",
}
_SHOWN = {
    "folder": DEFAULT_FOLDER,
    "folder.product": {"kind": "mask"},
    "model": {"name": "my-model", "path": "~/models/my-model.onnx"},
}


def example() -> str:
    """Give the text of config.example.toml. It loads to the defaults, and so does what `uncommented` makes of it."""
    lines = [_HEAD]
    table = ""
    for option in options():
        # No product table and no model of one's own is a default: those are not for uncommenting as they stand.
        mark = "# " if option.table in {"folder.product", "model"} else "#"
        if option.table != table:
            table = option.table
            # [defaults] stands live, so that a key of it can be switched on by itself.
            header = "[defaults]" if table == "defaults" else f"{mark}[[{table}]]"
            lines += ["", *_remark(_TITLES[table]), header, ""]
        lines += [*_remark(_meaning(option)), f"{mark}{option.key} = {_value(option)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def uncommented(text: str) -> str:
    """Give an example with every setting of the defaults switched on: "#key" becomes "key", prose stays."""
    return "\n".join(
        line[1:] if line.startswith("#") and line[1:2] not in {"", " ", "#"} else line for line in text.splitlines()
    )


def _meaning(option: Option) -> str:
    """Give what an option does, and what it may be where the description does not say."""
    return f"{option.description} Allowed: {option.allowed}." if option.allowed else option.description


def _value(option: Option) -> str:
    """Give what stands right of the equals sign: the default, or for a key without one what the table shows."""
    return json.dumps(_SHOWN[option.table][option.key]) if option.default is None else option.default


def _remark(text: str) -> Iterator[str]:
    """Yield a text as comment lines."""
    for line in textwrap.wrap(text, _WIDTH - 2, break_on_hyphens=False):
        yield f"# {line}"


if __name__ == "__main__":
    sys.stdout.write(example())
