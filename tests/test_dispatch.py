"""The engine from claim to close: real lanes with a null pipeline, real committers, journals and folders."""

from __future__ import annotations

import pytest

from bgrd.delivery.claim import drop_claim
from bgrd.engine.dispatch import Dispatcher
from bgrd.engine.events import Fed
from bgrd.job import version_of
from tests.houses.engines import Engine
from tests.kernel.processes import open_files


def test_a_job_goes_all_the_way(engine: Engine) -> None:
    """From a row in the journal to a result in the outbox, with one event that has all the facts."""
    shop = engine.folder()
    shop.drop("a.jpg", b"source")
    engine.serve()
    engine.until_done(1)
    assert shop.results() == {"a.png": b"SOURCE"}
    (facts,) = engine.heard.named("job.done")
    assert (facts["folder"], facts["bytes"], facts["source_bytes"], facts["source"]) == ("f", 6, 6, "kept")
    engine.until(engine.dispatcher.idle)
    assert shop.states() == {"done": 1}


def test_two_folders_take_turns(single: Engine) -> None:
    """A backlog in one folder does not hold up the other's few files."""
    long, short = single.folder("long"), single.folder("short")
    for number in range(20):
        long.drop(f"{number}.jpg", b"%d" % number)
    for number in range(3):
        short.drop(f"{number}.jpg", b"%d" % number)
    single.serve()
    single.until(lambda: short.states() == {"done": 3})
    assert len([facts for facts in single.heard.named("job.done") if facts["folder"] == "long"]) <= 6


def test_the_newest_goes_first_and_every_fourth_is_the_oldest(single: Engine) -> None:
    """What was just dropped is not behind a backlog, and what is oldest does not wait for ever."""
    shop = single.folder()
    for number in range(8):
        shop.drop(f"{number}.jpg", b"%d" % number)
    single.serve()
    single.until_done(8)
    assert single.paths() == [b"%d.jpg" % number for number in (7, 6, 5, 0, 4, 3, 2, 1)]


def test_no_more_is_claimed_than_lanes_can_soon_take(engine: Engine) -> None:
    """A backlog of 500 stays in the journal: never more jobs are open than two lanes and one each at hand, and one."""
    shop = engine.folder()
    aside = shop.folder.inbox
    for number in range(500):
        (aside / f"{number}.jpg").write_bytes(b"%d" % number)
    shop.journal.admit("f", [(b"%d.jpg" % n, version_of((aside / f"{n}.jpg").lstat())) for n in range(500)])
    engine.serve()
    most = 0

    def seen() -> bool:
        nonlocal most
        states = shop.states()
        most = max(most, sum(states.get(state, 0) for state in ("running", "committing", "committed")))
        return states.get("done", 0) >= 40

    engine.until(seen)
    # Two in lanes, two whose commit is queued at most, three prepared or being fetched.
    assert most <= 8
    assert len(open_files()) < 80


def test_known_bytes_free_their_lane(single: Engine) -> None:
    """A job that needs no work is closed as known, and the lane takes the next."""
    shop = single.folder()
    shop.drop("a.jpg", b"source")
    (desk,) = single.serve()
    single.until_done(1)
    shop.drop("a.jpg", b"source")
    shop.drop("b.jpg", b"other")
    single.dispatcher.post(Fed(folder="f"))
    single.until(lambda: single.heard.named("job.known") and len(single.paths()) == 2)
    assert desk.done == 3


def test_a_new_version_that_had_to_wait_for_the_old_one_gets_its_turn(single: Engine) -> None:
    """Admitted while its path was worked on and not claimable then; nobody else wakes the folder afterwards."""
    shop = single.folder()
    shop.drop("a.jpg", b"slow 0.3")
    (desk,) = single.serve()
    single.until(lambda: shop.states() == {"running": 1} and single.pool.busy)
    shop.drop("a.jpg", b"new")
    single.dispatcher.post(Fed(folder="f"))
    single.until(lambda: desk.fetching)
    single.until(lambda: not desk.fetching)
    single.until_done(1)
    assert shop.results() == {"a.png": b"NEW"}


def test_a_job_that_runs_alone_has_nothing_beside_it(engine: Engine) -> None:
    """It waits for those under way and keeps others out; then the others go on."""
    shop = engine.folder()
    for number in range(3):
        shop.drop(f"{number}.jpg", b"slow 0.1")
    shop.drop("alone.jpg", b"slow 0.2")
    job = shop.journal.claim("f", oldest=False, now=engine.wall())
    assert job is not None
    shop.journal.alone(job.id, reason="it needs much memory")
    engine.serve()
    beside = []

    def done() -> bool:
        if any(slot.alone for slot in engine.pool._slots.values()):
            beside.append(engine.pool.busy)
        return len(engine.paths()) == 4

    engine.until(done)
    assert set(beside) == {1}


def test_nothing_is_claimed_while_a_job_runs_alone(engine: Engine) -> None:
    """A job that may end the whole daemon has no company that could be blamed for it."""
    shop = engine.folder()
    shop.drop("big.jpg", b"slow 0.5")
    claim = shop.claim()
    drop_claim(shop.outbox, claim)
    shop.journal.alone(claim.job.id, reason="it is big")
    engine.serve()
    engine.until(lambda: engine.pool.busy)
    for number in range(3):
        shop.drop(f"{number}.jpg", b"x")
    engine.dispatcher.post(Fed(folder="f"))
    engine.turn()
    engine.turn()
    assert shop.states() == {"running": 1, "ready": 3}
    engine.until(lambda: shop.states() == {"done": 4})


def test_a_dispatcher_without_lanes_says_so() -> None:
    """Using it before `use` is a programming error, told as one."""
    dispatcher = Dispatcher(report=lambda *_, **__: None, wake=lambda: None, max_pixels=1)
    with pytest.raises(RuntimeError, match="pool"):
        dispatcher.step(0.0)
