"""From files' bytes to what a data set keeps: checked, upright, no longer than a side, encoded, with its hashes.

Photos and backgrounds become JPEG (quality 92, a colour at every pixel), masks and cut-outs PNG. A JPEG that needs no
change keeps its bytes, so that nothing is lost twice. The same bytes give the same bytes.

Residual risk: pictures are decoded in this process, not in one that is shut in: the data are the user's own choice.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageChops

from bgrd.errors import Fault
from bgrd.imaging.decode import decode
from bgrd.imaging.picture import Picture
from bgrd.imaging.quiet import quiet
from bgrd.train.alike import Hash, hash_of
from bgrd.train.judge import EMPTY, FULL, REVERSED, is_coloured, mask_of, trouble

__all__ = ["Options", "Prepared", "RejectedError", "background", "cutout", "pair"]

_JPEG_QUALITY = 92
_MAX_PIXELS = 250_000_000
"""As bgrd's own default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The longest `side` in pixels; whether reversed masks are turned round; whether the mask is a corrected result.

    A corrected `cutout` has to have opacity, a corrected `mask` none; either may be smaller than its photo as a whole
    where its folder makes it so (`scaled`).
    """

    side: int = 320
    fix_inverted: bool = False
    corrected: Literal["", "cutout", "mask"] = ""
    scaled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The bytes of a picture's file, JPEG or PNG by its `suffix`, and of its mask's; `turned`: that was reversed."""

    image: bytes
    suffix: Literal[".jpg", ".png"]
    mask: bytes | None
    hash: Hash
    turned: bool = False


class RejectedError(Exception):
    """A picture is of no use; the message is the rest of a sentence that begins with its name."""


def pair(photo: bytes, mask: bytes, options: Options) -> Prepared:
    """Prepare a photo and its mask. Raises RejectedError."""
    found = _decoded(photo, "the photo")
    opacity = _opacity(mask, options)
    if opacity.size != found.image.size and not (options.scaled and _is_scaled(opacity.size, found.image.size)):
        raise RejectedError(_of_other_size(found.image.size, opacity.size, options))
    reason = trouble(opacity)
    if options.corrected and reason == REVERSED:
        reason = ""  # who corrects a result by hand knows which side is which
    turned = reason == REVERSED and options.fix_inverted
    if turned:
        opacity, reason = ImageChops.invert(opacity), ""
    if reason:
        raise RejectedError(f"has a mask that {reason}" if not options.corrected else reason.partition(";")[0])
    image, body = _photo(photo, found, options.side)
    opacity = opacity.resize(image.size, Image.Resampling.HAMMING)
    _refuse_vanished(opacity, options.side)
    return Prepared(
        image=body,
        suffix=".jpg",
        mask=_png(opacity),
        hash=hash_of(image),
        turned=turned,
    )


def cutout(data: bytes, options: Options) -> Prepared:
    """Prepare a cut-out with its opacity. Raises RejectedError."""
    found = _decoded(data, "the cut-out")
    if found.alpha is None:
        raise RejectedError("has no transparency")
    reason = trouble(found.alpha)
    if reason not in {"", REVERSED}:  # a frame or a wreath, cut down to itself, looks reversed
        raise RejectedError(f"has opacity that {reason.partition(';')[0]}")
    image = found.image.copy()
    image.putalpha(found.alpha)
    # Pillow scales colours by their opacity: what nobody sees does not bleed into the edge.
    image = image.resize(_fitting(image.size, options.side), Image.Resampling.LANCZOS)
    _refuse_vanished(image.getchannel("A"), options.side)
    return Prepared(image=_png(image), suffix=".png", mask=None, hash=hash_of(image))


def background(data: bytes, options: Options) -> Prepared:
    """Prepare a picture without a subject. Raises RejectedError."""
    image, body = _photo(data, _decoded(data, "the picture"), options.side)
    return Prepared(image=body, suffix=".jpg", mask=None, hash=hash_of(image))


def _refuse_vanished(opacity: Image.Image, side: int) -> None:
    """Raise RejectedError where shrinking has left nothing of the subject or of the ground: no sample can show it."""
    gone = {EMPTY: "subject", FULL: "ground"}.get(trouble(opacity))
    if gone is not None:
        raise RejectedError(f"has a {gone} too thin for --side {side}: shrunk to that, next to nothing of it is left")


def _decoded(data: bytes, what: str) -> Picture:
    try:
        return decode(data, max_pixels=_MAX_PIXELS)
    except Fault as fault:
        raise RejectedError(f"cannot be used: {what}: {fault}") from fault


def _opacity(data: bytes, options: Options) -> Image.Image:
    """Give what a mask's file says of opacity (L). Raises RejectedError."""
    found = _decoded(data, "the correction" if options.corrected else "its mask")
    if options.corrected == "cutout" and found.alpha is None:
        raise RejectedError("has no transparency: only a cut-out that stands on nothing says what is cut out")
    if found.alpha is None and is_coloured(found.image):
        raise RejectedError("has a mask in colours: a mask is grey, white where the subject is")
    return mask_of(found.image, found.alpha)


def _of_other_size(photo: tuple[int, int], mask: tuple[int, int], options: Options) -> str:
    sizes = f"{photo[0]} x {photo[1]} and {mask[0]} x {mask[1]}"
    if not options.corrected:
        return f"has a mask of another size: {sizes}, both upright"
    return f"has another size than its photo, {sizes}: what was trimmed or framed cannot be laid over the photo"


def _is_scaled(size: tuple[int, int], whole: tuple[int, int]) -> bool:
    """Say whether a size is another one scaled by one number, to the pixel."""
    return size == _fitting(whole, max(size), enlarge=True)


def _fitting(size: tuple[int, int], side: int, *, enlarge: bool = False) -> tuple[int, int]:
    longest = max(size)
    if longest <= side and not enlarge:
        return size
    return max(1, round(size[0] * side / longest)), max(1, round(size[1] * side / longest))


def _photo(data: bytes, found: Picture, side: int) -> tuple[Image.Image, bytes]:
    """Give a photo's pixels as a data set has them, and its file."""
    size = _fitting(found.image.size, side)
    image = found.image.resize(size, Image.Resampling.LANCZOS) if size != found.image.size else found.image
    if image is found.image and _is_plain(data, found):
        return image, data
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return image, stream.getvalue()


def _is_plain(data: bytes, found: Picture) -> bool:
    """Say whether a file is a JPEG in RGB with nothing in it but the picture."""
    if found.format != "JPEG" or found.notes or found.icc or found.exif:
        return False
    with quiet(), Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return image.mode == "RGB" and not {"exif", "icc_profile", "comment"} & image.info.keys()


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "PNG")
    return stream.getvalue()
