"""One folder's intake when things go wrong: inboxes that vanish, mounts, a journal that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.errors import StateError
from bgrd.intake.walker import TICK_SECONDS
from tests.houses.intakes import FakeWatch, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Make a walker on an empty inbox."""
    return House(tmp_path)


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
