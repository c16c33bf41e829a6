"""Makes an int8 variant of an installed model, calibrated on the user's own photos, and measures what that is worth.

Static quantisation of activations and, by channel, of weights; needs the extra `quantize`. Residual risk: the photos
are decoded in this process, not in one that is shut in: they are the user's own, and so is the command.
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from bgrd.errors import Fault, ModelFileError, NoInputError
from bgrd.imaging.decode import decode
from bgrd.imaging.matte import matte
from bgrd.imaging.prepare import prepare
from bgrd.job import ModelChoice
from bgrd.models.anatomy import METADATA_KEY
from bgrd.models.session import Session
from bgrd.models.spec import parse
from bgrd.models.widen import widen

__all__ = ["Method", "Photos", "Way", "Worth", "measure", "photos_in", "quantise"]

_MOST_PHOTOS = 64
_FEWEST_PHOTOS = 4
_HELD_BACK = 4
"""Every so many-th photo is not shown to the calibration, but measured on."""
_MAX_PIXELS = 250_000_000
_OPSET = 13
"""The first in which weights are quantised by channel."""
_TIMED_PHOTOS = 3
_ROUNDS = 8
_FEWEST_ROUNDS = 3
_TIMED_SECONDS = 30.0


Method = Literal["average", "percentile", "entropy"]
_METHODS = {
    "average": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a graph is made int8.

    `method` chooses the range of activations: the average of what the photos reach, not the most (0.81/255 off instead
    of 0.92 for bgrd-lite); percentiles and entropy keep every value of every photo in memory. `float_ends` leaves the
    first and the last convolution as they are. `portable` makes a file that is right on every processor; else it may be
    for this one.
    """

    method: Method = "average"
    float_ends: bool = False
    portable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """Photos to calibrate on, and others to measure on."""

    shown: tuple[Path, ...]
    held_back: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What the int8 model is worth beside its origin: median milliseconds a picture, one thread, taken in turn.

    `mean` and `p99` are the difference of opacity in 255ths over every pixel at model size, the average and the bound
    that 99 in 100 keep.
    """

    milliseconds: float
    milliseconds_int8: float
    mean: float
    p99: float

    @property
    def share(self) -> float:
        """How much of the time it takes."""
        return self.milliseconds_int8 / self.milliseconds


@dataclass(slots=True, kw_only=True)
class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Hands photos to the calibration, one after the other."""

    name: str
    tensors: Iterator[NDArray[Any]]

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Give the next input, None after the last."""
        tensor = next(self.tensors, None)
        return None if tensor is None else {self.name: tensor}


def photos_in(folder: Path) -> Photos:
    """Choose up to 64 pictures of a folder, evenly, and hold every fourth back.

    Raises NoInputError where there are not enough.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        message = f"{folder} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error
    usable = [path for path in _spread(found, 4 * _MOST_PHOTOS) if _is_picture(path)]
    if len(usable) < _FEWEST_PHOTOS:
        message = f"{folder} has {len(usable)} pictures; {_FEWEST_PHOTOS} are the least, and some dozen are better"
        raise NoInputError(message)
    chosen = _spread(usable, _MOST_PHOTOS)
    return Photos(
        shown=tuple(path for number, path in enumerate(chosen) if number % _HELD_BACK),
        held_back=tuple(chosen[::_HELD_BACK]),
    )


_DEFAULT = Way()


def quantise(choice: ModelChoice, photos: Photos, draft: Path, *, way: Way = _DEFAULT) -> None:
    """Write the int8 variant of a float32 model to `draft`, beside which it leaves other files.

    Raises ModelFileError where the graph cannot be quantised, ModelFault where the model cannot be used.
    """
    session = _session(choice)
    if session.element_type != "float32":
        message = f"model {choice.name} is {session.element_type}: only float32 can be made int8"
        raise ModelFileError(message)
    plain, ready = draft.with_suffix(".plain.onnx"), draft.with_suffix(".ready.onnx")
    # What onnxruntime does without (an axis a weight has not) is nothing to the user: the difference is measured.
    logging.disable(logging.WARNING)
    try:
        model = onnx.load(choice.path)
        if any(not entry.domain and entry.version < _OPSET for entry in model.opset_import):
            model = version_converter.convert_version(model, _OPSET)
        onnx.save(model, plain)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        prepared = onnx.load(ready)
        widen(prepared.graph)
        onnx.save(prepared, ready)
        weights = {tensor.name for tensor in model.graph.initializer}
        name = next(value.name for value in model.graph.input if value.name not in weights)
        with redirect_stdout(io.StringIO()):  # it prints how its histograms go
            quantize_static(
                str(ready),
                str(draft),
                _Reader(name=name, tensors=_tensors(photos.shown, session)),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                # Without these instructions products of two full bytes overflow on x86.
                reduce_range=way.portable or not _multiplies_bytes(),
                calibrate_method=_METHODS[way.method],
                nodes_to_exclude=_ends(ready) if way.float_ends else [],
                extra_options={"CalibMovingAverage": way.method == "average"},
            )
        _describe(draft, session)
    except (Fault, MemoryError):
        raise
    except Exception as error:
        message = f"model {choice.name} cannot be made int8: {type(error).__name__}: {error}"
        raise ModelFileError(message) from error
    finally:
        logging.disable(logging.NOTSET)


