"""`bgrd train fit`: train a network on a data set."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bgrd.errors import CannotCreateError, UsageError
from bgrd.escape import line

if TYPE_CHECKING:
    from bgrd.train.begin import Wish

__all__ = ["add", "run"]

_DESCRIPTION = """\
Train a network on a data set of `bgrd train prepare`. The run is a folder: last.pt to go on from, best.pt by
validation, log.csv, curves.png, and recipe.toml, which says the same run again. Ctrl-C saves and ends; --resume goes
on as if nothing had happened.
"""

_STOPPED = 130


def add(subparsers: Any) -> None:
    """Add the parser of `fit`."""
    parser = subparsers.add_parser("fit", help="train a network", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder made by `bgrd train prepare`")
    parser.add_argument("--out", type=Path, metavar="RUN", help="the folder of the run")
    begin = parser.add_argument_group("how it begins").add_mutually_exclusive_group()
    begin.add_argument("--resume", action="store_true", help="go on with RUN/last.pt, by its own options")
    begin.add_argument(
        "--init",
        metavar="MODEL",
        help="begin with what was learnt: another run's FILE.pt, or what `bgrd train export` made, as a file or by "
        "the name of an installed model, as bgrd-lite",
    )
    begin.add_argument("--encoder-weights", type=Path, metavar="FILE.pth", help="resnet50: what torchvision's learnt")
    _add_options(parser)
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--show-samples", type=Path, metavar="FILE.png", help="draw what would be learnt from, and end")
    shown.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run."""
    group = parser.add_argument_group("the run", "Defaults are those of no recipe.")
    group.add_argument(
        "--recipe",
        metavar="FILE.toml",
        help="options in a file; `tune`, for --init and some dozens of pictures; or one of the built-in model's runs, "
        "in their order: `lite`, `lite-further`, `lite-last`, `lite-large`, `lite-end`; those given here win",
    )
    for flag, kind, metavar, words in _OPTIONS:
        group.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar=metavar, help=words)


def run(options: argparse.Namespace) -> int:
    """Train; gives 0, or 130 where it was stopped. Raises BgrdError."""
    # torch and all that, for this command alone
    from bgrd.cli.train_progress import RunProgress  # noqa: PLC0415
    from bgrd.train.begin import Wish, alone, begin  # noqa: PLC0415

    if options.out is None and options.show_samples is None:
        message = "where to? Name a folder for the run with --out"
        raise UsageError(message)
    wish = Wish(
        data=options.data,
        out=options.out or Path(),
        given={name: value for name, value in vars(options).items() if name in _NAMES},
        recipe=options.recipe,
        resume=options.resume,
        init=None if options.init is None else _ancestor(options.init, options.config),
        encoder=options.encoder_weights,
    )
    if options.show_samples is not None:
        if options.resume:
            message = "--show-samples goes without --resume: --recipe RUN/recipe.toml says what the run learns from"
            raise UsageError(message)
        return _show(wish, options.show_samples)
    if options.resume and options.recipe is not None:
        message = "--resume goes on by the run's own options: leave --recipe out"
        raise UsageError(message)
    # Before what lies there is read: a run that is just ending may still write it.
    with alone(wish.out), RunProgress(wanted=not options.no_progress) as progress:
        end = begin(wish, progress).run()
    again = shlex.join(["bgrd", "train", "fit", str(options.data), "--out", str(options.out), "--resume"])
    print(_WORDS[end].format(out=line(str(options.out)), again=line(again)))
    return _STOPPED if end == "stopped" else os.EX_OK


def _ancestor(text: str, config: Path | None) -> Path:
    """Give the file whose weights are begun with, by its path or a model's name. Raises NoInputError, ConfigError."""
    from bgrd.cli.installed import installed, is_name  # noqa: PLC0415 - as above
    from bgrd.config.load import load  # noqa: PLC0415 - as above

    return installed(text, load(config, any_model=True)).path if is_name(text) else Path(text)


_WORDS = {
    "done": "done: {out}/best.pt is the best by validation, {out}/last.pt the last",
    "early": "ended early, it got no better: {out}/best.pt is the best by validation",
    "stopped": "stopped and saved; go on with: {again}",
}


def _show(wish: Wish, path: Path) -> int:
    """Draw samples on a sheet; gives 0. Raises CannotCreateError."""
    from bgrd.train.begin import sampler, wanted  # noqa: PLC0415 - as above
    from bgrd.train.sampler import contact_sheet  # noqa: PLC0415 - as above

    sheet = contact_sheet(sampler(wish.data, wanted(wish)))
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        message = f"{line(str(path))} cannot be written: {error}"
        raise CannotCreateError(message) from error
    return os.EX_OK


def _wholes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be whole numbers as 160,224, is {text!r}") from error


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be numbers as 0,0.4, is {text!r}") from error


_OPTIONS: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    (
        "--network",
        str,
        "NAME",
        "lite, lite-large, lite-plain, u2netp, u2net, isnet, resunet50 (default: --init's, else lite)",
    ),
    (
        "--side",
        _wholes,
        "PIXELS",
        "of the pictures, or several: 160,224,288 (default: --init's, else the network's)",
    ),
    ("--at", _shares, "SHARES", "where each side's turn begins: 0,0.4,0.8"),
    ("--batch", int, "N", "samples a step (default: 16)"),
    ("--samples", int, "N", "how many to learn from (default: 100000)"),
    ("--minutes", float, "M", "end after so long instead"),
    ("--seed", int, "N", "what decides first weights and samples (default: 1)"),
    ("--rate", float, "R", "learning rate at its peak (default: 0.002)"),
    (
        "--blend",
        float,
        "SHARE",
        "how far from --init's weights to those learnt the result lies, 0.001 to 1 (default: 1)",
    ),
    ("--validate-every", int, "N", "samples between two judgements (default: 10000)"),
    ("--patience", int, "N", "end after so many judgements without a better one (default: never)"),
    ("--precision", str, "KIND", "fp32 or bf16 (default: fp32)"),
    ("--device", str, "NAME", "cpu or cuda (default: cpu)"),
    ("--workers", int, "N", "processes that draw samples (default: 1)"),
    ("--threads", int, "N", "that learn, each from 4 samples of a batch or more (default: one for each processor)"),
)
"""What is not given stays with the recipe."""

_NAMES = frozenset(flag.removeprefix("--").replace("-", "_") for flag, *_ in _OPTIONS)
