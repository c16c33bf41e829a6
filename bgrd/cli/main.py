"""argv to one command; errors to exit codes (sysexits).

Heavy modules are imported by the command that needs them: `bgrd --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bgrd import __version__
from bgrd.errors import SHORTAGES, BgrdError
from bgrd.escape import line

__all__ = ["entry", "main", "parser"]

_DESCRIPTION = """\
Cuts the subject out of every picture that lands in an inbox folder.

Without a configuration, bgrd watches ~/bgr/inbox and puts cut-outs into ~/bgr/outbox,
with the built-in model and without network. Start it with `bgrd run`.
"""

_EPILOGUE = """\
exit codes: 0 done, 1 some pictures failed or are left, or a model is damaged or was not accepted,
            3 status: bgrd is not running, 64 the command line makes no sense,
            65 the journal or a model's file is damaged, 66 an input is missing,
            69 no source gives a model, 70 bgrd itself failed, 71 the system is short of something,
            73 an output cannot be made, 74 the journal cannot be used, 75 another bgrd is at work,
            77 a licence was not accepted, 78 the configuration is wrong, 130 `once` or `models` was stopped
"""

_CONFIG: dict[str, Any] = {
    "type": Path,
    "metavar": "FILE",
    "help": "the configuration (default: $XDG_CONFIG_HOME/bgrd/config.toml, if there is one)",
}


def parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="bgrd",
        description=_DESCRIPTION,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bgrd {__version__}")
    top.add_argument("-c", "--config", **_CONFIG)
    anywhere = argparse.ArgumentParser(add_help=False)
    # Without a default of its own a command keeps what stands before it.
    anywhere.add_argument("-c", "--config", default=argparse.SUPPRESS, **_CONFIG)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "run",
        parents=[anywhere],
        help="watch the inboxes until stopped",
        description="Watch the inboxes until stopped. SIGHUP reads the configuration anew; SIGTERM or Ctrl-C finishes "
        "the pictures under way and ends, a second one ends at once. Nothing is lost either way.",
    )
    once = commands.add_parser(
        "once",
        parents=[anywhere],
        help="process what is there now, or the files named, then exit",
        description="Without FILE: process what is in the inboxes and exit. With files or folders: cut those out into "
        "-o DIR, never replacing a file, without touching them and without journal or inbox. A folder that is given is "
        "taken as it is before the first result: where DIR lies inside it, DIR is left out; where it is DIR itself, a "
        "second run takes the results of the first for pictures. Links that are given are followed, those inside "
        "folders are not.",
    )
    once.add_argument("file", nargs="*", type=Path, metavar="FILE", help="a picture, or a folder of pictures")
    once.add_argument("-o", "--output", type=Path, metavar="DIR", help="where results go (default: here)")
    once.add_argument("--model", help="the model to use (default: that of [defaults])")
    once.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")
    check = commands.add_parser(
        "check",
        parents=[anywhere],
        help="look whether everything is in order",
        description="Look at configuration, folders, models and limits. Every line says OK or what to do. With "
        "--journal look at the journal instead, page by page and row by row, also while bgrd runs; nothing is changed. "
        "With --repair, while bgrd is stopped, mend what is wrong with it: the file as it was is kept beside it under "
        "a name with the date, and what could not be read is told.",
    )
    check.add_argument(
        "--accept-mounts",
        action="store_true",
        help="the folders lie where they should now: remember these file systems",
    )
    check.add_argument("--journal", action="store_true", help="verify the journal instead")
    check.add_argument("--repair", action="store_true", help="verify the journal and mend it; bgrd must be stopped")
    status = commands.add_parser(
        "status",
        parents=[anywhere],
        help="show what bgrd is doing",
        description="Show folders, counts, and what waits or failed and why.",
    )
    status.add_argument("--json", action="store_true", help="for scripts; odd names carry their exact bytes in base64")
    _add_models(commands, anywhere)
    return top


def _add_models(commands: Any, anywhere: argparse.ArgumentParser) -> None:
    """Add `bgrd models` with commands of its own."""
    models = commands.add_parser(
        "models",
        help="list, fetch, add, verify and remove models",
        description="Models other than the built-in one. The daemon never fetches any: a folder whose model is missing "
        "waits, and goes on by itself once it is there.",
    )
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, help_text: str, description: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(
            name, parents=[anywhere], help=help_text, description=description
        )
        return made

    listing = action(
        "list",
        "every model there is",
        "Every model, whether it is installed, its licence, and its speed where that was measured here.",
    )
    listing.add_argument("--installed", action="store_true", help="only what is installed")
    info = action("info", "all that is known of one", "Where a model comes from, its licence, checksum and spec.")
    pull = action(
        "pull",
        "fetch one",
        "Fetch a model of the catalogue: from `model_mirrors`, then from its makers. What "
        "broke off goes on where it was, and only a file with the right checksum is installed. Proxies come "
        "from the environment; HF_TOKEN lets in where a model is gated.",
    )
    pull.add_argument("--accept-licence", action="store_true", help="I have read its licence and keep to it")
    pull.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")
    add = action(
        "add",
        "install one from a file, offline",
        "Install a model from a file. It is told by its checksum, by "
        "--name, or by the spec it carries; then it is tried, and copied.",
    )
    add.add_argument("file", type=Path, metavar="FILE", help="the ONNX file; files of weights beside it come along")
    add.add_argument("--name", metavar="NAME", help="which model of the catalogue it is, or what to call it")
    quantize = action(
        "quantize",
        "make an int8 variant on your own photos",
        "Make NAME:int8 from an installed model, "
        "calibrated on the photos of a folder; every fourth is held back, and speed and difference are "
        "measured on those before anything is installed. Needs the extra `quantize`.",
    )
    quantize.add_argument("--calibrate", type=Path, required=True, metavar="FOLDER", help="photos like those to come")
    quantize.add_argument("--accept", action="store_true", help="install it without asking, if it is faster")
    check = action(
        "verify",
        "hold what is installed against its checksums",
        "Read every installed model, or one, and "
        "hold it against its checksum. Ends with 1 where one is wrong, and says how to mend it.",
    )
    check.add_argument("name", nargs="?", metavar="NAME", help="a model; without it all that is installed")
    remove = action("remove", "delete one", "Delete an installed model, and what came of it so far.")
    for one in (info, pull, quantize, remove):
        one.add_argument("name", metavar="NAME", help="a model, or one of its variants as model:variant")
    for one in (listing, info, check):
        one.add_argument("--json", action="store_true", help="for scripts")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code. A failure is one sentence on standard error."""
    options = parser().parse_args(arguments)
    try:
        command = import_module(f"bgrd.cli.{options.command}")
        return int(command.command(options))
    except BgrdError as error:
        # A message may have several lines of ours, and words in them that are not.
        print("bgrd: " + "\n".join(map(line, str(error).split("\n"))), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away; what is left in the buffer is nobody's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno is None or error.errno not in SHORTAGES:
            raise
        print(f"bgrd: the system has not enough for bgrd: {os.strerror(error.errno)}", file=sys.stderr)
        return os.EX_OSERR


def entry() -> None:
    """Run as a program; argparse's own errors get sysexits' EX_USAGE, and ours that nobody foresaw EX_SOFTWARE."""
    try:
        code = main()
    except SystemExit as error:
        code = os.EX_USAGE if error.code == 2 else int(error.code or 0)
    except Exception:  # noqa: BLE001 - Python's own answer, 1, would say that pictures failed
        traceback.print_exc()
        code = os.EX_SOFTWARE
    sys.exit(code)
