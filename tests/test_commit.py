"""From fsynced, unpublished results to published ones and the source policy, with a real journal and real folders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.delivery.claim import Claim, drop_claim
from bgrd.delivery.commit import deliver, finish, results_intact
from bgrd.delivery.outbox import Draft, Outbox
from bgrd.errors import ChangedFault, FileFault, FolderFault, UnknownFault
from bgrd.job import Policy, State
from bgrd.journal.journal import Journal
from bgrd.product import Ground, Product
from tests.houses.workshop import MASKED, Workshop, digest, finished, hashed


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """Give a workshop and close its journal."""
    made = Workshop(tmp_path)
    yield made
    made.journal.close()


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


def test_names_that_collide_stay_apart(shop: Workshop) -> None:
    """Three sources that differ in their suffix give three results, whichever comes first; each keeps its own."""
    for name in ("a.jpg", "a.png", "a.webp"):
        shop.drop(name, name.encode())
        work(shop, b"of " + name.encode())
    assert shop.results() == {"a.png": b"of a.jpg", "a.png.png": b"of a.png", "a.webp.png": b"of a.webp"}
    shop.drop("a.png", b"a.png anew")
    assert work(shop, b"of the new a.png") == [b"a.png.png"]
    assert shop.results()["a.png"] == b"of a.jpg"


def test_a_name_that_belongs_to_another_job_is_not_taken_while_its_result_is_away(shop: Workshop) -> None:
    """The journal holds the mapping: moving a result out of the outbox does not give its name to a neighbour."""
    shop.drop("a.jpg", b"one")
    work(shop, b"of a.jpg")
    (shop.folder.outbox / "a.png").unlink()
    shop.drop("a.webp", b"two")
    assert work(shop, b"of a.webp") == [b"a.webp.png"]


def test_products_whose_names_meet_for_one_source_stay_apart(shop: Workshop) -> None:
    """Templates that differ may give one name: a second run replaces each one's own file."""
    products = (Product(name="x{stem}"), Product(kind="mask", name="{stem}x"))
    shop.folder = replace(shop.folder, recipe=replace(shop.folder.recipe, products=products))
    for content in (b"source", b"source anew"):
        shop.drop("x.jpg", content)
        assert work(shop, b"the cut-out", b"the mask") == [b"xx.png", b"x.jpgx.png"]
        assert shop.results() == {"xx.png": b"the cut-out", "x.jpgx.png": b"the mask"}


def test_a_users_file_is_never_replaced(shop: Workshop) -> None:
    """What bgrd did not write keeps its name; the result takes the next free one. So do a link and a directory."""
    (shop.folder.outbox / "a.png").write_bytes(b"the user's")
    (shop.folder.outbox / "a.jpg.png").symlink_to("/nowhere")
    (shop.folder.outbox / "a.jpg-2.png").mkdir()
    shop.drop("a.jpg", b"source")
    assert work(shop, b"result") == [b"a.jpg-3.png"]
    assert (shop.folder.outbox / "a.png").read_bytes() == b"the user's"


def test_a_name_taken_in_the_last_moment_is_stepped_over(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears between the look and the link is kept, and the journal has the name really used."""

    def unchanged(*_: object) -> bool:
        (shop.folder.outbox / "a.png").write_bytes(b"faster")
        return True

    monkeypatch.setattr("bgrd.delivery.commit.unchanged", unchanged)
    shop.drop("a.jpg", b"source")
    assert work(shop, b"result") == [b"a.jpg.png"]
    assert shop.results() == {"a.png": b"faster", "a.jpg.png": b"result"}
    assert shop.job("a.jpg").results[0].target == b"a.jpg.png"


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


def test_two_products_of_one_name_get_two(tmp_path: Path) -> None:
    """Cut-outs on two grounds would be called the same; neither replaces the other, nor the other's earlier one."""
    products = (Product(), Product(ground=Ground(kind="colour", colour=(255, 255, 255))))
    shop = Workshop(tmp_path, recipe=replace(MASKED, products=products))
    for round_ in (b"1", b"2"):
        shop.drop("a.jpg", b"source" * int(round_))
        assert work(shop, b"clear " + round_, b"white " + round_) == [b"a.png", b"a.jpg.png"]
        assert shop.results() == {"a.png": b"clear " + round_, "a.jpg.png": b"white " + round_}
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


def test_no_results_are_not_intact(shop: Workshop) -> None:
    """A job without recorded results has nothing that could stand for it."""
    assert not results_intact(shop.outbox, ())


def test_names_that_differ_by_case_alone_share_an_outbox_without_case(shop: Workshop) -> None:
    """Where `a.png` is another word for `A.png`, the second source's result takes the next name; neither is lost.

    A hard link stands for the file system's own idea of what `a.png` is.
    """
    shop.drop("A.jpg", b"upper")
    assert work(shop, b"result of A") == [b"A.png"]
    os.link(shop.folder.outbox / "A.png", shop.folder.outbox / "a.png")
    shop.drop("a.jpg", b"lower")
    assert work(shop, b"result of a") == [b"a.jpg.png"]
    (shop.folder.outbox / "a.png").unlink()
    assert shop.results() == {"A.png": b"result of A", "a.jpg.png": b"result of a"}


_PLACES = st.sampled_from([b"", b"d/", b"_failed/", b"_FAILED/", b"_failed_/"])
_STEMS = st.sampled_from([b"a", b"A", b"a.jpg", b"a.jpg-2", b"a.png", b"x" * 250, b"x" * 249 + b"y", b"\xc3\xbc" * 125])
_SUFFIXES = st.sampled_from([b"", b".jpg", b".JPG", b".png", b".webp", b".jpeg"])
_PATHS = st.tuples(_PLACES, _STEMS, _SUFFIXES).map(b"".join).filter(lambda path: len(path.rpartition(b"/")[2]) <= 255)


@settings(max_examples=15, deadline=None)
@given(paths=st.lists(_PATHS, min_size=2, max_size=8, unique=True), again=st.randoms(use_true_random=False))
def test_no_two_sources_ever_share_a_result(paths: list[bytes], again: Random) -> None:
    """Whatever names compete, in whatever order, first or dropped again: each source keeps one result of its own."""
    with tempfile.TemporaryDirectory() as root, closing(Journal(Path(root) / "journal.db")) as journal:
        shop = Workshop(Path(root), journal=journal)
        mapping = {}
        for path in paths:
            shop.drop(os.fsdecode(path), b"first " + path)
            mapping[path] = work(shop, b"result of first " + path)
        assert len({target for targets in mapping.values() for target in targets}) == len(paths)
        for path in again.sample(paths, len(paths)):
            shop.drop(os.fsdecode(path), b"second " + path)
            assert work(shop, b"result of second " + path) == mapping[path]
        assert shop.results() == {os.fsdecode(mapping[path][0]): b"result of second " + path for path in paths}
