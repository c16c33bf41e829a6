"""What the next run does with what a kill left, where no other test comes by."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from bgrd.delivery.claim import drop_claim
from bgrd.delivery.failure import FailureNotes
from bgrd.delivery.leftovers import Leftovers
from bgrd.journal.journal import Recovery
from tests.houses.workshop import Workshop


def test_what_failed_by_a_third_unclean_end_is_told(tmp_path: Path) -> None:
    """A file that is failed for having ended bgrd gets its note and its event like any other."""
    shop = Workshop(tmp_path, failure_notes=tmp_path / "out/_failed")
    told: list[tuple[bytes, str]] = []
    with closing(shop.journal):
        notes = FailureNotes(shop.folder, shop.journal)
        shop.drop("a.jpg", b"poison")
        claim = shop.claim()
        drop_claim(shop.outbox, claim)
        shop.journal.fail(claim.job.id, kind="crash", reason="bgrd ended without warning 3 times", note=None)
        job = shop.job("a.jpg")
        leftovers = Leftovers(
            shop.folder,
            shop.journal,
            shop.outbox,
            notes=notes,
            closed=lambda job, outcome: told.append((job.path, outcome)),
        )
        leftovers.take(Recovery(requeued=0, committing=(), committed=(), interrupted=(job,), failed=(job,)))
        leftovers.recover(now=shop.wall())
        assert told == [(b"a.jpg", "failed")]
        assert shop.journal.note_of("test", b"a.jpg") == b"a.jpg.txt"
        assert b"3 times" in shop.results()["_failed/a.jpg.txt"]
        leftovers.recover(now=shop.wall())
        assert len(told) == 1


def test_what_a_kill_left_of_a_trial_is_removed(tmp_path: Path) -> None:
    """The hidden files with which an outbox is tried go at the next start, though no job was under way."""
    shop = Workshop(tmp_path)
    trial = shop.folder.outbox / ".bgrd-probe-999999999.tmp.named"
    trial.touch()
    with closing(shop.journal):
        notes = FailureNotes(shop.folder, shop.journal)
        leftovers = Leftovers(shop.folder, shop.journal, shop.outbox, notes=notes, closed=lambda *_: None)
        leftovers.take(Recovery(requeued=0, committing=(), committed=()))
        leftovers.recover(now=shop.wall())
    assert not trial.exists()
