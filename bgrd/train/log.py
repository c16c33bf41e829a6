"""The log of a run: one line of CSV for each validation, and never two for the same samples."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from bgrd.errors import CannotCreateError, TrainingError
from bgrd.train.checkpoint import write_whole
from bgrd.train.validate import Verdict

__all__ = ["Line", "Log", "read_log"]

_COLUMNS = ("samples", "seconds", "side", "rate", "loss", "iou", "mae")

Line = dict[str, float]
"""One line: figures by column; those of single sources are `iou:<source>`."""


class Log:
    """The file; lines past where a run goes on are dropped when it is opened."""

    def __init__(self, path: Path, sources: Sequence[str], *, samples: int) -> None:
        """Open a log for a run that stands at so many samples; 0 begins anew.

        Raises TrainingError where the file is of another data set, CannotCreateError.
        """
        self.path = path
        self.columns = (*_COLUMNS, *[f"iou:{source}" for source in sources])
        kept = [each for each in read_log(path) if each["samples"] <= samples] if samples and path.exists() else []
        if kept and tuple(kept[0]) != self.columns:
            message = f"{path} is of a run with other sources: go on with the same data set"
            raise TrainingError(message)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_written(each[name]) for name in self.columns] for each in kept)
        write_whole(path, text.getvalue().encode())

    def add(self, *, samples: int, seconds: float, side: int, rate: float, loss: float, verdict: Verdict) -> None:
        """Add a line. Raises CannotCreateError."""
        values = [samples, round(seconds, 1), side, rate, loss, verdict.iou, verdict.mae, *verdict.by_source.values()]
        try:
            with self.path.open("a", encoding="utf-8", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerow([_written(value) for value in values])
        except OSError as error:
            message = f"{self.path} cannot be written: {error.strerror}"
            raise CannotCreateError(message) from error


def read_log(path: Path) -> list[Line]:
    """Read a log's lines; one cut off at the end by a crash is left out. Raises TrainingError where it is no log."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
        if tuple(header[: len(_COLUMNS)]) != _COLUMNS:
            raise ValueError
        if rows and len(rows[-1]) < len(header):
            rows.pop()
        return [{name: float(value) for name, value in zip(header, row, strict=True)} for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        message = f"{path} is no log of `bgrd train fit`"
        raise TrainingError(message) from error


def _written(value: float) -> str:
    return f"{value:.6g}" if value != int(value) else str(int(value))
