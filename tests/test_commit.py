"""From fsynced, unpublished results to published ones, with a real journal and real folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.delivery.claim import drop_claim
from bgrd.delivery.commit import deliver, results_intact
from bgrd.delivery.outbox import Draft, Outbox
from bgrd.errors import ChangedFault, FileFault, FolderFault, UnknownFault
from bgrd.job import State
from tests.houses.deliveries import deliver_claim, work
from tests.houses.workshop import MASKED, Workshop, digest, finished


def test_a_result_is_published_and_recorded(shop: Workshop) -> None:
    """The result mirrors the source's directory, the journal holds its hash, nothing hidden is left."""
    shop.drop("trip/a.jpg", b"source")
    assert work(shop, b"result") == [b"trip/a.png"]
    assert shop.results() == {"trip/a.png": b"result"}
    job = shop.job("trip/a.jpg")
    assert (job.state, job.sha256) == (State.DONE, digest(b"source"))
    assert [(result.target, result.sha256, result.size) for result in job.results] == [
        (b"trip/a.png", digest(b"result"), 6)
    ]
    assert results_intact(shop.outbox, job.results)


def test_the_journal_knows_the_intent_before_anything_is_visible(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment of publishing, the row is committing and has target and hash."""
    seen = []

    def publish(outbox: Outbox, draft: Draft, target: bytes) -> bool:
        seen.append((shop.job("a.jpg").state, shop.job("a.jpg").results[0].target, shop.results()))
        return original(outbox, draft, target)

    original = Outbox.publish
    monkeypatch.setattr(Outbox, "publish", publish)
    shop.drop("a.jpg", b"source")
    work(shop, b"result")
    assert seen == [(State.COMMITTING, b"a.png", {})]


def test_a_draft_that_is_not_what_the_lane_reported_is_not_published(shop: Workshop) -> None:
    """Whatever went wrong on the way, an empty or other file never stands for a result."""
    shop.drop("a.jpg", b"source")
    claim = shop.claim()
    shop.journal.hashed(claim.job.id, sha256=digest(b"source"), recipe="r")
    with pytest.raises(UnknownFault, match="not what lies there"):
        deliver(
            shop.folder,
            shop.journal,
            shop.outbox,
            claim=claim,
            finished=finished(claim.job.id, b"result"),
        )
    drop_claim(shop.outbox, claim)
    assert shop.results() == {}
    assert shop.job("a.jpg").state is State.RUNNING


def test_an_earlier_result_is_replaced(shop: Workshop) -> None:
    """A changed source's new result takes the place of the old one, which nobody touched."""
    shop.drop("a.jpg", b"one")
    work(shop, b"first")
    shop.drop("a.jpg", b"two, longer")
    assert work(shop, b"second") == [b"a.png"]
    assert shop.results() == {"a.png": b"second"}


def test_an_earlier_result_that_was_edited_is_kept(shop: Workshop) -> None:
    """A user's work on a result is worth more than a name, also the third time round."""
    shop.drop("a.jpg", b"one")
    work(shop, b"first")
    (shop.folder.outbox / "a.png").write_bytes(b"edited")
    shop.drop("a.jpg", b"two, longer")
    assert work(shop, b"second") == [b"a.jpg.png"]
    shop.drop("a.jpg", b"three, longer still")
    assert work(shop, b"third") == [b"a.jpg.png"]
    assert shop.results() == {"a.png": b"edited", "a.jpg.png": b"third"}


@pytest.mark.parametrize("meanwhile", ["replaced", "appended", "removed", "inbox gone"])
def test_a_source_that_changed_publishes_nothing(shop: Workshop, meanwhile: str) -> None:
    """A result of bytes that are no longer there is not shown to anybody."""
    shop.drop("a.jpg", b"source")
    claim = shop.claim()
    source = shop.folder.inbox / "a.jpg"
    match meanwhile:
        case "replaced":
            shop.drop("a.jpg", b"other!")
        case "appended":
            with source.open("ab") as file:
                file.write(b"more")
        case "removed":
            source.unlink()
        case _:
            shop.folder.inbox.rename(shop.folder.inbox.with_name("away"))
    with pytest.raises(ChangedFault if meanwhile != "inbox gone" else FolderFault):
        deliver_claim(shop, claim, b"result")
    drop_claim(shop.outbox, claim)
    assert shop.results() == {}


class Fails(Outbox):
    """An outbox whose file system fails from the `after`-th publishing on."""

    after = 1
    published = 0

    def publish(self, draft: Draft, target: bytes) -> bool:
        """Publish, or fail as a full disk does."""
        self.published += 1
        if self.published > self.after:
            text = "the outbox is full"
            raise FolderFault(text)
        return super().publish(draft, target)


@pytest.mark.parametrize("earlier", [False, True])
def test_what_was_interrupted_in_the_middle_is_done_again_under_the_same_names(
    tmp_path: Path, *, earlier: bool
) -> None:
    """The first of two products is out when the disk is full: the next try replaces it, and takes no other names."""
    shop = Workshop(tmp_path, recipe=MASKED)
    if earlier:
        shop.drop("a.jpg", b"before")
        assert work(shop, b"cutout 0", b"mask 0") == [b"a.png", b"a.mask.png"]
        Path(shop.folder.outbox / "a.mask.png").unlink()
    shop.drop("a.jpg", b"source")
    claim = shop.claim()
    full = Fails(shop.folder.outbox, mode=None, group=None, min_free=0)
    full.after = 0 if earlier else 1
    with pytest.raises(FolderFault, match="full"):
        deliver_claim(shop, claim, b"cutout 1", b"mask 1", outbox=full)
    drop_claim(shop.outbox, claim)
    assert shop.results() == {"a.png": b"cutout 1"}
    assert not results_intact(shop.outbox, shop.job("a.jpg").results)
    shop.journal.wait(claim.job.id, kind="folder", reason="full", due=None)
    shop.journal.release("test")
    assert work(shop, b"cutout 2", b"mask 2") == [b"a.png", b"a.mask.png"]
    assert shop.results() == {"a.png": b"cutout 2", "a.mask.png": b"mask 2"}
    shop.journal.close()


def test_a_result_that_cannot_be_read_is_not_taken_for_ours(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is somebody's: its name is taken, and it is no intact result."""
    shop.drop("a.jpg", b"one")
    work(shop, b"first")
    results = shop.job("a.jpg").results

    def sha256(outbox: Outbox, target: bytes) -> str | None:
        if target == b"a.png":
            text = "a.png cannot be read"
            raise FileFault(text)
        return original(outbox, target)

    original = Outbox.sha256
    monkeypatch.setattr(Outbox, "sha256", sha256)
    assert not results_intact(shop.outbox, results)
    shop.drop("a.jpg", b"two, longer")
    assert work(shop, b"second") == [b"a.jpg.png"]


def test_no_results_are_not_intact(shop: Workshop) -> None:
    """A job without recorded results has nothing that could stand for it."""
    assert not results_intact(shop.outbox, ())
