"""Reads candidates, checks and shrinks them, several at once, and writes what is good into a data set's folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bgrd.train import shrink
from bgrd.train.alike import Hash
from bgrd.train.candidates import Candidate, Rejected
from bgrd.train.draft import Namer
from bgrd.train.holding import UnreadableError
from bgrd.train.shrink import Prepared, RejectedError

__all__ = ["Taken", "take"]

_AT_ONCE = 256
"""Pictures decoded before the next are begun: bounds what waits to be written."""

_HOMES = {"pair": "images", "cutout": "cutouts", "background": "backgrounds"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A picture that was written."""

    candidate: Candidate
    image: Path
    mask: Path | None
    hash: Hash
    turned: bool

    def drop(self) -> None:
        """Remove its files."""
        self.image.unlink()
        if self.mask is not None:
            self.mask.unlink()


def take(
    candidates: Sequence[Candidate], draft: Path, rejected: list[Rejected], progress: Callable[[int, int], None]
) -> Iterator[Taken]:
    """Read, check and write each candidate, in their order; those that are of no use join the rejected."""
    namer = Namer()
    workers = len(os.sched_getaffinity(0))  # Pillow decodes, scales and encodes beside Python
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(candidates), _AT_ONCE):
            some = candidates[start : start + _AT_ONCE]
            for number, (candidate, found) in enumerate(zip(some, pool.map(_prepared, some), strict=True)):
                if isinstance(found, str):
                    rejected.append(candidate.refused(found))
                else:
                    yield _written(candidate, found, draft, namer)
                progress(start + number + 1, len(candidates))


def _prepared(candidate: Candidate) -> Prepared | str:
    """Give what a data set keeps of a candidate, or why it cannot be taken."""
    try:
        data = candidate.image()
        if candidate.mask is not None:
            return shrink.pair(data, candidate.mask(), candidate.options)
        made = shrink.cutout if candidate.source.kind == "cutout" else shrink.background
        return made(data, candidate.options)
    except (UnreadableError, RejectedError) as error:
        return str(error)


def _written(candidate: Candidate, found: Prepared, draft: Path, namer: Namer) -> Taken:
    home = _HOMES[candidate.source.kind]
    name = namer.name(home, candidate.source.name, candidate.name)
    image = draft / home / f"{name}{found.suffix}"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(found.image)
    mask = None
    if found.mask is not None:
        mask = draft / "masks" / f"{name}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        mask.write_bytes(found.mask)
    return Taken(candidate=candidate, image=image, mask=mask, hash=found.hash, turned=found.turned)
