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
    """Read a log's lines; a last one that a crash cut off or spoilt is left out. Raises TrainingError for no log."""
    try:
        text = path.read_bytes().decode()
        header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
        if tuple(header[: len(_COLUMNS)]) != _COLUMNS:
            raise ValueError
        # Cut within its last figure a line has as many as any other.
        if rows and not (text.endswith("\n") and _is_readable(rows[-1], header)):
            rows.pop()
        return [_line(row, header) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        message = f"{path} is no log of `bgrd train fit`"
        raise TrainingError(message) from error


def _line(row: Sequence[str], header: Sequence[str]) -> Line:
    """Give a row's figures by column. Raises ValueError."""
    return {name: float(value) for name, value in zip(header, row, strict=True)}


def _is_readable(row: Sequence[str], header: Sequence[str]) -> bool:
    try:
        _line(row, header)
    except ValueError:
        return False
    return True


def _written(value: float) -> str:
    return f"{value:.6g}" if value != int(value) else str(int(value))
