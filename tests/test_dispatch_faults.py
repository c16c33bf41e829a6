"""What the engine makes of crashes, hangs and bad input, and of folders and lanes that are not well."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bgrd.errors import CrashFault
from tests.houses.engines import Engine
from tests.houses.pools import LIMITS


def test_a_crash_is_retried_and_then_failed(engine: Engine) -> None:
    """The picture that kills its lane twice fails; its neighbours are done."""
    shop = engine.folder()
    shop.drop("good.jpg", b"good")
    shop.drop("bad.jpg", b"crash")
    engine.serve()
    engine.until(lambda: engine.heard.named("job.retry"))
    engine.offset_seconds = engine.ahead_seconds = 5
    engine.until(lambda: engine.heard.named("job.failed"))
    engine.until_done(1)
    (failed,) = engine.heard.named("job.failed")
    assert (failed["path"], failed["kind"]) == (b"bad.jpg", "crash")
    assert "SIGSEGV" in str(failed["reason"])
    assert shop.results() == {"good.png": b"GOOD"}
    assert shop.job("bad.jpg").attempts == 2


def test_a_hang_costs_one_try(tmp_path: Path) -> None:
    """A job over its time is a crash; the lane is replaced and the next job goes on."""
    engine = Engine(tmp_path, replace(LIMITS, lanes=1, job_seconds=0.4))
    shop = engine.folder()
    shop.drop("next.jpg", b"next")
    shop.drop("hangs.jpg", b"hang")
    engine.serve()
    engine.until(lambda: engine.heard.named("job.retry"))
    assert "longer than 0.4 seconds" in str(engine.heard.named("job.retry")[0]["reason"])
    engine.until_done(1)
    engine.close()


def test_bad_input_fails_at_once_and_its_lane_lives(single: Engine) -> None:
    """One strike; the same lane goes on with the next."""
    shop = single.folder()
    shop.drop("next.jpg", b"next")
    shop.drop("bad.jpg", b"bad")
    single.serve()
    single.until_done(1)
    assert single.paths("job.failed") == [b"bad.jpg"]
    assert single.heard.named("model.loaded")[0]["model"] == "bgrd-lite"
    assert len(single.heard.named("model.loaded")) == 1


def test_a_retry_is_taken_up_when_it_is_due(engine: Engine) -> None:
    """An unknown fault waits half a minute; then the folder is hungry again by itself."""
    shop = engine.folder()
    shop.drop("a.jpg", b"odd")
    engine.serve()
    engine.until(lambda: engine.heard.named("job.retry") and engine.dispatcher.idle())
    engine.ahead_seconds = engine.offset_seconds = 31
    engine.until(lambda: len(engine.heard.named("job.retry")) == 2)


def test_a_clock_set_back_does_not_lengthen_a_wait(engine: Engine) -> None:
    """What is to wait 30 seconds waits 30 seconds, also when the wall clock is put back an hour meanwhile."""
    shop = engine.folder()
    shop.drop("a.jpg", b"odd")
    engine.serve()
    engine.until(lambda: engine.heard.named("job.retry") and engine.dispatcher.idle())
    engine.offset_seconds = -3600
    engine.ahead_seconds = 31
    engine.until(lambda: len(engine.heard.named("job.retry")) == 2)


def test_a_blocked_folder_resumes_by_its_probe(engine: Engine) -> None:
    """The outbox goes and comes back: blocked with the reason, uncharged, resumed, done; neighbours never wait."""
    shop, other = engine.folder(), engine.folder("other")
    shop.folder.outbox.rename(engine.root / "away")
    shop.drop("a.jpg", b"source")
    other.drop("b.jpg", b"other")
    (desk, _) = engine.serve()
    engine.until(lambda: desk.blocked)
    engine.until_done(1)
    engine.ahead_seconds += 6
    engine.until(lambda: desk.probe_pause == 10)
    assert len(engine.heard.named("folder.blocked")) == 1
    (engine.root / "away").rename(shop.folder.outbox)
    engine.ahead_seconds += 11
    engine.until_done(2)
    assert engine.heard.named("folder.resumed") == [{"folder": "f", "released": 1}]
    assert shop.job("a.jpg").attempts == 0


def test_one_lanes_word_about_the_folder_blocks_nobody(single: Engine) -> None:
    """A lane says of one picture that the outbox is full, which it is not: that picture fails, its neighbours do not.

    Once it waits uncharged; then it has its three tries.
    """
    shop = single.folder()
    shop.drop("a.jpg", b"one")
    shop.drop("b.jpg", b"full")
    shop.drop("c.jpg", b"two")
    (desk,) = single.serve()
    single.until_done(2)
    for event, count in (("job.waiting", 1), ("job.retry", 1), ("job.retry", 2), ("job.failed", 1)):
        single.until(partial(lambda event, count: len(single.heard.named(event)) == count, event, count))
        single.ahead_seconds += 121
        single.offset_seconds += 121
    assert not single.heard.named("folder.blocked")
    assert not desk.blocked
    assert "although its folder is well: it is full" in str(shop.job("b.jpg").reason)
    assert shop.results() == {"a.png": b"ONE", "c.png": b"TWO"}


def test_many_jobs_that_fail_at_once_do_not_make_the_probe_rarer(engine: Engine) -> None:
    """Pauses grow with probes that fail, not with jobs under way when the folder went."""
    shop = engine.folder()
    for number in range(6):
        shop.drop(f"{number}.jpg", b"slow 0.2")
    (desk,) = engine.serve()
    engine.until(lambda: engine.pool.free == 0)
    shop.folder.outbox.rename(engine.root / "away")
    engine.until(lambda: desk.blocked and engine.dispatcher.idle())
    assert len(engine.heard.named("job.waiting")) >= 2
    assert desk.probe_pause == 5


def test_a_lane_that_cannot_be_started_pauses_the_daemon(engine: Engine) -> None:
    """Short of processes: told once, nobody charged, and a few seconds later everything goes on."""
    shop = engine.folder()
    shop.drop("a.jpg", b"source")
    start = engine.pool._start

    def refuse() -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    engine.pool._start = refuse
    engine.serve()
    engine.until(lambda: engine.heard.named("daemon.short"))
    engine.pool._start = start
    engine.ahead_seconds += 6
    engine.until_done(1)
    assert shop.job("a.jpg").attempts == 0


def test_a_lane_that_dies_idle_is_told_of(single: Engine) -> None:
    """With its end, once; the next job has another."""
    shop = single.folder()
    shop.drop("a.jpg", b"source")
    (desk,) = single.serve()
    single.until_done(1)
    (pid,) = single.pool.pids
    os.kill(pid, signal.SIGKILL)
    single.until(lambda: not single.pool.pids)
    shop.drop("b.jpg", b"source 2")
    desk.feed()
    single.until_done(2)
    assert single.heard.named("lane.lost") == [{"lane": pid, "reason": "its process was killed"}]


def test_the_process_of_a_shared_model_is_told_of_by_its_own_name(engine: Engine) -> None:
    """Which model it ran, and which process it was."""
    engine.dispatcher.lost(7, CrashFault("it died"), model="tiny")
    assert engine.heard.named("model.lost") == [{"model": "tiny", "device": 7, "reason": "it died"}]
