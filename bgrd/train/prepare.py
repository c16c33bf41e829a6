"""Makes a data set of folders and zip files: every picture checked, near-duplicates out, shrunk, split, listed.

A data set is a folder with `manifest.csv`, `images/`, `masks/`, `cutouts/`, `backgrounds/`, `categories.png`, and
`rejected.csv`, which says of every picture that was not taken why. It appears whole or not at all.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, pairwise, takewhile
from pathlib import Path

from PIL import Image

from bgrd.errors import TrainingError, UsageError
from bgrd.escape import line, visible
from bgrd.imaging.quiet import quiet
from bgrd.train.alike import KIN, SAME, Hash, components, firsts, hash_of, near
from bgrd.train.candidates import Candidate, Rejected, offered
from bgrd.train.chart import draw_categories
from bgrd.train.draft import drafted
from bgrd.train.entry import Entry, Split
from bgrd.train.manifest import read_manifest, write_manifest
from bgrd.train.shrink import Options
from bgrd.train.sources import Source
from bgrd.train.split import held_back
from bgrd.train.taking import Taken, take

__all__ = ["Plan", "Summary", "prepare"]

_MOST_REASONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a data set is made of: `candidates` come before those of the sources.

    `validation` is the share of each source that is held back, chosen by `seed`; `test` puts everything into the split
    of that name. Nothing is taken that is nearly the same as a picture of the manifests in `apart`.
    """

    sources: tuple[Source, ...]
    options: Options
    candidates: tuple[Candidate, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    validation: float = 0.1
    seed: int = 0
    test: bool = False
    apart: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What became of everything: what was taken, what was not and why, and how many masks were turned round."""

    entries: tuple[Entry, ...]
    rejected: tuple[Rejected, ...]
    turned: int


def prepare(plan: Plan, out: Path, *, progress: Callable[[int, int], None]) -> Summary:
    """Make the data set at `out`, which may not be there yet; `progress` is told how many pictures are looked at.

    Raises NoInputError and TrainingError for what cannot be read, CannotCreateError for what cannot be written.
    """
    _refuse_twins(plan.sources)
    others = [_hash_of_file(entry.image) for path in plan.apart for entry in read_manifest(path)]
    rejected = list(plan.rejected)
    with drafted(out) as draft, ExitStack() as stack:
        # The first of near-duplicates stays: what the user corrected wins over an older mask of the same photo.
        candidates = list(plan.candidates)
        for source in plan.sources:
            found, refused = offered(source, plan.options, stack)
            candidates += found
            rejected += refused
        taken = list(take(candidates, draft, rejected, progress))
        kept, groups = _told_apart(taken, others, rejected)
        if not kept:
            message = "nothing can be taken: " + _first_reasons(rejected)
            raise TrainingError(message)
        entries = _entries(kept, _splits(kept, groups, plan))
        write_manifest(draft / "manifest.csv", entries)
        rejected.sort(key=lambda one: (one.source, one.name, one.reason))
        _write_rejected(draft / "rejected.csv", rejected)
        draw_categories(entries, draft / "categories.png")
    moved = tuple(_moved(entry, draft, out.absolute()) for entry in entries)
    return Summary(entries=moved, rejected=tuple(rejected), turned=sum(each.turned for each in kept))


def _refuse_twins(sources: Sequence[Source]) -> None:
    """Raise UsageError where two sources have one name and kind: nobody could tell whose picture is whose."""
    seen: set[tuple[str, str]] = set()
    for source in sources:
        if (source.name, source.kind) in seen:
            message = f"two sources of {source.kind}s are called {source.name}: name them in a table (--sources)"
            raise UsageError(message)
        seen.add((source.name, source.kind))


def _hash_of_file(path: Path) -> Hash:
    """Give the hash of a picture of another data set. Raises TrainingError where that is damaged."""
    try:
        with quiet(), Image.open(path) as image:
            return hash_of(image)
    except (OSError, SyntaxError, ValueError) as error:
        message = f"{path} is damaged, so nothing can be kept apart from it: {line(str(error))}"
        raise TrainingError(message) from error


def _told_apart(
    taken: Sequence[Taken], others: Sequence[Hash], rejected: list[Rejected]
) -> tuple[list[Taken], list[int]]:
    """Drop what is nearly the same as what stands before it or as `others`; give the rest with a group for each.

    Pictures of one group have to stay on one side of the split.
    """
    hashes = [each.hash for each in taken]
    strangers = _near_to(others, hashes)
    # Pairs are looked at one by one, never kept: thousands of frames that are all alike have millions.
    first = firsts(len(taken), (pair for pair in near(hashes, SAME) if strangers.isdisjoint(pair)))
    group = components(len(taken), chain(near(hashes, KIN), _of_one_name(taken)))
    kept = []
    for place, each in enumerate(taken):
        if place in strangers:
            reason = "is nearly the same as a picture of the data set that this one has to stay apart from"
        elif first[place] != place:
            original = taken[first[place]].candidate
            reason = f"is nearly the same as another that was taken: {original.name} of {original.source.name}"
        else:
            kept.append(place)
            continue
        rejected.append(each.candidate.refused(reason))
        each.drop()
    return [taken[place] for place in kept], [group[place] for place in kept]


def _near_to(others: Sequence[Hash], hashes: Sequence[Hash]) -> set[int]:
    """Give the places of those that are kin to one of the others."""
    if not others:
        return set()
    known = len(others)
    pairs = takewhile(lambda pair: pair[0] < known, near([*others, *hashes], KIN))
    return {higher - known for _lower, higher in pairs if higher >= known}


def _of_one_name(taken: Sequence[Taken]) -> Iterator[tuple[int, int]]:
    """Yield neighbours of those whose names say that they belong together."""
    members: dict[tuple[str, str], list[int]] = {}
    for place, each in enumerate(taken):
        if group := each.candidate.source.group_of(each.candidate.name):
            members.setdefault((each.candidate.source.name, group), []).append(place)
    for places in members.values():
        yield from pairwise(places)


def _splits(kept: Sequence[Taken], groups: Sequence[int], plan: Plan) -> list[Split]:
    if plan.test:
        return ["test"] * len(kept)
    sources = [f"{each.candidate.source.kind} {each.candidate.source.name}" for each in kept]
    names = [each.candidate.name for each in kept]
    back = held_back(sources, names, groups, share=plan.validation, seed=plan.seed)
    return ["validation" if each else "train" for each in back]


def _entries(kept: Sequence[Taken], splits: Sequence[Split]) -> list[Entry]:
    return [
        Entry(
            kind=each.candidate.source.kind,
            image=each.image,
            mask=each.mask,
            category=each.candidate.source.category_of(each.candidate.name),
            source=each.candidate.source.name,
            licence=each.candidate.source.licence,
            split=split,
        )
        for each, split in zip(kept, splits, strict=True)
    ]


def _moved(entry: Entry, draft: Path, out: Path) -> Entry:
    """Give an entry as it stands once the draft has become the data set."""
    mask = None if entry.mask is None else out / entry.mask.relative_to(draft)
    return replace(entry, image=out / entry.image.relative_to(draft), mask=mask)


def _write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    """Write why each was rejected; names come from strangers and are written as harmless text."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("source", "name", "reason"))
        writer.writerows((visible(one.source), visible(one.name), visible(one.reason)) for one in rejected)


def _first_reasons(rejected: Sequence[Rejected]) -> str:
    """Give the first reasons as the end of a sentence."""
    if not rejected:
        return "there is no picture in what was named"
    told = [f"{visible(one.source)}: {visible(one.name)} {visible(one.reason)}" for one in rejected[:_MOST_REASONS]]
    return "; ".join(told) + (f"; and {len(rejected) - len(told)} more" if len(rejected) > len(told) else "")
