"""One folder at work: its threads alone touch its directories."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bgrd.engine.dispatch import Dispatcher
from bgrd.engine.events import Closed, Event
from bgrd.job import ModelChoice
from bgrd.station import Station
from tests.houses.workshop import Workshop
from tests.kernel.processes import threadless


class Heard(Dispatcher):
    """A dispatcher that only listens."""

    def __init__(self) -> None:
        super().__init__(report=lambda *_args, **_facts: None, wake=lambda: None, max_pixels=100)
        self.posted: list[Event] = []

    def post(self, event: Event) -> None:
        self.posted.append(event)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """Give a folder."""
    return Workshop(tmp_path)


def station(shop: Workshop, dispatcher: Dispatcher) -> Station:
    """Make the folder's station."""
    model = ModelChoice(name="m", path=Path("m.onnx"))
    return Station(shop.folder, shop.journal, dispatcher, model=lambda: model, events=lambda *_args, **_facts: None)


def test_making_one_asks_no_file_system(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead share would hold the main loop, and with it every other folder."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the main loop asked a file system")

    with monkeypatch.context() as patch:
        for call in ("open", "stat", "lstat", "scandir", "listdir", "mkdir"):
            patch.setattr(os, call, refuse)
        made = station(shop, Heard())
        assert not made.armed
    shop.journal.close()


def test_a_changed_file_is_looked_at_again_without_an_event(shop: Workshop) -> None:
    """A job withdrawn because its file changed sends the path back to the walker."""
    made = station(shop, Heard())
    shop.drop("a.jpg", b"x")
    job = shop.job("a.jpg")
    made._pass_on(Closed(folder="test", job=job, outcome="withdraw"))
    assert list(made.walker._dirty) == [b"a.jpg"]
    shop.journal.close()


def test_a_thread_left_behind_is_not_heard_any_more(shop: Workshop) -> None:
    """What a dead share held beyond the end of its station speaks of another desk."""
    heard = Heard()
    made = station(shop, heard)
    made.start(shop.journal.recover())
    assert made.close(time.monotonic() + 20)
    heard.posted.clear()
    shop.drop("a.jpg", b"x")
    made._pass_on(Closed(folder="test", job=shop.job("a.jpg"), outcome="done"))
    assert heard.posted == []
    shop.journal.close()


@pytest.mark.parametrize("name", ["commit", "walker"])
def test_one_that_cannot_start_leaves_nothing_running(
    shop: Workshop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for both of its threads it has none, and the dispatcher does not count on it."""
    heard = Heard()
    made = station(shop, heard)
    before = set(threading.enumerate())
    with monkeypatch.context() as patch:
        threadless(patch, name)
        with pytest.raises(OSError, match="thread cannot be started"):
            made.start(shop.journal.recover())
    assert set(threading.enumerate()) == before
    assert not heard.desks
    shop.journal.close()
