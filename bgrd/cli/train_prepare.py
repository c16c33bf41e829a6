"""`bgrd train prepare`: a data set from folders, zip files and corrected results."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bgrd.errors import BusyError, UsageError
from bgrd.escape import line, visible

if TYPE_CHECKING:
    from bgrd.journal.journal import Journal
    from bgrd.train.entry import Kind
    from bgrd.train.prepare import Plan, Summary
    from bgrd.train.sources import Source

__all__ = ["add", "run"]

_DESCRIPTION = """\
Make a data set: check every picture, leave out what is damaged, does not fit or is nearly the same as another, shrink
the rest, hold a share of each source back for validation, and write down where everything came from. A PATH is a
folder or a zip file. What was not taken stands in DIR/rejected.csv with the reason.
"""

_REASONS_SHOWN = 5


def add(subparsers: Any) -> None:
    """Add the parser of `prepare`."""
    parser = subparsers.add_parser(
        "prepare", help="put a data set together and check it", description=_DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data set, a folder that is made")
    _add_what(parser)
    _add_how(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    """Add what goes into a data set."""
    what = parser.add_argument_group(
        "what goes into it", "All but --data, --licence and --category may be given several times."
    )
    what.add_argument(
        "--sources",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.toml",
        help="a table of sources, see the docs",
    )
    what.add_argument("--data", type=Path, metavar="FOLDER", help="where the table's paths start (default: beside it)")
    what.add_argument(
        "--pairs",
        type=Path,
        nargs="+",
        action="append",
        default=[],
        metavar="PATH",
        help="photos in images/ and masks of the same names in masks/; or two paths, the photos' and the masks'",
    )
    what.add_argument(
        "--cutouts", type=Path, nargs="+", action="extend", default=[], metavar="PATH", help="PNG or WebP with opacity"
    )
    what.add_argument(
        "--backgrounds", type=Path, nargs="+", action="extend", default=[], metavar="PATH", help="without a subject"
    )
    what.add_argument(
        "--corrections",
        action="append",
        default=[],
        metavar="FOLDER",
        help="results of a configured folder that you corrected, with the photos they were made of",
    )
    what.add_argument("--licence", type=_text, metavar="TEXT", help="of what is named here and not in a table")
    what.add_argument("--category", type=_text, metavar="TEXT", help="likewise")


def _add_how(parser: argparse.ArgumentParser) -> None:
    """Add how it is made."""
    how = parser.add_argument_group("how")
    how.add_argument("--side", type=_side, default=320, metavar="PIXELS", help="longest side (default: 320)")
    how.add_argument("--validation", type=_share, default=0.1, metavar="SHARE", help="held back (default: 0.1)")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="what decides which are held back (default: 0)")
    how.add_argument("--split", choices=["train", "test"], default="train", help="test: all of it is only for judging")
    how.add_argument(
        "--apart-from",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a data set of which nothing similar is taken, so that neither knows the other",
    )
    how.add_argument(
        "--fix-inverted", action="store_true", help="turn reversed masks round; without it they are refused"
    )
    how.add_argument("--no-progress", action="store_true", help="no progress bar, even on a terminal")


def run(options: argparse.Namespace) -> int:
    """Make the data set and tell what it holds; gives 0. Raises BgrdError."""
    from bgrd.cli.counting import counting  # noqa: PLC0415 - `bgrd --help` reads this module too, and loads no library
    from bgrd.train.prepare import Plan, prepare  # noqa: PLC0415 - Pillow, numpy, matplotlib, for this command alone
    from bgrd.train.shrink import Options  # noqa: PLC0415 - the same

    each = Options(side=options.side, fix_inverted=options.fix_inverted)
    plan = Plan(
        sources=tuple(_sources(options)),
        options=each,
        validation=options.validation,
        seed=options.seed,
        test=options.split == "test",
        apart=tuple(path / "manifest.csv" for path in options.apart_from),
    )
    with ExitStack() as stack:
        plan = _with_corrections(options, plan, stack)
        progress = stack.enter_context(counting(wanted=not options.no_progress))
        bar = progress.add_task("preparing", total=None)
        summary = prepare(
            plan, options.out, progress=lambda done, total: progress.update(bar, completed=done, total=total)
        )
    _tell(summary, options.out, judged=options.split == "train")
    return os.EX_OK


def _sources(options: argparse.Namespace) -> Iterator[Source]:
    """Yield what is to be read. Raises UsageError where that is nothing, and what reading a table raises."""
    from bgrd.train.sources import NO_LICENCE, VARIOUS, Source, named, read_table  # noqa: PLC0415 - as above

    if not (options.sources or options.pairs or options.cutouts or options.backgrounds or options.corrections):
        message = "nothing to prepare: name --sources, --pairs, --cutouts, --backgrounds or --corrections"
        raise UsageError(message)
    if options.data is not None and not options.sources:
        message = "--data says where the paths of a table start: it goes with --sources"
        raise UsageError(message)
    for table in options.sources:
        yield from read_table(table, root=options.data)
    kinds: list[tuple[Kind, list[list[Path]]]] = [
        ("pair", options.pairs),
        ("cutout", [[path] for path in options.cutouts]),
        ("background", [[path] for path in options.backgrounds]),
    ]
    for kind, each in kinds:
        for paths in each:
            if len(paths) > 2:
                message = "--pairs takes a path, or the photos' and the masks': give it once for each source"
                raise UsageError(message)
            yield Source(
                name=named(paths[0]),
                kind=kind,
                paths=tuple(paths),
                licence=options.licence or NO_LICENCE,
                category=options.category or VARIOUS,
            )


def _with_corrections(options: argparse.Namespace, plan: Plan, stack: ExitStack) -> Plan:
    """Add what the user corrected of the folders named; `stack` holds journal and directories open."""
    if not options.corrections:
        return plan
    from bgrd.config.load import folders, load  # noqa: PLC0415 - as above
    from bgrd.train.corrections import corrected, own_origin, source_of  # noqa: PLC0415
    from bgrd.train.sources import NO_LICENCE  # noqa: PLC0415

    settings = load(options.config, any_model=True)
    known = {folder.name: folder for folder in folders(settings, any_model=True)}
    journal = _journal(settings.state_directory, stack)
    for name in dict.fromkeys(options.corrections):
        if name not in known:
            message = f"--corrections: no folder is called {name}; configured are {', '.join(known)}"
            raise UsageError(message)
        licence, category = options.licence or NO_LICENCE, options.category or "corrections"
        source = source_of(known[name], licence=licence, category=category)
        recorded = journal.origin if journal is not None else lambda _name, _target: None
        origin = own_origin(known[name], known.values(), recorded)
        found, refused = corrected(known[name], source, plan.options, origin, stack)
        plan = replace(plan, candidates=(*plan.candidates, *found), rejected=(*plan.rejected, *refused))
    return plan


def _journal(state_directory: Path, stack: ExitStack) -> Journal | None:
    """Open the journal, where there is one: a question makes none. Raises BusyError, StateError."""
    from bgrd.journal.journal import open_journal  # noqa: PLC0415 - as above
    from bgrd.lock import holder  # noqa: PLC0415
    from bgrd.telemetry import status  # noqa: PLC0415

    if not (state_directory / "journal.db").exists():
        return None
    held = holder(state_directory)
    if held is not None and (reason := status.left_to(status.said(state_directory, pid=held.pid))):
        message = f"--corrections: {reason}; stop that one first, or start it anew"
        raise BusyError(message)
    return stack.enter_context(closing(open_journal(state_directory)))


def _share(text: str) -> float:
    """Read a share that leaves something to train on."""
    with suppress(ValueError):
        if 0 <= (share := float(text)) < 1:
            return share
    message = f"must be a number of at least 0 and below 1, is {text!r}"
    raise argparse.ArgumentTypeError(message)


def _side(text: str) -> int:
    """Read a longest side that shows something."""
    with suppress(ValueError):
        if 32 <= (side := int(text)) <= 8192:
            return side
    message = f"must be a whole number between 32 and 8192, is {text!r}"
    raise argparse.ArgumentTypeError(message)


def _text(text: str) -> str:
    """Read what is written into the manifest, as a table's texts are."""
    if text and text.isprintable():
        return text
    message = f"must be a text in one line, is {text!r}"
    raise argparse.ArgumentTypeError(message)


