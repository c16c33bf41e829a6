"""What ends in the engine: a stop, an abort, a folder that is removed or broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.engine.events import Broken, Fed
from bgrd.errors import StateError
from bgrd.job import State
from tests.houses.engines import Engine


def test_what_no_lane_has_begun_is_given_back(single: Engine) -> None:
    """Stopping: jobs at hand are ready again at once, what runs is finished, and a late claim is given back too."""
    shop = single.folder()
    for number in range(5):
        shop.drop(f"{number}.jpg", b"slow 0.3")
    single.serve()
    single.until(lambda: single.pool.busy and shop.states().get("running", 0) >= 2)
    single.dispatcher.claiming = False
    single.dispatcher.give_back()
    single.until(single.dispatcher.idle)
    assert shop.states() == {"done": 1, "ready": 4}


def test_a_job_claimed_after_the_stop_does_not_hold_it_up(engine: Engine) -> None:
    """A fetch answered after claiming ended is given back: nothing waits for a lane it will not get."""
    shop = engine.folder()
    shop.drop("a.jpg", b"source")
    (desk,) = engine.serve()
    engine.dispatcher.step(engine.now())
    assert desk.fetching
    engine.dispatcher.claiming = False
    engine.dispatcher.give_back()
    engine.until(engine.dispatcher.idle)
    assert shop.states() == {"ready": 1}


def test_an_abort_leaves_nothing_running(engine: Engine) -> None:
    """Lanes killed, their jobs and those at hand ready again and uncharged, nothing published."""
    shop = engine.folder()
    for number in range(6):
        shop.drop(f"{number}.jpg", b"hang")
    engine.serve()
    engine.until(lambda: engine.pool.free == 0 and shop.states().get("running", 0) == 5)
    pids = engine.pool.pids
    engine.dispatcher.claiming = False
    engine.dispatcher.abort()
    engine.until(lambda: engine.dispatcher.idle() and not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert shop.states() == {"ready": 6}
    assert shop.results() == {}
    assert {shop.job(f"{number}.jpg").attempts for number in range(6)} == {0}


def test_aborting_one_folder_leaves_the_others_at_work(engine: Engine) -> None:
    """Only the lanes of the folders named are ended; a neighbour's picture never notices."""
    hung, well = engine.folder("hung"), engine.folder("well")
    hung.drop("a.jpg", b"hang")
    well.drop("b.jpg", b"slow 0.5")
    engine.serve()
    engine.until(lambda: engine.pool.free == 0)
    engine.dispatcher.abort(["hung"])
    engine.until(lambda: well.states() == {"done": 1})
    assert engine.heard.named("job.requeued")[0]["folder"] == "hung"
    assert not [facts for facts in engine.heard.named("job.requeued") if facts["folder"] == "well"]


def test_a_broken_folder_ends_the_daemon(engine: Engine) -> None:
    """An error nobody foresaw on a folder's thread is raised on the main loop."""
    engine.folder()
    engine.serve()
    engine.dispatcher.post(Broken(folder="f", error=StateError("the journal is gone")))
    with pytest.raises(StateError):
        engine.dispatcher.step(engine.now())


def test_a_removed_folder_is_forgotten(engine: Engine) -> None:
    """What it still tells, and what lanes still say of it, is nobody's business any more."""
    shop, other = engine.folder(), engine.folder("other")
    shop.drop("a.jpg", b"slow 0.3")
    engine.serve()
    engine.until(lambda: engine.pool.busy)
    engine.dispatcher.remove("f")
    assert not engine.pool.busy  # a lane that went on would speak of a job that may be claimed again
    engine.dispatcher.post(Fed(folder="f"))
    other.drop("b.jpg", b"other")
    engine.dispatcher.post(Fed(folder="other"))
    engine.until(lambda: engine.paths() == [b"b.jpg"] and not engine.pool.busy and engine.dispatcher.idle())
    assert shop.job("a.jpg").state is State.RUNNING
