"""A running bgrd learns what its models take."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

from bgrd.allotment import allotment, file_bytes, models_in_use
from bgrd.config.load import load
from bgrd.config.settings import Settings
from bgrd.crew import Crew
from bgrd.engine.capacity import Limits, measure
from bgrd.engine.demand import BASE_BYTES
from bgrd.engine.experience import Experience, identity, recall
from bgrd.engine.pool import Pool
from bgrd.lessons import Lessons

MIB = 2**20
SHA = "d" * 64


@dataclass
class PlayedPool:
    """What lessons ask of a pool."""

    limits: Limits
    busy: int = 0
    killed: int = 0
    reported: list[dict[str, Any]] = field(default_factory=list)

    def kill(self) -> list[int]:
        """End every lane."""
        self.killed += 1
        return []

    def report(self, event: str, **facts: Any) -> None:
        """Take a line of the log."""
        self.reported.append({"event": event, **facts})


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    """Give a configuration with a model of one's own that is reckoned to leave room for one lane."""
    (tmp_path / "own.onnx").write_bytes(b"x" * 1000)
    (tmp_path / "config.toml").write_text(
        'memory_limit = "4 GB"\n[[model]]\nname = "own"\npath = "own.onnx"\nlike = "isnet-general-use"\n'
        '[defaults]\nmodel = "own"\n'
    )
    settings = load(tmp_path / "config.toml", environ={"HOME": str(tmp_path)})
    settings.state_directory.mkdir(parents=True)
    return settings


def remembered(settings: Settings) -> Experience:
    """Read what was written down."""
    return recall(settings.state_directory, identity(measure().processors))


def loaded(resident_bytes: int, model: str = "own") -> dict[str, Any]:
    """Give the facts of `model.loaded`."""
    return {"model": model, "sha256": SHA, "resident_bytes": resident_bytes}


def test_a_model_that_was_loaded_is_remembered(plain: Settings) -> None:
    """By its hash, with the size of its file; the next start reckons with that."""
    lessons = Lessons(plain)
    lessons.hear("model.loaded", loaded(70 * MIB))
    figures = remembered(plain).models[SHA]
    assert (figures.name, figures.size, figures.resident_bytes) == ("own", 1000, 70 * MIB)
    assert Lessons(plain).limits == allotment(plain).limits
    assert allotment(plain).demand.model_bytes == 70 * MIB


def test_only_the_first_lane_is_asked(plain: Settings) -> None:
    """One that was taken over by a picture, and loads a model again, changes nothing."""
    lessons = Lessons(plain)
    lessons.hear("model.loaded", loaded(70 * MIB))
    lessons.hear("model.loaded", loaded(10**12))
    assert remembered(plain).models[SHA].resident_bytes == 70 * MIB


@pytest.mark.parametrize(
    ("event", "facts"),
    [("model.loaded", loaded(5, "foreign")), ("job.failed", {"model": "own"}), ("job.done", {"model": "own"})],
)
def test_other_events_are_passed_over(plain: Settings, event: str, facts: dict[str, Any]) -> None:
    """What says nothing of memory leaves no trace."""
    lessons = Lessons(plain)
    lessons.hear(event, facts)
    lessons.write()
    assert not (plain.state_directory / "machine.json").exists()


def test_what_pictures_took_is_remembered(plain: Settings) -> None:
    """The most of them, beside the lane and its model; every hundred, and at the end."""
    lessons = Lessons(plain)
    lessons.hear("model.loaded", loaded(70 * MIB))
    for number in range(100):
        peak = BASE_BYTES + (75 + number % 10) * MIB
        lessons.hear("job.done", {"model": "own", "peak_bytes": peak})
    known = remembered(plain)
    assert (known.pictures, known.picture_bytes) == (100, 14 * MIB)
    lessons.hear("job.done", {"model": "own", "peak_bytes": BASE_BYTES + 90 * MIB})
    assert remembered(plain) == known
    lessons.write()
    assert (remembered(plain).pictures, remembered(plain).picture_bytes) == (101, 20 * MIB)


def test_of_a_model_that_lanes_share_nothing_is_remembered_but_of_its_pictures(plain: Settings) -> None:
    """Its process may hold it elsewhere, or for eight pictures at once; a lane holds none of it, whoever loads it."""
    lessons = Lessons(plain)
    for _lane in range(2):
        lessons.hear("model.loaded", loaded(900 * MIB) | {"shared": True, "device": 17})
    lessons.hear("job.done", {"model": "own", "peak_bytes": BASE_BYTES + 30 * MIB})
    pool = PlayedPool(limits=lessons.limits)
    lessons.apply(cast("Pool", pool), pool.report)
    lessons.write()
    known = remembered(plain)
    assert (dict(known.models), known.pictures, known.picture_bytes) == ({}, 1, 30 * MIB)
    assert not pool.killed


