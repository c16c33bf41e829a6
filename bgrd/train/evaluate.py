"""One model's results on one data set: each picture goes the product's own way and is held against its truth."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bgrd.errors import Fault, NoInputError, TrainingError
from bgrd.imaging.decode import decode
from bgrd.imaging.matte import matte, unrefined
from bgrd.imaging.picture import Picture
from bgrd.imaging.prepare import prepare
from bgrd.job import ModelChoice
from bgrd.models.session import Session
from bgrd.models.spec import parse
from bgrd.train.entry import Entry, Split
from bgrd.train.judge import truth_of
from bgrd.train.measures import Figures, figures

__all__ = ["Judge", "Judged", "pairs_of", "read_pair", "sampled"]

_MAX_PIXELS = 250_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A picture and what was found of its result."""

    entry: Entry
    figures: Figures


class Judge:
    """A model in memory; what it gives is the opacity as it leaves the model's stage: nothing refined, no edge set.

    `threads` 0 is one for each processor. Raises ModelFault where the model cannot be used, NoInputError where its file
    cannot be read.
    """

    def __init__(self, choice: ModelChoice, *, threads: int = 0) -> None:
        try:
            data, *external = [path.read_bytes() for path in choice.files]
        except OSError as error:
            message = f"{error.filename} cannot be read: {os.strerror(error.errno or 0)}"
            raise NoInputError(message) from error
        self.name = choice.name
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._session = Session(
            data,
            spec=parse(choice.spec, where=choice.name) if choice.spec else None,
            threads=threads,
            name=choice.name,
            external=dict(zip(choice.external, external, strict=True)),
        )
        self._session.trial()
        self.spec = self._session.spec

    def judged(self, entries: Sequence[Entry]) -> Iterator[tuple[Judged, Image.Image]]:
        """Yield each pair's figures with the result (L). Raises TrainingError that names the picture or the mask."""
        for entry in entries:
            picture, truth = read_pair(entry)
            result = self.opacity(picture)
            try:
                found = figures(np.asarray(result), np.asarray(truth))
            except ValueError as error:
                message = f"{entry.mask}: {error}: such a picture cannot be judged"
                raise TrainingError(message) from error
            yield Judged(entry=entry, figures=found), result

    def opacity(self, picture: Picture) -> Image.Image:
        """Give the opacity (L) of a picture at its own size."""
        spec = self.spec
        tensor = prepare(picture.image, spec, alpha=picture.alpha, dtype=self._session.element_type)
        values = matte(self._session.run(tensor), spec)
        return unrefined(values, size=picture.image.size, upscale=spec.upscale)


def pairs_of(entries: Sequence[Entry], split: Split, *, where: Path) -> list[Entry]:
    """Give the pairs of a split. Raises TrainingError where it has none, with what there is."""
    pairs = [entry for entry in entries if entry.kind == "pair" and entry.split == split]
    if pairs:
        return pairs
    counts = {name: sum(each.kind == "pair" and each.split == name for each in entries) for name in _splits(entries)}
    there = ", ".join(f"{count} in {name}" for name, count in counts.items() if count)
    message = f"{where} has no pairs of picture and mask in the split {split}: " + (
        f"it has {there}; name one with --split" if there else "it has none at all, and only those can be judged"
    )
    raise TrainingError(message)


def sampled(pairs: Sequence[Entry], most: int, *, seed: int) -> list[Entry]:
    """Give at most so many pairs of each source, drawn by seed, in their order."""
    left = dict.fromkeys((each.source for each in pairs), most)
    kept = set()
    for place in np.random.default_rng(seed).permutation(len(pairs)).tolist():
        source = pairs[place].source
        if left[source] > 0:
            left[source] -= 1
            kept.add(place)
    return [pairs[place] for place in sorted(kept)]


def _splits(entries: Sequence[Entry]) -> list[Split]:
    return list(dict.fromkeys(entry.split for entry in entries))


def read_pair(entry: Entry) -> tuple[Picture, Image.Image]:
    """Read a photo and its truth (L, same size). Raises TrainingError naming the file."""
    try:
        picture = decode(entry.image.read_bytes(), max_pixels=_MAX_PIXELS)
    except (Fault, OSError) as error:
        message = f"{entry.image} cannot be read: {error}"
        raise TrainingError(message) from error
    try:
        with Image.open(entry.mask or "") as image:
            truth = truth_of(image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        message = f"{entry.mask} cannot be read: {error}"
        raise TrainingError(message) from error
    if truth.size != picture.image.size:
        sizes = [f"{width} x {height}" for width, height in (truth.size, picture.image.size)]
        message = f"{entry.mask} has {sizes[0]} pixels, its picture {entry.image} has {sizes[1]}"
        raise TrainingError(message)
    return picture, truth
