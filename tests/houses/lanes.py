"""A real lane process and the hands that feed it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bgrd.engine.cage import Cage
from bgrd.engine.process import LaneProcess, start_lane
from bgrd.engine.wire import Answer, Channel, Faulted, Finished, Hashed, Hello, Load, Loaded, Message, Work
from bgrd.job import ModelChoice, Recipe
from bgrd.models.store import find
from bgrd.product import Product
from tests.pictures.making import corners, encoded

__all__ = ["JPEG", "MASKED", "OPEN", "PLAIN", "Hands", "T", "built_in", "empty_lane", "ready_lane"]

T = TypeVar("T", bound=Message)

JPEG = encoded(corners(), "JPEG", quality=95)
PLAIN = Recipe()
OPEN = Cage(holds=(), missing=())
MASKED = Recipe(products=(Product(), Product(kind="mask")))


class Hands:
    """The parent's end of a lane: files for sources and results, and one message after the other."""

    def __init__(self, root: Path, channel: Channel) -> None:
        self.root = root
        self.channel = channel
        self._jobs = 0

    def load_ground(self, data: bytes, *, name: str = "ground/1", max_pixels: int = 10_000) -> None:
        """Send a picture for cut-outs to stand on."""
        path = self.root / "ground"
        path.write_bytes(data)
        descriptor = os.open(path, os.O_RDONLY)
        self.channel.send(Load(model=name, sha256=None, spec=None, threads=1, ground=max_pixels), (descriptor,))
        os.close(descriptor)

    def load(self, choice: ModelChoice) -> None:
        """Send a model."""
        descriptor = os.open(choice.path, os.O_RDONLY)
        self.channel.send(Load(model=choice.name, sha256=choice.sha256, spec=choice.spec, threads=1), (descriptor,))
        os.close(descriptor)

    def submit(
        self,
        data: bytes,
        *,
        recipe: Recipe = PLAIN,
        size: int | None = None,
        holes: bool = False,
        unwritten: slice = slice(0, 0),
        target: Path | None = None,
        grounds: Sequence[str] = (),
    ) -> list[Path]:
        """Send a job; gives where its results will be."""
        self._jobs += 1
        source = self.root / f"source{self._jobs}"
        with source.open("wb") as file:
            file.write(data[: unwritten.start])
            file.seek(unwritten.stop)
            file.write(data[unwritten.stop :])
        results = [target or self.root / f"result{self._jobs}-{index}" for index in range(len(recipe.products))]
        work = Work(
            job=self._jobs,
            model=recipe.model,
            recipe=recipe.to_json(),
            size=len(data) if size is None else size,
            max_pixels=10_000,
            memory_bytes=4 * 2**30,
            accept_holes=holes,
            grounds=list(grounds),
        )
        descriptors = [os.open(source, os.O_RDONLY)]
        descriptors += [os.open(result, os.O_RDWR | (0 if target else os.O_CREAT)) for result in results]
        self.channel.send(work, tuple(descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        return results

    def expect(self, kind: type[T]) -> T:
        """Take the next message, which has to be of this kind."""
        received = self.channel.receive()
        assert received is not None, "the lane has ended"
        assert isinstance(received[0], kind), received[0]
        return received[0]

    def work(
        self, data: bytes, *, recipe: Recipe = PLAIN, holes: bool = False, grounds: Sequence[str] = ()
    ) -> tuple[Finished, list[Path]]:
        """Have a job done."""
        results = self.submit(data, recipe=recipe, holes=holes, grounds=grounds)
        self.go()
        return self.expect(Finished), results

    def fail(self, data: bytes, *, holes: bool = False) -> Faulted:
        """Have a job go wrong."""
        self.submit(data, holes=holes)
        self.go()
        return self.expect(Faulted)

    def go(self) -> Hashed:
        """Answer the hash."""
        hashed = self.expect(Hashed)
        self.channel.send(Answer(job=hashed.job, go=True))
        return hashed


def built_in() -> ModelChoice:
    """Find the built-in model."""
    return find("bgrd-lite", custom={}, directory=Path())


@contextmanager
def empty_lane(root: Path) -> Iterator[tuple[LaneProcess, Hands]]:
    """Start a lane without a model, and end it unless that was done."""
    lane = start_lane()
    hands = Hands(root, lane.channel)
    hands.expect(Hello)
    try:
        yield lane, hands
    finally:
        if lane.channel.fileno() >= 0:
            lane.channel.close()
        lane.wait_or_kill(20)


@contextmanager
def ready_lane(root: Path) -> Iterator[tuple[LaneProcess, Hands]]:
    """Start a lane with the built-in model; it has to end well."""
    lane = start_lane()
    hands = Hands(root, lane.channel)
    assert hands.expect(Hello).pid == lane.pid
    hands.load(find("bgrd-lite", custom={}, directory=Path()))
    assert hands.expect(Loaded).model == "bgrd-lite"
    yield lane, hands
    lane.channel.close()
    assert lane.wait_or_kill(20) == "ended with status 0"
