"""What the pool of lanes tells whoever owns it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bgrd.engine.wire import Finished, Hashed, Loaded
from bgrd.errors import Fault

__all__ = ["PoolEvents"]


class PoolEvents(Protocol):
    """What the pool tells its owner, always on the owner's own thread."""

    def lane_started(self, lane: int, missing: Sequence[str]) -> None:
        """Tell what was to hold a new lane in and does not, by name and reason."""

    def hashed(self, message: Hashed) -> None:
        """Tell that the lane has read the source and waits for `Pool.answer`."""

    def finished(self, message: Finished, lane: int) -> None:
        """Tell that the job's products are written, fsynced and verified."""

    def faulted(self, job: int, fault: Fault, stage: str, trace: str) -> None:
        """Tell that the job ended in this fault."""

    def model_loaded(self, message: Loaded, lane: int) -> None:
        """Tell that a model passed its trial run."""

    def model_faulted(self, model: str, fault: Fault) -> None:
        """Tell that a model cannot be used."""

    def lost(self, process: int, fault: Fault, *, model: str = "") -> None:
        """Tell that a lane ended, or the process of a shared `model`, which nobody had asked for anything then."""