def measure(
    choice: ModelChoice, draft: Path, photos: Photos, *, clock: Callable[[], float] = time.perf_counter
) -> Worth:
    """Run both models in turn on the photos that were held back. Raises ModelFault where one cannot be used."""
    first = _session(choice)
    second = _session(ModelChoice(name=f"{choice.name}:int8", path=draft, spec=choice.spec))
    differences: list[NDArray[Any]] = []
    timed: list[NDArray[Any]] = []
    for tensor in _tensors(photos.held_back, first):
        opacity = [matte(session.run(tensor), session.spec) for session in (first, second)]
        differences.append(np.abs(opacity[0] - opacity[1]).ravel() * np.float32(255.0))
        timed = [*timed, tensor][:_TIMED_PHOTOS]
    every = np.concatenate(differences)
    times = _in_turn((first, second), timed, clock)
    return Worth(
        milliseconds=times[0],
        milliseconds_int8=times[1],
        mean=float(every.mean()),
        p99=float(np.percentile(every, 99)),
    )


def _in_turn(sessions: Sequence[Session], tensors: Sequence[NDArray[Any]], clock: Callable[[], float]) -> list[float]:
    """Give each session's median milliseconds; in turn, so that whatever else the machine does hits both."""
    taken: list[list[float]] = [[] for _session in sessions]
    started = clock()
    for number in range(_ROUNDS):
        for tensor in tensors:
            for session, times in zip(sessions, taken, strict=True):
                before = clock()
                session.run(tensor)
                times.append(clock() - before)
        if number + 1 >= _FEWEST_ROUNDS and clock() - started > _TIMED_SECONDS:
            break
    return [1000.0 * float(np.median(times)) for times in taken]


def _session(choice: ModelChoice) -> Session:
    """Load a model as a lane does: one thread, tried once."""
    spec = parse(choice.spec, where=choice.name) if choice.spec else None
    external = {name: path.read_bytes() for name, path in zip(choice.external, choice.files[1:], strict=True)}
    session = Session(choice.path.read_bytes(), spec=spec, threads=1, name=choice.name, external=external)
    session.trial()
    return session


def _tensors(photos: Sequence[Path], session: Session) -> Iterator[NDArray[Any]]:
    """Yield each photo as the model gets it; one is in memory at a time."""
    for path in photos:
        picture = decode(path.read_bytes(), max_pixels=_MAX_PIXELS)
        yield prepare(picture.image, session.spec, alpha=picture.alpha, dtype=session.element_type)


def _ends(path: Path) -> list[str]:
    """Give the names of the first and the last convolution."""
    names = [node.name for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    return [names[0], names[-1]] if names else []


def _describe(draft: Path, session: Session) -> None:
    """Have the file carry its spec, so that it is itself wherever it goes."""
    model = onnx.load(draft)
    kept = {entry.key: entry.value for entry in model.metadata_props} | {
        METADATA_KEY: json.dumps(session.spec.to_json())
    }
    del model.metadata_props[:]
    helper.set_model_props(model, kept)
    onnx.save(model, draft)


def _is_picture(path: Path) -> bool:
    try:
        decode(path.read_bytes(), max_pixels=_MAX_PIXELS)
    except (Fault, OSError):
        return False
    return True


def _spread(paths: Sequence[Path], most: int) -> list[Path]:
    """Give at most so many of a sequence, evenly."""
    step = max(1.0, len(paths) / most)
    return [paths[int(number * step)] for number in range(min(most, len(paths)))]


def _multiplies_bytes() -> bool:
    """Say whether the processor multiplies bytes without overflow: VNNI on x86, and every ARM."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(words & {"avx512_vnni", "avx_vnni", "amx_int8", "asimd"})
