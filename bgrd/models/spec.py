"""What a model wants in and what it gives out, as one frozen row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from bgrd.errors import ConfigError

__all__ = ["Activation", "Fit", "Layout", "ModelSpec", "Resample", "Stretch", "parse"]

Fit = Literal["square", "short_side"]
Resample = Literal["box", "bilinear", "bicubic", "lanczos", "sampled"]
DivideBy = Literal["255", "256", "image_max"]
Channels = Literal["RGB", "BGR"]
Layout = Literal["NCHW", "NHWC", "file"]
OutputLayout = Literal["input", "NCHW", "NHWC"]
Activation = Literal["none", "sigmoid", "softmax", "argmax", "auto"]
Stretch = Literal["none", "guarded", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model's row. Pixels go in as `(value / divide_by - mean) / std`, channel by channel in the order `channels`.

    `fit` square stretches to `side` x `side`; short_side keeps the aspect and makes both sides multiples of
    `multiple`. `resample` shrinks the picture, `upscale` enlarges the mask; sampled is bilinear between four pixels
    whatever the scale. `quick` lets bilinear reduce big pictures by whole numbers first. `layout` "file" is taken from
    the file's shapes, `output_layout` "input" is the same. `output` names the output or counts from 0. `activation`
    auto is sigmoid where the trial run leaves 0..1 and none where it does not. `pick` lists the channels whose sum is
    the foreground (for argmax: whose winning counts). `stretch` guarded spreads the values from their minimum where
    that means something, never above their maximum; full is the plain min-max of other programs.
    """

    name: str
    side: int
    fit: Fit = "square"
    multiple: int = 32
    resample: Resample = "bilinear"
    quick: bool = True
    upscale: Resample = "bicubic"
    divide_by: DivideBy = "255"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Channels = "RGB"
    layout: Layout = "NCHW"
    output_layout: OutputLayout = "input"
    output: int | str = 0
    activation: Activation = "none"
    pick: tuple[int, ...] = (0,)
    stretch: Stretch = "none"
    licence: str = ""
    commercial: bool = True
    version: int = 1

    def to_json(self) -> dict[str, Any]:
        """Give the spec as JSON values; `parse` reads them back."""
        return asdict(self)


def parse(values: Mapping[str, Any], *, where: str) -> ModelSpec:
    """Read a spec from JSON or TOML values. Raises ConfigError "<where>.<key>: ..." on anything wrong or unknown."""
    for key in values:
        if key not in _READERS:
            message = f"{where}.{key}: there is no such key."
            raise ConfigError(message)
    for key in ("name", "side"):
        if key not in values:
            message = f"{where}.{key}: is missing."
            raise ConfigError(message)
    read: dict[str, Any] = {}
    for key, value in values.items():
        try:
            read[key] = _READERS[key](value)
        except (TypeError, ValueError) as error:
            message = f"{where}.{key}: {error}, not {value!r}."
            raise ConfigError(message) from error
    spec = ModelSpec(**read)
    _check(spec, where)
    return spec


def _check(spec: ModelSpec, where: str) -> None:
    """Hold keys against each other."""
    if spec.side % spec.multiple:
        message = f"{where}.side: {spec.side} is not a multiple of {spec.multiple} ({where}.multiple)."
        raise ConfigError(message)
    if spec.activation in {"softmax", "argmax"} and spec.stretch != "none":
        message = f"{where}.stretch: makes no sense after {spec.activation}, which gives shares already."
        raise ConfigError(message)


def _one_of(alias: Any) -> Callable[[Any], str]:
    choices: tuple[str, ...] = get_args(alias)

    def read(value: Any) -> str:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if text not in choices:
            message = f"must be one of {', '.join(choices)}"
            raise ValueError(message)
        return str(text)

    return read


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            message = f"must be a whole number from {low} to {high}"
            raise ValueError(message)
        return value

    return read


def _three(*, positive: bool) -> Callable[[Any], tuple[float, ...]]:
    def read(value: Any) -> tuple[float, ...]:
        numbers = [value] * 3 if isinstance(value, int | float) else value
        fine = isinstance(numbers, list | tuple) and len(numbers) == 3 and all(_is_number(part) for part in numbers)
        if not fine or (positive and min(numbers) <= 0):
            message = f"must be one or three {'positive ' if positive else ''}numbers"
            raise ValueError(message)
        return tuple(float(part) for part in numbers)

    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        message = "must be text"
        raise TypeError(message)
    return value


def _name(value: Any) -> str:
    if not _text(value).strip():
        message = "must not be empty"
        raise ValueError(message)
    return str(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        message = "must be true or false"
        raise TypeError(message)
    return value


def _output(value: Any) -> int | str:
    if isinstance(value, str) and value:
        return value
    return _whole(0, 1000)(value)


def _pick(value: Any) -> tuple[int, ...]:
    numbers = [value] if isinstance(value, int) else value
    if not isinstance(numbers, list | tuple) or not numbers or len(set(numbers)) != len(numbers):
        message = "must be a list of different channel numbers"
        raise ValueError(message)
    return tuple(_whole(0, 100_000)(number) for number in numbers)


def _stretch(value: Any) -> str:
    """Read the short form too: true is guarded, false is none."""
    if isinstance(value, bool):
        return "guarded" if value else "none"
    return _one_of(Stretch)(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "version": _whole(1, 1_000_000),
    "side": _whole(1, 4096),
    "fit": _one_of(Fit),
    "multiple": _whole(1, 1024),
    "resample": _one_of(Resample),
    "quick": _truth,
    "upscale": _one_of(Resample),
    "divide_by": _one_of(DivideBy),
    "mean": _three(positive=False),
    "std": _three(positive=True),
    "channels": _one_of(Channels),
    "layout": _one_of(Layout),
    "output_layout": _one_of(OutputLayout),
    "output": _output,
    "activation": _one_of(Activation),
    "pick": _pick,
    "stretch": _stretch,
    "licence": _text,
    "commercial": _truth,
}
