"""A seeded breeder of damaged pictures: the same number gives the same mutant, whatever else is bred."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from tests.pictures.seeds import Seed, seeds

__all__ = ["WAYS", "Mutant", "mutant", "mutants"]

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
"""Where lengths and counts overflow."""

_SIDES = (0, 1, 7, 255, 4_000, 30_000, 65_500, 65_535, 0x7FFFFFFF, 0xFFFFFFFF)
_PAGE_BYTES = 4096

Bred = Callable[[Random, Seed], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A damaged picture: its number, what it was bred from and how."""

    number: int
    seed: Seed
    way: str
    data: bytes

    @property
    def name(self) -> str:
        """A file name that tells all of it; every fifth has another format's suffix."""
        suffixes = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "AVIF": "avif", "HEIF": "heic", "TIFF": "tif"}
        suffix = suffixes.get(self.seed.format, self.seed.format.lower())
        suffix = "jpg" if self.number % 5 == 0 else suffix
        return f"{self.number:06}-{self.seed.format}-{self.seed.kind}-{self.way}.{suffix}".replace(" ", "_")


def mutants(count: int, *, start: int = 0) -> Iterator[Mutant]:
    """Breed the mutants numbered from `start`."""
    return (mutant(number) for number in range(start, start + count))


def mutant(number: int) -> Mutant:
    """Breed the mutant with this number; formats take turns, so that none is rare."""
    random = Random(number)
    formats = sorted({seed.format for seed in seeds()})
    seed = random.choice([seed for seed in seeds() if seed.format == formats[number % len(formats)]])
    way = random.choice(sorted(WAYS))
    return Mutant(number=number, seed=seed, way=way, data=_mended(random, WAYS[way](random, seed)))


def _one_bit(random: Random, seed: Seed) -> bytes:
    return _flipped(random, seed.data, 1)


def _few_bits(random: Random, seed: Seed) -> bytes:
    return _flipped(random, seed.data, random.randint(2, 20))


