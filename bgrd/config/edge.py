"""Which model, and where its edge lies: what decides a picture's opacity."""

from __future__ import annotations

from pydantic import Field

from bgrd.config.table import Table
from bgrd.job import Refinement

__all__ = ["EdgeOptions"]


class EdgeOptions(Table):
    """How opaque each pixel is."""

    model: str = Field(
        default="bgrd-lite",
        description="The model: one of the README's table, as bgrd-lite or u2net, or the name of a [[model]] table.",
    )
    threshold: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Where the edge lies between background (0) and subject (1).",
    )
    feather: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="How wide the edge is: 1 with threshold 0.5 is the model's soft mask as it is, 0 a hard cut.",
    )
    refine: Refinement = Field(
        default="guided",
        description="Whether the edge follows the photo at its full size, or is the model's mask enlarged.",
    )
    clean_colours: bool = Field(
        default=False,
        description="Whether the old background is taken out of the colours of the edge; pays with finer models.",
    )
    specks: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Separate parts below this share of the subject's area are left out; 0: none. 0.01 suits most.",
    )
    holes: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Holes below this share of the subject's area are filled; 0: none.",
    )
    largest: bool = Field(default=False, description="Whether only the largest part of the subject is kept.")
