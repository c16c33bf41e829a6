"""How close lanes that share one session come to what the device alone can do: `python -m bench.device`.

For each side the device's own limit is measured first: tensors that are ready, through one session in this process, one
by one and in batches. Then as many threads as there are lanes feed the process of that session through shared memory,
with nothing else to do: what the way there costs. Then `bgrd once` cuts photos out, with the session shared and with
one in each lane: what a user gets. All as photos a second. build/device.json has every figure.

    python -m bench.device --sides 320 1024 --lanes 4 --batch 8 --providers cuda --seconds 10
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.speed.pictures import PHOTOS
from bgrd.allotment import allotment
from bgrd.config.load import load
from bgrd.engine.process import LaneProcess, start_device
from bgrd.engine.remote import RemoteSession
from bgrd.engine.request import Client
from bgrd.engine.slate import Slate
from bgrd.engine.wire import Channel, Load, Loaded
from bgrd.job import ModelChoice, Recipe
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec, parse
from bgrd.models.store import find
from bgrd.models.trial import synthetic
from bgrd.once import Once, Task, tasks_of

__all__ = ["main"]

ROOT = Path(__file__).parents[1]
BUILT_IN = find("bgrd-lite", custom={}, directory=Path())


class Feeding:
    """The process of a model, with so many threads that feed it as lanes would."""

    def __init__(self, choice: ModelChoice, options: argparse.Namespace) -> None:
        self._process: LaneProcess = start_device()
        _slate, slate = Slate.made()
        file = os.open(choice.path, os.O_RDONLY)
        message = Load(
            model=choice.name,
            sha256=None,
            spec=choice.spec,
            threads=options.threads,
            providers=options.providers,
            batch=options.batch,
        )
        self._process.channel.send(message, (file, slate))
        for descriptor in (file, slate):
            os.close(descriptor)
        received = self._process.channel.receive()
        assert received is not None
        assert isinstance(received[0], Loaded), received[0]
        self.providers = received[0].providers
        self.notes = received[0].notes
        self._sessions = [self._tied(number) for number in range(1, options.lanes + 1)]

    def _tied(self, number: int) -> RemoteSession:
        ours, theirs = Channel.pair()
        self._process.channel.send(Client(number=number), (theirs.fileno(),))
        theirs.close()
        return RemoteSession(ours, name="bench")

    def rate(self, tensor: NDArray[Any], seconds: float) -> float:
        """Give how many tensors a second come through when all feed it at once."""
        with ThreadPoolExecutor(len(self._sessions)) as pool:
            rates = pool.map(lambda session: per_second(lambda: session.run(tensor), seconds), self._sessions)
            return sum(rates)

    def close(self) -> None:
        """End it."""
        for session in self._sessions:
            session.close()
        self._process.channel.close()
        self._process.wait_or_kill(20)


def per_second(work: Callable[[], object], seconds: float, *, each: int = 1) -> float:
    """Give how often a second this can be done, after it was done once; `each` counts what one time does."""
    work()
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        work()
        count += each
    return count / passed


def at_side(side: int) -> ModelChoice:
    """Give the built-in model, fed with pictures of this side."""
    session = Session(BUILT_IN.path.read_bytes(), spec=None, threads=1, name=BUILT_IN.name)
    session.trial()
    spec: ModelSpec = replace(session.spec, side=side)
    return replace(BUILT_IN, name=f"side-{side}", spec=spec.to_json())


def limit(choice: ModelChoice, options: argparse.Namespace) -> dict[str, float]:
    """Give what one session in this process does with tensors that are ready, by the number that go together."""
    assert choice.spec is not None
    session = Session(
        choice.path.read_bytes(),
        spec=parse(choice.spec, where=choice.name),
        threads=options.threads,
        name=choice.name,
        providers=options.providers,
        caged=False,
    )
    session.trial()
    one = synthetic(session.spec, session.element_type)
    found = {}
    for number in sorted({1, options.batch}):
        batch = np.concatenate([one] * number)
        found[str(number)] = per_second(lambda batch=batch: session.run_bound(batch), options.seconds, each=number)  # type: ignore[misc]
    return found


def once(choice: ModelChoice, tasks: Sequence[Task], options: argparse.Namespace, *, shared: bool) -> float:
    """Give how many photos a second `bgrd once` cuts out."""
    settings = load(None, environ={})
    limits = replace(
        allotment(settings, [choice]).limits,
        lanes=options.lanes,
        threads=1,
        providers=tuple(options.providers),
        shared=shared,
        batch=options.batch,
        nice=0,  # what else the machine does would tell in every figure
    )
    with tempfile.TemporaryDirectory() as output:
        run = Once(
            limits=limits,
            model=choice,
            recipe=Recipe(model=choice.name),
            output=Path(output),
            max_pixels=settings.max_pixels,
            progress=lambda _task, _reason: None,
        )
        outcome = run.run(tasks)
    return len(outcome.results) / outcome.wall_seconds


def measured(side: int, tasks: Sequence[Task], options: argparse.Namespace) -> dict[str, Any]:
    """Measure all of one side."""
    choice = at_side(side)
    alone = limit(choice, options)
    feeding = Feeding(choice, options)
    try:
        one = synthetic(parse(choice.spec or {}, where=choice.name), "float32")
        fed = feeding.rate(one, options.seconds)
    finally:
        feeding.close()
    found: dict[str, Any] = {"side": side, "limit": alone, "fed": fed, "providers": feeding.providers}
    if tasks:
        found["once_shared"] = once(choice, tasks, options, shared=True)
        if set(options.providers) <= {"cpu"}:
            found["once_whole"] = once(choice, tasks, options, shared=False)
    return found


def told(found: dict[str, Any]) -> str:
    """Give one side's figures as a line."""
    best = max(found["limit"].values())
    limits = ", ".join(f"{rate:.1f} in batches of {number}" for number, rate in found["limit"].items())
    once_rates = ", ".join(f"{key[5:]} {found[key]:.1f}" for key in ("once_shared", "once_whole") if key in found)
    return (
        f"{found['side']} px on {', '.join(found['providers'])}: device alone {limits}; "
        f"fed by lanes {found['fed']:.1f} ({found['fed'] / best:.2f} of it); bgrd once: {once_rates or 'no photos'}"
    )


def main() -> int:
    """Measure and print, photos a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[320, 1024])
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--providers", nargs="+", default=["cpu"])
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    options = parser.parse_args()
    tasks = tasks_of([options.photos]) if options.photos.is_dir() else []
    every = []
    for side in options.sides:
        every.append(measured(side, tasks, options))
        print(told(every[-1]), flush=True)
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build/device.json").write_text(
        json.dumps({"options": vars(options) | {"photos": len(tasks)}, "sides": every})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
