"""What a lane holds from job to job: its models, and the pictures cut-outs stand on; and why it refused others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bgrd.engine.pipeline import load_ground
from bgrd.engine.wire import Load
from bgrd.errors import Fault, GroundFault, ModelFault
from bgrd.imaging.picture import Picture
from bgrd.models.session import Session
from bgrd.models.spec import parse

__all__ = ["Stock"]


class Stock:
    """Models and grounds by the names the parent gave them, each with the hex SHA-256 of its file."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[Session, str]] = {}
        self._grounds: dict[str, tuple[Picture, str]] = {}
        self._refused: dict[str, str] = {}

    def take(self, load: Load, data: bytes) -> str:
        """Build and try a model, or decode a ground, from its file's bytes; gives their hash. Raises Fault."""
        sha256 = hashlib.sha256(data).hexdigest()
        if load.ground:
            self._grounds[load.model] = (load_ground(data, max_pixels=load.ground), sha256)
        else:
            self._models[load.model] = (_tried(load, data, sha256), sha256)
        self._refused.pop(load.model, None)
        return sha256

    def refuse(self, name: str, fault: Fault) -> None:
        """Keep why something could not be taken, for the jobs that want it."""
        self._refused[name] = str(fault)

    def drop(self, name: str) -> None:
        """Give the memory of a model or ground back."""
        self._models.pop(name, None)
        self._grounds.pop(name, None)

    def model(self, name: str) -> tuple[Session, str]:
        """Give a model's session and hash. Raises ModelFault with the reason it was refused for."""
        if name not in self._models:
            raise ModelFault(self._refused.get(name, f"model {name} is not loaded in this lane"))
        return self._models[name]

    def grounds(self, names: Sequence[str]) -> tuple[list[Picture], list[str]]:
        """Give pictures and their hashes. Raises GroundFault with the reason one was refused for."""
        for name in names:
            if name not in self._grounds:
                raise GroundFault(self._refused.get(name, "it is not loaded in this lane"))
        held = [self._grounds[name] for name in names]
        return [picture for picture, _sha256 in held], [sha256 for _picture, sha256 in held]


def _tried(load: Load, data: bytes, sha256: str) -> Session:
    if load.sha256 is not None and sha256 != load.sha256:
        text = f"the file of model {load.model} is damaged: sha256 is {sha256}, expected {load.sha256}"
        raise ModelFault(text)
    spec = parse(load.spec, where=f"model {load.model}") if load.spec is not None else None
    session = Session(data, spec=spec, threads=load.threads, name=load.model)
    session.trial()
    return session
