"""How close `bgrd once` comes to what the machine can do: `python bench/photos.py [FOLDER]`.

Every figure is a ratio within this run. The limit is the sum of all stages' time, measured in a run with a single
lane, divided by the number of lanes; the wall time is that of a run with all lanes, start included.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bgrd.allotment import allotment
from bgrd.config.load import load
from bgrd.job import Recipe
from bgrd.models.store import find
from bgrd.once import Once, Outcome, tasks_of

PICTURES = Path(__file__).parents[1] / ".." / "shared" / "pictures"
SUFFIXES = {".jpg", ".jpeg", ".png"}


def measure(files: list[Path], *, lanes: int | None) -> tuple[Outcome, int]:
    """Cut all files out into a folder that goes away; gives the outcome and the number of lanes."""
    settings = load(None, environ={})
    limits = allotment(settings).limits
    limits = replace(limits, lanes=lanes or limits.lanes, threads=1)
    with tempfile.TemporaryDirectory() as output:
        once = Once(
            limits=limits,
            model=find("bgrd-lite", custom={}, directory=settings.models_directory),
            recipe=Recipe(),
            output=Path(output),
            max_pixels=settings.max_pixels,
            progress=lambda _task, _reason: None,
        )
        return once.run(tasks_of(files)), limits.lanes


def main() -> int:
    """Print the table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        print(f"no pictures in {folder}: name a folder with some", file=sys.stderr)
        return 66
    measure(files[:2], lanes=None)  # warms the disk cache
    single, _ = measure(files, lanes=1)
    every, lanes = measure(files, lanes=None)
    work = sum(single.stage_seconds.values())
    print(f"{len(every.results)} pictures, {lanes} lanes")
    for stage, seconds in sorted(single.stage_seconds.items(), key=lambda item: -item[1]):
        print(f"  {stage:8} {seconds / work:6.1%} of the work, {seconds / len(files) * 1000:6.1f} ms a picture")
    limit, wall = work / lanes, every.wall_seconds
    print(f"limit {limit:.2f} s, wall {wall:.2f} s: efficiency {limit / wall:.2f}")
    print(f"{len(every.results) / wall * 60:.0f} pictures a minute")
    return 0


if __name__ == "__main__":
    sys.exit(main())
