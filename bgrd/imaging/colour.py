"""Every colour mode a file can have, brought to RGB of 8 bits and an opacity of its own."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

__all__ = ["Coloured", "between_profiles", "to_rgb", "turn_positive"]

_BAND_PIXELS = 4 * 2**20
"""Deep pictures are reduced so many pixels at a time, so that no wide array of the whole picture exists."""

_MOST_PROFILE_BYTES = 2**20
"""Readers of PNG (Pillow among them) refuse a larger one. Cameras' and screens' take a few KB, those with tables up to
2 MB: what has one is converted instead, since its colours would change without."""

_DEEP = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_PHOTOMETRIC = 262
_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Coloured:
    """A picture as RGB, its opacity (None: opaque everywhere), its RGB profile and what was done to it.

    `converted` says that its colours are those of another space than the file's.
    """

    image: Image.Image
    alpha: Image.Image | None
    icc: bytes | None
    notes: tuple[str, ...]
    converted: bool


def to_rgb(image: Image.Image, *, icc: bytes | None, bits: int) -> Coloured:
    """Convert any mode to RGB and opacity. An RGB profile is kept; CMYK, grey and Lab go to sRGB by theirs.

    `bits` is what the file says of a sample. Peak memory: the image given, one RGB copy, one L copy.
    """
    notes: list[str] = []
    if bits > 8 or image.mode in _DEEP:
        notes.append(f"Reduced from {bits if bits > 8 else 16} to 8 bits.")
    if image.mode in _DEEP:
        image, alpha = _reduce(image, bits), _deep_alpha(image)
    else:
        image, alpha = _split(image, bits)
    space = _space(icc)
    if icc and space is None:
        notes.append("The colour profile is damaged and was ignored.")
    profile = _source_profile(image, icc, space)
    if profile is not None:
        kept = False
        image = _transformed(image, *profile, notes=notes)
    else:
        kept = space == "RGB" and image.mode != "CMYK"
        image = _untransformed(image, icc, space, notes=notes)
    return Coloured(
        image=image,
        alpha=_or_none(alpha),
        icc=icc if kept else None,
        notes=tuple(notes),
        converted=profile is not None,
    )


def between_profiles(image: Image.Image, icc: bytes | None, wanted: bytes | None) -> Image.Image:
    """Give an RGB image of one profile in the colours of another; None is sRGB. As it is where that cannot be done."""
    if icc == wanted:
        return image
    try:
        found, sought = (
            ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("sRGB")
            for profile in (icc, wanted)
        )
        converted = ImageCms.profileToProfile(image, found, sought, outputMode="RGB")
    except (ImageCms.PyCMSError, ValueError, OSError):
        return image
    return converted or image


def turn_positive(image: Image.Image) -> None:
    """Turn a grey TIFF of 16 bits whose zero is white into one whose zero is black, in place; Pillow does not.

    Source: TIFF 6.0, 8, PhotometricInterpretation.
    """
    if image.mode.startswith("I;16") and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        values = np.asarray(image)
        image.paste(Image.fromarray((0xFFFF - values).astype(values.dtype)))


def _or_none(alpha: Image.Image | None) -> Image.Image | None:
    return alpha if alpha is not None and alpha.getextrema() != (255, 255) else None


def _split(image: Image.Image, bits: int) -> tuple[Image.Image, Image.Image | None]:
    """Separate colour (mode L, RGB, CMYK or LAB) from opacity."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in {"L", "RGB"} and "transparency" in image.info:
        image = _scaled_key(image, bits)
    if image.has_transparency_data:
        image = image if image.mode in {"LA", "RGBA"} else image.convert("RGBA")
        alpha = image.getchannel("A")
        return (image.getchannel("L") if image.mode == "LA" else image.convert("RGB")), alpha
    if image.mode in {"L", "RGB", "CMYK", "LAB"}:
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _scaled_key(image: Image.Image, bits: int) -> Image.Image:
    """Bring a transparent colour that was given in 16 bits to the 8 the picture now has."""
    key = image.info["transparency"]
    if bits > 8 and not isinstance(key, bytes):
        image.info["transparency"] = tuple(part >> 8 for part in key) if isinstance(key, tuple) else key >> 8
    return image


