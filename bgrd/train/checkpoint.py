"""A run on disk: all it takes to go on as if nothing had happened; replaced whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bgrd.errors import CannotCreateError, NoInputError, TrainingError, UsageError
from bgrd.train.average import blended

__all__ = [
    "FORMAT",
    "Checkpoint",
    "digest",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
    "write_whole",
]

FORMAT = 3
"""The newest format this bgrd reads, and the one it writes. The first has no `begun_with`, the second no `start`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A run at one moment: `samples` were learnt from in `seconds` of training.

    `average` is the running mean; `weights` is what learning goes on with; `start` is what the run began with, kept
    where its options say `blend`, else None. `best` is the best validation IoU so far (-1: none yet), `waited` the
    validations since, `losses` sum and number of the losses not logged yet. `options` are those of the run, as
    `options.parse` reads them; `data` is the SHA-256 of its manifest, "" unknown. `begun_with` says whose weights the
    run began with: {} none, None unknown, else `by` which flag, `file` by its name, `sha256`, and what is known of the
    run it is of: network, samples, recipe, manifest_sha256 and its own begun_with.
    """

    network: str
    options: dict[str, Any]
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    average_steps: int
    optimiser: dict[str, Any]
    random: Tensor
    samples: int
    seconds: float
    best: float
    waited: int
    losses: tuple[float, int]
    data: str = ""
    begun_with: dict[str, Any] | None = None
    start: dict[str, Tensor] | None = None

    def result(self, blend: float | None = None) -> dict[str, Tensor]:
        """Give what is judged and exported: the running mean, or as far on the way to it as `blend` or the run says.

        Raises UsageError where the run kept no `start` and all of what was learnt is not wanted.
        """
        if self.start is not None:
            return blended(self.start, self.average, float(self.options["blend"] if blend is None else blend))
        if blend not in {None, 1.0}:
            message = "the run kept nothing to blend with: it has to be one with --blend below 1"
            raise UsageError(message)
        return self.average


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one piece, fsynced; raises CannotCreateError and leaves what was there as it was."""
    values = {each.name: getattr(checkpoint, each.name) for each in fields(Checkpoint)}
    buffer = io.BytesIO()
    torch.save({"bgrd": FORMAT, **values}, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in the file is ever run.

    Raises NoInputError where it cannot be read, TrainingError where it is damaged, no checkpoint or of a newer bgrd.
    """
    values = _load_tensors(path)
    if not isinstance(values, dict) or not isinstance(values.get("bgrd"), int):
        message = f"{path} is no checkpoint of bgrd"
        raise TrainingError(message)
    if values.pop("bgrd") > FORMAT:
        message = f"{path} was written by a newer bgrd"
        raise TrainingError(message)
    try:
        found = Checkpoint(**values)
        if found.start is not None:
            found.result()
    except (TypeError, LookupError, AttributeError, RuntimeError, ValueError) as error:
        message = f"{path} is damaged: {error}"
        raise TrainingError(message) from error
    return found


def _load_tensors(path: Path) -> Any:
    """Read what torch.save wrote of plain values. Raises NoInputError, TrainingError where it is no such file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise NoInputError(message) from error
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, pickle.UnpicklingError) as error:
        message = f"{path} is damaged, or no file of weights"
        raise TrainingError(message) from error


def load_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a file of weights by name. Raises NoInputError, TrainingError where it is something else."""
    values = _load_tensors(path)
    if not isinstance(values, Mapping) or not all(isinstance(value, Tensor) for value in values.values()):
        message = f"{path} holds no weights by name"
        raise TrainingError(message)
    return values


def digest(path: Path) -> str:
    """Give the SHA-256 of a file. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Put a file there at once: written beside it, fsynced, renamed. Raises CannotCreateError."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        message = f"{path} cannot be written: {error.strerror}"
        raise CannotCreateError(message) from error
