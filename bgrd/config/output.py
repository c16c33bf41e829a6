"""What is made of a picture and its opacity: products, ground, format."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bgrd.config.table import Table, some
from bgrd.config.values import colour_of
from bgrd.job import Format, Metadata, ProductKind

__all__ = ["OutputOptions"]


def _ground(value: str) -> str:
    """Refuse what is no colour."""
    colour_of(value)
    return value.lower()


def _distinct(value: tuple[ProductKind, ...]) -> tuple[ProductKind, ...]:
    """Refuse no product at all and a product named twice."""
    some(value)
    if len(set(value)) != len(value):
        message = "must name each product once"
        raise ValueError(message)
    return value


class OutputOptions(Table):
    """What a result shows and how it is written."""

    products: Annotated[tuple[ProductKind, ...], AfterValidator(_distinct)] = Field(
        default=("cutout",),
        description='What is made of each picture: "cutout", "mask" or both.',
    )
    background: Annotated[str, AfterValidator(_ground)] = Field(
        default="transparent", description='The ground of the cut-out: "transparent" or a colour like "#ffffff".'
    )
    format: Format = Field(default="png", description="The format of the results.")
    level: int = Field(
        default=1,
        ge=0,
        le=9,
        description="How hard the encoder tries to make files small: png 0 to 9, webp 0 to 6. Higher is slower.",
    )
    quality: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description='For webp cut-outs: "lossless", or 1 to 100 for lossy. Masks are always lossless.',
        json_schema_extra={"word": "lossless"},
    )
    metadata: Metadata = Field(
        default="no-location",
        description="Which metadata a result keeps: all of it, all but where it was taken, or none.",
    )
