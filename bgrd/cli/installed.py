"""A model by the name that `model =` would have."""

from __future__ import annotations

from bgrd.config.load import custom_models
from bgrd.config.settings import Settings
from bgrd.errors import ModelFault, NoInputError
from bgrd.job import ModelChoice
from bgrd.models.store import find

__all__ = ["installed"]


def installed(name: str, settings: Settings) -> ModelChoice:
    """Give an installed model, or one of the configuration's. Raises NoInputError where there is none."""
    try:
        return find(name, custom=custom_models(settings), directory=settings.models_directory)
    except ModelFault as fault:
        raise NoInputError(str(fault)) from fault
