"""What a decoding error says about a file: damaged, unfinished, of a kind nobody here reads, or short of memory.

Libraries speak of codecs, boxes and error numbers, and their words may hold what a stranger wrote into the file:
they stay with the error's cause, for the log. A sentence here is ours.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from bgrd.errors import Fault, IncompleteFault, InputFault, MemoryFault, UnknownFault
from bgrd.imaging.complete import has_gap
from bgrd.imaging.metadata import BROKEN_METADATA
from bgrd.imaging.quiet import quiet
from bgrd.imaging.room import has_room, most_bytes

__all__ = ["Suspicion", "judged"]

_BROKEN_PIXELS = (*BROKEN_METADATA, Image.DecompressionBombError)

_FATAL = frozenset({"HEIF"})
"""libde265 decodes on threads of its own, where a failed allocation ends the process."""

_HIDING = frozenset({"JPEG", "WEBP", "TIFF", "AVIF", "HEIF"})
"""Whose decoders call a shortage something else."""

_CUT_SHORT = "The picture does not decode to its end; the file is truncated or still being written."
_SHORT = ("out of memory", "decoder error -9", "memory allocation error", "failed to allocate", "bad_alloc")
_TOO_MUCH = ("security limit", "too large", "exceeds")
_OTHER_KIND = ("unsupported", "not supported", "not implemented", "cannot handle", "unknown data organization")
_OTHER_KIND_TOO = ("unknown pixel mode", "no decoder", "unknown raw mode", "decoder not available")


@dataclass(slots=True)
class Suspicion:
    """Whether a decoder's failure may be a shortage of memory: set by `expect` before the pixels are decoded."""

    wanted: int = 0
    hidden: bool = False

    def expect(self, size: tuple[int, int], name: str, *, kind: str = "") -> None:
        """Remember what the picture needs where that cannot be had; it may still turn out to need less.

        `kind` is the format's `rarer` name. Raises MemoryError at once where the decoder would end the process.
        """
        wanted = most_bytes(size, kind or name)
        self.wanted = 0 if has_room(wanted) else wanted
        self.hidden = self.wanted > 0 and name in _HIDING
        if self.wanted and name in _FATAL:
            raise MemoryError


@contextmanager
def judged(data: bytes) -> Iterator[Suspicion]:
    """Turn whatever decoding raises into a fault."""
    suspicion = Suspicion()
    try:
        with quiet():
            yield suspicion
    except MemoryError as error:
        raise _short(suspicion) from error
    except ImportError as error:
        text = "A part of the program that decodes this picture cannot be loaded."
        raise UnknownFault(text) from error
    except _BROKEN_PIXELS as error:
        if isinstance(error, OSError) and error.errno is not None:  # the kernel's word, not a decoder's
            if error.errno == errno.ENOMEM:
                raise _short(suspicion) from error
            text = f"The picture was not decoded, as a system call failed: {os.strerror(error.errno)}."
            raise UnknownFault(text) from error
        raise _fault(data, str(error).lower(), suspicion) from error


def _short(suspicion: Suspicion) -> MemoryFault:
    about = f"; it may need {suspicion.wanted // 2**20} MiB" if suspicion.wanted else ""
    return MemoryFault(f"There is not enough memory to decode this picture{about}.")


def _fault(data: bytes, said: str, suspicion: Suspicion) -> Fault:
    """Judge by what was said: an unfinished copy shows by its early end or by pages of zeros."""
    too_much = any(words in said for words in _TOO_MUCH)
    if "truncated" in said:  # Pillow's own word: it has fed all there is
        return IncompleteFault(_CUT_SHORT)
    if suspicion.hidden or (not too_much and any(words in said for words in _SHORT)):
        return _short(suspicion)
    if has_gap(data):
        return IncompleteFault(_CUT_SHORT)
    if too_much:
        return InputFault("The picture is damaged, or asks for more than any picture needs.")
    if any(words in said for words in (*_OTHER_KIND, *_OTHER_KIND_TOO)):
        return InputFault("The picture is damaged, or of a rare kind of its format that cannot be read here.")
    return InputFault("The picture is damaged and cannot be decoded.")
