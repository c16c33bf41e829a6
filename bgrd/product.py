"""What is made of a picture: frozen values, and what their files are called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Anchor",
    "Depth",
    "Fit",
    "Format",
    "Frame",
    "Ground",
    "Product",
    "ProductKind",
    "Shadow",
    "product_from_json",
    "product_name",
]

ProductKind = Literal["cutout", "mask", "background", "compare"]
Format = Literal["png", "webp", "avif", "tiff", "jpeg"]
Depth = Literal["8", "source"]
Fit = Literal["cover", "contain", "tile"]
Anchor = Literal["center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right"]

_SUFFIXES = {"jpeg": "jpg"}
"""Where a format's files are called otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a cut-out stands on: nothing, a colour (RGB 0..255), the blurred original, or a picture.

    `blur` is the radius as a share of the longer side, `picture` a place in the recipe's `grounds`; `fit` says how
    either picture is brought to the result's size.
    """

    kind: Literal["transparent", "colour", "blur", "picture"] = "transparent"
    colour: tuple[int, int, int] = (255, 255, 255)
    picture: int = 0
    blur: float = 0.03
    fit: Fit = "cover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A soft shadow: its opacity 0..1; its softness and its way right and down as shares of the longer side."""

    opacity: float
    size: float = 0.03
    offset: tuple[float, float] = (0.0, 0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What part of the picture a product shows, and where in what canvas; see `imaging.frame`.

    `margin` is a share of the result's longer side, `aspect` width to height, `canvas` pixels, `max_side` 0 for none.
    """

    trim: bool = False
    margin: float = 0.0
    aspect: tuple[int, int] | None = None
    canvas: tuple[int, int] | None = None
    enlarge: bool = False
    anchor: Anchor = "center"
    max_side: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One file a job gives: what it shows, how it is written, and what it is called.

    `level` is the encoder's effort (WebP 0..6, the others 0..9), `quality` 1..100, or None: lossless where the format
    can be. `depth` is the bits of a sample: 8, or 16 where the source has them and nothing is scaled or mixed. Only a
    cut-out and the second half of a comparison have ground and shadow; only a cut-out and a mask have more of the
    frame than its longest side. In `name` stands {stem} for what the source is called; None: as always.
    """

    kind: ProductKind = "cutout"
    format: Format = "png"
    level: int = 1
    quality: int | None = None
    depth: Depth = "8"
    ground: Ground = Ground()
    shadow: Shadow | None = None
    frame: Frame = Frame()
    name: str | None = None

    @property
    def shows(self) -> Literal["L", "RGB", "RGBA"]:
        """The mode of its pixels."""
        if self.kind == "mask":
            return "L"
        opaque = self.kind == "compare" or (self.kind == "cutout" and self.ground.kind != "transparent")
        return "RGB" if opaque else "RGBA"


def product_from_json(values: dict[str, Any]) -> Product:
    """Rebuild a product from `asdict`'s values, or JSON's, which has lists for tuples. Raises TypeError, KeyError."""
    ground, shadow, frame = values["ground"], values["shadow"], values["frame"]
    return Product(
        **{
            **values,
            "ground": Ground(**{**ground, "colour": tuple(ground["colour"])}),
            "shadow": Shadow(**{**shadow, "offset": tuple(shadow["offset"])}) if shadow else None,
            "frame": Frame(**{**frame, **{key: tuple(frame[key]) for key in ("aspect", "canvas") if frame[key]}}),
        }
    )


def product_name(product: Product, *, only: bool) -> tuple[bytes, bytes]:
    """Give what stands before and after the stem of the source in a result's name, the suffix with it.

    What is no cut-out is told apart by its kind, as in `.mask`; `only` says that it stands alone and needs not.
    """
    named = product.name
    if named is None:
        named = "{stem}" if product.kind == "cutout" or only else f"{{stem}}.{product.kind}"
    before, _stem, after = os.fsencode(named).partition(b"{stem}")
    return before, after + b"." + _SUFFIXES.get(product.format, product.format).encode()
