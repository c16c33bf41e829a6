"""Measures a model on this machine: what each stage takes, which lanes and threads make the most pictures a minute.

Real lanes work on real pictures, each combination in turn and all of them again in every round, so that whatever else
the machine does meets all of them. The limit is what the stages take on one lane with one thread, divided by the
processors; efficiency is how much of that a combination reaches.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from bgrd.engine.capacity import Capacity
from bgrd.errors import ModelFileError, NoInputError
from bgrd.intake.ignore import classify
from bgrd.trialrun import Run, Worker

__all__ = ["Bench", "Combination", "Effort", "Progress", "candidates", "measured", "pictures_in", "specimens"]

_MOST_PICTURES = 24
_SIZES = ((1200, 900), (2400, 1700), (4000, 3000))
"""Of the pictures made by code: 1, 4 and 12 megapixels."""
_AS_GOOD = 0.97
"""Fewer lanes that make nearly as many pictures take less memory."""

Progress = Callable[[str, int, int], None]
"""Told before each run: what it is, how many were made, how many there will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long each run takes at least, about, and how often each combination has its turn."""

    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """What some lanes with some threads each came to; `memory_bytes` is the most all took, with what they share."""

    lanes: int
    threads: int
    pictures_a_minute: float
    efficiency: float
    memory_bytes: int
    infer_milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What was measured of a model. `stages` are milliseconds a picture on one thread, in their order.

    `best` is the suggestion. `left_out` are lanes that memory has no room for, `refused` reasons of pictures that could
    not be used.
    """

    model: str
    sha256: str
    resident_bytes: int
    load_seconds: float
    pictures: int
    processors: int
    stages: Mapping[str, float]
    combinations: tuple[Combination, ...]
    best: Combination
    left_out: tuple[int, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def milliseconds(self) -> dict[int, float]:
        """The model's own milliseconds a picture by threads."""
        found = {each.threads: each.infer_milliseconds for each in sorted(self.combinations, key=_lanes, reverse=True)}
        return {threads: found[threads] for threads in sorted(found)}


def measured(
    worker: Worker, capacity: Capacity, effort: Effort, *, lane_bytes: Callable[[int], int], progress: Progress
) -> Bench:
    """Measure; `lane_bytes` says what a lane has to have for a model that holds so much.

    Raises ModelFileError where the model cannot be used, NoInputError where no picture can be.
    """
    progress("one lane, one thread", 0, 1)
    probe = worker.run(lanes=1, threads=1, pictures=max(2, len(worker.sources)))
    if probe.fault is not None or probe.loaded is None:
        raise ModelFileError(str(probe.fault or next(iter(probe.reasons.values()), "the model was not loaded")))
    if not probe.ended:
        message = f"no picture could be worked on: {next(iter(probe.reasons.values()))}"
        raise NoInputError(message)
    usable = [source for number, source in enumerate(worker.sources) if number not in probe.reasons]
    refused = {str(worker.sources[number]): reason for number, reason in probe.reasons.items()}
    worker = replace(worker, sources=usable)
    every = candidates(capacity.processors)
    room = max(1, worker.limits.lane_bytes // lane_bytes(probe.loaded.resident_bytes))
    fitting = [pair for pair in every if pair[0] <= room]
    runs = _rounds(worker, fitting, effort, each_seconds=_work(probe), progress=progress)
    work, stages = _single(runs[1, 1], len(usable))
    found = tuple(_combined(runs[pair], work, capacity) for pair in runs if any(run.ended for run in runs[pair]))
    if not found:
        message = f"model {worker.model.name}: no run came to its end, though the first one did"
        raise ModelFileError(message)
    return Bench(
        model=worker.model.name,
        sha256=probe.loaded.sha256,
        resident_bytes=probe.loaded.resident_bytes,
        load_seconds=probe.loaded.seconds,
        pictures=sum(len(run.ended) for of_pair in runs.values() for run in of_pair),
        processors=capacity.processors,
        stages=stages,
        combinations=found,
        best=_best([each for each in found if (each.lanes, each.threads) in every]),
        left_out=tuple(lanes for lanes, _threads in every if lanes not in {pair[0] for pair in fitting}),
        refused=refused,
    )


def candidates(processors: int) -> list[tuple[int, int]]:
    """Give the combinations worth a try, those with the most lanes first: (N, 1), (N/2, 2) and so on to (1, N)."""
    lanes, found = processors, []
    while lanes >= 1:
        found.append((lanes, max(1, processors // lanes)))
        lanes //= 2
    return found


def _rounds(
    worker: Worker,
    pairs: Sequence[tuple[int, int]],
    effort: Effort,
    *,
    each_seconds: float,
    progress: Progress,
) -> dict[tuple[int, int], list[Run]]:
    """Run every combination and a single lane of one thread in turn, in every round."""
    every = [*pairs, *([(1, 1)] if (1, 1) not in pairs else [])]
    runs: dict[tuple[int, int], list[Run]] = {pair: [] for pair in every}
    turns = [pair for _round in range(effort.rounds) for pair in every]
    for number, (lanes, threads) in enumerate(turns):
        progress(f"{lanes} x {threads}", 1 + number, 1 + len(turns))
        pictures = max(3 * lanes, len(worker.sources), round(effort.seconds * lanes / each_seconds))
        runs[lanes, threads].append(worker.run(lanes=lanes, threads=threads, pictures=pictures))
    return runs


def _single(runs: Sequence[Run], sources: int) -> tuple[list[float], dict[str, float]]:
    """Give the seconds each picture takes on one thread, and the average milliseconds of each stage."""
    taken: list[list[dict[str, float]]] = [[] for _source in range(sources)]
    for run in runs:
        for number, _second, stages in run.ended:
            taken[number].append(stages)
    names = dict.fromkeys(name for of_one in taken for stages in of_one for name in stages)
    each = [{name: median(stages.get(name, 0.0) for stages in of_one) for name in names} for of_one in taken if of_one]
    work = [
        sum(median(stages.get(name, 0.0) for stages in of_one) for name in names) if of_one else 0.0 for of_one in taken
    ]
    return work, {name: 1000.0 * sum(stages[name] for stages in each) / max(1, len(each)) for name in names}


def _combined(runs: Sequence[Run], work: Sequence[float], capacity: Capacity) -> Combination:
    """Give what a combination came to in the best of its rounds: what disturbs only takes away."""
    rate = max(run.rate(work) for run in runs)
    average = sum(work) / len(work)
    first = runs[0]
    return Combination(
        lanes=first.lanes,
        threads=first.threads,
        pictures_a_minute=60.0 * rate / average if average else 0.0,
        efficiency=rate / capacity.processors,
        memory_bytes=first.lanes * max(run.peak_bytes for run in runs) + max(run.shared_bytes for run in runs),
        infer_milliseconds=min(run.milliseconds("infer") for run in runs if run.ended),
    )


def _best(found: Sequence[Combination]) -> Combination:
    """Choose what makes the most pictures; of those that make nearly as many the one with the fewest lanes."""
    most = max(each.pictures_a_minute for each in found)
    return min((each for each in found if each.pictures_a_minute >= _AS_GOOD * most), key=_lanes)


def _lanes(combination: Combination) -> int:
    return combination.lanes


def _work(run: Run) -> float:
    """Give the average seconds a picture takes."""
    return max(1e-4, sum(sum(stages.values()) for _number, _second, stages in run.ended) / len(run.ended))


def pictures_in(folder: Path) -> list[Path]:
    """Choose up to 24 pictures of a folder, evenly. Raises NoInputError where there is none."""
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        message = f"{folder} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error
    usable = [path for path in found if classify(os.fsencode(path.name)) == "picture"]
    if not usable:
        message = f"there is no picture in {folder}"
        raise NoInputError(message)
    step = max(1.0, len(usable) / _MOST_PICTURES)
    return [usable[int(number * step)] for number in range(min(_MOST_PICTURES, len(usable)))]


@contextmanager
def specimens() -> Iterator[list[Path]]:
    """Give pictures made by code, of 1, 4 and 12 megapixels, for as long as they are needed."""
    from bgrd.imaging.specimens import specimen  # noqa: PLC0415 - Pillow and numpy, for this command alone

    with tempfile.TemporaryDirectory(prefix="bgrd-bench-") as directory:
        paths = []
        for seed, (width, height) in enumerate(_SIZES):
            path = Path(directory) / f"{width}x{height}.jpg"
            path.write_bytes(specimen(width, height, seed=seed))
            paths.append(path)
        yield paths
