"""One folder's intake in its rounds, without a thread and with a still clock: what comes and what goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bgrd.intake.lease import look
from bgrd.intake.protocol import Arrival
from bgrd.intake.scan import Walk
from bgrd.intake.walker import DIRTY_LIMIT, TICK_SECONDS
from tests.houses.intakes import JPEG, House


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
