"""Which pictures are trained on and which are held back: a seeded share of each source, groups undivided."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

__all__ = ["held_back"]


def held_back(
    sources: Sequence[str], names: Sequence[str], groups: Sequence[int], *, share: float, seed: int
) -> list[bool]:
    """Say for each picture, by source, name and group, whether it is held back for validation.

    Of each source at most `share` (0..1), rounded, and as near to it as its groups allow; a group is on one side as
    a whole, also where it has pictures of several sources. The same input gives the same answer everywhere, and a
    picture more moves few of the others: chance depends on seed, source and name alone.
    """
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    room = {source: round(share * count) for source, count in Counter(sources).items()}
    chosen: set[int] = set()
    for group in sorted(members, key=lambda group: min(_rank(seed, sources[at], names[at]) for at in members[group])):
        taken = Counter(sources[place] for place in members[group])
        if all(room[source] >= count for source, count in taken.items()):
            chosen.add(group)
            for source, count in taken.items():
                room[source] -= count
    return [group in chosen for group in groups]


def _rank(seed: int, source: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{source}\0{name}".encode(errors="surrogateescape")).digest()
