"""Whether two results are the same, however they were packed."""

from __future__ import annotations

import zlib

from tests.pictures.making import encoded
from tests.pictures.sameness import unpacked
from tests.pictures.scenes import photo


def repacked(data: bytes, level: int) -> bytes:
    """Pack a PNG's rows anew."""
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    body = zlib.compress(zlib.decompress(data[start + 8 : start + 8 + length]), level)
    chunk = b"IDAT" + body
    new = len(body).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return data[:start] + new + data[start + 12 + length :]


def test_packing_is_no_difference_and_all_else_is() -> None:
    """The same rows are the same packed otherwise; other rows, other chunks and other formats are not."""
    data, other = (encoded(photo(16, 12, seed=seed), "PNG") for seed in (1, 2))
    packed = repacked(data, 0)
    assert packed != data
    assert unpacked(packed) == unpacked(data) != unpacked(other)
    assert unpacked(data.replace(b"IHDR", b"IHDr")) != unpacked(data)
    assert unpacked(data[:-12]) != unpacked(data)
    assert unpacked(data[: len(data) // 2]) == data[: len(data) // 2]
    assert unpacked(b"no PNG") == b"no PNG"
    assert unpacked(None) is None
