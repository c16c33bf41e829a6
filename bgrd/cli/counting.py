"""A bar that counts what is done, for commands that take a while."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["counting"]


def counting(console: Console | None = None, *, wanted: bool, foretold: bool = True) -> Progress:
    """Give a bar that is shown on a terminal alone, and gone when left; `foretold` says how long it will take.

    Without a console it is shown on standard error, where it is in nobody's way.
    """
    console = console or Console(stderr=True, highlight=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    ends = (TimeRemainingColumn(),) if foretold else ()
    return Progress(*columns, *ends, console=console, transient=True, disable=not (wanted and console.is_terminal))
