"""Whether two results are the same: every chunk and every byte of the rows, however they were packed."""

from __future__ import annotations

import hashlib
import struct
import zlib

__all__ = ["fingerprint", "unpacked"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def fingerprint(data: bytes) -> str:
    """Give a hash that results have in common if they are the same."""
    return hashlib.sha256(unpacked(data) or b"").hexdigest()


def unpacked(data: bytes | None) -> bytes | None:
    """Give a PNG with its rows unpacked, all else as it is; other bytes, and a broken PNG, as they are.

    ISA-L has been seen, once in thousands, to pack the same rows to a few bytes more: another stream of equal meaning.
    """
    if data is None or not data.startswith(_SIGNATURE):
        return data
    rest, packed, at = [_SIGNATURE], [], len(_SIGNATURE)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunk = data[at : at + 12 + length]
        if chunk[4:8] == b"IDAT":
            packed.append(chunk[8:-4])
        else:
            rest.append(chunk)
        at += 12 + length
    try:
        return b"".join([*rest, zlib.decompress(b"".join(packed))])
    except zlib.error:
        return data
