"""What one training run is told, and the recipe files that tell it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from bgrd.errors import NoInputError, TrainingError
from bgrd.train.losses import Loss
from bgrd.train.networks.rows import NETWORKS

__all__ = ["FREE", "Device", "Options", "Precision", "find_recipe", "parse", "read_recipe", "recipe_text", "values_of"]

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]

_RECIPES = {
    name: Path(__file__).parent / "data" / f"{name}.toml"
    for name in ("lite", "lite-further", "lite-last", "lite-large", "lite-end", "tune")
}

FREE = frozenset({"device", "workers", "threads", "patience", "save_minutes"})
"""What may be changed when a run goes on; everything else is the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One run. It ends after `samples` pictures, or `minutes` of training where those are given instead.

    `side` are the sides pictures have and `at` the shares of the run where each one's turn begins. `rate` is the
    learning rate at its peak, reached after the share `warm_up`; it ends at `least_rate` times that. `average` is the
    decay of the running mean of weights. The result is judged every `validate_every` samples; `patience` ends the run
    after so many judgements without a better one (0: never). What is judged and exported lies `blend` of the way from
    what the run began with to what it learnt. `threads` 0 is one for each processor.
    `mixture` are shares of kinds of samples, by name; empty is the sampler's own, whatever that is where it is drawn.
    """

    network: str = "lite"
    side: tuple[int, ...] = (NETWORKS["lite"].side,)
    at: tuple[float, ...] = (0.0,)
    batch: int = 16
    samples: int = 100_000
    minutes: float = 0.0
    seed: int = 1
    rate: float = 2e-3
    warm_up: float = 0.03
    least_rate: float = 0.01
    weight_decay: float = 0.02
    clip: float = 2.0
    average: float = 0.998
    blend: float = 1.0
    validate_every: int = 10_000
    validate_most: int = 100
    patience: int = 0
    save_minutes: float = 5.0
    precision: Precision = "fp32"
    device: Device = "cpu"
    workers: int = 1
    threads: int = 0
    loss: Loss = field(default_factory=Loss)
    mixture: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Give how many steps a run by `samples` has: whole batches."""
        return -(-self.samples // self.batch)


_BOUNDS: dict[str, tuple[float, float]] = {
    "batch": (2, 65_536),
    "samples": (1, 10**12),
    "minutes": (0, 10**6),
    "seed": (0, 2**63 - 1),
    "rate": (1e-9, 10),
    "warm_up": (0, 0.9),
    "least_rate": (0, 1),
    "weight_decay": (0, 10),
    "clip": (1e-6, 10**6),
    "average": (0, 0.999999),
    "blend": (0.001, 1),
    "validate_every": (1, 10**12),
    "validate_most": (1, 10**9),
    "patience": (0, 10**6),
    "save_minutes": (0, 10**6),
    "workers": (0, 256),
    "threads": (0, 1024),
}


def find_recipe(name: str) -> Path:
    """Give the file of a recipe: a path, or the name of one that comes with bgrd. Raises NoInputError."""
    path = Path(name)
    if path.is_file():
        return path
    if name in _RECIPES:
        return _RECIPES[name]
    message = f"there is no recipe {name}: name a file, or one of {', '.join(_RECIPES)}"
    raise NoInputError(message)


def read_recipe(path: Path) -> dict[str, Any]:
    """Give what a recipe file says. Raises NoInputError, TrainingError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise NoInputError(message) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path} is no recipe: {error}"
        raise TrainingError(message) from error


def recipe_text(options: Options) -> str:
    """Give options as a recipe file that says the same."""

    def written(value: object) -> str:
        # The strings of JSON are TOML's where they are not escaped beyond need.
        return json.dumps(value, ensure_ascii=False)

    values = asdict(options)
    tables = {name: values.pop(name) for name in ("loss", "mixture")}
    lines = [f"{name} = {written(value)}" for name, value in values.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *[f"{written(key)} = {written(value)}" for key, value in table.items()]]
    return "\n".join(lines) + "\n"


def parse(values: Mapping[str, Any], *, where: str, base: Options | None = None) -> Options:
    """Make options of TOML or JSON values, over those of `base`. Raises TrainingError "<where>: <key> ...".

    One side that is said without `at` is that of the whole run, however many `base` has.
    """
    read = values_of(values, where=where)
    if len(read.get("side", ())) == 1:
        read.setdefault("at", (0.0,))
    options = replace(base or Options(), **read)
    _check(options, where)
    return options


def values_of(values: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Read TOML or JSON values, each by itself, by their options' names. Raises TrainingError "<where>: <key> ..."."""
    known = {each.name for each in fields(Options)}
    read: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            message = f"{where}: there is no option {key!r}"
            raise TrainingError(message)
        try:
            read[key] = _read(key, value)
        except (TypeError, ValueError) as error:
            message = f"{where}: {key} {error}, is {value!r}"
            raise TrainingError(message) from error
    return read


def _read(key: str, value: Any) -> Any:
    """Read one value. Raises TypeError, ValueError that say what it must be."""
    match key:
        case "network" | "device" | "precision":
            choices = tuple(NETWORKS) if key == "network" else get_args(Device if key == "device" else Precision)
            if value not in choices:
                message = f"must be one of {', '.join(choices)}"
                raise ValueError(message)
            return value
        case "side" | "at":
            many = list(value) if isinstance(value, list | tuple) else [value]
            return tuple(
                _number(each, whole=key == "side", bounds=(32, 4096) if key == "side" else (0, 1)) for each in many
            )
        case "loss":
            known = {each.name for each in fields(Loss)}
            return Loss(**_shares(value, known=known))
        case "mixture":
            return _shares(value, known=None)
        case _:
            whole = get_type_hints(Options)[key] is int
            return _number(value, whole=whole, bounds=_BOUNDS[key])


def _shares(value: Any, *, known: set[str] | None) -> dict[str, float]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        message = "must be a table of numbers"
        raise TypeError(message)
    if known is not None and (unknown := sorted(value.keys() - known)):
        message = f"has no {', '.join(unknown)}"
        raise ValueError(message)
    return {key: float(_number(each, whole=False, bounds=(0, 1e6))) for key, each in value.items()}


def _number(value: Any, *, whole: bool, bounds: tuple[float, float]) -> int | float:
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not bounds[0] <= value <= bounds[1]:
        message = f"must be {'a whole number' if whole else 'a number'} from {bounds[0]:g} to {bounds[1]:g}"
        raise ValueError(message)
    return int(value) if whole else float(value)


def _check(options: Options, where: str) -> None:
    """Hold options against each other. Raises TrainingError."""
    multiple = NETWORKS[options.network].multiple
    wrong = ""
    if len(options.side) != len(options.at):
        wrong = f"side has {len(options.side)} values and at has {len(options.at)}: one for each"
    elif options.at[0] != 0 or list(options.at) != sorted(set(options.at)) or options.at[-1] >= 1:
        wrong = f"at must begin with 0 and grow below 1, is {list(options.at)}"
    elif any(side % multiple for side in options.side):
        wrong = f"side must be multiples of {multiple} for {options.network}, is {list(options.side)}"
    if wrong:
        message = f"{where}: {wrong}"
        raise TrainingError(message)
