"""Whether a written result can be read back, and is what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from bgrd.errors import MemoryFault, UnknownFault
from bgrd.imaging.decode import read_back
from bgrd.imaging.quiet import quiet
from bgrd.imaging.room import has_room, most_bytes

if TYPE_CHECKING:
    from bgrd.product import Product

__all__ = ["verify"]

_SHORT = "There is not enough memory to check the result."


def verify(stream: BinaryIO, product: Product, *, size: tuple[int, int], bits: int = 8) -> None:
    """Decode a written product to its last pixel; raises UnknownFault unless it is what was meant to be written.

    `size` is that of the product, `bits` what a sample has, which PNG and TIFF tell. Encoders of WebP and
    AVIF leave an opacity out that is full everywhere, and AVIF gives grey back as colour.
    """
    stream.seek(0)
    wanted = "I;16" if product.shows == "L" and bits == 16 else product.shows
    try:
        with quiet():
            image, found = read_back(stream, product.format)
    except MemoryError as error:
        raise MemoryFault(_SHORT) from error
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        if not has_room(most_bytes(size, product.format.upper())):  # a decoder that gets no memory calls it damage
            raise MemoryFault(_SHORT) from error
        message = "The result could not be read back after writing."
        raise UnknownFault(message) from error
    if image.size != size or image.mode not in {wanted, "RGB" if product.format in {"webp", "avif"} else wanted}:
        message = f"The result read back is {image.size} {image.mode}, not {size} {wanted}."
        raise UnknownFault(message)
    if product.format in {"png", "tiff"} and found != bits:
        message = f"The result read back has {found} bits a sample, not {bits}."
        raise UnknownFault(message)
