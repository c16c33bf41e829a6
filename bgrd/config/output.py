"""What is made of a picture and its opacity: products, ground, place in the canvas, format, name."""

from __future__ import annotations

import string
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bgrd.config.table import Table, some
from bgrd.config.values import aspect_of, canvas_of, ground_of
from bgrd.job import Metadata
from bgrd.product import Anchor, Depth, Fit, Format, ProductKind

__all__ = ["OutputOptions", "ProductOptions", "ProductTable"]

_MOST_PRODUCTS = 8
"""A lane gets a descriptor for each beside the source's, sixteen with one message."""

_LONGEST_NAME = 100
_MOST_OFFSET = 0.5
_NAMED = frozenset({"stem", "kind", "folder", "model"})


def _distinct(value: tuple[ProductKind, ...]) -> tuple[ProductKind, ...]:
    """Refuse no product at all and a product named twice."""
    some(value)
    if len(set(value)) != len(value):
        message = "must name each product once; what differs in more than its kind has a [[folder.product]] table"
        raise ValueError(message)
    return value


def _few(value: tuple[ProductTable, ...]) -> tuple[ProductTable, ...]:
    """Refuse more products than a lane can be handed."""
    if len(value) > _MOST_PRODUCTS:
        message = f"must be at most {_MOST_PRODUCTS} tables, are {len(value)}"
        raise ValueError(message)
    return value


def _offset(value: tuple[float, float]) -> tuple[float, float]:
    """Refuse shadows that fall far from what throws them, and numbers that are none."""
    if not all(-_MOST_OFFSET <= part <= _MOST_OFFSET for part in value):
        message = f"must be two numbers between -{_MOST_OFFSET} and {_MOST_OFFSET}, is {list(value)}"
        raise ValueError(message)
    return value


def _template(value: str | None) -> str | None:
    """Refuse names that could not be files in the outbox, or that do not tell one source from another."""
    if value is None:
        return None
    try:
        fields = [field for _text, field, _format, _conversion in string.Formatter().parse(value) if field is not None]
    except ValueError:
        fields = [""]
    if fields.count("stem") != 1 or not set(fields) <= _NAMED or any(mark in value for mark in ("{{", "}}", "!", ":")):
        message = f"must have {{stem}} in it once, and of {{kind}}, {{folder}}, {{model}} what you like, is {value!r}"
        raise ValueError(message)
    if "/" in value or value.startswith(".") or not value.isprintable() or len(value) > _LONGEST_NAME:
        message = f"must be a file's name of at most {_LONGEST_NAME} printable characters, not hidden, is {value!r}"
        raise ValueError(message)
    return value


class ProductsOptions(Table):
    """Which products there are, in short."""

    products: Annotated[tuple[ProductKind, ...], AfterValidator(_distinct)] = Field(
        default=("cutout",),
        description='What is made of each picture, any of "cutout", "mask", "background" (the photo without the '
        'subject) and "compare" (before and after, side by side).',
    )


class ProductOptions(Table):
    """What a product shows and how it is written: for all of a folder, or for one."""

    on: Annotated[str, BeforeValidator(ground_of)] = Field(
        default="transparent",
        description='What the cut-out stands on: "transparent", a colour ("white", "#ff8000"), "blur" (the blurred '
        'original), or a picture ("~/Pictures/beach.jpg").',
    )
    on_fit: Fit = Field(
        default="cover",
        description="How a picture fills the ground: cover cuts off what is over, contain leaves a white rest, tile "
        "repeats it.",
    )
    blur: float = Field(
        default=0.03, ge=0, le=0.2, description='How blurred `on = "blur"` is, as a share of the longer side.'
    )
    shadow: float = Field(default=0.0, ge=0, le=1, description="How dark a soft shadow under the cut-out is; 0: none.")
    shadow_size: float = Field(
        default=0.03, ge=0, le=0.2, description="How soft the shadow is, as a share of the canvas's longer side."
    )
    shadow_offset: Annotated[tuple[float, float], AfterValidator(_offset)] = Field(
        default=(0.0, 0.02), description="How far right and down the shadow falls, as shares of the longer side."
    )
    trim: bool = Field(default=False, description="Whether cut-out and mask are cut down to the subject.")
    margin: float = Field(
        default=0.0, ge=0, le=0.45, description="The empty rim around, as a share of the result's longer side."
    )
    aspect: Annotated[tuple[int, int] | None, BeforeValidator(aspect_of)] = Field(
        default=None,
        description='Width to height, like "1:1" or "4:5": the canvas grows to it, nothing is cut off; or "none".',
        json_schema_extra={"word": "none"},
    )
    canvas: Annotated[tuple[int, int] | None, BeforeValidator(canvas_of)] = Field(
        default=None,
        description='A fixed size in pixels, like "512x512", into which the subject is scaled less the margin; or '
        '"none". It wins over `aspect` and `max_side`.',
        json_schema_extra={"word": "none"},
    )
    enlarge: bool = Field(default=False, description="Whether a subject smaller than the `canvas` is scaled up to it.")
    anchor: Anchor = Field(default="center", description="Where the subject lies in a canvas larger than it.")
    max_side: int = Field(
        default=0, ge=0, le=65_500, description="Results with a longer side are shrunk to this many pixels; 0: never."
    )
    format: Format = Field(
        default="png",
        description="The format of the results. What jpeg and avif cannot keep exactly (masks; in jpeg the background) "
        "is written as png.",
    )
    level: int = Field(
        default=1,
        ge=0,
        le=9,
        description="How hard the encoder tries to make files small: webp 0 to 6, the others 0 to 9. Higher is slower.",
    )
    quality: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description='1 to 100, or "auto": lossless in png, webp and tiff, 90 in jpeg, 85 in avif (which is never '
        "lossless here). Masks are always lossless.",
        json_schema_extra={"word": "auto"},
    )
    depth: Depth = Field(
        default="8",
        description='Bits a sample, "8" or "source": 16 where the photo has 16 (PNG, TIFF) and nothing is scaled or '
        "mixed. For png and tiff.",
    )
    result_name: Annotated[str | None, AfterValidator(_template)] = Field(
        default=None,
        description='What results are called, like "{stem}-{kind}"; {folder} and {model} may stand there too, the '
        'suffix is added. "auto": as the source, and what is no cut-out with its kind.',
        json_schema_extra={"word": "auto"},
    )


class ProductTable(ProductOptions):
    """A `[[folder.product]]` table: one product; what it does not set is the folder's."""

    kind: ProductKind = Field(description="What it shows.")


class OutputOptions(ProductOptions, ProductsOptions):
    """What results show and how they are written."""

    product: Annotated[tuple[ProductTable, ...], AfterValidator(_few)] = Field(
        default=(), description="The products one by one, in place of `products`."
    )
    metadata: Metadata = Field(
        default="no-location",
        description="Which metadata a result keeps: all of it, all but where it was taken, or none.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        """Refuse both ways of naming products at once."""
        if {"products", "product"} <= self.model_fields_set:
            message = "has both products and product tables: name the products in one of these ways"
            raise ValueError(message)
        return self
