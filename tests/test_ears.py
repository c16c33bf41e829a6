"""A watch kept alive: bgrd.intake.ears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bgrd.intake.ears import Ears
from bgrd.intake.limit import WatchLimitFault
from tests.houses.inboxes import Heard


class FakeWatch:
    """A watch that hears, goes deaf or cannot start as the test says."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.limit: str | None = None
        self.deaf: str | None = None
        self.running = False

    def start(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.running = True

    def stop(self) -> None:
        self.running = False

    def health(self) -> str | None:
        return self.deaf


class Bench:
    """Ears on fake watches."""

    def __init__(self) -> None:
        self.made: list[FakeWatch] = []
        self.trouble: Exception | None = None
        self.heard = Heard()
        self.ears = Ears(
            Path("/in"),
            recursive=True,
            excluded=frozenset,
            events=self.heard,
            on_dirty=lambda _: None,
            on_doubt=lambda _: None,
            make=self._make,
        )

    def _make(self, *_: Any, **__: Any) -> FakeWatch:
        self.made.append(FakeWatch(self.trouble))
        return self.made[-1]

    def running(self) -> int:
        return sum(watch.running for watch in self.made)


def test_a_polled_folder_gets_no_watch() -> None:
    """The decision and its reason are told once, however often it is repeated."""
    bench = Bench()
    for now in (0.0, 30.0):
        bench.ears.open("poll", "nfs4", now=now)
        assert bench.ears.tick(now) is None
    assert bench.made == []
    assert bench.heard.events == [("watch.mode", {"mode": "poll", "reason": "nfs4"})]
    assert not bench.ears.heard


def test_an_armed_watch_stays_while_the_decision_stays() -> None:
    """Deciding the same again changes nothing; deciding otherwise replaces it."""
    bench = Bench()
    bench.ears.open("inotify", "local", now=0.0)
    bench.ears.open("inotify", "local", now=30.0)
    assert len(bench.made) == bench.running() == 1
    assert (bench.ears.mode, bench.ears.reason, bench.ears.heard) == ("inotify", "local", True)
    bench.ears.open("poll", "a share appeared inside", now=60.0)
    assert bench.running() == 0
    assert bench.ears.mode == "poll"


def test_a_deaf_watch_is_torn_down_and_armed_anew() -> None:
    """Both are told once, a walk is asked for on both, and meanwhile the folder is polled."""
    bench = Bench()
    bench.ears.open("inotify", "local", now=0.0)
    assert bench.ears.tick(2.0) is None
    bench.made[0].deaf = "its reader ended"
    assert bench.ears.tick(4.0) == "its reader ended"
    assert bench.running() == 0
    assert bench.ears.mode == "poll"
    assert bench.ears.tick(4.5) is None
    assert bench.ears.tick(5.0) == "the watch was restored"
    assert bench.running() == 1
    assert bench.heard.names() == ["watch.mode", "watch.lost", "watch.mode", "watch.mode", "watch.restored"]


def test_arming_is_tried_again_with_growing_pauses_and_told_once() -> None:
    """A watch that cannot start costs less and less, and nothing is said a second time."""
    bench = Bench()
    bench.trouble = PermissionError(13, "denied")
    bench.ears.open("inotify", "local", now=0.0)
    for now in range(1, 600):
        bench.ears.tick(float(now))
    assert len(bench.made) == 15
    assert len(bench.heard.named("watch.lost")) == 1
    bench.trouble = None
    assert bench.ears.tick(700.0) == "the watch was restored"


def test_a_watch_that_dies_again_and_again_is_armed_rarer() -> None:
    """Only a watch that lived for a while earns a quick second life."""
    bench = Bench()
    bench.ears.open("inotify", "local", now=0.0)
    now, pauses = 0.0, []
    for _ in range(4):
        bench.made[-1].deaf = "torn"
        bench.ears.tick(now)
        lost_at = now
        while bench.ears.tick(now) is None:
            now += 0.5
        pauses.append(now - lost_at)
    assert pauses == [1.0, 2.0, 4.0, 8.0]
    bench.made[-1].deaf = "torn"
    bench.ears.tick(now + 100.0)
    assert bench.ears.tick(now + 101.0) == "the watch was restored"


def test_a_limit_met_means_polling_with_one_warning() -> None:
    """The warning names the sysctl, and arming is tried again only after a long while."""
    bench = Bench()
    bench.trouble = WatchLimitFault("fs.inotify.max_user_watches")
    bench.ears.open("inotify", "local", now=0.0)
    for now in range(1, 3600):
        bench.ears.tick(float(now))
    (warning,) = bench.heard.named("watch.limit")
    assert warning["sysctl"] == "fs.inotify.max_user_watches"
    assert bench.ears.mode == "poll"
    assert len(bench.made) == 6
    bench.trouble = None
    assert bench.ears.tick(7200.0) == "the watch was restored"
    assert bench.heard.names()[-2:] == ["watch.mode", "watch.restored"]


def test_a_limit_met_later_means_polling_too() -> None:
    """A new directory that could not be watched ends the watch: it would miss what happens there."""
    bench = Bench()
    bench.ears.open("inotify", "local", now=0.0)
    bench.made[0].limit = "fs.inotify.max_user_watches"
    assert bench.ears.tick(2.0) == "a directory could not be watched"
    assert bench.running() == 0
    assert len(bench.heard.named("watch.limit")) == 1


def test_closing_stops_the_watch_and_all_attempts() -> None:
    """After it nothing is armed until it is opened again, and that is no restoration."""
    bench = Bench()
    bench.ears.open("inotify", "local", now=0.0)
    bench.ears.close()
    bench.ears.close()
    assert bench.running() == 0
    assert bench.ears.tick(1e6) is None
    bench.ears.open("inotify", "local", now=1e6)
    assert bench.running() == 1
    assert "watch.restored" not in bench.heard.names()
