"""What `bgrd train evaluate` shows on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from bgrd.escape import line
from bgrd.train.bootstrap import Estimate
from bgrd.train.verdict import MEASURES, Row, worse

__all__ = ["tables"]

_TITLES = {
    "iou": "IoU",
    "mae": "MAE",
    "max_f": "max F",
    "s_measure": "S",
    "weighted_f": "weighted F",
    "boundary_f": "boundary F",
}
_HEADINGS = {"source": "by source", "category": "by category", "sources": "mean", "pictures": ""}
_NAME_LETTERS = 12
_ALL = {"sources": "over sources", "pictures": "over pictures"}


def tables(model: str, found: Sequence[Row], other: str, differences: Sequence[Row]) -> Iterator[RenderableType]:
    """Yield what is told of a model, and of its differences from another; fits 80 columns."""
    yield f"[bold]{escape(line(model))}[/]: below each figure what 95 of 100 draws give; MAE is better the less"
    yield _table(found, _figure)
    if differences:
        yield ""
        yield f"[bold]{escape(line(model))}[/] less [bold]{escape(line(other))}[/], same pictures, in thousandths"
        yield _table(differences, _difference)
        yield ""
        yield from _losses(differences)


def _table(rows: Sequence[Row], cell: Callable[[Row, str], str]) -> Table:
    # What does not fit is wrapped: a table that may not wrap is cut off at the right without a word.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", min_width=_NAME_LETTERS, overflow="fold")
    for title in ("count", *_TITLES.values()):
        table.add_column(title.replace(" ", "\n"), justify="right", vertical="top")
    for kind, heading in _HEADINGS.items():
        of_kind = [row for row in rows if row.kind == kind]
        if heading:
            table.add_row(f"[dim]{heading}[/]")
        for row in of_kind:
            cells = [cell(row, name) for name in MEASURES]
            table.add_row(escape(line(_ALL.get(kind, row.name))), str(row.pictures), *cells)
    return table


def _figure(row: Row, name: str) -> str:
    found = row.estimates[name]
    return f"{found.value:.3f}\n[dim]{_short(found.low)}-{_short(found.high)}[/]"


def _short(value: float) -> str:
    """Give a share with two digits and no needless 0."""
    return f"{value:.2f}".removeprefix("0")


def _difference(row: Row, name: str) -> str:
    found = row.estimates[name]
    value, low, high = (f"{1000.0 * each:+.0f}" for each in (found.value, found.low, found.high))
    colour = "[red]" if name in worse(row) else "[default]"
    return f"{colour}{value}[/]\n[dim]{low} {high}[/]"


def _losses(differences: Sequence[Row]) -> Iterator[str]:
    """Say which sources got worse beyond their bounds, and in what."""
    lost = [(row, worse(row)) for row in differences if row.kind == "source" and worse(row)]
    if not lost:
        yield "no source is worse beyond its bounds"
    for row, names in lost:
        told = ", ".join(f"{_TITLES[name]} {_shown(row.estimates[name])}" for name in names)
        yield f"[red]worse beyond its bounds[/]: {escape(line(row.name))} ({told})"


def _shown(found: Estimate) -> str:
    return f"{found.value:+.3f}, {found.low:+.3f} to {found.high:+.3f}"
