"""What the lanes get of this machine, and why: from the settings, the machine, and what is remembered of the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bgrd.config.load import custom_models, folders
from bgrd.config.settings import Settings
from bgrd.engine import experience
from bgrd.engine.capacity import Capacity, Limits, measure
from bgrd.engine.demand import Demand, lanes_and_threads, most_demanding, picture_bytes, predicted
from bgrd.engine.experience import Experience
from bgrd.errors import DaemonFault, ModelFault
from bgrd.job import ModelChoice
from bgrd.models.catalogue import ROWS
from bgrd.models.providers import shares
from bgrd.models.store import find
from bgrd.question import ask

__all__ = ["Allotment", "allotment", "file_bytes", "models_in_use"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """The lanes' limits, what they were chosen from, and the model that decided.

    `lane_bytes` is what a lane takes at most; of a model that lanes share, nothing is in it.
    """

    limits: Limits
    capacity: Capacity
    demand: Demand
    lane_bytes: int
    chosen: str

    @property
    def why(self) -> str:
        """Say in one sentence how many lanes there are, and why."""
        limits, capacity = self.limits, self.capacity
        known = "measured" if self.demand.measured else "reckoned, as it was not loaded here yet"
        taken = f"a lane takes up to {self.lane_bytes / 1e9:.1f} GB"
        if limits.shared:
            once, most = self.demand.process_bytes / 1e9, limits.device_bytes / 1e9
            taken += f" and {self.demand.model}, once for all, {once:.1f} of {most:.1f} GB ({known})"
        else:
            taken += f" with {self.demand.model} ({known})"
        return (
            f"{_several(limits.lanes, 'lane')} x {_several(limits.threads, 'thread')}{self.chosen}: "
            f"{_several(capacity.processors, 'processor')}, {limits.memory_bytes / 1e9:.1f} of "
            f"{capacity.memory_bytes / 1e9:.1f} GB allowed, {taken}"
        )

    @property
    def crowded(self) -> bool:
        """Whether the lanes have less than each of them may take at once."""
        return self.limits.lane_bytes < self.limits.lanes * self.lane_bytes

    @property
    def overflows(self) -> bool:
        """Whether a model that lanes share takes more than such models may."""
        return self.limits.shared and self.demand.process_bytes > self.limits.device_bytes


def allotment(
    settings: Settings,
    models: Sequence[ModelChoice] | None = None,
    *,
    capacity: Capacity | None = None,
    root: Path = Path("/"),
) -> Allotment:
    """Turn the settings' zeros into what this machine allows; without `models` those of the folders count.

    Raises ConfigError, and OSError where the system does not tell what it has.
    """
    capacity = capacity or measure(root=root)
    memory = settings.memory_limit or capacity.memory_bytes // 2
    known = experience.recall(settings.state_directory, experience.identity(capacity.processors, root=root))
    every = [_demand(choice, known) for choice in (models_in_use(settings) if models is None else models)]
    demand = most_demanding(every)
    limits = Limits(
        lanes=1,
        threads=1,
        memory_bytes=memory,
        model_bytes=settings.model_memory or memory // 2,
        job_seconds=settings.job_seconds,
        idle_unload_seconds=settings.idle_unload_seconds or float("inf"),
        providers=settings.providers or (),
        provider_fallback=settings.provider_fallback,
        nice=settings.nice,
        shared=shares(settings.shared_session, settings.providers or ()),
        batch=settings.shared_batch,
    )
    held = demand.elsewhere() if limits.shared else demand
    lane_bytes = held.lane_bytes(picture := picture_bytes(known))
    lanes, threads = lanes_and_threads(
        capacity,
        held,
        lanes=settings.lanes,
        threads=settings.threads,
        memory_limit=limits.lane_bytes,
        picture=picture,
    )
    limits = replace(limits, lanes=lanes, threads=threads)
    chosen = " (as configured)" if settings.lanes else ""
    if not chosen and held.best == (lanes, threads):
        chosen = " (the best `bgrd bench` found)"
    return Allotment(limits=limits, capacity=capacity, demand=demand, lane_bytes=lane_bytes, chosen=chosen)


def models_in_use(settings: Settings) -> list[ModelChoice]:
    """Give the models of the folders, also those whose files are not there: with a path that leads nowhere then."""
    custom = custom_models(settings)
    names = dict.fromkeys(folder.recipe.model for folder in folders(settings, any_model=True))
    found = []
    for name in names:
        try:
            found.append(find(name, custom=custom, directory=settings.models_directory))
        except (ModelFault, DaemonFault):
            found.append(custom.get(name) or ModelChoice(name=name, path=settings.models_directory / "none"))
    return found


def _demand(choice: ModelChoice, known: Experience) -> Demand:
    size = file_bytes(choice)
    row = ROWS.get(choice.name.partition(":")[0])
    figures = known.of(sha256=choice.sha256, name=choice.name, size=size)
    about = next((variant.about_bytes for variant in row.variants if variant.about_bytes), 0) if row else 0
    spec = choice.spec or (row.spec.to_json() if row is not None and row.spec is not None else {})
    side = spec.get("side")
    if side is None and row is not None and row.spec is None:
        side = _BUILT_IN_SIDE
    return predicted(choice.name, size=size or about or 0, side=side, figures=figures)


_BUILT_IN_SIDE = 256
"""Of the one row whose file says itself how it is fed."""


def file_bytes(choice: ModelChoice) -> int | None:
    """Give the bytes of a model's files, None where they cannot be looked at now."""
    try:
        return ask(choice.path, partial(_bytes_of, choice.files))
    except OSError:
        return None


def _bytes_of(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _several(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
