"""How a run is shown: a bar on a terminal, else a line for each validation."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

__all__ = ["RunProgress"]


class RunProgress:
    """Told by the run, shown on standard error; entered and left as its bar comes and goes."""

    def __init__(self, *, wanted: bool) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._shown = wanted and self._console.is_terminal
        columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, TextColumn("{task.description}"), console=self._console, disable=not self._shown)
        self._task = self._bar.add_task("", total=1.0)
        self._loss: float | None = None
        self._judged = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, done: float, *, samples: int, loss: float) -> None:
        """Show a step; the loss is smoothed."""
        self._loss = loss if self._loss is None else 0.98 * self._loss + 0.02 * loss
        words = f"{samples} samples  loss {self._loss:.3f}{self._judged}"
        self._bar.update(self._task, completed=min(1.0, done), description=words)

    def judged(self, *, samples: int, loss: float, iou: float, mae: float, best: float) -> None:
        """Show a validation."""
        self._judged = f"  IoU {iou:.4f}  MAE {mae:.4f}"
        if not self._shown:
            note = "  best so far" if iou == best else ""
            self._console.print(f"{samples} samples  loss {loss:.4f}{self._judged}{note}", soft_wrap=True)
