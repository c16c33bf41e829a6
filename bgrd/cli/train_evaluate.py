"""`bgrd train evaluate`: what may stand behind it; what does it is loaded when it is run."""

from __future__ import annotations

import argparse
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from bgrd.train.entry import SPLITS

__all__ = ["add", "run"]

_DESCRIPTION = """\
Hold a model's results against the masks of a data set that `bgrd train prepare` made, by source and by category. Each
picture goes through the model as in the daemon, without refinement. Behind each figure stands what 95 of 100 draws of
other pictures of the same kind would give.
"""


def add(subparsers: Any) -> None:
    """Add `evaluate` to the actions of `bgrd train`."""
    evaluate = subparsers.add_parser(
        "evaluate", help="say how good a model is, and where it fails", description=_DESCRIPTION
    )
    evaluate.add_argument("model", metavar="MODEL", help="an ONNX file, or a model by its name as in `model =`")
    evaluate.add_argument("dataset", type=Path, metavar="DATASET", help="a folder with a manifest.csv")
    evaluate.add_argument("--split", choices=SPLITS, default="test", help="which pictures (default: test)")
    evaluate.add_argument("--against", metavar="MODEL", help="another model, held against the same pictures")
    evaluate.add_argument(
        "--like", metavar="NAME", help="feed a file that does not say itself how as this model of the catalogue"
    )
    evaluate.add_argument(
        "--most",
        type=partial(_whole, least=1),
        metavar="N",
        help="no more than N pictures of each source, drawn by seed",
    )
    evaluate.add_argument(
        "--seed", type=partial(_whole, least=0), default=1, metavar="N", help="of all that is drawn (default: 1)"
    )
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write all figures, also those of each picture")
    evaluate.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw the 24 worst pictures")
    evaluate.add_argument(
        "--sides",
        type=Path,
        metavar="DIR",
        help="write photo, truth, result, cut-out of each one; a new or empty folder",
    )
    evaluate.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")


def run(options: argparse.Namespace) -> int:
    """Evaluate; gives the exit code. Raises BgrdError."""
    # numpy, onnxruntime and the measures' libraries take a second to load: `bgrd --help` does without.
    return int(import_module("bgrd.cli.evaluation").command(options))


def _whole(text: str, *, least: int) -> int:
    """Read a whole number that is not below the least."""
    with suppress(ValueError):
        if (number := int(text)) >= least:
            return number
    message = f"must be a whole number of at least {least}, is {text!r}"
    raise argparse.ArgumentTypeError(message)
