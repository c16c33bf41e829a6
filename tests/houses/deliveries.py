"""Results delivered as a lane's would be, from claim to the last step."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from bgrd.delivery.claim import Claim, drop_claim
from bgrd.delivery.commit import deliver, finish
from bgrd.delivery.outbox import Outbox
from tests.houses.workshop import Workshop, finished, hashed

__all__ = ["deliver_claim", "work"]


def deliver_claim(shop: Workshop, claim: Claim, *contents: bytes, outbox: Outbox | None = None) -> dict[str, Any]:
    """Write results as a lane would and deliver them."""
    source = os.pread(claim.opened.fd, 1 << 20, 0)
    message = hashed(claim.job.id, source)
    shop.journal.hashed(claim.job.id, sha256=message.sha256, recipe="r")
    claim.job = replace(claim.job, sha256=message.sha256)
    for draft, content in zip(claim.drafts, contents, strict=True):
        os.pwrite(draft.fd, content, 0)
    return deliver(
        shop.folder,
        shop.journal,
        outbox or shop.outbox,
        claim=claim,
        finished=finished(claim.job.id, *contents),
    )


def work(shop: Workshop, *contents: bytes) -> list[bytes]:
    """Claim, deliver and finish the newest job; gives its targets."""
    claim = shop.claim()
    told = deliver_claim(shop, claim, *contents)
    finish(shop.folder, shop.journal, claim.job, claim.opened, details=told)
    drop_claim(shop.outbox, claim)
    targets: list[bytes] = told["results"]
    return targets