def _many_bits(random: Random, seed: Seed) -> bytes:
    return _flipped(random, seed.data, len(seed.data) // random.choice((2, 20, 100)))


def _head_bits(random: Random, seed: Seed) -> bytes:
    """Flip bits where the structure is, which is the beginning and, in a TIFF, the end."""
    share = random.choice((64, 200, 600))
    if seed.format == "TIFF":
        return seed.data[:-share] + _flipped(random, seed.data[-share:], random.randint(1, 6))
    return _flipped(random, seed.data[:share], random.randint(1, 6)) + seed.data[share:]


def _flipped(random: Random, data: bytes, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _truncated(random: Random, seed: Seed) -> bytes:
    """Cut anywhere, near an end, or between two parts."""
    places = [random.randrange(1, len(seed.data)), random.randrange(1, 40), len(seed.data) - random.randrange(1, 40)]
    places.append(len(b"".join(_parts(seed)[: random.randint(1, 8)])))
    return seed.data[: random.choice(places)]


def _spliced(random: Random, seed: Seed) -> bytes:
    """Put one picture's beginning before another's body."""
    other = random.choice(seeds())
    cut = random.choice((4, 12, 16, 32, 64, 200, len(seed.data) // 2))
    return seed.data[:cut] + other.data[random.choice((0, cut, len(other.data) // 2)) :]


def _holed(random: Random, seed: Seed) -> bytes:
    """Put zeros where data was: a few, or as many pages as a lost block of a copy."""
    length = random.choice((1, 16, 300, _PAGE_BYTES, 8 * _PAGE_BYTES, 10 * _PAGE_BYTES))
    start = random.randrange(len(seed.data))
    if length >= _PAGE_BYTES:
        start -= start % _PAGE_BYTES
    stop = min(len(seed.data), start + length)
    return seed.data[:start] + bytes(stop - start) + seed.data[stop:]


def _lying(random: Random, seed: Seed) -> bytes:
    """Overwrite a number near the beginning of a part, or a field of a TIFF directory, by one that overflows."""
    changed = bytearray(seed.data)
    parts = _parts(seed)
    for _ in range(random.randint(1, 3)):
        at = len(b"".join(parts[: random.randrange(len(parts))])) + random.choice((0, 2, 4, 8, 10, 12, 16))
        order, code = random.choice("<>"), random.choice("BHHII")
        number = random.choice(_NUMBERS) & (256 ** struct.calcsize(code) - 1)
        if at + struct.calcsize(code) <= len(changed):
            struct.pack_into(order + code, changed, at, number)
    return bytes(changed)


def _resized(random: Random, seed: Seed) -> bytes:
    """Have the header speak of other sides than the body has."""
    changed = bytearray(seed.data)
    places, code = _size_fields(seed)
    for at in places:
        if random.random() < 0.7:
            side = random.choice(_SIDES) & (256 ** struct.calcsize(code) - 1)
            struct.pack_into(code, changed, at, side)
    return bytes(changed)


def _size_fields(seed: Seed) -> tuple[list[int], str]:
    """Give where width and height stand, and how they are written."""
    match seed.format:
        case "PNG":
            return [16, 20], ">I"
        case "GIF":
            return [6, 8], "<H"
        case "BMP":
            return [18, 22], "<I"
        case "WEBP":
            return (
                [24, 27] if seed.data[12:16] == b"VP8X" else [26, 28] if seed.data[12:16] == b"VP8 " else [21]
            ), "<H"
        case "JPEG":
            frame = max(seed.data.find(b"\xff\xc0\0\x11"), seed.data.find(b"\xff\xc2\0\x11"), 0)
            return [frame + 5, frame + 7], ">H"
        case "TIFF":
            order = "<" if seed.data[:2] == b"II" else ">"
            tags = [
                seed.data.find(struct.pack(order + "HH", tag, kind)) for tag in (256, 257, 278, 322) for kind in (3, 4)
            ]
            return [at + 8 for at in tags if at > 0 and at + 12 <= len(seed.data)], order + "H"
        case _:
            at = seed.data.find(b"ispe")
            return [at + 8, at + 12], ">I"


def _doubled(random: Random, seed: Seed) -> bytes:
    parts = _parts(seed)
    at = random.randrange(len(parts))
    return b"".join([*parts[: at + 1], *[parts[at]] * random.choice((1, 2, 50)), *parts[at + 1 :]])


def _reordered(random: Random, seed: Seed) -> bytes:
    first, *rest = _parts(seed)
    one, other = (random.randrange(len(rest) or 1) for _ in range(2))
    if rest:
        rest[one], rest[other] = rest[other], rest[one]
    return b"".join([first, *rest])


def _without_part(random: Random, seed: Seed) -> bytes:
    first, *rest = _parts(seed)
    del rest[random.randrange(len(rest) or 1) :][:1]
    if rest:
        del rest[random.randrange(len(rest))]
    return b"".join([first, *rest])


def _garbage(random: Random, seed: Seed) -> bytes:
    """Leave of a picture its first bytes alone."""
    return seed.data[: random.choice((4, 12, 16, 33, 100))] + random.randbytes(random.choice((10, 1000, 20_000)))


def _metadata(random: Random, seed: Seed) -> bytes:
    """Damage what stands beside the pixels: profile, EXIF, XMP, text."""
    marks = (
        b"Exif\0\0",
        b"ICC_PROFILE",
        b"iCCP",
        b"eXIf",
        b"EXIF",
        b"ICCP",
        b"acsp",
        b"xmpmeta",
        b"tEXt",
        b"II*\0",
        b"MM\0*",
    )
    places = [at for mark in marks if (at := seed.data.find(mark, 8)) > 0] or [min(40, len(seed.data) - 1)]
    start = random.choice(places)
    stop = min(len(seed.data), start + random.choice((30, 200, 600)))
    return seed.data[:start] + _flipped(random, seed.data[start:stop], random.randint(1, 60)) + seed.data[stop:]


WAYS: dict[str, Bred] = {
    "one bit": _one_bit,
    "few bits": _few_bits,
    "many bits": _many_bits,
    "head bits": _head_bits,
    "truncated": _truncated,
    "spliced": _spliced,
    "holed": _holed,
    "lying": _lying,
    "resized": _resized,
    "doubled": _doubled,
    "reordered": _reordered,
    "without a part": _without_part,
    "garbage": _garbage,
    "metadata": _metadata,
}
"""How a picture can be damaged."""


def _parts(seed: Seed) -> list[bytes]:
    """Cut a picture where its format does; joined they are the picture."""
    data = seed.data
    match seed.format:
        case "PNG":
            cuts = _walk(data, 8, lambda at: 12 + int.from_bytes(data[at : at + 4], "big"))
        case "JPEG":
            cuts = _walk(data, 2, lambda at: 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
        case "WEBP":
            cuts = _walk(data, 12, lambda at: 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1 & ~1))
        case "AVIF" | "HEIF":
            cuts = _iso_cuts(data)
        case "TIFF":
            first = struct.unpack_from(("<" if data[:2] == b"II" else ">") + "I", data, 4)[0]
            cuts = list(range(first + 2, len(data), 12)) if 0 < first < len(data) else list(range(8, len(data), 20))
        case _:
            cuts = list(range(13, min(len(data), 120), 9))
    edges = [0, *(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def _walk(data: bytes, start: int, length: Callable[[int], int]) -> list[int]:
    cuts: list[int] = []
    while start < len(data) - 4 and len(cuts) < 500:
        cuts.append(start)
        start += max(2, length(start))
    return cuts


def _iso_cuts(data: bytes) -> list[int]:
    """Give where boxes begin, those inside `meta` and `iprp` too."""
    cuts = _walk(data, 0, lambda at: int.from_bytes(data[at : at + 4], "big"))
    for name, head in ((b"meta", 12), (b"iprp", 8), (b"ipco", 8)):
        if (at := data.find(name) - 4) > 0:
            stop = at + int.from_bytes(data[at : at + 4], "big")
            cuts += [
                cut for cut in _walk(data, at + head, lambda at: int.from_bytes(data[at : at + 4], "big")) if cut < stop
            ]
    return sorted(set(cuts))


def _mended(random: Random, data: bytes) -> bytes:
    """Make checksums and outer lengths right again for half of the mutants, or nobody would look further."""
    if random.random() < 0.5:
        return data
    if data[:4] == b"RIFF":
        return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]
    return _sealed(data) if data[:8] == b"\x89PNG\r\n\x1a\n" else data


def _sealed(data: bytes) -> bytes:
    changed, at = bytearray(data), 8
    while at + 12 <= len(data):
        stop = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if stop + 4 > len(data):
            break
        struct.pack_into(">I", changed, stop, zlib.crc32(data[at + 4 : stop]))
        at = stop + 4
    return bytes(changed)
