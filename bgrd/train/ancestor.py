"""What a run begins with: the weights of another one, in its checkpoint or in the file that was exported of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from bgrd.errors import ConfigError, ModelFault, NoInputError, TrainingError
from bgrd.models.anatomy import METADATA_KEY, dissected
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec, parse
from bgrd.train.checkpoint import digest, load_checkpoint
from bgrd.train.export import PROVENANCE_KEY
from bgrd.train.networks.rows import NETWORKS, build
from bgrd.train.regain import regain

__all__ = ["Ancestor", "Pictures", "fitting", "named", "read_ancestor"]

Pictures = Callable[[], Iterable[Tensor]]
"""Gives some dozen pictures as the network is fed, (B, 3, H, W), on its device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """Whose weights a run begins with: of which network, and at which side that learnt last, None where unknown.

    `told` is what the run's own checkpoints say of it. `weights` gives them for a device; of an exported file what it
    lacks is drawn by a seed, and it needs pictures. It raises TrainingError where the file is no such network's, and
    what drawing pictures raises.
    """

    path: Path
    network: str
    side: int | None
    told: Mapping[str, Any]
    weights: Callable[[torch.device, int, Pictures], Mapping[str, Tensor]]


def read_ancestor(path: Path) -> Ancestor:
    """Read a checkpoint, which is a zip file or called FILE.pt, or a file that `bgrd train export` made.

    Raises NoInputError where it cannot be read, TrainingError or ModelFileError where it is damaged or neither.
    """
    return _of_run(path) if path.suffix == ".pt" or is_zipfile(path) else _of_file(path)


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
        weights=lambda _device, _seed, _pictures: checkpoint.result(),
    )


def _of_file(path: Path) -> Ancestor:
    origin, spec = _metadata(path)
    row = NETWORKS[origin["network"]]

    def weights(device: torch.device, seed: int, pictures: Pictures) -> Mapping[str, Tensor]:
        network = build(row, seed=seed).to(device)
        # Before the file is tried: a photo that is damaged is not the file's fault.
        shown = list(pictures())
        try:
            data = path.read_bytes()
            Session(data, spec=None, threads=1, name=path.name)
            regain(network, data, side=2 * row.multiple, batches=shown)
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            raise NoInputError(message) from error
        except (ModelFault, TrainingError) as error:
            message = f"{path} cannot be learnt on with: {error}"
            raise TrainingError(message) from error
        return network.state_dict()

    # All that the file tells of itself: also whose pictures it learnt from, under which licences.
    told = {"by": "--init", **named(path), **origin}
    return Ancestor(path=path, network=row.name, side=spec.side, told=told, weights=weights)


def _metadata(path: Path) -> tuple[dict[str, Any], ModelSpec]:
    """Read where a file comes from, and how it is fed. Raises NoInputError, ModelFileError, TrainingError."""
    anatomy = dissected(path)
    origin, spec = (_json(anatomy.metadata.get(key, "")) for key in (PROVENANCE_KEY, METADATA_KEY))
    if origin.get("network") not in NETWORKS or anatomy.outside:
        message = f"{path} is no file that `bgrd train export` made of a network of bgrd's: it cannot be learnt on with"
        raise TrainingError(message)
    try:
        return origin, parse(spec, where="its spec")
    except ConfigError as error:
        message = f"{path}: {error}"
        raise TrainingError(message) from error


def _json(text: str) -> dict[str, Any]:
    """Read a table; what is none is empty."""
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    return {}


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
