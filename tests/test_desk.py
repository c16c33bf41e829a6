"""One folder as the dispatcher sees it, with clocks set by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.engine.desk import Desk
from bgrd.engine.events import Blocked, Prepared
from bgrd.errors import ModelFault
from bgrd.job import Job, ModelChoice, Recipe, State, Version


@dataclass
class Asked:
    """A committer that notes what it is asked."""

    busy_since: float | None = None
    fetches: list[bool] = field(default_factory=list)
    folder: Any = field(default_factory=lambda: SimpleNamespace(name="f"))

    def fetch(self, *, oldest: bool) -> None:
        self.fetches.append(oldest)


def desk_with(asked: Asked) -> Desk:
    """Make a desk."""

    def model() -> Any:
        raise AssertionError

    return Desk(committer=cast("Any", asked), model=model)


BLOCKED = Blocked(folder="f", kind="folder", reason="full")


def test_every_fourth_claim_takes_the_oldest() -> None:
    """Fetches that found nothing do not count."""
    asked = Asked()
    desk = desk_with(asked)
    for _ in range(8):
        desk.fetch()
        desk.idle(due_at=None)
        desk.fetch()
        desk.fetched()
    assert asked.fetches[1::2] == [False, False, False, True] * 2


def test_work_that_arrives_during_a_fetch_is_not_forgotten() -> None:
    """The answer "nothing" may be older than the news."""
    desk = desk_with(Asked())
    desk.fetch()
    desk.feed()
    desk.idle(due_at=None)
    assert desk.fetchable
    desk.fetch()
    desk.idle(due_at=None)
    assert not desk.fetchable


def test_a_wait_that_is_over_makes_hungry() -> None:
    """Not before its second, and not while blocked or leaving."""
    desk = desk_with(Asked())
    desk.fetch()
    desk.idle(due_at=50.0)
    assert (desk.due(40.0), desk.fetchable) == (50.0, False)
    desk.blocked = "full"
    assert (desk.due(60.0), desk.fetchable) == (None, False)
    desk.blocked = ""
    assert (desk.due(60.0), desk.fetchable) == (60.0, True)


@given(st.lists(st.sampled_from(["probe fails", "job fails"]), max_size=40))
def test_pauses_grow_with_failed_probes_alone_and_end_at_five_minutes(happenings: list[str]) -> None:
    """5 s, 10 s, 20 s ... 300 s, however many jobs fail in between; a probe under way is not made again."""
    desk, now, probes = desk_with(Asked()), 0.0, 0
    desk.block(BLOCKED, now)
    for happening in happenings:
        if happening == "probe fails":
            assert desk.probe_at is not None
            assert not desk.probe_due(desk.probe_at - 0.1)
            now = desk.probe_at
            assert desk.probe_due(now)
            desk.probing = True
            assert not desk.probe_due(now + 1000)
            probes += 1
        desk.block(BLOCKED, now)
        assert desk.probe_pause == min(5.0 * 2**probes, 300.0)
        assert desk.probe_at == now + desk.probe_pause or happening == "job fails"


def test_a_folder_that_is_well_again_begins_anew() -> None:
    """Hungry, no probe due, and the next block begins with the shortest pause."""
    desk = desk_with(Asked())
    desk.block(BLOCKED, 0.0)
    desk.probing = True
    desk.block(BLOCKED, 5.0)
    desk.resume(15.0)
    desk.done += 1
    assert (desk.blocked, desk.probe_at, desk.fetchable) == ("", None, True)
    desk.block(BLOCKED, 100.0)
    assert desk.probe_at == 105.0


def test_a_probe_that_passes_in_vain_does_not_shorten_the_pauses() -> None:
    """Where there is room for what a probe writes and for no result, a folder is not tried every five seconds."""
    desk, now, pauses = desk_with(Asked()), 0.0, []
    for _ in range(9):
        desk.block(BLOCKED, now)
        assert desk.probe_at is not None
        pauses.append(desk.probe_at - now)
        now = desk.probe_at
        desk.probing = True
        desk.resume(now)
        now += 1.0  # a job is worked on, and finds no room
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    desk.done += 1
    desk.block(BLOCKED, now)
    assert desk.probe_at == now + 5.0
    desk.resume(now)
    desk.block(BLOCKED, now + 4000.0)
    assert desk.probe_at == now + 4005.0, "a folder that was well for long begins anew"


def test_silence_is_told_once_and_its_end_once() -> None:
    """A request that has not come back for long is news when it becomes so, and when it comes back."""
    asked = Asked(busy_since=100.0)
    desk = desk_with(asked)
    assert (desk.listen(110.0), desk.late_at(110.0)) == ("", 120.0)
    assert (desk.listen(120.0), desk.late_at(120.0)) == ("folder.unavailable", None)
    assert desk.listen(130.0) == ""
    asked.busy_since = None
    assert (desk.listen(140.0), desk.late_at(140.0)) == ("folder.available", None)
    assert desk.listen(150.0) == ""


@dataclass
class Walking:
    """A walker as its desk sees it."""

    busy_since: float | None = None
    well: bool = True


def test_a_walker_that_does_not_come_back_is_silence_as_well() -> None:
    """An idle committer says nothing about the inbox; what the walker finds in the end is the walker's to tell."""
    walking = Walking(busy_since=100.0)
    desk = desk_with(Asked(busy_since=None))
    desk.intake = walking
    assert (desk.listen(110.0), desk.late_at(110.0)) == ("", 120.0)
    assert desk.listen(120.0) == "folder.unavailable"
    assert desk.held
    walking.busy_since, walking.well = None, False
    assert (desk.listen(130.0), desk.silent) == ("", False)
    walking.busy_since, walking.well = 140.0, True
    assert desk.listen(160.0) == "folder.unavailable"
    walking.busy_since = 161.0
    assert desk.listen(162.0) == "folder.available"


