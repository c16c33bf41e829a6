"""The one door in: bgrd.intake.admission, on real files with a clock that stands still."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bgrd.errors import StateError
from bgrd.intake.admission import Admission
from bgrd.intake.mounts import Ground, mount_of, read_mounts
from bgrd.intake.protocol import Arrival
from bgrd.job import version_of
from tests.houses.inboxes import Clock, Heard, MemoryJournal, folder_at

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


class Door:
    """An admission and all it touches."""

    def __init__(self, root: Path, *, network: bool = False, **changes: Any) -> None:
        self.folder = folder_at(root, **changes)
        self.inbox = self.folder.inbox
        self.journal, self.heard, self.clock = MemoryJournal(), Heard(), Clock()
        self.stopping = False
        self.admission = Admission(
            self.folder,
            self.journal,
            events=self.heard,
            excluded=frozenset({b"out"}),
            clock=self.clock,
            stopping=lambda: self.stopping,
        )
        self.admission.ground = Ground(mount=mount_of(b"/", read_mounts()), network=network)

    def put(self, name: str, data: bytes = JPEG) -> Arrival:
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(data)
        return os.fsencode(name), version_of(path.lstat())

    def take(self, *arrivals: Arrival, **options: Any) -> Counter[str]:
        skipped: Counter[str] = Counter()
        self.admission.take(arrivals, skipped=skipped, **options)
        return skipped


def test_a_finished_picture_is_admitted_in_one_go(tmp_path: Path) -> None:
    """Noted and handed over with no time passing, and told as one event."""
    door = Door(tmp_path)
    door.put("a.jpg")
    door.put("b.png")
    assert door.admission.note([b"a.jpg", b"b.png"]) == []
    assert door.admission.hand_over() == 2
    assert door.journal.admitted == [b"a.jpg", b"b.png"]
    assert door.heard.events == [("intake.admitted", {"count": 2})]
    assert door.admission.hand_over() == 0
    assert len(door.heard.events) == 1


def test_a_file_being_written_waits_for_its_writer(tmp_path: Path) -> None:
    """As long as somebody may write it is not admitted, however long; the close's event is enough then."""
    door = Door(tmp_path)
    with (door.inbox / "a.jpg").open("wb") as stream:
        for _ in range(5):
            door.admission.note([b"a.jpg"])
            door.clock.now += 100.0
            door.admission.look_due()
            assert door.admission.hand_over() == 0
        assert door.admission.settling.writing() in ([], [b"a.jpg"])
        stream.write(JPEG)
        stream.flush()
        door.admission.note([b"a.jpg"])
        assert door.admission.settling.writing() == [b"a.jpg"]
        assert door.admission.hand_over() == 0
    door.admission.note([b"a.jpg"])
    assert door.admission.hand_over() == 1


def test_a_writer_s_close_that_went_unheard_is_found_by_looking(tmp_path: Path) -> None:
    """A file known to be written is looked at again without any event."""
    door = Door(tmp_path)
    with (door.inbox / "a.jpg").open("wb") as stream:
        stream.write(JPEG)
        stream.flush()
        door.admission.note([b"a.jpg"])
    door.clock.now += 0.25
    door.admission.look_due()
    assert door.admission.hand_over() == 1


def test_network_files_settle_over_ten_seconds(tmp_path: Path) -> None:
    """The lease is not asked, and a change in between begins the time anew."""
    door = Door(tmp_path, network=True)
    door.put("a.jpg")
    door.admission.note([b"a.jpg"])
    door.clock.now += 9.0
    door.put("a.jpg", JPEG + b"more")
    for _ in range(3):
        assert door.admission.hand_over() == 0
        door.admission.look_due()
        door.clock.now += 5.0
    assert door.admission.hand_over() == 1


def test_known_versions_are_neither_opened_nor_admitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is asked first."""
    door = Door(tmp_path)
    arrival = door.put("a.jpg")
    door.take(arrival)
    door.admission.hand_over()
    monkeypatch.setattr("bgrd.intake.admission.facts", lambda *_, **__: pytest.fail("opened"))
    door.take(arrival)
    door.admission.note([b"a.jpg"])
    assert door.admission.hand_over() == 0


def test_what_is_no_picture_is_counted_and_not_asked_about(tmp_path: Path) -> None:
    """Films, empty and huge files are passed over by name and size alone."""
    door = Door(tmp_path, max_bytes=1000)
    skipped = door.take(
        door.put("film.mov"), door.put("side.aae"), door.put("empty.jpg", b""), door.put("big.jpg", bytes(1001))
    )
    assert skipped == {"no picture": 2, "empty": 1, "too large": 1}
    assert door.journal.asked == []


def test_unknown_suffixes_are_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture without a suffix is admitted; a text is opened once per version and counted from then on."""
    door = Door(tmp_path)
    text, picture = door.put("notes", b"hello"), door.put("picture")
    door.take(text, picture)
    door.clock.now += 0.3
    door.admission.look_due()
    assert door.admission.hand_over() == 1
    assert door.journal.admitted == [b"picture"]
    monkeypatch.setattr("bgrd.intake.admission.shows_picture", lambda *_: pytest.fail("opened"))
    assert door.take(text) == {"no picture": 1}


