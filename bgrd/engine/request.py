"""What a lane and the process that runs its model say to each other, and what the parent says to bring them together.

Tensors do not travel here: they lie in memory that both have mapped, see `engine.region`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Client", "Infer", "Inferred", "Ready", "Refused", "Room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Parent to the model's process: serve one more lane (descriptor: its socket), under this number."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The model's process to a lane: it is loaded and tried; its spec, settled, and what `Loaded` is to say of it.

    Of what it gives out only the output that the spec means comes to the lane, whose spec calls that 0.
    """

    spec: dict[str, Any]
    element_type: str
    sha256: str
    resident_bytes: int
    providers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Lane: the next tensor takes so many bytes. The model's process: here is a place for it (descriptor)."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Infer:
    """Lane: a tensor of this shape is in its place."""

    shape: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """The model's process: what came of it is in its place, which is new where a descriptor comes along."""

    shape: list[int]
    element_type: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The model's process: nothing came of it, by a fault of this kind."""

    kind: str
    text: str
