"""Commit: from fsynced, unpublished results to results in the outbox and the source policy applied.

    journal committing -> source unchanged? -> no-clobber link -> directory fsynced
    -> journal committed -> source policy -> journal done

A source that is kept needs nothing on record before: then the last two are one write.

An earlier result of the same folder and path is replaced when its bytes are still those bgrd wrote; one that
was edited since is kept, and the new result takes the next free name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgrd.delivery.beneath import folder_faults
from bgrd.delivery.claim import Claim
from bgrd.delivery.outbox import Draft, Outbox, candidates
from bgrd.delivery.source import Applied, Opened, apply_policy, unchanged
from bgrd.engine.wire import Finished
from bgrd.errors import ChangedFault, Fault, FileFault, IncompleteFault, UnknownFault
from bgrd.job import Folder, Job, Policy, Result
from bgrd.journal.journal import Journal
from bgrd.product import Product
from bgrd.steps import passed

__all__ = ["deliver", "finish", "results_intact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a product goes; `replaces` is the hash of our earlier result that lies there, or None."""

    target: bytes
    replaces: str | None


def deliver(
    folder: Folder,
    journal: Journal,
    outbox: Outbox,
    *,
    claim: Claim,
    finished: Finished,
    pause: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Publish a finished job's results; gives what the log should say. `finish` is to follow.

    `pause` is called where other work may come between.

    Raises ChangedFault when the source is no longer the file that was read (nothing is published then),
    FolderFault when the outbox cannot take the results, UnknownFault when the drafts are not what the lane reported.
    """
    job, drafts = claim.job, claim.drafts
    with folder_faults("outbox", folder.outbox):
        sizes = [os.fstat(draft.fd).st_size for draft in drafts]
    if sizes != finished.sizes:
        text = "what the lane says it wrote is not what lies there"
        raise UnknownFault(text)
    products = folder.recipe.products
    intended = {result.target: result.sha256 for result in job.results}
    searches = [_places(folder, journal, outbox, job=job, product=product, intended=intended) for product in products]
    places: list[_Place] = []
    for search in searches:
        places.append(_next(search, places))
    _intend(journal, job, places, searches, finished)
    passed("commit.intended")
    pause()
    if not unchanged(folder.inbox, job.path, claim.opened):
        text = "the file was replaced or removed while it was worked on"
        raise ChangedFault(text)
    passed("commit.compared")
    for index, draft in enumerate(drafts):
        if folder.result_mtime == "source":
            outbox.set_mtime(draft, job.version.mtime_ns)
        while not _publish(outbox, draft, places[index]):
            places[index] = _next(searches[index], places)
            _intend(journal, job, places, searches, finished)
        passed("commit.linked" if places[index].replaces is None else "commit.replaced")
    for place in places:
        outbox.sync(place.target)
    passed("commit.synced")
    details = {"width": finished.width, "height": finished.height, "format": finished.format, "notes": finished.notes}
    return {"results": [place.target for place in places], **details}


def finish(
    folder: Folder,
    journal: Journal,
    job: Job,
    opened: Opened | None,
    *,
    keep: bool = False,
    details: Mapping[str, Any] | None = None,
) -> Applied:
    """Commit a job whose results are published, apply the source policy and end it as done.

    Without `opened` (after a restart) the source is hashed before it is moved or deleted. `keep` spares it whatever
    the policy, and so does a picture with holes that was taken after its grace. Raises FileFault or FolderFault where
    the source or the archive cannot be used now: the job stays committed, and this is to be called again.
    """
    policy: Policy = "keep" if keep or job.kind == IncompleteFault.kind else folder.policy
    keeps = policy == "keep"
    if not keeps:
        _commit(journal, job)
    try:
        applied = apply_policy(
            policy,
            inbox=folder.inbox,
            path=job.path,
            version=job.version,
            sha256=job.sha256,
            fd=opened.fd if opened is not None else None,
            archive=folder.archive,
            job_id=job.id,
        )
    except Fault:
        if keeps:
            _commit(journal, job)
        raise
    journal.done(job.id, details=details or {}, published=keeps)
    passed("job.done")
    return applied


def _commit(journal: Journal, job: Job) -> None:
    journal.committed(job.id)
    passed("commit.committed")


def results_intact(outbox: Outbox, results: Sequence[Result]) -> bool:
    """Say whether every recorded result is in the outbox with the bytes bgrd wrote."""
    return bool(results) and all(_hash(outbox, result.target) == result.sha256 for result in results)


def _places(
    folder: Folder,
    journal: Journal,
    outbox: Outbox,
    *,
    job: Job,
    product: Product,
    intended: Mapping[bytes, str],
) -> Iterator[_Place]:
    """Give the names a product may take, best first: free ones and those of our own unedited earlier result.

    `intended` is what an earlier try of this very job meant to publish, and may have before it was interrupted.
    """
    only = len(folder.recipe.products) == 1
    for target in candidates(job.path, product, only=only):
        if _is_free(outbox, target):
            yield _Place(target=target, replaces=None)  # unless it is another path's, which `_intend` finds out
            continue
        owner = journal.target_owner(folder.name, target)
        if owner is not None and owner[0] != job.path:
            continue
        there = _hash(outbox, target)
        if there is None:
            yield _Place(target=target, replaces=None)
        elif there == intended.get(target) or there in journal.written(folder.name, job.path, target):
            yield _Place(target=target, replaces=there)


def _intend(
    journal: Journal, job: Job, places: list[_Place], searches: Sequence[Iterator[_Place]], finished: Finished
) -> None:
    """Record where the results go; a name that the journal knows as another path's gives way to the next."""
    while taken := journal.intend(job.id, _results(places, finished), unless_taken=True):
        for index, place in enumerate(places):
            if place.target in taken:
                places[index] = _next(searches[index], places)


def _next(search: Iterator[_Place], places: Sequence[_Place]) -> _Place:
    """Give the next place that no product of the job has: templates that differ can give one name for one source."""
    taken = {place.target for place in places}
    return next(place for place in search if place.target not in taken)


def _is_free(outbox: Outbox, target: bytes) -> bool:
    """Say whether nothing has that name; False where that cannot be told. Raises FolderFault."""
    try:
        return not outbox.holds(target)
    except FileFault:
        return False


def _hash(outbox: Outbox, target: bytes) -> str | None:
    """Give the hash of what lies at the target, None where nothing does, "" where that cannot be told: not ours then.

    Raises FolderFault.
    """
    try:
        return outbox.sha256(target)
    except FileFault:
        return ""


def _publish(outbox: Outbox, draft: Draft, place: _Place) -> bool:
    if place.replaces is not None:
        return outbox.replace(draft, place.target, sha256=place.replaces)
    return outbox.publish(draft, place.target)


def _results(places: Sequence[_Place], finished: Finished) -> list[Result]:
    return [
        Result(target=place.target, size=size, sha256=sha256)
        for place, size, sha256 in zip(places, finished.sizes, finished.sha256s, strict=True)
    ]
