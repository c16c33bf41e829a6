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
from bgrd.cli.model_arguments import add_models
from bgrd.cli.train import add_train
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
            65 the journal, a model's file or data for training are damaged, 66 an input is missing,
            69 no source gives a model, 70 bgrd itself failed, 71 the system is short of something,
            73 an output cannot be made, 74 the journal cannot be used, 75 another bgrd is at work,
            77 a licence was not accepted, 78 the configuration is wrong,
            130 `once`, `models`, `bench` or `train` was stopped
"""

_CONFIG: dict[str, Any] = {
    "type": Path,
    "metavar": "FILE",
    "help": "the configuration (default: $XDG_CONFIG_HOME/bgrd/config.toml, if there is one)",
}


def parser(*, flags: bool = False) -> argparse.ArgumentParser:
    """Make the parser of the whole command line; with `flags` those for what `once` makes, which load the settings."""
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
        "folders are not. What is made is said as in the configuration: --on white --trim --margin 0.08.",
    )
    once.add_argument("file", nargs="*", type=Path, metavar="FILE", help="a picture, or a folder of pictures")
    once.add_argument("-o", "--output", type=Path, metavar="DIR", help="where results go (default: here)")
    once.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")
    if flags:
        import_module("bgrd.cli.flags").add_flags(once)
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
    add_models(commands, anywhere)
    _add_bench(commands, anywhere)
    add_train(commands, anywhere)
    return top


def _add_bench(commands: Any, anywhere: argparse.ArgumentParser) -> None:
    """Add `bgrd bench`."""
    bench = commands.add_parser(
        "bench",
        parents=[anywhere],
        help="measure models on this machine",
        description="Measure what each stage takes, and which lanes and threads make the most pictures a minute, with "
        "real lanes on pictures made by code or on your own. What was found is remembered, and decides from the next "
        "start on where `lanes` and `threads` are 0. Nothing is fetched, no source is touched, no result is kept. "
        "Takes about a minute for each model; stop bgrd meanwhile.",
    )
    bench.add_argument("model", nargs="*", metavar="MODEL", help="a model; without one those of the configuration")
    bench.add_argument("--pictures", type=Path, metavar="FOLDER", help="measure on the pictures there, 24 at most")
    bench.add_argument("--quick", action="store_true", help="some seconds for each model, less exact")
    bench.add_argument("--json", action="store_true", help="for scripts")
    bench.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw it as well")
    bench.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code. A failure is one sentence on standard error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(flags="once" in arguments).parse_args(arguments)
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
