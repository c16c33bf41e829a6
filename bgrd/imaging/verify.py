"""Whether a written result can be read back, and is what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from bgrd.errors import MemoryFault, UnknownFault
from bgrd.imaging.decode import read_back
from bgrd.imaging.quiet import quiet
from bgrd.imaging.room import has_room, most_bytes
from bgrd.imaging.sound import Found, sound_png

if TYPE_CHECKING:
    from bgrd.product import Format, Product

__all__ = ["verify"]

_SHORT = "There is not enough memory to check the result."


def verify(stream: BinaryIO, product: Product, *, size: tuple[int, int], bits: int = 8) -> None:
    """Read a written product to its last pixel; raises UnknownFault unless it is what was meant to be written.

    A PNG is unpacked and held to its specification, whoever wrote it; all others are decoded. `size` is that of the
    product, `bits` what a sample has, which PNG and TIFF tell. Encoders of WebP and AVIF leave an opacity out that is
    full everywhere, and AVIF gives grey back as colour.
    """
    stream.seek(0)
    wanted = "I;16" if product.shows == "L" and bits == 16 else product.shows
    try:
        with quiet():
            found = _found(stream, product.format)
    except MemoryError as error:
        raise MemoryFault(_SHORT) from error
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        if not has_room(most_bytes(size, product.format.upper())):  # a decoder that gets no memory calls it damage
            raise MemoryFault(_SHORT) from error
        message = "The result could not be read back after writing."
        raise UnknownFault(message) from error
    if found.size != size or found.mode not in {wanted, "RGB" if product.format in {"webp", "avif"} else wanted}:
        message = f"The result read back is {found.size} {found.mode}, not {size} {wanted}."
        raise UnknownFault(message)
    if product.format in {"png", "tiff"} and found.bits != bits:
        message = f"The result read back has {found.bits} bits a sample, not {bits}."
        raise UnknownFault(message)


def _found(stream: BinaryIO, format: Format) -> Found:  # noqa: A002 - the word for it everywhere
    if format == "png":
        return sound_png(stream)
    image, bits = read_back(stream, format)
    return Found(size=image.size, mode=image.mode, bits=bits)
