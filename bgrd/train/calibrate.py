"""An exported file as int8, its ranges taken from the pictures of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bgrd.errors import TrainingError
from bgrd.job import ModelChoice
from bgrd.models.quantize import Method, Photos, Way, Worth, measure, quantise
from bgrd.train.entry import Entry
from bgrd.train.evaluate import sampled
from bgrd.train.manifest import read_manifest

__all__ = ["Calibrated", "calibrated", "chosen"]

_SHOWN, _HELD_BACK = 48, 16
"""Pictures: percentiles and entropy keep every activation of each in memory, 25 MB for a small network."""
_FEWEST = 8
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The int8 file, what it is worth beside the one it was made of, and how many pictures were shown."""

    data: bytes
    worth: Worth
    pictures: int


def calibrated(
    data: bytes, *, name: str, dataset: Path, place: Path, method: Method = "average", float_ends: bool = False
) -> Calibrated:
    """Make a float32 file that describes itself int8; `place` is an empty folder for drafts.

    The file is right on every processor. Raises TrainingError where there are too few pictures, NoInputError,
    ModelFileError where the graph cannot be quantised.
    """
    photos = chosen(read_manifest(dataset / "manifest.csv"), where=dataset)
    origin, draft = place / "float.onnx", place / "int8.onnx"
    origin.write_bytes(data)
    choice = ModelChoice(name=name, path=origin)
    quantise(choice, photos, draft, way=Way(method=method, float_ends=float_ends, portable=True))
    worth = measure(choice, draft, photos)
    return Calibrated(data=draft.read_bytes(), worth=worth, pictures=len(photos.shown))


def chosen(entries: Sequence[Entry], *, where: Path) -> Photos:
    """Choose photos, as many of each source: most to be shown, some to measure on. Those of the test are left alone.

    Raises TrainingError where there are too few.
    """
    pairs = [entry for entry in entries if entry.kind == "pair" and entry.split != "test"]
    if len(pairs) < _FEWEST:
        message = f"{where} has {len(pairs)} pairs for training or validation; {_FEWEST} are the fewest to calibrate on"
        raise TrainingError(message)
    wanted = _SHOWN + _HELD_BACK
    sources = len({entry.source for entry in pairs})
    paths = [entry.image for entry in sampled(pairs, max(2, wanted // sources), seed=_SEED)]
    paths = [paths[number * len(paths) // wanted] for number in range(wanted)] if len(paths) > wanted else paths
    step = (_SHOWN + _HELD_BACK) // _HELD_BACK
    return Photos(
        shown=tuple(path for number, path in enumerate(paths) if number % step),
        held_back=tuple(paths[::step]),
    )
