"""Folders that do not answer: they keep no lane, and cost their neighbours nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bgrd.delivery.outbox import Outbox
from bgrd.engine.events import Fed
from bgrd.errors import FolderUnavailable
from tests.houses.engines import Engine
from tests.houses.pools import LIMITS


def test_a_dead_share_costs_its_neighbours_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders' system calls hang: told once each, and the third folder's jobs go on although there is one lane."""
    engine = Engine(tmp_path, replace(LIMITS, lanes=1))
    dead = [engine.folder("dead1"), engine.folder("dead2")]
    well = engine.folder("well")
    released = threading.Event()
    original = Outbox.create

    def create(outbox: Outbox, *arguments: Any, **keywords: Any) -> Any:
        if outbox.root.parent.name.startswith("dead"):
            released.wait(60)
        return original(outbox, *arguments, **keywords)

    monkeypatch.setattr(Outbox, "create", create)
    monkeypatch.setattr("bgrd.engine.desk._SILENT_SECONDS", 0.5)
    for shop in dead:
        shop.drop("a.jpg", b"source")
    engine.serve(*dead)
    engine.until(lambda: all(shop.states() == {"running": 1} for shop in dead))
    for number in range(5):
        well.drop(f"{number}.jpg", b"%d" % number)
    engine.serve(well)
    engine.until_done(5)
    assert {"dead1", "dead2"} <= {facts["folder"] for facts in engine.heard.named("folder.unavailable")}
    # A stop or reload does not wait for what a dead share holds.
    engine.until(engine.dispatcher.idle)
    released.set()
    engine.until_done(7)
    assert {"dead1", "dead2"} <= {facts["folder"] for facts in engine.heard.named("folder.available")}
    engine.close()


def test_a_folder_that_does_not_answer_does_not_keep_its_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The share dies between hash and answer: the lane is free again after the job's time, nobody is charged."""
    engine = Engine(tmp_path, replace(LIMITS, lanes=1))
    dead, well = engine.folder("dead"), engine.folder("well")
    released = threading.Event()
    monkeypatch.setattr("bgrd.committer.intact_job", lambda *_: released.wait(60) and None)
    dead.drop("a.jpg", b"source")
    engine.serve(dead)
    engine.until(lambda: any(slot.stage == "answer" for slot in engine.pool._slots.values()))
    pids = engine.pool.pids
    engine.ahead_seconds += LIMITS.job_seconds + 1
    engine.until(lambda: not engine.pool.busy)
    assert engine.pool.pids == pids
    monkeypatch.setattr("bgrd.committer.intact_job", lambda *_: None)
    well.drop("b.jpg", b"other")
    engine.serve(well)
    engine.until_done(1)
    released.set()
    engine.until(lambda: engine.heard.named("job.waiting"))
    engine.ahead_seconds += 6
    engine.until_done(2)
    assert dead.job("a.jpg").attempts == 0
    engine.close()


@dataclass
class Walking:
    """A walker as the dispatcher sees it."""

    busy_since: float | None = None
    well: bool = True


@pytest.mark.parametrize("stage", ["answer", "work"])
def test_a_silent_folder_gives_its_lane_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """The one lane waits for a share that is dead: once that is known the others have it, and nobody is charged."""
    engine = Engine(tmp_path, replace(LIMITS, lanes=1))
    dead, well = engine.folder("dead"), engine.folder("well")
    released, walking = threading.Event(), Walking()
    if stage == "answer":
        monkeypatch.setattr("bgrd.committer.intact_job", lambda *_: released.wait(60) and None)
        dead.drop("a.jpg", b"source")
    else:
        monkeypatch.setattr("bgrd.engine.slot.blocked_in_file_call", lambda _: True)
        dead.drop("a.jpg", b"slow 3")
    (desk,) = engine.serve(dead)
    desk.intake = walking
    engine.until(lambda: any(slot.stage == stage for slot in engine.pool._slots.values()))
    walking.busy_since = engine.now() - 21
    engine.until(lambda: engine.heard.named("folder.unavailable"))
    if stage == "answer":
        engine.turn()
        assert engine.pool.busy, "the committer still owes an answer, and may give it"
        desk.committer._requests.busy_since = engine.now() - 21
    engine.until(lambda: not engine.pool.busy)
    monkeypatch.setattr("bgrd.committer.intact_job", lambda *_: None)
    well.drop("b.jpg", b"other")
    engine.serve(well)
    engine.until_done(1)
    walking.busy_since = None
    released.set()
    engine.until_done(2)
    assert dead.job("a.jpg").attempts == 0
    engine.close()


def test_a_lane_whose_job_was_closed_instead_of_judged_is_free_again(
    single: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outbox fails while hashes are compared: no answer is ever given, and the lane does not wait for one."""
    shop = single.folder()
    shop.drop("a.jpg", b"source")
    (desk,) = single.serve()
    single.until_done(1)
    shop.drop("a.jpg", b"source")

    def gone(*_: object) -> None:
        text = "the outbox is not there"
        raise FolderUnavailable(text)

    monkeypatch.setattr("bgrd.committer.intact_job", gone)
    single.dispatcher.post(Fed(folder="f"))
    single.until(lambda: desk.blocked and not single.pool.busy)
    monkeypatch.undo()
    single.ahead_seconds += 6
    single.until(lambda: single.heard.named("job.known"))
