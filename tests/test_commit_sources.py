"""What becomes of the source once its results are published."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgrd.delivery.claim import drop_claim
from bgrd.delivery.commit import finish
from bgrd.errors import FolderFault
from bgrd.job import Policy, State
from tests.houses.deliveries import deliver_claim, work
from tests.houses.workshop import Workshop


def test_a_result_may_have_the_time_of_its_source(tmp_path: Path) -> None:
    """With `result_mtime = "source"` photo programs sort results as they sort sources."""
    shop = Workshop(tmp_path, result_mtime="source")
    (shop.folder.inbox / "a.jpg").write_bytes(b"source")
    os.utime(shop.folder.inbox / "a.jpg", ns=(10**18, 10**18 + 7))
    shop.admit("a.jpg")
    work(shop, b"result")
    assert (shop.folder.outbox / "a.png").stat().st_mtime_ns == 10**18 + 7
    shop.journal.close()


@pytest.mark.parametrize(("policy", "outcome"), [("keep", "kept"), ("archive", "archived"), ("delete", "deleted")])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_source_policy_is_applied(tmp_path: Path, policy: Policy, outcome: str, *, restarted: bool) -> None:
    """Once the result is out the source is kept, archived or deleted; after a restart its hash stands for it."""
    shop = Workshop(tmp_path, policy=policy)
    shop.drop("trip/a.jpg", b"source")
    claim = shop.claim()
    deliver_claim(shop, claim, b"result")
    applied = finish(shop.folder, shop.journal, claim.job, None if restarted else claim.opened)
    drop_claim(shop.outbox, claim)
    assert applied.outcome == outcome
    assert shop.sources() == ({"trip/a.jpg"} if policy == "keep" else set())
    archived = {path.relative_to(shop.folder.archive) for path in shop.folder.archive.rglob("*.jpg")}
    assert archived == ({Path("trip/a.jpg")} if policy == "archive" else set())
    assert shop.job("trip/a.jpg").state is State.DONE
    shop.journal.close()


def test_a_picture_with_holes_keeps_its_source(tmp_path: Path) -> None:
    """What was taken after its grace, with part of it missing, is not deleted whatever the policy."""
    shop = Workshop(tmp_path, policy="delete")
    shop.drop("a.jpg", b"source")
    claim = shop.claim()
    shop.journal.wait(claim.job.id, kind="incomplete", reason="holes", due=0.0)
    drop_claim(shop.outbox, claim)
    claim = shop.claim()
    deliver_claim(shop, claim, b"result")
    assert finish(shop.folder, shop.journal, claim.job, claim.opened).outcome == "kept"
    drop_claim(shop.outbox, claim)
    assert shop.sources() == {"a.jpg"}
    assert shop.job("a.jpg").kind == "incomplete"
    shop.journal.close()


def test_a_source_that_cannot_be_archived_leaves_the_job_committed(tmp_path: Path) -> None:
    """No archive: the fault is told, the source stays, the job is not done, and the same call later finishes it."""
    shop = Workshop(tmp_path, policy="archive")
    shop.folder.archive.rmdir()
    shop.drop("a.jpg", b"source")
    claim = shop.claim()
    deliver_claim(shop, claim, b"result")
    with pytest.raises(FolderFault):
        finish(shop.folder, shop.journal, claim.job, claim.opened)
    assert (shop.sources(), shop.job("a.jpg").state) == ({"a.jpg"}, State.COMMITTED)
    shop.folder.archive.mkdir()
    assert finish(shop.folder, shop.journal, claim.job, claim.opened).outcome == "archived"
    drop_claim(shop.outbox, claim)
    assert shop.job("a.jpg").state is State.DONE
    shop.journal.close()
