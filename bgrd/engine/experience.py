"""What models took on this machine, remembered from one start to the next: a small table beside the journal.

Filled from what lanes tell and by `bgrd bench`. Another processor, another number of them, another onnxruntime or
another bgrd, and a table that is damaged, count as none: everything is measured anew, nothing fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import machine
from typing import Any

from bgrd import __version__
from bgrd.models.partial import locked, write_whole
from bgrd.question import ask

__all__ = ["FEW_PICTURES", "Experience", "Figures", "identity", "noted", "recall"]

_NAME = "machine.json"
_LOCK = ".machine.json.lock"
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_MOST_MODELS = 64
_MOST = 2**63
"""No lane can say more, see `engine.shape`; what is more was never measured."""

FEW_PICTURES = 100
"""After fewer pictures nothing is known of how large they are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one model took. Its file is `sha256`, and `size` bytes with its weights.

    `resident_bytes` is what a lane holds for it after its trial run. `milliseconds` are those of a run by threads.
    `best` are the lanes and threads with which `bgrd bench` made the most pictures a minute.
    """

    name: str
    sha256: str
    size: int
    resident_bytes: int
    milliseconds: Mapping[int, float] = field(default_factory=dict)
    best: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """All that is remembered: the figures of each model by the hash of its file, the one met last at the end.

    `pictures` is how many were worked on, `picture_bytes` the most that one of them took beside lane and model.
    """

    machine: str
    models: Mapping[str, Figures] = field(default_factory=dict)
    pictures: int = 0
    picture_bytes: int = 0

    def of(self, *, sha256: str | None, name: str, size: int | None) -> Figures | None:
        """Give a model's figures: by its hash, or where that is not known before it is loaded, by name and size."""
        if sha256 is not None and (found := self.models.get(sha256)) is not None:
            return found
        return next((each for each in self.models.values() if (each.name, each.size) == (name, size)), None)

    def loaded(self, *, sha256: str, name: str, size: int, resident_bytes: int) -> Experience:
        """Take note of a model that passed its trial; a lane that held another one before may tell too little."""
        known = self.models.get(sha256) or Figures(name=name, sha256=sha256, size=size, resident_bytes=0)
        most = max(known.resident_bytes, resident_bytes)
        return self._with(replace(known, name=name, size=size, resident_bytes=most))

    def benched(self, sha256: str, *, milliseconds: Mapping[int, float], best: tuple[int, int]) -> Experience:
        """Take note of what `bgrd bench` found of a model that was loaded before."""
        known = self.models[sha256]
        return self._with(replace(known, milliseconds={**known.milliseconds, **milliseconds}, best=best))

    def worked(self, *, pictures: int, picture_bytes: int) -> Experience:
        """Take note of pictures that were worked on."""
        return replace(
            self,
            pictures=self.pictures + pictures,
            picture_bytes=max(self.picture_bytes, picture_bytes),
        )

    def _with(self, figures: Figures) -> Experience:
        others = {sha256: each for sha256, each in self.models.items() if sha256 != figures.sha256}
        kept = list(others.items())[1 - _MOST_MODELS :]
        return replace(self, models={**dict(kept), figures.sha256: figures})


def identity(processors: int, *, root: Path = Path("/")) -> str:
    """Say on what was measured: the processor's name, how many bgrd may use, onnxruntime's version and bgrd's."""
    return f"{_processor(root)}, {processors}; {_runtime()}; bgrd {__version__}"


def recall(directory: Path, machine_now: str) -> Experience:
    """Read what was remembered; nothing where there is none, it is damaged, or was measured elsewhere."""
    path = directory / _NAME
    try:
        return ask(path, partial(_read, path, machine_now))
    except OSError:
        return Experience(machine=machine_now)


def noted(directory: Path, machine_now: str, what: Callable[[Experience], Experience]) -> Experience:
    """Change what is remembered, and give it; where it cannot be written it is measured again some other time.

    A daemon and `bgrd bench` may do so at once: what the one has written the other keeps.
    """
    try:
        return ask(directory / _NAME, partial(_change, directory, machine_now, what))
    except OSError:
        return what(recall(directory, machine_now))


def _change(directory: Path, machine_now: str, what: Callable[[Experience], Experience]) -> Experience:
    """Read, change and write, while nobody else does. Raises OSError."""
    path = directory / _NAME
    with locked(directory / _LOCK):
        changed = what(_read(path, machine_now))
        models = [asdict(each) for each in changed.models.values()]
        data = json.dumps({**asdict(changed), "models": models}, indent=1).encode() + b"\n"
        write_whole(path, data, mode=0o600)
    return changed


def _read(path: Path, machine_now: str) -> Experience:
    empty = Experience(machine=machine_now)
    try:
        told = json.loads(path.read_bytes())
        if told["machine"] != machine_now:
            return empty
        models = {str(each["sha256"]): _figures(each) for each in told["models"]}
        pictures, picture_bytes = _count(told["pictures"]), _count(told["picture_bytes"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return empty
    return Experience(machine=machine_now, models=models, pictures=pictures, picture_bytes=picture_bytes)


def _figures(told: Mapping[str, Any]) -> Figures:
    """Read one model's figures. Raises TypeError, ValueError, LookupError, AttributeError or OverflowError else."""
    best = told["best"]
    return Figures(
        name=str(told["name"]),
        sha256=str(told["sha256"]),
        size=_count(told["size"]),
        resident_bytes=_count(told["resident_bytes"]),
        milliseconds={int(threads): float(value) for threads, value in told["milliseconds"].items()},
        best=None if best is None else (max(1, _count(best[0])), max(1, _count(best[1]))),
    )


def _count(told: object) -> int:
    if not isinstance(told, int) or isinstance(told, bool) or not 0 <= told < _MOST:
        text = "a number that counts nothing"
        raise ValueError(text)
    return told


def _processor(root: Path) -> str:
    """Give the processor's name, or where the kernel has none its kind."""
    with suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text(errors="replace").splitlines():
            title, _colon, value = line.partition(":")
            if title.strip() in {"model name", "Model"} and value.strip():
                return value.strip()
    return machine()


def _runtime() -> str:
    """Name the onnxruntime that is installed, without loading it."""
    for name in _RUNTIMES:
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return "no onnxruntime"
