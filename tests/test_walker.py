"""One folder's intake: bgrd.intake.walker with its rounds and walks, mostly without a thread and with a still clock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bgrd.errors import StateError
from bgrd.intake.lease import look
from bgrd.intake.mounts import mount_of, read_mounts
from bgrd.intake.protocol import Arrival
from bgrd.intake.scan import Walk
from bgrd.intake.walker import DIRTY_LIMIT, TICK_SECONDS, Walker
from bgrd.job import State
from bgrd.journal.journal import Journal
from tests.houses.inboxes import Clock, Heard, MemoryJournal, folder_at, until
from tests.kernel.processes import begun_since

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


class FakeWatch:
    """A watch that hears nothing by itself."""

    def __init__(
        self, register: Callable[[Callable[[], object]], object], looked: Callable[[], object] = lambda: None
    ) -> None:
        self.limit: str | None = None
        self.deaf: str | None = None
        self.running = False
        self._register = register
        self._looked = looked

    def start(self) -> None:
        self._register(self._looked)
        self.running = True

    def stop(self) -> None:
        self.running = False

    def health(self) -> str | None:
        return self.deaf


class House:
    """A walker whose rounds a test calls, with all it touches."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.folder = folder_at(root, **{"watch": "inotify", **changes})
        self.inbox = self.folder.inbox
        self.journal, self.heard, self.clock = MemoryJournal(), Heard(), Clock()
        self.watches: list[FakeWatch] = []
        self.lies_on = "disk"
        self.slept = 0.0
        self.silences: list[float] = []
        self.directories = 0
        self.walker = Walker(
            self.folder,
            self.journal,
            events=self.heard,
            clock=self.clock,
            make_watch=self._make,
            identify=lambda _: self.lies_on,
            slept=lambda: self.slept,
        )

    def _make(self, *_: Any, looked: Callable[[], object], **__: Any) -> FakeWatch:
        self.watches.append(FakeWatch(self._register, looked))
        return self.watches[-1]

    def _register(self, looked: Callable[[], object]) -> None:
        """Take some seconds for each directory."""
        for _ in range(self.directories):
            self.pass_unheard(5.0)
            looked()

    def put(self, name: str, data: bytes = JPEG) -> Path:
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(data)
        return path

    def state(self) -> str:
        return self.walker.state

    def pass_unheard(self, seconds: float) -> None:
        """Let time pass in the middle of something, and note how long nothing was heard of the walker by then."""
        self.clock.now += seconds
        since = self.walker.busy_since
        self.silences.append(0.0 if since is None else self.clock.now - since)

    def rest(self) -> float:
        """Do rounds until nothing is due now, and give when the next one is."""
        for _ in range(1000):
            wake_at = self.walker.round()
            if wake_at > self.clock.now and not self.walker._dirty:
                return wake_at
        pytest.fail("it never rests")

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass, with a round whenever one is due."""
        end = self.clock.now + seconds
        while (wake_at := self.rest()) <= end:
            self.clock.now = max(wake_at, self.clock.now)
        self.clock.now = end


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Make a walker on an empty inbox."""
    return House(tmp_path)


def test_a_watch_of_many_directories_is_alive(house: House) -> None:
    """Each directory that is registered is a sign of life."""
    house.directories = 10
    house.rest()
    assert house.watches[-1].running
    assert house.silences == [5.0] * 10


