"""What `bgrd bench` makes of what lanes tell."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.benchmark import Bench, Effort, candidates, measured, pictures_in, specimens
from bgrd.engine.capacity import Capacity, Limits
from bgrd.engine.wire import Loaded
from bgrd.errors import Fault, ModelFault, ModelFileError, NoInputError
from bgrd.job import ModelChoice, Recipe
from bgrd.trialrun import Run, Worker

GIB = 2**30
LIMITS = Limits(lanes=1, threads=1, memory_bytes=16 * GIB, model_bytes=GIB, job_seconds=9.0, idle_unload_seconds=9.0)
SECONDS = {"decode": 0.1, "infer": 0.4}
EFFORT = Effort(seconds=4.0, rounds=2)


@dataclass
class PlayedLanes:
    """Lanes on a machine of our own: `speed` says how much of a processor each lane of a pair has."""

    speed: dict[tuple[int, int], float]
    limits: Limits = LIMITS
    sources: list[Path] = field(default_factory=lambda: [Path("a"), Path("b")])
    reasons: dict[int, str] = field(default_factory=dict)
    fault: Fault | None = None
    resident_bytes: int = 100
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    saw: list[int] = field(default_factory=list)

    def worker(self) -> Worker:
        """Give a worker whose runs are ours."""

        class Played(Worker):
            def run(self, *, lanes: int, threads: int, pictures: int) -> Run:
                return played.run(lanes, threads, pictures, len(self.sources))

        played = self
        made = Played(
            limits=self.limits,
            model=ModelChoice(name="m", path=Path("m")),
            recipe=Recipe(),
            sources=self.sources,
            max_pixels=1,
        )
        return cast("Worker", made)

    def run(self, lanes: int, threads: int, pictures: int, sources: int) -> Run:
        """Play a run: picture i costs i + 1 times the stages' seconds, and each lane takes the next when it is free."""
        self.asked.append((lanes, threads, pictures))
        self.saw.append(sources)
        run = Run(lanes=lanes, threads=threads, peak_bytes=1000 * threads, fault=self.fault)
        if self.fault is None:
            loaded = Loaded(model="m", sha256="e" * 64, seconds=0.5, resident_bytes=self.resident_bytes)
            run.loaded = loaded
        free = [1.0] * lanes  # a second passes before the first begins
        for index in range(pictures if self.fault is None else 0):
            number = index % sources
            if number in self.reasons and sources > len(self.reasons):
                run.reasons[number] = self.reasons[number]
                continue
            stages = {name: seconds * (number + 1) for name, seconds in SECONDS.items()}
            lane = free.index(min(free))
            free[lane] += sum(stages.values()) / self.speed.get((lanes, threads), 1.0)
            run.ended.append((number, free[lane], stages))
        run.ended.sort(key=lambda each: each[1])
        return run


def bench(lanes: PlayedLanes, processors: int = 4) -> Bench:
    """Measure."""
    capacity = Capacity(processors=processors, memory_bytes=32 * GIB)
    return measured(
        lanes.worker(), capacity, EFFORT, lane_bytes=lambda resident: resident + GIB, progress=lambda *_told: None
    )


def test_candidates_halve() -> None:
    """All processors as lanes, half of them with two threads, and so on to one lane with all."""
    assert candidates(1) == [(1, 1)]
    assert candidates(2) == [(2, 1), (1, 2)]
    assert candidates(12) == [(12, 1), (6, 2), (3, 4), (1, 12)]


@given(st.integers(1, 1000))
def test_candidates_never_ask_for_more_than_there_is(processors: int) -> None:
    """Lanes times threads stay within the processors."""
    found = candidates(processors)
    assert all(lanes * threads <= processors for lanes, threads in found)
    assert found[0] == (processors, 1)
    assert found[-1] == (1, processors)


def test_lanes_that_disturb_nobody_reach_the_limit() -> None:
    """Four lanes at full speed are the limit, and a picture is worth its own work: start and stragglers count not."""
    found = bench(PlayedLanes({(2, 2): 1.2, (1, 4): 1.5}))
    rows = {(each.lanes, each.threads): each for each in found.combinations}
    assert rows[4, 1].efficiency == pytest.approx(1.0, abs=0.1)
    assert rows[2, 2].efficiency == pytest.approx(0.6, abs=0.06)
    assert rows[1, 4].efficiency == pytest.approx(0.375, abs=0.04)
    assert rows[1, 1].efficiency == pytest.approx(0.25, abs=0.03)
    assert rows[4, 1].pictures_a_minute == pytest.approx(4 * 60 / 0.75, rel=0.1)
    assert (found.best.lanes, found.best.threads) == (4, 1)
    assert rows[4, 1].memory_bytes == 4000
    assert found.stages == pytest.approx({"decode": 150.0, "infer": 600.0})


