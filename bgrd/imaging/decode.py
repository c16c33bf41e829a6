"""A file's bytes to an upright RGB picture.

Formats are told by content; only those listed here are ever opened, each by its own reader. The pixel count is
checked from the header before a pixel is decoded.
"""

from __future__ import annotations

import importlib.util
import io
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bgrd.errors import FormatFault, IncompleteFault, InputFault, SparseFault
from bgrd.imaging import complete, jpeg, png, tiff
from bgrd.imaging.colour import to_rgb, turn_positive
from bgrd.imaging.complete import sniff
from bgrd.imaging.damage import Suspicion, judged
from bgrd.imaging.deep import REDUCED, bits_of, low_bytes
from bgrd.imaging.metadata import orientation_and_exif, resolution
from bgrd.imaging.picture import Deep, Picture
from bgrd.imaging.room import rarer

if TYPE_CHECKING:
    from bgrd.product import Format

__all__ = ["decode", "from_image", "preload", "read_back", "sniff"]

_HEAD_BYTES = 64
_HOLES = "The file has holes of zeros: part of the picture may be wrong."
_SPARSE = "Parts of the file were never written: they count as zeros."

_READERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "AVIF": AvifImageFile,
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns each EXIF orientation upright. Source: Exif 3.0, 4.6.5.1 (tag 274)."""


@dataclass(slots=True, kw_only=True)
class _Source:
    """What the bytes say before a decoder sees them; `plain` says that zeros among them may well be pixels."""

    name: str
    data: bytes
    icc: bytes | None = None
    bits: int = 8
    size: tuple[int, int] | None = None
    end: int | None = None
    plain: bool = False
    low: Image.Image | None = None
    notes: list[str] = field(default_factory=list)


def decode(
    data: bytes, *, max_pixels: int, accept_holes: bool = False, hole_at: int | None = None, deep: bool = False
) -> Picture:
    """Decode the first image of a file: upright, RGB, 8 bits, opacity apart; `deep` keeps low bytes beside them.

    `hole_at` is where the file system says that the first part begins that was never written. `accept_holes` takes a
    file that decodes in spite of that, or of zeros where data should be, and notes it. Raises InputFault (no picture,
    too large, damaged, not supported here), IncompleteFault (empty, truncated, holes; SparseFault where zeros may be
    meant), MemoryFault.
    """
    with judged(data) as suspicion:
        source = _examined(data, accept_holes=accept_holes, max_pixels=max_pixels)
        if hole_at is not None and hole_at < (source.end or len(data)):
            _hole(source.notes, accept=accept_holes, plain=source.plain)
        return _picture(_opened(source, max_pixels, suspicion, deep=deep), source)


def preload() -> None:
    """Load the decoders that wait for their first picture, where they are installed."""
    with suppress(InputFault):
        _heif_reader()


def read_back(stream: BinaryIO, format: Format) -> tuple[Image.Image, int]:  # noqa: A002 - the word for it everywhere
    """Decode to the last pixel what was written, and say how many bits a sample has. Raises what Pillow does.

    A PNG can be held to more for less: `imaging.sound`.
    """
    # libtiff would be given the descriptor, and a lane may not do with it what that does.
    image = _READERS[format.upper()](io.BytesIO(stream.read()) if format == "tiff" else stream)
    bits = bits_of(image)
    image.load()
    return image, bits


def from_image(image: Image.Image, *, max_pixels: int) -> Picture:
    """Give a picture that is already in memory the same treatment as a decoded file."""
    _check_size(image.size, max_pixels)
    with judged(b""):
        # A copy shares nothing: what follows may reuse the pixels in place.
        return _picture(image.copy(), _Source(name=image.format or "", data=b"", icc=image.info.get("icc_profile")))


def _examined(data: bytes, *, accept_holes: bool, max_pixels: int) -> _Source:
    """Check the bytes for format, end and holes."""
    name = _recognised(data)
    if name == "PNG":
        return _examined_png(data)
    if name == "TIFF":
        page = tiff.first_page(data)
        if data[:4] == b"MM\0+":
            message = "BigTIFF files in big-endian order cannot be read here."
            raise InputFault(message)
        notes = ["The first of several pages."] if page.several else []
        return _Source(name=name, data=data, bits=page.bits, plain=page.plain, notes=notes)
    found = complete.extent(data, name)
    source = _Source(name=name, data=jpeg.lean(data, found.surplus), size=found.size, end=found.end)
    source.plain = name == "BMP" and complete.is_plain(data)
    if found.size:
        _check_size(found.size, max_pixels)
    if complete.has_hole(data, found):
        _hole(source.notes, accept=accept_holes)
    if found.end is not None and found.end < len(data):
        source.notes.append(f"{len(data) - found.end} bytes after the end of the picture were ignored.")
    if found.animated:
        source.notes.append("The first frame of an animation.")
    return source


def _hole(notes: list[str], *, accept: bool, plain: bool = False) -> None:
    """Refuse a file with holes, or note them, once."""
    if plain and not accept:
        message = "Parts of the file were never written; they may still arrive."
        raise SparseFault(message)
    if not accept:
        message = "The file has holes of zeros; parts of it have not arrived yet."
        raise IncompleteFault(message)
    note = _SPARSE if plain else _HOLES
    if note not in notes:
        notes.append(note)


def _examined_png(data: bytes) -> _Source:
    lean = png.lean(data)
    notes = ["The first frame of an animation."] if lean.animated else []
    if lean.spoiled:
        notes.append("The colour profile is damaged and was ignored.")
    if lean.end < len(data):
        notes.append(f"{len(data) - lean.end} bytes after the end of the picture were ignored.")
    return _Source(name="PNG", data=lean.data, icc=lean.icc, bits=lean.bits, size=lean.size, end=lean.end, notes=notes)


def _recognised(data: bytes) -> str:
    """Name the file's format or say why it has none."""
    if not data:
        message = "The file is empty."
        raise IncompleteFault(message)
    if not any(data[:_HEAD_BYTES]):
        message = "The file begins with zeros; it has not arrived yet."
        raise IncompleteFault(message)
    name = sniff(data[:_HEAD_BYTES])
    if name is None:
        message = "The file is not a picture, or of no format bgrd reads (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC)."
        raise FormatFault(message)
    return name


