"""What a source offers: photos with their masks by name, cut-outs, backgrounds; and what is missing its partner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath

from bgrd.errors import TrainingError
from bgrd.train.holding import Holding, Member, opened
from bgrd.train.shrink import Options
from bgrd.train.sources import Source

__all__ = ["Candidate", "Rejected", "offered"]

_PHOTOS, _MASKS = "images", "masks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A picture that was not taken, its source's name, its own, and why: the rest of a sentence that begins with it."""

    source: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picture that may be taken; `name` tells it in its source, `image` and `mask` read its files.

    Both raise holding.UnreadableError. Only a pair has a `mask`.
    """

    source: Source
    name: str
    image: Callable[[], bytes]
    mask: Callable[[], bytes] | None = None
    options: Options

    def refused(self, reason: str) -> Rejected:
        """Give it as one that was not taken."""
        return Rejected(source=self.source.name, name=self.name, reason=reason)


@dataclass(frozen=True, slots=True)
class _Found:
    """A member in the holding it lies in."""

    member: Member
    holding: Holding

    def read(self) -> bytes:
        return self.holding.read(self.member.name)


def offered(source: Source, options: Options, stack: ExitStack) -> tuple[list[Candidate], list[Rejected]]:
    """Give what a source offers, sorted by name, and what of it cannot be taken; `stack` holds its archives open.

    Raises NoInputError, TrainingError.
    """
    holdings = [stack.enter_context(opened(path)) for path in source.paths]
    found = [[_Found(member, holding) for member in holding.members()] for holding in holdings]
    rejected = [_refused(source, each, each.member.trouble) for side in found for each in side if each.member.trouble]
    found = [[each for each in side if not each.member.trouble] for side in found]
    if source.kind != "pair":
        candidates = [
            Candidate(source=source, name=each.member.name, image=each.read, options=options) for each in found[0]
        ]
        return candidates, rejected
    if len(found) == 1:
        photos, masks, others = _sides(found[0])
        rejected += [_refused(source, each, f"lies neither in {_PHOTOS}/ nor in {_MASKS}/") for each in others]
    else:
        _refuse_whole_sources(source, found)
        photos, masks = ([(_stem(each.member.name), each) for each in side] for side in found)
    pairs, alone = _paired(source, photos, masks)
    candidates = [
        Candidate(source=source, name=photo.member.name, image=photo.read, mask=mask.read, options=options)
        for photo, mask in pairs
    ]
    return candidates, rejected + alone


def _sides(found: Iterable[_Found]) -> tuple[list[tuple[str, _Found]], list[tuple[str, _Found]], list[_Found]]:
    """Tell photos and masks apart by the directory they lie in; give each with what it has in common with its partner.

    `images/dogs/1.jpg` belongs to `masks/dogs/1.png`, also where both lie in a directory of the archive's name.
    """
    photos: list[tuple[str, _Found]] = []
    masks: list[tuple[str, _Found]] = []
    others = []
    for each in found:
        *directories, name = each.member.name.split("/")
        side = next((part for part in directories if part.lower() in {_PHOTOS, _MASKS}), None)
        if side is None:
            others.append(each)
            continue
        directories.remove(side)
        key = _stem("/".join([*directories, name]))
        (photos if side.lower() == _PHOTOS else masks).append((key, each))
    return photos, masks, others


def _refuse_whole_sources(source: Source, found: Sequence[Iterable[_Found]]) -> None:
    """Raise TrainingError where one of two paths holds photos and masks itself: then both are sources of their own."""
    for path, side in zip(source.paths, found, strict=True):
        photos, masks, _others = _sides(side)
        if photos and masks:
            message = f"{path} has {_PHOTOS}/ and {_MASKS}/ itself, so it is a source by itself: name each by itself"
            raise TrainingError(message)


def _paired(
    source: Source, photos: Sequence[tuple[str, _Found]], masks: Sequence[tuple[str, _Found]]
) -> tuple[list[tuple[_Found, _Found]], list[Rejected]]:
    """Bring photos and masks together; of several of one stem the first by name counts."""
    rejected = []
    sides: list[dict[str, _Found]] = []
    for side in (photos, masks):
        first: dict[str, _Found] = {}
        for key, each in side:
            if first.setdefault(key, each) is not each:
                rejected.append(
                    _refused(source, each, f"has the stem of another that was taken: {first[key].member.name}")
                )
        sides.append(first)
    by_photo, by_mask = sides
    rejected += [_refused(source, each, "has no mask") for key, each in by_photo.items() if key not in by_mask]
    rejected += [_refused(source, each, "has no photo") for key, each in by_mask.items() if key not in by_photo]
    return [(each, by_mask[key]) for key, each in by_photo.items() if key in by_mask], rejected


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _refused(source: Source, each: _Found, reason: str) -> Rejected:
    return Rejected(source=source.name, name=each.member.name, reason=reason)
