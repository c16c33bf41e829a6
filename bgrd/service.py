"""What is to be served: the settings as plain values for those who do the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bgrd.config.load import custom_models, folders
from bgrd.config.settings import Settings
from bgrd.job import Folder, ModelChoice
from bgrd.models.providers import shares

__all__ = ["Plan", "plan_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be served: the folders, and where their models are looked up."""

    folders: tuple[Folder, ...]
    models: Mapping[str, ModelChoice]
    models_directory: Path
    providers: tuple[str, ...] = ()
    provider_fallback: bool = False
    shared: bool = False
    batch: int = 1

    def same_models(self, other: Plan) -> bool:
        """Say whether names stand for the same files with the same specs, run in the same way."""
        return replace(self, folders=()) == replace(other, folders=())


def plan_of(settings: Settings) -> Plan:
    """Give what the settings want served. Raises ConfigError."""
    return Plan(
        folders=folders(settings),
        models=custom_models(settings),
        models_directory=settings.models_directory,
        providers=settings.providers or (),
        provider_fallback=settings.provider_fallback,
        shared=shares(settings.shared_session, settings.providers or ()),
        batch=settings.shared_batch,
    )