def test_what_was_found_to_be_no_picture_is_remembered_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is dropped when it is full, not grown."""
    monkeypatch.setattr("bgrd.intake.admission._OTHERS_REMEMBERED", 2)
    door = Door(tmp_path, settle_seconds=0.0)
    for number in range(5):
        door.take(door.put(f"notes{number}", b"hello"))
        door.admission.hand_over()
    assert len(door.admission._others) <= 2


def test_paths_that_are_not_ours_are_not_looked_at(tmp_path: Path) -> None:
    """Ignored names, the outbox inside, links, pipes and what is gone lead nowhere."""
    door = Door(tmp_path)
    for name in (".hidden.jpg", "out/a.png", "out.jpg"):
        door.put(name)
    (door.inbox / "link.jpg").symlink_to(door.inbox / "out.jpg")
    os.mkfifo(door.inbox / "pipe.jpg")
    door.admission.note([b".hidden.jpg", b"out/a.png", b"out", b"link.jpg", b"pipe.jpg", b"none.jpg", b"out.jpg"])
    assert door.journal.asked == [b"out.jpg"]


def test_directories_are_handed_back_to_be_walked(tmp_path: Path) -> None:
    """Unless the folder is not recursive; then nothing below the top is looked at either."""
    for recursive, expected in ((True, [b"album", b"pretty.jpg"]), (False, [])):
        door = Door(tmp_path, recursive=recursive)
        door.put("album/a.jpg")
        (door.inbox / "pretty.jpg").mkdir(exist_ok=True)
        assert door.admission.note([b"album", b"pretty.jpg", b"album/a.jpg", b"out", b".x"]) == expected
        assert bool(door.journal.asked) == recursive


def test_a_file_that_goes_while_it_settles_is_forgotten(tmp_path: Path) -> None:
    """Gone, emptied or grown too large: no admission and nothing left waiting."""
    door = Door(tmp_path, settle_seconds=5.0, max_bytes=1000)
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        door.put(name)
    door.admission.note([b"a.jpg", b"b.jpg", b"c.jpg", b"d.jpg"])
    (door.inbox / "a.jpg").unlink()
    (door.inbox / "d.jpg").unlink()
    door.put("b.jpg", b"")
    door.put("c.jpg", bytes(1001))
    door.admission.note([b"d.jpg"])
    door.clock.now += 5.0
    door.admission.look_due()
    assert door.admission.hand_over() == 0
    assert door.admission.settling.next_at() is None


def test_old_files_are_dismissed_where_the_backlog_is_unwanted(tmp_path: Path) -> None:
    """What changed before the given time is recorded as ignored and never opened, what came later is taken."""
    door = Door(tmp_path)
    old, new = door.put("old.jpg"), door.put("new.jpg")
    while new[1].ctime_ns <= old[1].ctime_ns:  # the kernel's clock ticks a few hundred times a second
        new = door.put("new.jpg")
    assert door.take(old, new, dismiss_before_ns=new[1].ctime_ns) == {"backlog": 1}
    door.admission.hand_over()
    assert (door.journal.ignored, door.journal.admitted) == ([b"old.jpg"], [b"new.jpg"])


def test_room_is_bounded_and_what_found_none_is_remembered_as_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of files that need time crowds the door, and those turned away are left for a walk."""
    monkeypatch.setattr("bgrd.intake.admission.WALK_ROOM", 3)
    door = Door(tmp_path, settle_seconds=60.0)
    door.admission.settling._limit = 5
    names = [f"{number}.jpg" for number in range(7)]
    for name in names[:3]:
        door.take(door.put(name))
    assert door.admission.crowded
    door.take(*(door.put(name) for name in names[3:]))
    assert door.admission.missed
    assert len(door.admission.settling) == 5


def test_clear_makes_room(tmp_path: Path) -> None:
    """After it nothing settles and nothing was missed."""
    door = Door(tmp_path, settle_seconds=60.0)
    door.admission.settling._limit = 1
    door.take(door.put("a.jpg"), door.put("b.jpg"))
    door.admission.clear()
    assert not door.admission.missed
    assert len(door.admission.settling) == 0


def test_a_long_portion_ends_early_when_stopping(tmp_path: Path) -> None:
    """Nothing is looked at any more once a stop is wanted."""
    door = Door(tmp_path)
    door.stopping = True
    door.take(door.put("a.jpg"))
    assert door.admission.hand_over() == 0


def test_a_journal_that_fails_is_told(tmp_path: Path) -> None:
    """StateError goes up: nothing is admitted and nothing is claimed to be."""
    door = Door(tmp_path)
    arrival = door.put("a.jpg")
    door.take(arrival)
    door.journal.broken = "disk full"
    with pytest.raises(StateError, match="disk full"):
        door.admission.hand_over()
    assert door.heard.events == []
