"""A model by its file or by the name that `model =` would have: which of both a word is."""

from __future__ import annotations

from pathlib import Path

from bgrd.config.load import custom_models
from bgrd.config.settings import Settings
from bgrd.errors import ModelFault, NoInputError
from bgrd.job import ModelChoice
from bgrd.models.store import find

__all__ = ["installed", "is_name"]


def is_name(text: str) -> bool:
    """Say whether a word is a model's name: no path, no file of these kinds, and no file that is there."""
    path = Path(text)
    return len(path.parts) == 1 and path.suffix not in {".onnx", ".pt"} and not path.is_file()


def installed(name: str, settings: Settings) -> ModelChoice:
    """Give an installed model, or one of the configuration's. Raises NoInputError where there is none."""
    try:
        return find(name, custom=custom_models(settings), directory=settings.models_directory)
    except ModelFault as fault:
        raise NoInputError(str(fault)) from fault
