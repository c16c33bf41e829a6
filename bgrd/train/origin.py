"""What there is to export: a network with its weights, how it is fed, and where it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from bgrd import __version__
from bgrd.errors import FetchError, TrainingError, UsageError
from bgrd.models.catalogue import ROWS
from bgrd.models.spec import ModelSpec
from bgrd.train.checkpoint import digest, load_checkpoint, load_weights
from bgrd.train.manifest import read_manifest
from bgrd.train.networks.rows import NETWORKS, build

__all__ = ["TORCHVISION", "Origin", "from_checkpoint", "from_torchvision", "sources_of"]

TORCHVISION = (
    "deeplabv3_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_mobilenet_v3_large",
    "fcn_resnet101",
    "fcn_resnet50",
    "lraspp_mobilenet_v3_large",
)
"""What torchvision has for segmentation; all answer with 21 classes, the first of which is the background."""

_ROW = "deeplabv3-resnet101"
_CLASSES = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A network in its evaluation mode, its spec, and its provenance as JSON values."""

    network: nn.Module
    spec: ModelSpec
    provenance: Mapping[str, Any]


def from_checkpoint(path: Path, spec: Callable[[ModelSpec], ModelSpec], *, blend: float | None = None) -> Origin:
    """Give what a run learnt; `spec` may change how it is fed, `blend` how much of what it began with is kept.

    Raises NoInputError, UsageError where it kept nothing to blend with, TrainingError where the file is no checkpoint,
    its network unknown or its weights another's.
    """
    checkpoint = load_checkpoint(path)
    row = NETWORKS.get(checkpoint.network)
    if row is None:
        message = f"{path} is of a network {checkpoint.network!r}, which is not known; known are {', '.join(NETWORKS)}"
        raise TrainingError(message)
    network = build(row, seed=0)
    try:
        weights = checkpoint.result(blend)
    except UsageError as error:
        message = f"{path}: {error}"
        raise UsageError(message) from error
    _load(network, weights, path)
    sides = checkpoint.options.get("side")
    plain = ModelSpec(
        name=row.name,
        side=int(sides[-1]) if isinstance(sides, list | tuple) and sides else row.side,
        multiple=row.multiple,
        divide_by=row.divide_by,
        mean=row.mean,
        std=row.std,
    )
    provenance = {
        "network": row.name,
        "samples": checkpoint.samples,
        "recipe": checkpoint.options if blend is None else {**checkpoint.options, "blend": blend},
        "checkpoint_sha256": digest(path),
        "manifest_sha256": checkpoint.data,
        "begun_with": checkpoint.begun_with,
        **_versions("torch"),
    }
    return Origin(network=network.eval(), spec=spec(plain), provenance=provenance)


def from_torchvision(name: str, weights: Path | None, spec: Callable[[ModelSpec], ModelSpec]) -> Origin:
    """Give a segmentation network of torchvision's with the user's weights, fed as the catalogue's row says.

    Without `weights` torchvision's own loader fetches those it publishes. Raises UsageError where torchvision is not
    here or does not fit this torch, FetchError where they cannot be fetched, NoInputError, TrainingError where the
    weights are not this network's.
    """
    try:
        found = import_module("torchvision.models")
    except ModuleNotFoundError as error:
        message = f"{name} comes from torchvision, which is not installed: pip install torchvision"
        raise UsageError(message) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        message = (
            f"the torchvision that is installed does not fit this torch ({reason}); both have to be for one device"
        )
        raise UsageError(message) from error
    if weights is None:
        network = _fetched(found, name)
        origin = "torchvision's default weights"
    else:
        network = found.get_model(name, weights=None, weights_backbone=None, num_classes=_CLASSES)
        _load(network, load_weights(weights), weights)
        origin = f"sha256:{digest(weights)}"
    row = ROWS[_ROW].spec
    if row is None:
        message = f"the catalogue does not say how {_ROW} is fed"
        raise TrainingError(message)
    plain = replace(row, name=name, licence=ROWS[_ROW].licence)
    provenance = {"network": name, "weights": origin, **_versions("torch", "torchvision")}
    return Origin(network=network.eval(), spec=spec(plain), provenance=provenance)


def _fetched(models: ModuleType, name: str) -> nn.Module:
    """Give a network with the weights that torchvision publishes and keeps. Raises FetchError."""
    try:
        network: nn.Module = models.get_model(name, weights="DEFAULT")
    except (
        OSError,
        RuntimeError,
        HTTPException,
        EOFError,
    ) as error:  # no network, no space; cut off, another's checksum
        reason = " ".join(str(getattr(error, "reason", "") or error).split())[:200] or type(error).__name__
        message = f"torchvision could not fetch the weights of {name} ({reason}): name a file you have with --weights"
        raise FetchError(message) from error
    return network


def sources_of(datasets: Sequence[Path], *, manifest: str) -> list[dict[str, Any]]:
    """Give each source that was learnt from with its licence and its number of pictures.

    One of the data sets has to have the manifest of this SHA-256, "" for unknown; the others are what a run it began
    with learnt from. Raises UsageError where none has, and as `read_manifest`.
    """
    paths = [place / "manifest.csv" for place in datasets]
    entries = [entry for path in paths for entry in read_manifest(path)]
    if paths and manifest and manifest not in map(digest, paths):
        named = " and ".join(map(str, datasets))
        message = f"--data {named}: the checkpoint learnt from another data set, its manifest had sha256 {manifest}"
        raise UsageError(message)
    counts = Counter((entry.source, entry.licence) for entry in entries if entry.split == "train")
    return [{"source": name, "licence": licence, "pictures": count} for (name, licence), count in counts.items()]


def _load(network: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Give a network its weights; the auxiliary head of torchvision's, which nobody exports, may be in the file."""
    known = network.state_dict().keys()
    try:
        network.load_state_dict({name: value for name, value in weights.items() if name in known or "aux" not in name})
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        message = f"{path} does not hold the weights of {type(network).__name__}: {reason}"
        raise TrainingError(message) from error


def _versions(*names: str) -> dict[str, str]:
    return {"bgrd": __version__, **{name: version(name) for name in names}}
