"""What a prepared data set consists of: frozen values, one for each picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["KINDS", "SPLITS", "Entry", "Kind", "Split"]

Kind = Literal["pair", "cutout", "background"]
Split = Literal["train", "validation", "test"]

KINDS: Mapping[str, Kind] = MappingProxyType({kind: kind for kind in get_args(Kind)})
SPLITS: Mapping[str, Split] = MappingProxyType({split: split for split in get_args(Split)})
"""Both in their order, by how they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One picture and what is known of it; paths are absolute once they are read.

    A pair is a photo (RGB) with a mask (L, 255 where the subject is) of the same size; a cut-out is RGBA and has its
    opacity in itself; a background has no subject. Only a pair has a `mask`.
    """

    kind: Kind
    image: Path
    mask: Path | None
    category: str
    source: str
    licence: str
    split: Split