def test_a_walker_alone_does_not_make_its_folder_mute() -> None:
    """Mute is a folder whose committer does not come back: it owes answers, and the walker owes none."""
    walking, asked = Walking(busy_since=100.0), Asked(busy_since=None)
    desk = desk_with(asked)
    desk.intake = walking
    desk.listen(120.0)
    assert (desk.silent, desk.mute) == (True, False)
    asked.busy_since = 110.0
    assert desk.listen(130.0) == ""
    assert (desk.silent, desk.mute) == (True, True)
    asked.busy_since = None
    desk.listen(131.0)
    assert (desk.silent, desk.mute) == (True, False)


def test_a_walker_is_looked_at_though_nobody_asks_for_anything() -> None:
    """It sets out by itself: a desk with one is never left alone for longer than half of what counts as silence."""
    desk = desk_with(Asked())
    assert desk.late_at(100.0) is None
    desk.intake = Walking()
    assert desk.late_at(100.0) == 110.0


def test_a_model_is_looked_for_once_in_a_while_and_not_for_each_job() -> None:
    """Found again after a second, after a fault, and where the clock stepped back; one that is missing each time."""
    looks: list[ModelChoice | None] = []
    there: list[ModelChoice | None] = [ModelChoice(name="m", path=Path("first"))]

    def model() -> ModelChoice:
        looks.append(there[0])
        if there[0] is None:
            raise ModelFault("missing")
        return there[0]

    asked = Asked(folder=SimpleNamespace(name="f", recipe=Recipe(model="m")))
    desk = Desk(committer=cast("Any", asked), model=model)
    job = Job(
        id=1, folder="f", path=b"a", version=Version(size=1, mtime_ns=1, ctime_ns=1, inode=1), state=State.RUNNING
    )
    prepared = Prepared(folder="f", job=job, source=3, drafts=(4,), accept_holes=False)

    def path_at(now: float) -> str:
        return str(desk.assignment(prepared, max_pixels=1, memory=1, now=now).model.path)

    assert [path_at(now) for now in (5.0, 5.5, 5.9)] == ["first"] * 3
    assert len(looks) == 1
    there[0] = ModelChoice(name="m", path=Path("second"))
    assert [path_at(now) for now in (5.99, 6.0, 6.5)] == ["first", "second", "second"]
    desk.refused()
    assert (path_at(6.6), len(looks)) == ("second", 3)
    assert (path_at(1.0), len(looks)) == ("second", 4)
    there[0] = None
    for _ in range(2):
        with pytest.raises(ModelFault):
            path_at(9.0)
    assert len(looks) == 6
