"""The engine from claim to close: real lanes with a null pipeline, real committers, journals and folders."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bgrd.committer import Committer
from bgrd.delivery.claim import drop_claim
from bgrd.delivery.outbox import Outbox
from bgrd.engine.desk import Desk
from bgrd.engine.dispatch import Dispatcher
from bgrd.engine.events import Broken, Fed
from bgrd.engine.loop import Loop
from bgrd.engine.pool import Limits, Pool
from bgrd.errors import FolderUnavailable, ModelFault, StateError
from bgrd.job import ModelChoice, State, version_of
from bgrd.journal.journal import Journal
from tests.houses.inboxes import Heard
from tests.houses.pools import LIMITS, start_null_lane
from tests.houses.workshop import Workshop
from tests.kernel.processes import open_files

PATIENCE_SECONDS = 20.0


class Engine:
    """A dispatcher with its pool and loop, and folders that are made as they are needed."""

    def __init__(self, root: Path, limits: Limits = LIMITS) -> None:
        self.root = root
        self.heard = Heard()
        self.loop = Loop()
        self.ahead_seconds = 0.0
        self.shops: dict[str, Workshop] = {}
        self.committers: dict[str, Committer] = {}
        self.offset_seconds = 0.0
        self.journal = Journal(root / "journal.db", clock=self.wall)
        self.dispatcher = Dispatcher(report=self.report, wake=self.loop.wake, max_pixels=100, wall=self.wall)
        self.pool = Pool(
            limits,
            events=self.dispatcher,
            clock=self.now,
            watch=self.loop.watch,
            unwatch=self.loop.unwatch,
            start=start_null_lane,
        )
        self.dispatcher.use(self.pool)
        (root / "model").write_bytes(b"good")

    def now(self) -> float:
        """Give the monotonic clock, which a test may put forward."""
        return time.monotonic() + self.ahead_seconds

    def wall(self) -> float:
        """Give the wall clock, which a test may move either way."""
        return time.time() + self.offset_seconds

    def report(self, event: str, **facts: Any) -> None:
        """Hear an event."""
        self.heard(event, **facts)

    def model(self, name: str) -> ModelChoice:
        """Find the model as the daemon does: each time it is needed."""
        if not (self.root / "model").exists():
            text = f"model {name} is not installed"
            raise ModelFault(text)
        return ModelChoice(name=name, path=self.root / "model")

    def folder(self, name: str = "f", **changes: Any) -> Workshop:
        """Make a folder, to be served from `serve` on."""
        (self.root / name).mkdir()
        shop = self.shops[name] = Workshop(self.root / name, journal=self.journal, name=name, **changes)
        return shop

    def serve(self, *shops: Workshop) -> list[Desk]:
        """Begin to serve folders."""
        desks = []
        for shop in shops or self.shops.values():
            committer = Committer(shop.folder, shop.journal, post=self.dispatcher.post, wall=self.wall)
            self.committers[shop.folder.name] = committer
            recipe = shop.folder.recipe
            desks.append(self.dispatcher.add(committer, lambda name=recipe.model: self.model(name)))  # type: ignore[misc]
            committer.start()
        return desks

    def turn(self) -> None:
        """Go round once, as the daemon does."""
        now = self.now()
        self.dispatcher.step(now)
        for fileno in self.loop.wait(time.monotonic() + 0.02):
            self.pool.handle(fileno)

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until the condition holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"it never came true: {self.heard.events[-5:]}"
            self.turn()

    def until_done(self, count: int) -> None:
        """Turn until so many jobs are done."""
        self.until(lambda: len(self.heard.named("job.done")) >= count)

    def paths(self, event: str = "job.done") -> list[object]:
        """Give the paths of these events in order."""
        return [facts["path"] for facts in self.heard.named(event)]

    def close(self) -> None:
        """End everything; no lane and no thread may be left."""
        self.dispatcher.abort()
        pids = self.pool.pids
        for committer in self.committers.values():
            assert committer.stop(20)
        self.pool.close()
        self.loop.close()
        self.journal.close()
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine with two lanes."""
    made = Engine(tmp_path)
    yield made
    made.close()


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine with one lane: its order of work is the order of claims."""
    made = Engine(tmp_path, replace(LIMITS, lanes=1))
    yield made
    made.close()


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


def test_a_missing_model_blocks_and_comes_back(engine: Engine) -> None:
    """Installed while the daemon runs, it is tried, and its folder goes on by itself; no job is charged."""
    shop = engine.folder()
    shop.drop("a.jpg", b"source")
    (engine.root / "model").rename(engine.root / "aside")
    (desk,) = engine.serve()
    engine.until(lambda: desk.blocked)
    assert "not installed" in desk.blocked
    assert desk.wants_model
    engine.ahead_seconds += 6
    engine.until(lambda: desk.probe_pause == 10)
    (engine.root / "aside").rename(engine.root / "model")
    engine.ahead_seconds += 11
    engine.until_done(1)
    assert shop.job("a.jpg").attempts == 0


def on(engine: Engine, shop: Workshop, *names: str) -> list[Path]:
    """Let a folder's cut-outs stand on pictures of these names."""
    paths = [engine.root / name for name in names]
    shop.folder = replace(shop.folder, recipe=replace(shop.folder.recipe, grounds=tuple(paths)))
    return paths