def _deep_alpha(image: Image.Image) -> Image.Image | None:
    """Give the opacity of a grey picture with one transparent 16-bit value."""
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return None
    alpha = Image.new("L", image.size)
    for box in _bands(image.size):
        alpha.paste(Image.fromarray(np.where(np.asarray(image.crop(box)) == key, 0, 255).astype(np.uint8)), box)
    return alpha


def _reduce(image: Image.Image, bits: int) -> Image.Image:
    """Bring a deep grey picture to 8 bits by scaling, never by clipping.

    Integers keep their high byte; floats count 0..1 as the whole range, else what lies between their extremes.
    """
    low, high = _range(image, bits)
    grey = Image.new("L", image.size)
    for box in _bands(image.size):
        band = np.asarray(image.crop(box))
        if image.mode == "F" or low < 0:
            scaled = (np.nan_to_num(band.astype(np.float32)) - low) * np.float32(255.0 / (high - low))
            band = np.clip(np.rint(scaled), 0, 255)
        else:
            band = band.astype(np.uint32) >> (max(8, int(high).bit_length()) - 8)
        grey.paste(Image.fromarray(band.astype(np.uint8)), box)
    return grey


def _range(image: Image.Image, bits: int) -> tuple[float, float]:
    """Give the values that mean black and white."""
    if image.mode.startswith("I;16"):
        return 0.0, float(2 ** (bits if 8 < bits < 16 else 16) - 1)
    low, high = (float(np.nan_to_num(value)) for value in image.getextrema())
    if image.mode == "F":
        return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, max(high, low + 1e-6))
    if low < 0:
        return low, max(high, low + 1)
    return 0.0, float(2 ** next(width for width in (8, 16, 32) if high < 2**width) - 1)


def _bands(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    width, height = size
    rows = max(1, _BAND_PIXELS // width)
    return [(0, top, width, min(height, top + rows)) for top in range(0, height, rows)]


def _space(icc: bytes | None) -> str | None:
    """Name the colour space a profile speaks of, or None where it is no profile. Source: ICC.1:2022, 7.2."""
    if not icc or len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    try:
        return str(ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space).strip()
    except (OSError, ImageCms.PyCMSError, ValueError):
        return None


def _source_profile(
    image: Image.Image, icc: bytes | None, space: str | None
) -> tuple[ImageCms.ImageCmsProfile, str] | None:
    """Give the profile by which the picture has to be converted, and its name; None where it may stay as it is."""
    wanted = {"L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}.get(image.mode)
    if image.mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "Lab"
    if icc and space == wanted and wanted is not None:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)), wanted
    if icc and image.mode == "RGB" and space == "RGB" and len(icc) > _MOST_PROFILE_BYTES:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)), "RGB"
    return None


def _untransformed(image: Image.Image, icc: bytes | None, space: str | None, *, notes: list[str]) -> Image.Image:
    """Give the picture as RGB without a look at its profile."""
    if image.mode == "CMYK":
        notes.append("CMYK without a usable profile: the colours are approximate.")
    elif icc and space not in {"RGB", None}:
        notes.append(f"The colour profile is for {space}, not for this picture, and was ignored.")
    return image if image.mode == "RGB" else image.convert("RGB")


def _transformed(
    image: Image.Image,
    profile: ImageCms.ImageCmsProfile,
    name: str,
    *,
    notes: list[str],
) -> Image.Image:
    """Convert to sRGB by a profile, or without it where it cannot be used."""
    try:
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, ValueError, OSError):
        notes.append(f"The {name} profile could not be used: the colours are approximate.")
        return image.convert("RGB")
    if converted is None:
        message = "a transform that is not in place gives a picture"
        raise AssertionError(message)
    notes.append(f"Converted from {name} to sRGB by its profile.")
    return converted
