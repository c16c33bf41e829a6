"""What `bgrd bench` shows: tables for a terminal, and the same as a picture that needs nothing from elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich.bar import Bar
from rich.color import parse_rgb_hex
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.terminal_theme import TerminalTheme

from bgrd.allotment import Allotment
from bgrd.benchmark import Bench, Combination
from bgrd.escape import line

__all__ = ["drawing", "tables"]

_BAR_WIDTH = 30
_PICTURE_WIDTH = 112
_LEAST_SHARE = 0.005
"""Stages below this share of the work are not worth a line."""

_INK = ["#222222", "#b23c28", "#287846", "#aa7814", "#325aaa", "#783c8c", "#147882", "#5a5a5a"]
_PAPER = TerminalTheme((255, 255, 255), (34, 34, 34), [parse_rgb_hex(colour[1:]) for colour in _INK])
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
  <style>
    .{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
    </clipPath>
    {lines}
  </defs>
  <rect width="100%" height="100%" fill="#ffffff"/>
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
  </g>
</svg>
"""
"""rich's own frame without its window, and without the font that it would fetch."""


def tables(bench: Bench, given: Allotment, *, remembered: bool) -> Iterator[RenderableType]:
    """Yield what is told of one model: stages, lanes, and what to do."""
    yield _heading(bench)
    yield _stages(bench)
    yield ""
    yield _lanes(bench)
    for lanes in bench.left_out:
        room = given.limits.lane_bytes / 1e9
        yield f"{lanes} lanes were not tried: with large pictures they may need more than the {room:.1f} GB allowed"
    for name, reason in bench.refused.items():
        yield escape(line(f"{name} was left out: {reason}"))
    yield escape(line(_suggestion(bench, given, remembered=remembered)))
    yield ""


def drawing(benches: Sequence[Bench]) -> str:
    """Give an SVG of the stages and lanes of every model."""
    console = Console(
        record=True,
        file=io.StringIO(),
        width=_PICTURE_WIDTH,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
    for bench in benches:
        console.print(_heading(bench))
        console.print(_stages(bench, bars=True))
        console.print()
        console.print(_lanes(bench, bars=True))
        console.print()
    return console.export_svg(title="bgrd bench", theme=_PAPER, code_format=_SVG, unique_id="bench")


def _heading(bench: Bench) -> str:
    return (
        f"[bold]{escape(line(bench.model))}[/] on {_several(bench.processors, 'processor')}, "
        f"{bench.pictures} pictures; it loads in {bench.load_seconds:.1f} s "
        f"and holds {bench.resident_bytes / 1e6:.0f} MB"
    )


def _stages(bench: Bench, *, bars: bool = False) -> Table:
    total = sum(bench.stages.values()) or 1.0
    longest = max(bench.stages.values()) or 1.0
    table = _table("stage", "ms a picture", "share", *([""] if bars else []))
    for name, milliseconds in bench.stages.items():
        share = milliseconds / total
        if share >= _LEAST_SHARE:
            bar = _bar(milliseconds / longest, bars=bars, colour="blue")
            table.add_row(name, f"{milliseconds:.1f}", f"{share:.0%}", *bar)
    table.add_row("all, on one thread", f"{total:.1f}", "")
    return table


def _lanes(bench: Bench, *, bars: bool = False) -> Table:
    titles = ("lanes x threads", "pictures a minute", "of the limit", "memory", "ms in the model")
    table = _table(*titles, *([""] if bars else []))
    most = max(each.pictures_a_minute for each in bench.combinations) or 1.0
    for each in bench.combinations:
        best = each == bench.best
        table.add_row(
            _pair(each),
            f"{each.pictures_a_minute:.0f}",
            f"{each.efficiency:.2f}",
            f"{each.memory_bytes / 1e9:.2f} GB",
            f"{each.infer_milliseconds:.1f}",
            *_bar(each.pictures_a_minute / most, bars=bars, colour="green" if best else "yellow"),
            style="bold" if best else None,
        )
    return table


def _suggestion(bench: Bench, given: Allotment, *, remembered: bool) -> str:
    """Say what to do, which mostly is nothing."""
    limits, best = given.limits, bench.best
    told = f"best: {_several(best.lanes, 'lane')} x {_several(best.threads, 'thread')}"
    if (limits.lanes, limits.threads) == (best.lanes, best.threads):
        return f"{told}, as it is now"
    if "configured" in given.chosen:
        return f"{told}; the configuration says {limits.lanes} x {limits.threads}: take lanes and threads out of it"
    if remembered:
        return f"{told}, from the next start on (`systemctl --user reload bgrd`), unless another model decides"
    return f"{told}; to have that: lanes = {best.lanes}, threads = {best.threads}"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number == 0 or not title else "right", no_wrap=True)
    return table


def _bar(share: float, *, bars: bool, colour: str) -> list[RenderableType]:
    return [Bar(1.0, 0.0, share, width=_BAR_WIDTH, color=colour)] if bars else []


def _pair(combination: Combination) -> str:
    return f"{combination.lanes} x {combination.threads}"


def _several(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
