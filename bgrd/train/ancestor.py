"""What a run begins with: the weights of another one, in its checkpoint or in the file that was exported of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bgrd.errors import ConfigError, ModelFileError, NoInputError, TrainingError
from bgrd.models.anatomy import METADATA_KEY, dissect
from bgrd.models.spec import ModelSpec, parse
from bgrd.train.checkpoint import digest, load_checkpoint
from bgrd.train.export import PROVENANCE_KEY
from bgrd.train.networks.rows import NETWORKS, build
from bgrd.train.regain import regain

__all__ = ["EXPORTED", "Ancestor", "Pictures", "fitting", "named", "read_ancestor"]

EXPORTED = ".onnx"
"""How the name of an exported file ends; all others are taken for checkpoints."""

Pictures = Callable[[], Iterable[Tensor]]
"""Gives some dozen pictures as the network is fed, (B, 3, H, W), on its device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """Whose weights a run begins with: of which network, and at which side that learnt last, None where unknown.

    `told` is what the run's own checkpoints say of it. `weights` gives them for a device, which an exported file needs
    pictures for; it raises TrainingError where the file is no such network's.
    """

    path: Path
    network: str
    side: int | None
    told: Mapping[str, Any]
    weights: Callable[[torch.device, Pictures], Mapping[str, Tensor]]


def read_ancestor(path: Path) -> Ancestor:
    """Read a checkpoint, or a file that `bgrd train export` made.

    Raises NoInputError where it cannot be read, TrainingError where it is damaged or nothing of the kind.
    """
    return _of_file(path) if path.suffix == EXPORTED else _of_run(path)


def _of_run(path: Path) -> Ancestor:
    checkpoint = load_checkpoint(path)
    sides = checkpoint.options.get("side")
    return Ancestor(
        path=path,
        network=checkpoint.network,
        side=int(sides[-1]) if isinstance(sides, list | tuple) and sides else None,
        told={
            "by": "--init",
            **named(path),
            "network": checkpoint.network,
            "samples": checkpoint.samples,
            "recipe": checkpoint.options,
            "manifest_sha256": checkpoint.data,
            "begun_with": checkpoint.begun_with,
        },
        weights=lambda _device, _pictures: checkpoint.result(),
    )


def _of_file(path: Path) -> Ancestor:
    spec, origin = _metadata(path)
    row = NETWORKS.get(str(origin.get("network")))
    if row is None:
        message = f"{path} is of no network that bgrd trains, or does not say of which: `bgrd train export` says it"
        raise TrainingError(message)

    def weights(device: torch.device, pictures: Pictures) -> Mapping[str, Tensor]:
        network = build(row, seed=0).to(device)
        try:
            regain(network, path.read_bytes(), side=2 * row.multiple, batches=pictures())
        except TrainingError as error:
            message = f"{path} cannot be learnt on with: {error}"
            raise TrainingError(message) from error
        return network.state_dict()

    kept = ("network", "samples", "recipe", "manifest_sha256", "begun_with")
    return Ancestor(
        path=path,
        network=row.name,
        side=spec.side,
        told={"by": "--init", **named(path), **{name: origin.get(name) for name in kept}},
        weights=weights,
    )


def _metadata(path: Path) -> tuple[ModelSpec, Mapping[str, Any]]:
    """Read how a file is fed, and where it comes from. Raises NoInputError, TrainingError."""
    try:
        metadata = dissect(path).metadata
        spec, origin = (json.loads(metadata.get(key, "{}")) for key in (METADATA_KEY, PROVENANCE_KEY))
        return parse(spec, where=str(path)), origin if isinstance(origin, dict) else {}
    except OSError as error:
        message = f"{path} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error
    except (ModelFileError, ConfigError, ValueError) as error:
        message = f"{path}: {error}"
        raise TrainingError(message) from error


def named(path: Path) -> dict[str, str]:
    """Tell a file by its name and its SHA-256. Raises OSError."""
    return {"file": path.name, "sha256": digest(path)}


@contextmanager
def fitting(path: Path, network: str) -> Iterator[None]:
    """Tell plainly where the weights of a file do not fit."""
    try:
        yield
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        message = f"{path} does not fit the network {network}; it is damaged, or of another bgrd"
        raise TrainingError(message) from error
