"""`bgrd train export`: what may stand behind it; what does it is loaded when it is run."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["add", "run"]

_DESCRIPTION = """\
Make an ONNX file that bgrd loads, of what `bgrd train fit` learnt or of a segmentation network of torchvision's, by its
name there (deeplabv3_resnet101). The file takes any batch and any size, carries its spec and where it comes from, and
is held against torch before it gets its name.
"""


def add(subparsers: Any) -> None:
    """Add `export` to the actions of `bgrd train`."""
    parser = subparsers.add_parser(
        "export", help="make a file that bgrd loads", description=_DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument("what", metavar="CHECKPOINT", help="a checkpoint of a run, or a name of torchvision's")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx", help="replaced if it is there")
    parser.add_argument("--weights", type=Path, metavar="FILE.pth", help="torchvision: your own; else it fetches its")
    fed = parser.add_argument_group("how it is fed")
    fed.add_argument("--side", type=int, metavar="PIXELS", help="of its input (default: what it learnt at last)")
    fed.add_argument("--fit", choices=["square", "short_side"], help="stretch to a square, or keep the proportions")
    said = parser.add_argument_group("what it says of itself")
    said.add_argument("--name", metavar="NAME", help="default: that of FILE")
    said.add_argument("--licence", metavar="TEXT", help="of the file")
    said.add_argument("--version", type=int, metavar="N", help="counts the versions of a file (default: 1)")
    said.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DATASET",
        help="what it learnt from, which is checked: sources and licences are written into the file; may be given "
        "several times",
    )
    made = parser.add_argument_group("what is made of it")
    made.add_argument(
        "--blend",
        type=float,
        metavar="SHARE",
        help="how far from what a run with --blend began with to what it learnt, 0.001 to 1 (default: the run's)",
    )
    made.add_argument(
        "--both-ways",
        action="store_true",
        help="ask it of each picture's mirror image too and give the mean: steadier, twice the time",
    )
    made.add_argument(
        "--pack", action="store_true", help="keep weights as bytes: a quarter of the file, as quick as it was"
    )
    small = parser.add_argument_group("as int8")
    small.add_argument("--int8", action="store_true", help="make an int8 file; needs --calibration")
    small.add_argument("--calibration", type=Path, metavar="DATASET", help="ranges are taken from its pictures")
    small.add_argument("--method", choices=["average", "percentile", "entropy"], help="how (default: average)")
    small.add_argument("--float-ends", action="store_true", help="leave the first and the last convolution as they are")


def run(options: argparse.Namespace) -> int:
    """Export; gives the exit code. Raises BgrdError."""
    # torch takes seconds to load: `bgrd --help` does without.
    return int(import_module("bgrd.cli.exporting").command(options))
