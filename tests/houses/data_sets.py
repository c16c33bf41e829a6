"""Data sets put together from sources that tests make."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from bgrd.train.prepare import Plan, Summary, prepare
from bgrd.train.shrink import Options
from bgrd.train.sources import Source

__all__ = ["contents", "made", "plan", "rejected", "source"]


def source(path: Path, **given: object) -> Source:
    """Give a source of pairs called after its place."""
    return replace(Source(name=path.stem, kind="pair", paths=(path,)), **given)  # type: ignore[arg-type]


def plan(*sources: Source, **given: object) -> Plan:
    """Give a plan with nothing special."""
    return replace(Plan(sources=sources, options=Options(side=32)), **given)  # type: ignore[arg-type]


def made(wanted: Plan, out: Path) -> Summary:
    """Make a data set without telling how far it is."""
    return prepare(wanted, out, progress=lambda _done, _total: None)


def rejected(out: Path) -> list[tuple[str, str, str]]:
    """Read why pictures were left out."""
    with (out / "rejected.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["source", "name", "reason"]
    return [(source, name, reason) for source, name, reason in rows]


def contents(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