def _opened(source: _Source, max_pixels: int, suspicion: Suspicion, *, deep: bool) -> Image.Image:
    """Read the header, check the pixel count, then decode."""
    if source.size:
        _check_size(source.size, max_pixels)
        suspicion.expect(source.size, source.name)
    image = _reader(source.name)(io.BytesIO(source.data))
    _check_size(image.size, max_pixels)
    deep = deep and source.bits == 16 and source.name in {"PNG", "TIFF"}
    kind = f"deep {source.name}" if deep else rarer(source.name, mode=image.mode, info=image.info)
    suspicion.expect(image.size, source.name, kind=kind)
    if source.name in {"WEBP", "AVIF"} and getattr(image, "is_animated", False):
        source.notes.append("The first frame of an animation.")
    if source.name == "HEIF":
        if getattr(image, "is_animated", False):
            source.notes.append("The main one of several pictures.")
        source.bits = int(image.info.get("bit_depth") or 8)
    image.load()
    if source.name == "TIFF" and source.bits == 16:
        turn_positive(image)
    if source.name == "PNG" and _may_lack_rows(image) and png.lacks_rows(source.data):
        message = "The PNG file is damaged: it has fewer rows than its size says."
        raise InputFault(message)
    if deep:
        found = low_bytes(_reader(source.name)(io.BytesIO(source.data)))
        if isinstance(found, str):
            source.notes.append(f"The results have 8 bits a sample, not 16: {found}.")
        else:
            source.low = found
    return image


def _may_lack_rows(image: Image.Image) -> bool:
    """Whether the last row is empty, as one that was never decoded is; the rows of an interlaced file mix."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return last.getbbox(alpha_only=False) is None or bool(image.info.get("interlace"))


def _reader(name: str) -> type[ImageFile]:
    if name == "AVIF" and not features.check("avif"):
        message = "AVIF is not supported by the Pillow installed here."
        raise InputFault(message)
    if name == "HEIF":
        return _heif_reader()
    return _READERS[name]


def _heif_reader() -> type[ImageFile]:
    """Load the HEIC decoder only when a HEIC comes: it is an extra, and big."""
    if importlib.util.find_spec("pillow_heif") is None:
        message = "HEIC pictures need a decoder that is not installed: pip install 'bgrd[heif]'."
        raise InputFault(message)
    from pillow_heif import HeifImageFile  # noqa: PLC0415 - light start-up, and an extra

    reader: type[ImageFile] = HeifImageFile
    return reader


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        message = "The picture has no pixels."
        raise InputFault(message)
    if width * height > max_pixels:
        message = (
            f"The picture is too large: {width} x {height} is {width * height / 1e6:.0f} million pixels, "
            f"at most {max_pixels / 1e6:.0f} million are worked on here."
        )
        raise InputFault(message)


def _picture(image: Image.Image, source: _Source) -> Picture:
    """Turn upright, bring to RGB and gather what belongs to the picture."""
    icc = source.icc if source.name == "PNG" else _profile(image)
    dpi = resolution(image)
    orientation, exif = orientation_and_exif(image, source.notes)
    key = image.info.get("transparency")
    if orientation in _UPRIGHT:
        if source.low is not None:
            source.low = source.low.transpose(_UPRIGHT[orientation])
        image = image.transpose(_UPRIGHT[orientation])
        dpi = (dpi[1], dpi[0]) if dpi and orientation >= 5 else dpi
    coloured = to_rgb(image, icc=icc, bits=source.bits)
    deep = _deep(source, key, converted=coloured.converted)
    return Picture(
        image=coloured.image,
        alpha=coloured.alpha,
        icc=coloured.icc,
        exif=exif,
        dpi=dpi,
        deep=deep,
        format=source.name,
        notes=(*source.notes, *(note for note in coloured.notes if deep is None or note != REDUCED)),
    )


def _deep(source: _Source, key: object, *, converted: bool) -> Deep | None:
    """Give the low bytes where the high ones are the picture's; else note why not."""
    if source.low is None:
        return None
    if converted:
        source.notes.append("The results have 8 bits a sample, not 16: its colours had to be converted.")
        return None
    keys = (key,) if isinstance(key, int) else key
    return Deep(low=source.low, key=keys if isinstance(keys, tuple) else None)


def _profile(image: Image.Image) -> bytes | None:
    icc = image.info.get("icc_profile")
    return icc if isinstance(icc, bytes) else None
