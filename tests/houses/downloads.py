"""A place to fetch a model into, and the file that is fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from bgrd.errors import FetchError
from bgrd.models.address import Source
from bgrd.models.fetch import Arrival, Pace, Teller, fetch
from bgrd.models.partial import Partial
from tests.houses.file_server import Request
from tests.pictures.making import model

__all__ = ["DATA", "SUM", "Bench", "offsets"]

DATA = model() + b"".join(b"\xfa\x3e\x05%05d" % number for number in range(20_000))
"""A real model, made longer by fields that nobody knows."""
SUM = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Bench:
    """A place to fetch into, with pauses that are only noted."""

    def __init__(self, directory: Path) -> None:
        self.target = directory / "models" / "model.onnx"
        self.pauses: list[float] = []
        self.said: list[str] = []
        self.seen: list[tuple[int, int | None]] = []

    def fetch(self, *sources: Source | str, checksum: str | None = SUM, silence: float = 10.0) -> Arrival:
        places = [Source(url=one) if isinstance(one, str) else one for one in sources]
        pace = Pace(silence_seconds=silence, pause=self.pauses.append)
        teller = Teller(progress=lambda done, total: self.seen.append((done, total)), say=self.said.append)
        with Partial(self.target) as partial:
            return fetch(places, partial, checksum=checksum, pace=pace, teller=teller)

    def fails(self, *sources: Source | str, checksum: str | None = SUM, silence: float = 10.0) -> str:
        """Fetch in vain; gives what is said of it."""
        with pytest.raises(FetchError) as caught:
            self.fetch(*sources, checksum=checksum, silence=silence)
        assert not self.target.exists()
        return str(caught.value)

    @property
    def installed(self) -> bool:
        """Whether the right file is there, and nothing else."""
        return self.target.read_bytes() == DATA and self.left == ["model.onnx"]

    @property
    def left(self) -> list[str]:
        """What lies in the directory."""
        return sorted(path.name for path in self.target.parent.iterdir())


def offsets(requests: Sequence[Request]) -> list[int]:
    """Give the first byte each request wanted."""
    return [request.offset for request in requests]
