"""What is to be served and with what means: the settings as plain values for those who do the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bgrd.config.load import custom_models, folders
from bgrd.config.settings import Settings
from bgrd.engine.capacity import Limits, lanes_and_threads, measure
from bgrd.job import Folder, ModelChoice

__all__ = ["Plan", "limits_of", "plan_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be served: the folders, and where their models are looked up."""

    folders: tuple[Folder, ...]
    models: Mapping[str, ModelChoice]
    models_directory: Path
    providers: tuple[str, ...] = ()
    provider_fallback: bool = False

    def same_models(self, other: Plan) -> bool:
        """Say whether names stand for the same files with the same specs, run by the same providers."""
        return replace(self, folders=()) == replace(other, folders=())


def plan_of(settings: Settings) -> Plan:
    """Give what the settings want served. Raises ConfigError."""
    return Plan(
        folders=folders(settings),
        models=custom_models(settings),
        models_directory=settings.models_directory,
        providers=settings.providers or (),
        provider_fallback=settings.provider_fallback,
    )


def limits_of(settings: Settings) -> Limits:
    """Turn the settings' zeros into what this machine allows."""
    capacity = measure()
    memory = settings.memory_limit or capacity.memory_bytes // 2
    lanes, threads = lanes_and_threads(capacity, lanes=settings.lanes, threads=settings.threads, memory_limit=memory)
    return Limits(
        lanes=lanes,
        threads=threads,
        memory_bytes=memory,
        model_bytes=settings.model_memory or memory // 2,
        job_seconds=settings.job_seconds,
        idle_unload_seconds=settings.idle_unload_seconds or float("inf"),
        providers=settings.providers or (),
        provider_fallback=settings.provider_fallback,
    )
