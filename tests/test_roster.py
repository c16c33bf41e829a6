"""The folders at work, over a journal that cannot always be written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bgrd.errors import DaemonFault, StateError
from bgrd.job import Folder, Recipe
from bgrd.journal.journal import Journal, Recovery
from bgrd.roster import Roster
from bgrd.service import Plan
from tests.houses.inboxes import Heard


class Post:
    """A station that does nothing."""

    def __init__(self, folder: Folder, *_: Any, **__: Any) -> None:
        self.folder = folder
        self.armed = True
        self.walker = SimpleNamespace(doubt=lambda _: None)
        self.desk = SimpleNamespace(needs=lambda: (SimpleNamespace(name="tiny"),))

    def start(self, recovery: Recovery) -> None:
        self.recovery = recovery

    def stop_intake(self) -> None:
        """Take no new files."""

    def close(self, until: float) -> bool:
        return True


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Give a journal."""
    with closing(Journal(tmp_path / "journal.db")) as journal:
        yield journal


@pytest.fixture
def heard() -> Heard:
    """Give a collector of events."""
    return Heard()


@pytest.fixture
def roster(journal: Journal, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> Roster:
    """Give a roster that serves the folders a and b."""
    monkeypatch.setattr("bgrd.roster.Station", Post)
    monkeypatch.setattr("bgrd.roster._AGAIN_SECONDS", 0.0)
    pool = SimpleNamespace(warm=lambda _: True, loading=False)
    nobody = cast("Any", None)
    roster = Roster(plan("a", "b"), journal, nobody, cast("Any", pool), report=cast("Any", heard), wake=lambda: None)
    roster.open_all(journal.recover())
    roster.tend()
    assert roster.ready
    return roster


def plan(*names: str) -> Plan:
    """Make a plan with these folders."""
    folders = [
        Folder(name=name, inbox=Path(name), outbox=Path(name), archive=Path(name), recipe=Recipe()) for name in names
    ]
    return Plan(folders=tuple(folders), models={}, models_directory=Path("models"))


def swap(roster: Roster, wanted: Plan) -> None:
    """Do what a reload does."""
    roster.swap(wanted, roster.leave(wanted), until=0.0)


@pytest.mark.parametrize("step", ["withdraw_folder", "interrupted"])
def test_a_swap_is_finished_once_the_journal_can_be_written(
    roster: Roster, journal: Journal, heard: Heard, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills in the middle of a reload neither ends the daemon nor loses a folder."""
    full = [True]
    real = getattr(Journal, step)

    def ask(self: Journal, name: str) -> object:
        if full[0]:
            text = "the disk is full"
            raise StateError(text, transient=True)
        return real(self, name)

    monkeypatch.setattr(Journal, step, ask)
    swap(roster, plan("b", "c"))
    assert roster.tend() is not None
    assert (len(roster), roster.ready) == (1, False)
    swap(roster, plan("b", "c", "d"))
    assert [event["reason"] for event in heard.named("journal.waiting")] == ["the disk is full"]
    full[0] = False
    assert roster.tend() is None
    assert (len(roster), roster.ready) == (3, True)


def test_a_folder_that_returns_before_it_was_withdrawn_is_not(
    roster: Roster, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs are still wanted."""
    withdrawn: list[str] = []

    def refuse(self: Journal, name: str) -> int:
        text = "the disk is full"
        raise StateError(text, transient=True)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "withdraw_folder", refuse)
        swap(roster, plan("b"))
    monkeypatch.setattr(Journal, "withdraw_folder", lambda _, name: withdrawn.append(name))
    swap(roster, plan("a", "b"))
    assert (len(roster), withdrawn) == (2, [])


def test_a_journal_that_is_damaged_ends_the_swap(
    roster: Roster, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not pass by itself is not waited for."""

    def refuse(self: Journal, name: str) -> int:
        text = "damaged"
        raise StateError(text)

    monkeypatch.setattr(Journal, "withdraw_folder", refuse)
    with pytest.raises(StateError):
        swap(roster, plan("b"))


def test_a_folder_is_served_once_there_is_a_thread_for_it(
    roster: Roster, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on processes that a reload meets neither ends the daemon nor loses a folder."""

    def refuse(self: Post, recovery: Recovery) -> None:
        raise OSError(errno.EAGAIN, "a thread cannot be started")

    with monkeypatch.context() as patch:
        patch.setattr(Post, "start", refuse)
        swap(roster, plan("b", "c"))
        assert roster.tend() is not None
        assert (len(roster), roster.ready) == (1, False)
    assert ["thread" in str(event["reason"]) for event in heard.named("daemon.short")] == [True]
    assert roster.tend() is None
    assert (len(roster), roster.ready) == (2, True)


def test_a_model_nobody_can_look_for_now_blocks_no_folder(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried with the first picture."""

    def refuse() -> None:
        text = "bgrd is short of system resources"
        raise DaemonFault(text)

    class Short(Post):
        def start(self, recovery: Recovery) -> None:
            self.desk = SimpleNamespace(needs=refuse)

    monkeypatch.setattr("bgrd.roster.Station", Short)
    swap(roster, plan("b", "c"))
    assert (len(roster), roster.ready) == (2, True)
