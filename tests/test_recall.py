"""Bytes that were worked on before, and what is known of them after a kill."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.delivery.claim import drop_claim
from bgrd.delivery.commit import finish
from bgrd.delivery.recall import adopt, intact_job
from bgrd.job import Job, Result, State
from bgrd.journal.journal import Past
from tests.houses.workshop import Workshop, digest

SOURCE, RESULT = b"source with holes", b"result"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """Give a folder that deletes its sources."""
    shop = Workshop(tmp_path, policy="delete")
    with closing(shop.journal):
        yield shop


def hashed(shop: Workshop) -> tuple[Job, Past]:
    """Claim the job and note its hash, as a lane's; gives it as it stands, and what is known of its path."""
    claim = shop.claim()
    drop_claim(shop.outbox, claim)
    past = shop.journal.hashed(claim.job.id, sha256=digest(SOURCE), recipe="r")
    return replace(claim.job, sha256=digest(SOURCE)), past


def test_a_source_with_holes_is_spared_by_the_run_after_a_kill_too(shop: Workshop) -> None:
    """What earlier results are adopted for a picture with holes, its source is kept, also if a kill comes between."""
    shop.drop("a.jpg", SOURCE)
    first, _past = hashed(shop)
    shop.journal.wait(first.id, kind="incomplete", reason="holes", due=0.0)
    first, _past = hashed(shop)
    (shop.folder.outbox / "a.png").write_bytes(RESULT)
    shop.journal.intend(first.id, [Result(target=b"a.png", size=len(RESULT), sha256=digest(RESULT))])
    shop.journal.committed(first.id)
    assert finish(shop.folder, shop.journal, first, None).outcome == "kept"

    os.utime(shop.folder.inbox / "a.jpg", (1, 1))
    shop.admit("a.jpg")
    job, past = hashed(shop)
    earlier = intact_job(past, shop.outbox)
    assert earlier is not None
    assert adopt(shop.journal, job, earlier=earlier).kind == "incomplete"
    left = shop.job("a.jpg")
    assert (left.state, left.kind) == (State.COMMITTING, "incomplete")
    assert finish(shop.folder, shop.journal, left, None).outcome == "kept"
    assert shop.sources() == {"a.jpg"}