def test_a_missing_ground_blocks_and_comes_back(engine: Engine) -> None:
    """Its folder says which picture it lacks, charges no job, leaves the neighbour alone, and goes on by itself."""
    shop, other = engine.folder(), engine.folder("other")
    (path,) = on(engine, shop, "beach.jpg")
    shop.drop("a.jpg", b"source")
    desk, _ = engine.serve()
    engine.until(lambda: desk.blocked)
    assert f"{path} of `on` cannot be used: No such file" in desk.blocked
    other.drop("b.jpg", b"source")
    engine.dispatcher.desks["other"].feed()
    engine.until_done(1)
    engine.ahead_seconds += 6
    engine.until(lambda: desk.probe_pause == 10)
    path.write_bytes(b"good")
    engine.ahead_seconds += 11
    engine.until_done(2)
    assert shop.job("a.jpg").attempts == 0
    assert len(engine.heard.named("folder.resumed")) == 1


@pytest.mark.parametrize(("content", "word"), [(b"broken", "it is broken"), (b"fatal", "loading it failed")])
def test_a_ground_that_cannot_be_used_blocks_until_it_is_another(engine: Engine, content: bytes, word: str) -> None:
    """Found by the first job; each probe has a lane try it, so nothing flaps; the good one beside it is not blamed."""
    shop = engine.folder()
    good, bad = on(engine, shop, "good.jpg", "bad.jpg")
    good.write_bytes(b"good")
    bad.write_bytes(content)
    shop.drop("a.jpg", b"source")
    (desk,) = engine.serve()
    engine.until(lambda: desk.blocked)
    assert re.search(f"bad.jpg of `on` cannot be used: {word}", desk.blocked)
    for pause in (10, 20):
        engine.ahead_seconds += pause
        engine.until(lambda pause=pause: desk.probe_pause == pause)  # type: ignore[misc]
    assert not engine.heard.named("folder.resumed")
    bad.write_bytes(b"mended")
    engine.ahead_seconds += 40
    engine.until_done(1)
    assert shop.job("a.jpg").attempts == 0


def test_a_ground_that_changed_is_loaded_anew(engine: Engine) -> None:
    """The next picture stands on what is there now."""
    shop = engine.folder()
    (path,) = on(engine, shop, "beach.jpg")
    path.write_bytes(b"one")
    shop.drop("a.jpg", b"source a")
    (desk,) = engine.serve()
    engine.until_done(1)
    before = desk.grounds
    path.write_bytes(b"other")
    shop.drop("b.jpg", b"source b")
    desk.feed()
    engine.until_done(2)
    assert desk.grounds != before
    loaded = [facts["model"] for facts in engine.heard.named("ground.loaded")]
    assert {*before, *desk.grounds} == set(loaded)


@pytest.mark.parametrize(("content", "word"), [(b"broken", "broken"), (b"fatal", "loading model bgrd-lite failed")])
def test_a_model_that_cannot_be_used_blocks_with_its_own_reason(engine: Engine, content: bytes, word: str) -> None:
    """Refused by the lane or fatal to it: the folder says so; replaced by a good one, everything is done."""
    shop = engine.folder()
    (engine.root / "model").write_bytes(content)
    (desk,) = engine.serve()
    engine.pool.warm(engine.model("bgrd-lite"))
    engine.until(lambda: desk.blocked)
    shop.drop("a.jpg", b"source")
    assert word in desk.blocked
    (engine.root / "model").write_bytes(b"good")
    engine.ahead_seconds += 6
    engine.until_done(1)


def test_a_model_that_comes_back_is_tried_in_spite_of_a_neighbours_backlog(single: Engine) -> None:
    """The only lane is never idle: the blocked folder's model still gets a turn in it."""
    shop, busy = single.folder(), single.folder("busy")
    busy.folder = replace(busy.folder, recipe=replace(busy.folder.recipe, model="other"))
    for number in range(60):
        busy.drop(f"{number}.jpg", b"%d" % number)
    (desk,) = single.serve(shop)
    single.dispatcher.block(desk, ModelFault("not installed"))
    single.until(lambda: desk.blocked)
    shop.drop("a.jpg", b"source")
    single.serve(busy)
    single.until_done(3)
    single.ahead_seconds += 6
    single.until(lambda: shop.states() == {"done": 1})
    assert busy.states()["done"] < 50


def test_a_model_file_that_cannot_be_opened_is_the_models_fault(engine: Engine) -> None:
    """Gone between the look and the opening: the folder is blocked, the main loop goes on."""
    shop = engine.folder()
    shop.drop("a.jpg", b"source")
    gone = ModelChoice(name="bgrd-lite", path=engine.root / "gone")
    (desk,) = engine.serve()
    desk.model = lambda: gone
    engine.until(lambda: desk.blocked)
    assert "cannot be read" in desk.blocked


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


def test_a_dispatcher_without_lanes_says_so() -> None:
    """Using it before `use` is a programming error, told as one."""
    dispatcher = Dispatcher(report=lambda *_, **__: None, wake=lambda: None, max_pixels=1)
    with pytest.raises(RuntimeError, match="pool"):
        dispatcher.step(0.0)