def test_files_that_are_looked_for_are_signs_of_life(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk that misses many asks for each whether it is gone."""
    for number in range(10):
        house.put(f"{number}.jpg")
    house.rest()
    house.pass_seconds(60)
    for number in range(10):
        (house.inbox / f"{number}.jpg").unlink()

    def slow(inbox: bytes, path: bytes) -> os.stat_result:
        house.pass_unheard(5.0)
        return look(inbox, path)

    monkeypatch.setattr("bgrd.intake.survey.look", slow)
    house.walker.doubt("for the test")
    house.rest()
    assert len(house.journal.gone) == 10
    assert max(house.silences) == 5.0


def test_waiting_for_the_journal_is_no_silence(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the state directory's disk takes says nothing of the folder's file system."""
    house.put("a.jpg")
    admit = house.journal.admit

    def slow(folder: str, arrivals: Sequence[Arrival]) -> int:
        house.pass_unheard(60.0)
        return admit(folder, arrivals)

    monkeypatch.setattr(house.journal, "admit", slow)
    house.rest()
    assert house.journal.admitted == [b"a.jpg"]
    assert house.silences == [0.0]


def test_what_is_there_at_the_start_is_walked_and_admitted(house: House) -> None:
    """Armed first, then walked; then it rests until the next tick."""
    house.put("a.jpg")
    house.put("d/b.png")
    wake_at = house.rest()
    assert sorted(house.journal.admitted) == [b"a.jpg", b"d/b.png"]
    assert house.walker.state == "ready"
    assert house.walker.armed.is_set()
    assert house.walker.first_walk_done.is_set()
    assert house.walker.settled
    assert (house.walker.mode, house.walker.mode_reason) == ("inotify", "set in the configuration")
    assert wake_at == house.clock.now + TICK_SECONDS
    assert house.heard.names()[0] == "watch.mode"


def test_a_fresh_path_is_admitted_in_the_round_that_takes_it(house: House) -> None:
    """One round is enough for a finished file."""
    house.rest()
    house.put("a.jpg")
    house.walker.dirty(b"a.jpg")
    house.walker.round()
    assert house.journal.admitted == [b"a.jpg"]


def test_a_file_being_written_is_shown_and_waits(house: House) -> None:
    """It is neither admitted nor settled until its writer is gone."""
    house.rest()
    with (house.inbox / "a.jpg").open("wb") as stream:
        stream.write(JPEG)
        stream.flush()
        house.walker.dirty(b"a.jpg")
        house.pass_seconds(60.0)
        assert house.walker.writing == (b"a.jpg",)
        assert not house.walker.settled
        assert house.journal.admitted == []
    house.pass_seconds(5.0)
    assert house.journal.admitted == [b"a.jpg"]
    house.rest()
    assert house.walker.settled


def test_a_directory_that_comes_is_walked_by_itself(house: House) -> None:
    """Its files are admitted without a walk of the whole inbox; one that is gone again is no trouble."""
    house.rest()
    house.put("album/deep/a.jpg")
    house.put("unheard.jpg")
    house.walker.dirty(b"album")
    house.rest()
    assert house.journal.admitted == [b"album/deep/a.jpg"]
    (house.inbox / "gone").mkdir()
    house.walker._rounds._add_branches([b"gone"])
    (house.inbox / "gone").rmdir()
    house.rest()
    assert house.walker.state == "ready"


def test_more_directories_than_can_be_noted_lead_to_a_walk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forgotten by being bounded."""
    monkeypatch.setattr("bgrd.intake.rounds._BRANCHES", 2)
    house.rest()
    for number in range(5):
        house.put(f"{number}/a.jpg")
        house.walker.dirty(b"%d" % number)
    house.pass_seconds(1.0)
    assert len(house.journal.admitted) == 5


def test_a_missed_event_is_made_good_by_the_rescan(house: House) -> None:
    """Without a single event the file is found, and not sooner than the setting says."""
    house.rest()
    house.put("a.jpg")
    house.pass_seconds(29.0)
    assert house.journal.admitted == []
    house.pass_seconds(2.0)
    assert house.journal.admitted == [b"a.jpg"]


def test_polled_folders_are_walked_by_their_own_pace(tmp_path: Path) -> None:
    """Every `poll_seconds`, without any watch."""
    house = House(tmp_path, watch="poll", poll_seconds=5.0)
    house.rest()
    house.put("a.jpg")
    house.pass_seconds(5.5)
    assert house.journal.admitted == [b"a.jpg"]
    assert house.watches == []


def test_a_doubt_leads_to_a_walk_at_once(house: House) -> None:
    """Whoever doubts gets a walk of everything."""
    house.rest()
    house.put("a.jpg")
    house.walker.doubt("reload")
    house.rest()
    assert house.journal.admitted == [b"a.jpg"]


def test_a_source_that_went_away_is_told(house: House) -> None:
    """Whoever keeps a note about it hears that a source is gone."""
    path = house.put("a.jpg")
    house.rest()
    path.unlink()
    house.walker.doubt("test")
    house.rest()
    assert house.heard.named("intake.gone") == [{"count": 1}]


def test_waking_from_sleep_leads_to_a_walk(house: House) -> None:
    """What arrived on a suspended machine, unheard, is found within a tick of its waking."""
    house.rest()
    house.put("a.jpg")
    house.pass_seconds(2.5)
    assert house.journal.admitted == []
    house.slept = 3600.0
    house.pass_seconds(2.5)
    assert house.journal.admitted == [b"a.jpg"]


def test_too_many_fresh_paths_become_a_doubt(house: House) -> None:
    """The set of fresh paths is bounded, and what finds no room is found by the walk."""
    house.rest()
    for number in range(DIRTY_LIMIT):
        house.walker.dirty(b"%d.jpg" % number)
    house.put("late.jpg")
    house.walker.dirty(b"late.jpg")
    assert len(house.walker._dirty) == DIRTY_LIMIT
    house.rest()
    assert house.journal.admitted == [b"late.jpg"]


def test_fresh_paths_get_through_while_a_long_walk_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two steps of a walk a new file is admitted, though the walk has not come to it."""
    monkeypatch.setattr("bgrd.intake.rounds._STEP_FILES", 2)
    for number in range(50):
        house.put(f"old/{number}.jpg")
    house.walker.round()
    house.put("fresh/a.jpg")
    house.walker.dirty(b"fresh/a.jpg")
    house.walker.round()
    assert b"fresh/a.jpg" in house.journal.admitted
    assert not house.walker.first_walk_done.is_set()
    house.rest()
    assert len(house.journal.admitted) == 51


def test_a_walk_pauses_while_too_much_settles(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hands over no more than can settle at once, and comes to the end all the same."""
    monkeypatch.setattr("bgrd.intake.rounds._STEP_FILES", 5)
    monkeypatch.setattr("bgrd.intake.admission.WALK_ROOM", 10)
    for number in range(40):
        house.put(f"{number}.heic")
    wake_at = house.rest()
    assert wake_at == pytest.approx(house.clock.now + 0.3)
    assert 10 <= len(house.walker._admission.settling) < 16
    house.pass_seconds(5.0)
    assert len(house.journal.admitted) == 40


def test_files_for_which_there_was_no_room_are_walked_for_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood beyond the limit of what may settle is made good by another walk."""
    monkeypatch.setattr("bgrd.intake.admission.WALK_ROOM", 2)
    house.rest()
    house.walker._admission.settling._limit = 3
    for number in range(8):
        house.put(f"{number}.heic")
        house.walker.dirty(b"%d.heic" % number)
    house.pass_seconds(10.0)
    assert len(house.journal.admitted) == 8


def test_what_is_gone_is_told_after_a_walk(house: House) -> None:
    """A deleted file's rows are marked, also where its whole directory went or became a file."""
    for name in ("a.jpg", "stays.jpg", "d/b.jpg", "e/c.jpg"):
        house.put(name)
    house.rest()
    (house.inbox / "a.jpg").unlink()
    shutil.rmtree(house.inbox / "d")
    shutil.rmtree(house.inbox / "e")
    (house.inbox / "e").write_bytes(b"")
    house.walker.doubt("test")
    house.rest()
    assert sorted(house.journal.gone) == [b"a.jpg", b"d/b.jpg", b"e/c.jpg"]


def test_a_file_the_walk_did_not_see_but_that_is_there_is_not_gone(house: House) -> None:
    """Missing from the walk is only a suspicion: the file itself is asked."""
    house.put(".hidden.jpg")
    house.journal.rows[b".hidden.jpg"] = None
    house.rest()
    assert house.journal.gone == []


def test_an_inbox_that_vanishes_during_a_walk_does_not_make_its_files_gone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unmounted share looks as if everything had been deleted; nothing is told then."""
    monkeypatch.setattr("bgrd.intake.rounds._STEP_FILES", 1)
    for number in range(5):
        house.put(f"{number}/a.jpg")
    house.rest()
    house.walker.doubt("test")
    house.walker.round()
    house.inbox.rename(house.inbox.with_name("away"))
    house.inbox.mkdir()
    house.rest()
    assert house.journal.gone == []
    assert house.walker.state == "unavailable"


def test_a_missing_inbox_makes_the_folder_unavailable_until_it_is_there(house: House) -> None:
    """Told once each way, tried again with growing pauses, nothing created, and walked when it is back."""
    house.inbox.rmdir()
    house.rest()
    assert house.walker.armed.is_set()
    assert house.walker.state == "unavailable"
    assert "is not there" in house.walker.reason
    house.walker.dirty(b"a.jpg")
    house.pass_seconds(600.0)
    assert not house.inbox.exists()
    assert len(house.heard.named("folder.unavailable")) == 1
    house.put("a.jpg")
    house.pass_seconds(61.0)
    assert house.heard.names().count("folder.available") == 1
    assert house.journal.admitted == [b"a.jpg"]


def test_unavailable_folders_are_not_asked_all_the_time(house: House) -> None:
    """Pauses grow from one second to a minute, and a doubt asks at once."""
    house.inbox.rmdir()
    pauses = []
    for _ in range(6):
        wake_at = house.rest()
        pauses.append(wake_at - house.clock.now)
        house.clock.now = wake_at
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    house.rest()
    house.inbox.mkdir()
    house.walker.doubt("woke from sleep")
    house.rest()
    assert house.walker.state == "ready"


def test_another_mount_in_its_place_stops_everything(house: House) -> None:
    """The watch is torn down, walks are broken off, fresh paths are not looked at; the old mount brings it back."""
    house.rest()
    house.lies_on = "an empty mount point"
    house.inbox.rename(house.inbox.with_name("away"))
    house.put("stranger.jpg")
    house.pass_seconds(3.0)
    assert house.state() == "unavailable"
    assert "--accept-mounts" in house.walker.reason
    assert not any(watch.running for watch in house.watches)
    house.walker.dirty(b"stranger.jpg")
    house.pass_seconds(100.0)
    assert house.journal.admitted == []
    house.lies_on = "disk"
    house.pass_seconds(61.0)
    assert house.state() == "ready"
    assert house.journal.admitted == [b"stranger.jpg"]


def test_a_deaf_watch_is_noticed_within_a_tick_and_the_inbox_walked(house: House) -> None:
    """What came while it was deaf is found without waiting for the rescan."""
    house.rest()
    house.put("a.jpg")
    house.watches[0].deaf = "its reader ended"
    house.pass_seconds(TICK_SECONDS + 0.5)
    assert house.heard.named("watch.lost") == [{"reason": "its reader ended"}]
    assert house.journal.admitted == [b"a.jpg"]
    house.put("b.jpg")
    house.pass_seconds(TICK_SECONDS + 0.5)
    assert "watch.restored" in house.heard.names()
    assert house.journal.admitted == [b"a.jpg", b"b.jpg"]


def test_a_journal_that_fails_stalls_the_folder_and_loses_nothing(house: House) -> None:
    """Told once; what was about to be admitted is found again when the journal is well."""
    house.rest()
    house.put("a.jpg")
    house.journal.broken = "the disk is full"
    house.walker.dirty(b"a.jpg")
    house.pass_seconds(30.0)
    assert house.walker.state == "stalled"
    assert house.heard.named("intake.stalled") == [{"reason": "the disk is full"}]
    house.journal.broken = ""
    house.pass_seconds(61.0)
    assert house.heard.names().count("intake.resumed") == 1
    assert house.journal.admitted == [b"a.jpg"]


def test_a_journal_that_answers_but_takes_nothing_is_no_end_of_the_trouble(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk reads go on: nothing is said to be over until something is written, and tries grow rarer."""
    house.rest()
    house.put("a.jpg")

    def full(*_: object, **__: object) -> int:
        tries.append(house.clock.now)
        raise StateError("the disk is full", transient=True)

    tries: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(house.journal, "admit", full)  # as where a small write still finds room
        house.walker.dirty(b"a.jpg")
        house.pass_seconds(300.0)
        patch.setattr(house.journal, "set_flag", full)
        house.pass_seconds(300.0)
    assert house.heard.named("intake.stalled") == [{"reason": "the disk is full"}]
    assert "intake.resumed" not in house.heard.names()
    assert len(tries) < 20
    house.pass_seconds(121.0)
    assert house.heard.names().count("intake.resumed") == 1
    assert house.journal.admitted == [b"a.jpg"]
    assert house.walker._backoff.pause() == 1.0


def odd(*_: object) -> None:
    """Fail as nobody foresaw."""
    raise KeyError("odd")


def test_what_nobody_foresaw_is_told_and_begun_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception anywhere in a round is told once with its trace; the walk that follows finds what was missed."""
    house.rest()
    house.put("a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(house.journal, "unknown", odd)
        house.walker.dirty(b"a.jpg")
        house.pass_seconds(30.0)
        assert house.state() == "stalled"
        assert not house.watches[0].running
    (told,) = house.heard.named("intake.broken")
    assert told["reason"] == "KeyError: 'odd'"
    assert "Traceback" in str(told["trace"])
    house.pass_seconds(61.0)
    assert house.state() == "ready"
    assert house.heard.names().count("intake.resumed") == 1
    assert house.journal.admitted == [b"a.jpg"]


def test_letting_go_may_fail_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks while the pieces are put away keeps the folder from nothing."""
    house.rest()
    house.put("a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(FakeWatch, "stop", odd)
        house.journal.broken = "the disk is full"
        house.walker.doubt("why not")
        house.rest()
        assert house.state() == "stalled"
    house.journal.broken = ""
    house.pass_seconds(61.0)
    assert house.journal.admitted == [b"a.jpg"]
    assert (len(house.watches), house.watches[-1].running) == (2, True)


def test_what_is_passed_over_is_told_when_it_changes(house: House) -> None:
    """One summary per walk, and only where the numbers are others than last time."""
    house.put("film.mov")
    house.put("empty.jpg", b"")
    house.rest()
    house.pass_seconds(120.0)
    assert house.heard.named("intake.skipped") == [{"counts": {"empty": 1, "no picture": 1}}]
    house.put("film2.mov")
    house.pass_seconds(60.0)
    assert house.heard.named("intake.skipped")[1:] == [{"counts": {"empty": 1, "no picture": 2}}]


def test_an_unwanted_backlog_is_ignored_once(tmp_path: Path) -> None:
    """What was there before the first start is never worked on; what comes later is, after a restart too."""
    first = House(tmp_path, backlog="ignore")
    first.walker._rounds._started_ns = 2**62  # every file that exists now is older than this start
    first.put("old.jpg")
    first.rest()
    assert (first.journal.ignored, first.journal.admitted) == ([b"old.jpg"], [])
    first.put("new.jpg")
    first.walker.dirty(b"new.jpg")
    first.rest()
    assert first.journal.admitted == [b"new.jpg"]
    second = House(tmp_path, backlog="ignore")
    second.journal.rows, second.journal.flags = first.journal.rows, first.journal.flags
    second.put("while stopped.jpg")
    second.rest()
    assert second.journal.admitted == [b"while stopped.jpg"]


def test_the_outbox_and_notes_inside_an_inbox_are_never_input(tmp_path: Path) -> None:
    """Even where nobody listed them as excluded."""
    house = House(tmp_path, outbox=tmp_path / "in" / "out", failure_notes=tmp_path / "in" / "notes")
    house.put("out/a.png")
    house.put("notes/a.png")
    house.put("outer/a.png")
    house.rest()
    house.walker.dirty(b"out/a.png")
    house.rest()
    assert house.journal.admitted == [b"outer/a.png"]


def test_stopping_before_the_start_is_harmless(house: House) -> None:
    """Nothing has to be waited for."""
    assert house.walker.stop()


# With its thread, the real watch and the real journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Open a real journal."""
    journal = Journal(tmp_path / "state" / "journal.sqlite3")
    yield journal
    journal.close()


@pytest.fixture
def heard() -> Heard:
    """Listen to events."""
    return Heard()


@pytest.fixture
def start(tmp_path: Path, journal: Journal, heard: Heard) -> Iterator[Callable[..., Walker]]:
    """Start walkers that are stopped in the end."""
    walkers = []

    def begin(**changes: Any) -> Walker:
        walker = Walker(folder_at(tmp_path, **{"watch": "inotify", **changes}), journal, events=heard)
        walkers.append(walker)
        walker.start()
        assert walker.first_walk_done.wait(20)
        return walker

    yield begin
    for walker in walkers:
        assert walker.stop(20)
        assert walker.state == "stopped"


def _paths(journal: Journal) -> set[bytes]:
    return {job.path for job in journal.jobs(states=[State.READY], folder="test", limit=100_000)}


def test_every_sender_is_heard(tmp_path: Path, start: Callable[..., Walker], journal: Journal) -> None:
    """Written, moved in, linked, renamed from a hidden name, moved in as a tree: all admitted without a rescan."""
    inbox = start(rescan_seconds=3600.0).folder.inbox
    (inbox / "written.jpg").write_bytes(JPEG)
    (tmp_path / "a").write_bytes(JPEG)
    os.link(tmp_path / "a", inbox / "linked.jpg")
    shutil.copy(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").rename(inbox / "moved.jpg")
    (inbox / ".syncthing.synced.jpg.tmp").write_bytes(JPEG)
    (inbox / ".syncthing.synced.jpg.tmp").rename(inbox / "synced.jpg")
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "c.heic").write_bytes(JPEG)
    (tmp_path / "tree").rename(inbox / "tree")
    wanted = {b"written.jpg", b"linked.jpg", b"moved.jpg", b"synced.jpg", b"tree/deep/c.heic"}
    until(lambda: _paths(journal) == wanted)


def test_a_slow_writer_is_waited_for(start: Callable[..., Walker], journal: Journal) -> None:
    """The file is shown as being written, and admitted when it is closed."""
    walker = start(rescan_seconds=3600.0)
    with (walker.folder.inbox / "a.jpg").open("wb") as stream:
        until(lambda: walker.writing == (b"a.jpg",))
        stream.write(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg"})
    until(lambda: walker.settled)


def test_a_replaced_root_is_noticed_and_watched_anew(
    tmp_path: Path, start: Callable[..., Walker], journal: Journal
) -> None:
    """Renamed away and made again: what happens in the new one is heard."""
    inbox = start(rescan_seconds=3600.0).folder.inbox
    inbox.rename(tmp_path / "away")
    inbox.mkdir()
    (inbox / "a.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg"})
    (inbox / "b.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg", b"b.jpg"})


def test_admitting_does_not_wake_itself(
    start: Callable[..., Walker], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own look at a file is no event: after it was admitted nothing more is looked at."""
    walker = start(rescan_seconds=3600.0)
    seen: list[bytes] = []
    real = walker._ears._watch
    assert real is not None
    note = walker.dirty

    def overhear(path: bytes) -> None:
        seen.append(path)
        note(path)

    monkeypatch.setattr(real, "_on_dirty", overhear)
    (walker.folder.inbox / "a.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg"})
    (walker.folder.inbox / "b.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg", b"b.jpg"})
    until(lambda: seen[-2:] == [b"b.jpg"] * 2)
    assert seen == [b"a.jpg"] * 2 + [b"b.jpg"] * 2


def test_a_backlog_is_taken_whole_and_left_alone_by_the_next_start(
    tmp_path: Path, start: Callable[..., Walker], journal: Journal, heard: Heard
) -> None:
    """Thousands of files are admitted once each; a second walker admits none of them."""
    (tmp_path / "in").mkdir()
    for number in range(3000):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"x")
    walker = start()
    until(lambda: walker.settled)
    assert sum(facts["count"] for facts in heard.named("intake.admitted") if isinstance(facts["count"], int)) == 3000
    assert walker.stop(20)
    told = len(heard.named("intake.admitted"))
    again = start()
    until(lambda: again.settled)
    assert len(heard.named("intake.admitted")) == told
    (tmp_path / "in" / "7.jpg").unlink()
    again.doubt("test")
    until(lambda: b"7.jpg" not in _paths(journal))


def test_stopping_is_prompt_and_leaves_nothing(start: Callable[..., Walker]) -> None:
    """Even while it sleeps for long; threads and descriptors are given back."""
    before = threading.enumerate()
    walker = start(rescan_seconds=3600.0)
    assert walker._thread.is_alive()
    walker.stop(0)
    assert walker.stop(20)
    assert not walker._thread.is_alive()
    until(lambda: not begun_since(before))


_MOUNTS = """
import subprocess, sys
from pathlib import Path
from bgrd.intake.walker import Walker
from tests.houses.inboxes import Heard, MemoryJournal, folder_at, until
root, heard, journal = Path(sys.argv[1]), Heard(), MemoryJournal()
folder = folder_at(root)
place = root / sys.argv[2]
mount = lambda: subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
walker = Walker(folder, journal, events=heard)
walker.start()
assert walker.first_walk_done.wait(20)
mount()
(place / "stranger.jpg").write_bytes(b"x")
until(lambda: walker.state == "unavailable", seconds=30)
assert "accept-mounts" in walker.reason, walker.reason
subprocess.run(["umount", place], check=True)
(folder.inbox / "a.jpg").write_bytes(b"x")
until(lambda: journal.admitted == [b"a.jpg"], seconds=30)
assert walker.state == "ready"
assert walker.stop(20)
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="mounting takes a mount namespace, which takes root",
)
@pytest.mark.parametrize("place", ["in", "out"])
def test_a_file_system_mounted_over_a_directory_stops_the_folder(tmp_path: Path, place: str) -> None:
    """With real mounts: over the inbox as over the outbox, nothing is read there, and unmounting brings it back."""
    command = ["unshare", "-m", sys.executable, "-c", _MOUNTS, str(tmp_path), place]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


def test_this_directory_is_told_as_what_it_is(tmp_path: Path, start: Callable[..., Walker]) -> None:
    """Left to itself a walker decides by the mount and names its kind."""
    walker = start(watch="auto")
    mount = mount_of(os.path.realpath(os.fsencode(tmp_path)), read_mounts())
    assert mount is not None
    assert mount.fstype in walker.mode_reason


def test_back_again_is_told_whatever_came_between(house: House) -> None:
    """Unavailable, then held up by the journal, then well: who waits for the folder to be back hears of it, once."""
    house.rest()
    house.lies_on = "root disk"
    house.inbox.rename(house.inbox.with_name("aside"))
    house.inbox.mkdir()
    house.pass_seconds(3.0)
    assert house.state() == "unavailable"
    house.lies_on = "disk"
    house.journal.broken = "the disk is full"
    house.pass_seconds(60.0)
    assert house.state() == "stalled"
    house.journal.broken = ""
    house.pass_seconds(120.0)
    assert house.state() == "ready"
    assert house.heard.names().count("folder.available") == 1


@pytest.mark.parametrize("role", ["out", "in"])
def test_a_directory_that_is_another_one_is_told(house: House, role: str) -> None:
    """An outbox that was made again wants a probe now, not in five minutes."""
    house.rest()
    place = house.inbox.with_name(role)
    place.rename(place.with_name("aside"))
    place.mkdir()
    house.pass_seconds(3.0)
    assert house.state() == "ready"
    assert house.heard.names().count("folder.moved") == 1


def test_a_walk_that_was_held_up_is_not_what_walks_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A polled share that hung for a minute is walked again within half a minute, not in twenty."""
    house = House(tmp_path, watch="poll", poll_seconds=5.0)
    house.put("a.jpg")
    scan = Walk._sort
    stalls = [60.0]

    def sort(walk: Walk, *arguments: Any) -> None:
        scan(walk, *arguments)
        house.clock.now += stalls.pop() if stalls else 0.0

    monkeypatch.setattr(Walk, "_sort", sort)
    house.rest()
    house.put("b.jpg")
    house.pass_seconds(31.0)
    assert b"b.jpg" in house.journal.admitted
