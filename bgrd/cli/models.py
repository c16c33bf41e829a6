"""`bgrd models`: what there is, what is installed, and whether it is whole."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bgrd.cli import install
from bgrd.config.load import custom_models, folders, load
from bgrd.config.settings import Settings
from bgrd.errors import SHORTAGES, ModelFault, ModelFileError, NoInputError, UsageError
from bgrd.escape import line
from bgrd.models.anatomy import dissect
from bgrd.models.catalogue import BUILT_IN, ROWS
from bgrd.models.inventory import Item, Verdict, inventory, verify
from bgrd.models.shelf import remove
from bgrd.models.store import canonical, how_to_get
from bgrd.question import ask

__all__ = ["command"]

_NOT_ALL_RIGHT = 1
_PATIENCE_SECONDS = 10.0
_WORDS = {
    "right": "[green]OK[/]",
    "unknown": "[yellow]note[/]",
    "damaged": "[red]wrong[/]",
    "gone": "[red]wrong[/]",
}


def command(options: argparse.Namespace) -> int:
    """Do one of the commands; gives its exit code. Raises BgrdError."""
    actions: dict[str, Callable[[argparse.Namespace, Settings], int]] = {
        "list": _list,
        "info": _info,
        "pull": install.pull,
        "add": install.add,
        "quantize": install.quantize,
        "verify": _verify,
        "remove": _remove,
    }
    settings = load(options.config, any_model=True)
    try:
        return actions[options.action](options, settings)
    except ModelFault as fault:
        raise ModelFileError(str(fault)) from fault
    except OSError as error:
        if error.filename is None or error.errno in SHORTAGES:  # our own output, or the system
            raise
        message = f"{error.filename} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error


def _items(settings: Settings) -> list[Item]:
    try:
        look = partial(inventory, settings.models_directory, custom_models(settings))
        return ask(settings.models_directory, look, seconds=_PATIENCE_SECONDS)
    except OSError as error:
        message = f"{error.filename or settings.models_directory} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error


def _item(settings: Settings, name: str) -> Item:
    """Give one model. Raises UsageError where there is none of this name."""
    for item in _items(settings):
        if item.name in {name, canonical(name)}:
            return item
    raise UsageError(how_to_get(canonical(name), custom=custom_models(settings)))


def _list(options: argparse.Namespace, settings: Settings) -> int:
    items = _items(settings)
    if options.installed:
        items = [item for item in items if item.installed]
    if options.json:
        return _as_json([_facts(item) for item in items])
    table = Table(box=None, pad_edge=False)
    measured = any(item.milliseconds is not None for item in items)
    for title in ("model", "size", "installed", "licence", *(["ms a picture"] if measured else [])):
        table.add_column(title, justify="right" if title in {"size", "ms a picture"} else "left", overflow="fold")
    for item in items:
        speed = [f"{item.milliseconds:.0f}" if item.milliseconds is not None else ""] if measured else []
        there = "yes" if item.installed else ""
        table.add_row(escape(line(item.name)), _size(item), there, escape(line(_licence(item))), *speed)
    _console().print(table)
    return os.EX_OK


def _info(options: argparse.Namespace, settings: Settings) -> int:
    item = _item(settings, options.name)
    if options.json:
        return _as_json({**_facts(item), "spec": _spec(item)})
    rows = {
        "model": item.name,
        "licence": _licence(item),
        "file": str(item.path) if item.path else "",
        "installed": f"{_size(item)}, {item.origin or 'put there by hand'}" if item.installed else "no",
        "size": f"about {_size(item)}" if _size(item) and not item.installed else "",
        "gated": "its hub gives it to those who agreed there; HF_TOKEN says who asks" if item.gated else "",
        "weights": ", ".join(item.external),
        "sources": "\n".join(item.sources),
        "published": item.checksum or ("" if item.table or not item.sources else "no checksum"),
        "recorded": f"sha256:{item.recorded}" if item.recorded else "",
        "measured": f"{item.milliseconds:.1f} ms a picture" if item.milliseconds is not None else "",
        "spec": "\n".join(f"{key} = {json.dumps(value)}" for key, value in _spec(item).items()),
    }
    if not item.installed and not item.table:
        rows["to get it"] = how_to_get(item.name, custom=custom_models(settings))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for title, text in rows.items():
        if text:
            table.add_row(title, escape("\n".join(line(part) for part in text.split("\n"))))
    _console().print(table)
    return os.EX_OK


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    """Look at all that is installed, or at one; 1 where something is wrong."""
    if options.name is None:
        items = [item for item in _items(settings) if item.installed or item.recorded or item.table]
    else:
        items = [_item(settings, options.name)]
        if not (items[0].installed or items[0].recorded):
            raise NoInputError(how_to_get(items[0].name, custom=custom_models(settings)))
    verdicts = [verify(item) for item in items]
    bad = any(verdict.state in {"damaged", "gone"} for verdict in verdicts)
    if options.json:
        _as_json([{"name": v.item.name, "state": v.state, "text": v.text, "mend": _mend(v)} for v in verdicts])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
        for verdict in verdicts:
            text = line(verdict.text) + (f"\n-> {line(_mend(verdict))}" if _mend(verdict) else "")
            table.add_row(_WORDS[verdict.state], escape(line(verdict.item.name)), escape(text))
        _console().print(table)
    return _NOT_ALL_RIGHT if bad else os.EX_OK


def _mend(verdict: Verdict) -> str:
    """Give the command that mends what is wrong, "" where nothing is."""
    item = verdict.item
    if verdict.state in {"right", "unknown"}:
        return ""
    if item.name == BUILT_IN:
        return "reinstall bgrd"
    if item.table:
        return "put the right file there, or change its [[model]] table"
    if item.sources and not item.external:
        return f"bgrd models pull {item.name}{'' if item.commercial else ' --accept-licence'}"
    if item.name.endswith(":int8"):
        return f"bgrd models quantize {item.name.removesuffix(':int8')} --calibrate FOLDER"
    return f"bgrd models add FILE --name {item.name}"


def _remove(options: argparse.Namespace, settings: Settings) -> int:
    name = canonical(options.name)
    if name in custom_models(settings):
        message = f"{name} is described in the configuration: take its [[model]] table out"
        raise UsageError(message)
    users = [folder.name for folder in folders(settings, any_model=True) if canonical(folder.recipe.model) == name]
    console = _console()
    for path in remove(settings.models_directory, name):
        console.print(f"removed {escape(line(str(path)))}", soft_wrap=True)
    if users:
        # What the catalogue does not know is unknown from here on, and a daemon starts with no such configuration.
        until = "waits until it is there again" if name.partition(":")[0] in ROWS else "has to name another one"
        console.print(escape(line(f"folder {', '.join(users)} uses it, and {until}")), soft_wrap=True)
    return os.EX_OK


def _facts(item: Item) -> dict[str, Any]:
    path = str(item.path) if item.path else None
    return {**asdict(item), "path": path, "installed": item.installed}


def _as_json(values: object) -> int:
    json.dump(values, sys.stdout, indent=2)
    print()
    return os.EX_OK


def _spec(item: Item) -> dict[str, Any]:
    """Give how a model is fed, from the catalogue, the configuration, or the file itself; {} where nobody says."""
    if item.spec is not None or not item.installed or item.path is None:
        return item.spec or {}
    try:
        told = json.loads(dissect(item.path).spec or "{}")
    except (OSError, ValueError, ModelFileError):
        return {}
    return told if isinstance(told, dict) else {}


def _licence(item: Item) -> str:
    if not item.licence:
        return "not told"
    return item.licence if item.commercial else f"{item.licence}, not for commercial use"


def _size(item: Item) -> str:
    """Give how large a model is, or about how large it will be; "" where nobody knows."""
    size = item.about_bytes if item.size is None else item.size
    if size is None:
        return ""
    if size >= 10**9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size < 10**7 else f"{size / 1e6:.0f} MB"


def _console() -> Console:
    return Console(highlight=False, emoji=False)