def test_few_lanes_win_where_many_are_in_each_others_way() -> None:
    """The crossover is what was measured."""
    found = bench(PlayedLanes({(4, 1): 0.4, (2, 2): 1.0, (1, 4): 1.5}))
    assert (found.best.lanes, found.best.threads) == (2, 2)


def test_as_good_with_fewer_lanes_is_better() -> None:
    """They take less memory."""
    found = bench(PlayedLanes({(4, 1): 0.5, (2, 2): 0.99}))
    assert (found.best.lanes, found.best.threads) == (2, 2)


def test_a_single_lane_of_one_thread_is_no_suggestion_on_two_processors() -> None:
    """It is measured for the limit alone; with one processor it is all there is."""
    found = bench(PlayedLanes({(2, 1): 0.2, (1, 2): 0.5}), processors=2)
    assert (found.best.lanes, found.best.threads) == (1, 2)
    assert (bench(PlayedLanes({}), processors=1).best.lanes) == 1


def test_lanes_that_memory_has_no_room_for_are_not_tried() -> None:
    """Room is what the model took, and a large picture in each lane."""
    limits = replace(LIMITS, memory_bytes=5 * GIB)
    lanes = PlayedLanes({}, limits=limits, resident_bytes=GIB)
    found = bench(lanes)
    assert found.left_out == (4,)
    assert {pair[:2] for pair in lanes.asked} == {(1, 1), (2, 2), (1, 4)}


def test_every_combination_has_its_turn_in_every_round() -> None:
    """What disturbs meets all of them."""
    lanes = PlayedLanes({})
    bench(lanes)
    turns = [pair[:2] for pair in lanes.asked]
    assert turns == [(1, 1), *([(4, 1), (2, 2), (1, 4), (1, 1)] * 2)]
    assert lanes.asked[1] == (4, 1, round(4.0 * 4 / 0.75))


def test_a_picture_that_fails_is_left_out() -> None:
    """The others are measured on, and the reason is told."""
    lanes = PlayedLanes({}, sources=[Path("a"), Path("b"), Path("c")], reasons={1: "it is broken"})
    found = bench(lanes, processors=2)
    assert found.refused == {"b": "it is broken"}
    assert lanes.saw == [3, 2, 2, 2, 2, 2, 2]


def test_a_model_that_cannot_be_used_is_told() -> None:
    """With its own sentence."""
    with pytest.raises(ModelFileError, match="Model m is damaged"):
        bench(PlayedLanes({}, fault=ModelFault("Model m is damaged.")))


def test_pictures_without_any_that_can_be_used(tmp_path: Path) -> None:
    """A folder without pictures, and one that is not there, are missing input."""
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(NoInputError, match="there is no picture"):
        pictures_in(tmp_path)
    with pytest.raises(NoInputError, match="cannot be read"):
        pictures_in(tmp_path / "gone")


def test_many_pictures_are_thinned_out_evenly(tmp_path: Path) -> None:
    """24 at most, from the first to nearly the last."""
    for number in range(100):
        (tmp_path / f"{number:03}.jpg").touch()
    found = [int(path.stem) for path in pictures_in(tmp_path)]
    assert len(found) == 24
    assert found[0] == 0
    assert found[-1] > 90


def test_specimens_are_photos_of_the_sizes_that_are_told() -> None:
    """1, 4 and 12 megapixels; they cost what photos cost, and are gone afterwards."""
    with specimens() as paths:
        images = [Image.open(io.BytesIO(path.read_bytes())) for path in paths]
        assert [round(image.width * image.height / 1e6) for image in images] == [1, 4, 12]
        bits = [
            8 * path.stat().st_size / (image.width * image.height) for path, image in zip(paths, images, strict=True)
        ]
        assert 0.1 < min(bits) <= max(bits) < 4
    assert not any(path.exists() for path in paths)
