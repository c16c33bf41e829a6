"""`bgrd train`: from pictures to a model of one's own. The commands behind it lie in `train_*.py` beside this."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from bgrd.cli import train_evaluate, train_export, train_fit, train_prepare
from bgrd.errors import UsageError

__all__ = ["add_train", "command"]

_DESCRIPTION = """\
A model of your own: put a data set together, train a network on it, judge it, and make a file that bgrd loads. Needs
the extra `train`; docs/training.md walks through it.
"""

_ACTIONS: Mapping[str, ModuleType] = {
    "prepare": train_prepare,
    "fit": train_fit,
    "evaluate": train_evaluate,
    "export": train_export,
}
"""Each has `add(subparsers)`, which adds the parser of its name, and `run(options)`, which gives the exit code."""

_NEEDED = ("cv2", "matplotlib", "onnx", "scipy", "torch")


def add_train(commands: Any, anywhere: argparse.ArgumentParser) -> None:
    """Add `bgrd train` to the commands of a parser; `anywhere` has what may stand behind each one."""
    train = commands.add_parser("train", help="make a model of your own", description=_DESCRIPTION)
    parser_class = partial(argparse.ArgumentParser, parents=[anywhere])
    actions = train.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=parser_class)
    for module in _ACTIONS.values():
        module.add(actions)


def command(options: argparse.Namespace) -> int:
    """Do one of the commands; gives its exit code. Raises BgrdError, UsageError where the extra is not installed."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        message = f"training needs the extra `train` ({', '.join(missing)} is missing): pip install 'bgrd[train]'"
        raise UsageError(message)
    return int(_ACTIONS[options.action].run(options))
