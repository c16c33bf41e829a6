"""What `bgrd train evaluate` shows on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bgrd.cli.evaluation_tables import tables
from bgrd.train.bootstrap import Estimate
from bgrd.train.verdict import MEASURES, Row

_LONG = "a_source_with_quite_a_name"


def _row(kind: str, name: str, low: float, high: float) -> Row:
    # Each measure has numbers of its own, so that none can stand in for another.
    return Row(
        kind="source" if kind == "source" else "sources",
        name=name,
        pictures=12345,
        estimates={
            measure: Estimate(value=(low + high) / 2 + place / 1000, low=low + place / 1000, high=high + place / 1000)
            for place, measure in enumerate(MEASURES)
        },
    )


@pytest.mark.parametrize(("low", "high"), [(-0.748, -0.463), (-0.999, 0.913), (-0.02, 0.011)])
def test_nothing_is_cut_off_at_eighty_columns(low: float, high: float) -> None:
    """Every difference and both its bounds stand on a terminal of 80 columns, of the last measure too."""
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    row = _row("source", _LONG, low, high)
    for part in tables("mine", [], "other", [row, _row("sources", "all", low, high)]):
        console.print(part, soft_wrap=isinstance(part, str))
    lines = stream.getvalue().partition("worse beyond")[0].partition("no source is")[0].splitlines()
    words = " ".join(lines[3:]).split()
    for found in row.estimates.values():
        for value in (found.value, found.low, found.high):
            assert words.count(f"{1000.0 * value:+.0f}") >= 2
    assert max(map(len, lines)) <= 80
