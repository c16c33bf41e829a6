"""What a lane holds from job to job: its models, and the pictures cut-outs stand on; and why it refused others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from bgrd.engine.loading import contents, loaded
from bgrd.engine.pipeline import load_ground
from bgrd.engine.remote import RemoteSession
from bgrd.engine.wire import Channel, Load
from bgrd.errors import DeviceFault, Fault, GroundFault, ModelFault
from bgrd.imaging.picture import Picture
from bgrd.models.session import Session

__all__ = ["Stock", "Taken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken in: the hash of its files, of a model what it runs on, and of one that runs elsewhere its size."""

    sha256: str
    resident_bytes: int | None = None
    providers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Stock:
    """Models and grounds by the names the parent gave them, each with the hex SHA-256 of its file."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[Session | RemoteSession, str]] = {}
        self._grounds: dict[str, tuple[Picture, str]] = {}
        self._refused: dict[str, Fault] = {}

    def take(self, load: Load, descriptors: Sequence[int]) -> Taken:
        """Build and try a model, or be tied to the process that runs it, or decode a ground. Raises Fault."""
        if load.ground:
            data = contents(descriptors[0])
            taken = Taken(sha256=hashlib.sha256(data).hexdigest())
            self._grounds[load.model] = (load_ground(data, max_pixels=load.ground), taken.sha256)
        else:
            self.drop(load.model)  # another file under its name, whose memory is wanted now
            session, taken = _tied(load, descriptors) if load.remote else _tried(load, descriptors)
            self._models[load.model] = (session, taken.sha256)
        self._refused.pop(load.model, None)
        return taken

    def refuse(self, name: str, fault: Fault) -> None:
        """Keep why something could not be taken, for the jobs that want it."""
        self._refused[name] = fault

    def drop(self, name: str) -> None:
        """Give the memory of a model or ground back."""
        session, _sha256 = self._models.pop(name, (None, ""))
        if isinstance(session, RemoteSession):
            session.close()
        self._grounds.pop(name, None)

    def model(self, name: str) -> tuple[Session | RemoteSession, str]:
        """Give a model's session and hash. Raises ModelFault with the reason it was refused for, or DeviceFault."""
        if name not in self._models:
            why = self._refused.get(name, f"model {name} is not loaded in this lane")
            raise DeviceFault(str(why)) if isinstance(why, DeviceFault) else ModelFault(str(why))
        return self._models[name]

    def grounds(self, names: Sequence[str]) -> tuple[list[Picture], list[str]]:
        """Give pictures and their hashes. Raises GroundFault with the reason one was refused for."""
        for name in names:
            if name not in self._grounds:
                raise GroundFault(str(self._refused.get(name, "it is not loaded in this lane")))
        held = [self._grounds[name] for name in names]
        return [picture for picture, _sha256 in held], [sha256 for _picture, sha256 in held]


def _tried(load: Load, descriptors: Sequence[int]) -> tuple[Session, Taken]:
    session, sha256 = loaded(load, descriptors)
    session.trial()
    return session, Taken(sha256=sha256, providers=session.providers, notes=session.notes)


def _tied(load: Load, descriptors: Sequence[int]) -> tuple[RemoteSession, Taken]:
    channel = Channel.adopt(os.dup(descriptors[0]))  # what came with a message is closed after it
    try:
        session = RemoteSession(channel, name=load.model)
    except Fault:
        channel.close()
        raise
    taken = Taken(
        sha256=session.sha256,
        resident_bytes=session.resident_bytes,
        providers=session.providers,
        notes=session.notes,
    )
    return session, taken
