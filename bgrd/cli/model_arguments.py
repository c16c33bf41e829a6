"""What may stand behind `bgrd models`; nothing is loaded for it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_models"]

_DESCRIPTION = """\
Models other than the built-in one. The daemon never fetches any: a folder whose model is missing waits, and goes on by
itself once it is there.
"""

_WORDS = {
    "list": "every model there is",
    "info": "all that is known of one",
    "pull": "fetch one",
    "add": "install one from a file, offline",
    "quantize": "make an int8 variant on your own photos",
    "verify": "hold what is installed against its checksums",
    "remove": "delete one",
}
_SENTENCES = {
    "list": "Every model, whether it is installed, its licence, and its speed where that was measured here.",
    "info": "Where a model comes from, its licence and checksum, and how it is fed.",
    "pull": "Fetch a model of the catalogue: from `model_mirrors`, then from its makers. What broke off goes on where "
    "it was, and only a file with the right checksum is installed. Proxies come from the environment; HF_TOKEN lets "
    "in where a model is gated.",
    "add": "Install a model from a file. Which it is, is told by its checksum, by --name or by the spec it carries; "
    "then it is tried, and copied.",
    "quantize": "Make NAME:int8 of an installed model, calibrated on the photos of a folder. Every fourth is held "
    "back, and speed and difference are measured on those before anything is installed. Needs the extra `quantize`.",
    "verify": "Read every installed model, or one, and hold it against its checksum. Ends with 1 where one is wrong, "
    "and says how to mend it.",
    "remove": "Delete an installed model, and what came of it so far.",
}


def add_models(commands: Any, anywhere: argparse.ArgumentParser) -> None:
    """Add `bgrd models` to the commands of a parser; `anywhere` has what may stand behind each one."""
    models = commands.add_parser("models", help="list, fetch, add, verify and remove models", description=_DESCRIPTION)
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    made: dict[str, argparse.ArgumentParser] = {
        name: actions.add_parser(name, parents=[anywhere], help=word, description=_SENTENCES[name])
        for name, word in _WORDS.items()
    }
    for name in ("info", "pull", "quantize", "remove"):
        made[name].add_argument("name", metavar="NAME", help="a model, or one of its variants as model:variant")
    made["verify"].add_argument("name", nargs="?", metavar="NAME", help="a model; without it all that is installed")
    for name in ("list", "info", "verify"):
        made[name].add_argument("--json", action="store_true", help="for scripts")
    made["list"].add_argument("--installed", action="store_true", help="only what is installed")
    pull, add, quantize = made["pull"], made["add"], made["quantize"]
    pull.add_argument("--accept-licence", action="store_true", help="I have read its licence and keep to it")
    pull.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")
    add.add_argument("file", type=Path, metavar="FILE", help="the ONNX file; files of weights beside it come along")
    add.add_argument("--name", metavar="NAME", help="which model of the catalogue it is, or what to call it")
    quantize.add_argument("--calibrate", type=Path, required=True, metavar="FOLDER", help="photos like those to come")
    quantize.add_argument("--accept", action="store_true", help="install it without asking, if it is faster")
