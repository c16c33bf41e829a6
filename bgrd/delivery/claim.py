"""A claimed job's open files: its source, checked to be the version that was admitted, and a draft per product."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from bgrd.delivery.outbox import Draft, Outbox, candidates
from bgrd.delivery.source import Opened, open_source
from bgrd.errors import ChangedFault, Fault
from bgrd.job import Folder, Job
from bgrd.steps import passed

__all__ = ["Claim", "draft_directories", "drop_claim", "drop_drafts", "open_claim"]


@dataclass(slots=True)
class Claim:
    """A job in the engine with the descriptors held for it; `drop_claim` gives them back.

    `noted`: its path has a failure note, which goes with its success.
    """

    job: Job
    opened: Opened
    drafts: list[Draft]
    noted: bool = False


def open_claim(folder: Folder, outbox: Outbox, job: Job) -> Claim:
    """Open the source and an unpublished result file for each product. Raises Fault with nothing left open.

    ChangedFault says that the source is no longer the version that was admitted, FolderFault that the outbox cannot
    take results, for want of room too.
    """
    passed("job.claimed")
    opened = open_source(folder.inbox, job.path)
    passed("job.opened")
    claim = Claim(job=job, opened=opened, drafts=[])
    try:
        if opened.version != job.version:
            text = "the file changed before it was worked on"
            raise ChangedFault(text)
        for index, target in enumerate(_targets(folder, job)):
            claim.drafts.append(outbox.create(target, job_id=job.id, index=index))
            passed("job.drafted")
    except Fault:
        drop_claim(outbox, claim)
        raise
    return claim


def drop_claim(outbox: Outbox, claim: Claim) -> None:
    """Close the descriptors of a claim; results not published are gone with them."""
    drop_drafts(outbox, claim)
    os.close(claim.opened.fd)


def drop_drafts(outbox: Outbox, claim: Claim) -> None:
    """Give up the drafts of a claim whose source is still needed.

    Before the journal says that its job is over: nobody looks for what that left hidden.
    """
    for draft in claim.drafts:
        outbox.discard(draft)


def draft_directories(folder: Folder, jobs: Iterable[Job]) -> list[bytes]:
    """Give the outbox directories in which drafts of these jobs may lie."""
    return sorted({target.rpartition(b"/")[0] for job in jobs for target in _targets(folder, job)})


def _targets(folder: Folder, job: Job) -> list[bytes]:
    products = folder.recipe.products
    return [next(candidates(job.path, product, only=len(products) == 1)) for product in products]