def _tell(summary: Summary, out: Path, *, judged: bool) -> None:
    """Say what was taken of each source, and what was not and why; `judged`: it needs pairs that runs are judged by."""
    taken = Counter((entry.source, entry.kind, entry.split) for entry in summary.entries)
    refused = Counter(one.source for one in summary.rejected)
    for source in dict.fromkeys([*(entry.source for entry in summary.entries), *refused]):
        counts = [
            f"{count} {kind}{'s' if count > 1 else ''} for {split}"
            for (name, kind, split), count in taken.items()
            if name == source
        ]
        left = [f"{refused[source]} left out"] if refused[source] else []
        print(f"{visible(source)}: {', '.join([*counts, *left])}")
    for reason, count in Counter(one.reason.partition(":")[0] for one in summary.rejected).most_common(_REASONS_SHOWN):
        print(f"left out, {count}: {line(reason)}")
    if summary.turned:
        print(f"reversed and turned round, {summary.turned}: masks")
    if judged and not any((entry.kind, entry.split) == ("pair", "validation") for entry in summary.entries):
        print("no pair is held back, and `bgrd train fit` needs some: take more pairs, or a larger --validation as 0.3")
    print(f"{len(summary.entries)} pictures in {line(str(out))}; {len(summary.rejected)} left out, see rejected.csv")
