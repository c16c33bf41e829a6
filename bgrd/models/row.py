"""What a row of the catalogue says of a model: its licence, where its files come from, and how it is fed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bgrd.models.spec import ModelSpec

__all__ = ["Precision", "Row", "Variant"]

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One file of a model.

    `sources` are addresses of the same bytes, the maker's own first: `https://...` or `hf://owner/name/path@revision`;
    () where the package has the file. `checksum` is `algorithm:hex` as published, None where nothing is.
    `about_bytes` is roughly its size, None where nobody looked.
    """

    name: Precision
    file_name: str
    sources: tuple[str, ...] = ()
    checksum: str | None = None
    about_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One known model.

    `commercial` says whether the licence allows commercial use, `gated` whether its hub hands the file only to those
    who have agreed there. The first of `variants` is the default; there is none where the user brings the file, and
    `note` says then where it comes from. `spec` is None where the file carries its own.
    """

    name: str
    licence: str
    commercial: bool
    gated: bool = False
    note: str = ""
    variants: tuple[Variant, ...] = ()
    spec: ModelSpec | None = None