def test_an_idle_pool_gets_what_was_learnt(plain: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """More lanes as soon as none works, once; the log says how many."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(4)))
    monkeypatch.setattr("bgrd.engine.capacity._quota", lambda _group: None)
    lessons = Lessons(plain)
    assert (lessons.limits.lanes, lessons.limits.threads) == (1, 4)
    pool = PlayedPool(limits=lessons.limits, busy=1)
    lessons.hear("model.loaded", loaded(70 * MIB))
    lessons.apply(cast("Pool", pool), pool.report)
    assert pool.limits.lanes == 1
    pool.busy = 0
    for _turn in range(2):
        lessons.apply(cast("Pool", pool), pool.report)
    assert (pool.limits.lanes, pool.limits.threads, pool.killed) == (4, 1, 1)
    assert pool.reported == [{"event": "daemon.lanes", "lanes": 4, "threads": 1}]


def test_what_cannot_be_asked_now_is_asked_again(plain: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shortage of descriptors ends no daemon, and what was learnt is used when it is over."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(4)))
    monkeypatch.setattr("bgrd.engine.capacity._quota", lambda _group: None)
    lessons = Lessons(plain)
    pool = PlayedPool(limits=lessons.limits)
    lessons.hear("model.loaded", loaded(70 * MIB))
    with monkeypatch.context() as short:
        short.setattr("bgrd.engine.capacity._machine_bytes", Mock(side_effect=OSError(errno.EMFILE, "too many")))
        lessons.apply(cast("Pool", pool), pool.report)
    assert (pool.killed, pool.reported) == (0, [])
    lessons.apply(cast("Pool", pool), pool.report)
    assert (pool.limits.lanes, pool.killed) == (4, 1)


def test_a_reload_forgets_no_picture(plain: Settings) -> None:
    """What those took that came before it is written down."""
    crew = Crew(plain, Mock(), events=Mock(), loop=Mock())
    crew.lessons.hear("model.loaded", loaded(70 * MIB))
    crew.lessons.hear("job.done", {"model": "own", "peak_bytes": BASE_BYTES + 90 * MIB})
    crew.turn(Lessons(plain))
    assert (remembered(plain).pictures, remembered(plain).picture_bytes) == (1, 20 * MIB)


def test_after_a_reload_the_warm_lanes_count(plain: Settings) -> None:
    """They load nothing again; what their pictures take is remembered all the same, beside what the model took."""
    crew = Crew(plain, Mock(), events=Mock(), loop=Mock())
    crew.lessons.hear("model.loaded", loaded(70 * MIB))
    crew.turn(Lessons(plain))
    crew.lessons.hear("job.done", {"model": "own", "peak_bytes": BASE_BYTES + 90 * MIB})
    crew.turn(Lessons(plain))
    assert (remembered(plain).pictures, remembered(plain).picture_bytes) == (1, 20 * MIB)


def test_after_a_reload_with_another_file_the_model_is_learnt_anew(plain: Settings, tmp_path: Path) -> None:
    """It is loaded once more, and what the one before took does not stand for it."""
    crew = Crew(plain, Mock(), events=Mock(), loop=Mock())
    crew.lessons.hear("model.loaded", loaded(70 * MIB))
    (tmp_path / "other.onnx").write_bytes(b"x" * 2000)
    (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text().replace("own.onnx", "other.onnx"))
    crew.turn(Lessons(load(tmp_path / "config.toml", environ={"HOME": str(tmp_path)})))
    crew.lessons.hear("job.done", {"model": "own", "peak_bytes": BASE_BYTES + 90 * MIB})
    crew.lessons.hear("model.loaded", loaded(90 * MIB) | {"sha256": "e" * 64})
    crew.lessons.write()
    known = remembered(plain)
    assert (known.pictures, known.models["e" * 64].resident_bytes) == (0, 90 * MIB)


def test_what_was_learnt_while_a_reload_waited_is_used(plain: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new settings are read first; a model that is loaded before they hold is reckoned with after all."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(4)))
    monkeypatch.setattr("bgrd.engine.capacity._quota", lambda _group: None)
    crew = Crew(plain, Mock(), events=Mock(), loop=Mock())
    coming = Lessons(plain)
    crew.lessons.hear("model.loaded", loaded(70 * MIB))
    crew.turn(coming)
    pool = PlayedPool(limits=crew.lessons.limits)
    crew.lessons.apply(cast("Pool", pool), pool.report)
    assert pool.limits.lanes == 4


def test_lanes_that_are_right_stay(plain: Settings) -> None:
    """A model that takes what was reckoned changes nothing."""
    lessons = Lessons(plain)
    pool = PlayedPool(limits=lessons.limits)
    (choice,) = models_in_use(plain)
    assert file_bytes(choice) == 1000
    lessons.hear("model.loaded", loaded(allotment(plain).demand.model_bytes))
    lessons.apply(cast("Pool", pool), pool.report)
    assert not pool.killed
