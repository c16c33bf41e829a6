"""How many lanes with how many threads: pure, from what there is and what a lane takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bgrd.engine.capacity import Capacity
from bgrd.engine.experience import FEW_PICTURES, Experience, Figures

__all__ = ["BASE_BYTES", "PICTURE_BYTES", "Demand", "lanes_and_threads", "most_demanding", "picture_bytes", "predicted"]

BASE_BYTES = 64 * 2**20
"""What a lane holds without a model: 56 MiB, measured."""

PICTURE_BYTES = 600 * 2**20
"""What a picture of 50 megapixels takes, of the kinds cameras and phones write."""

_SMALLEST_BYTES = PICTURE_BYTES * 12 // 50
"""What is kept free for a picture however small they were so far: 12 megapixels, as phones make."""

_SPARE = 1.25
"""The next picture may be a little larger than the largest so far."""

_PER_FILE_BYTE = 1.5
_PER_PIXEL_BYTES = 2_300
_DEFAULT_SIDE = 1024
"""What a model takes, by its file and its input. Measured after a run, less the lane's own, 1 thread:

    bgrd-lite,  4 MiB,  256 pixels      55 MiB, as its file keeps weights as bytes
    U-2-Net-p,  4 MiB,  320 pixels     221 MiB, 2,100 bytes a pixel
    U-2-Net,  168 MiB,  320 pixels     426 MiB, 1.2 times the file beside those
    IS-Net,   168 MiB, 1024 pixels     905 MiB

So the prediction is met by those with small inputs and too high for the last: until a model was loaded once there may
be fewer lanes than could be, and never too many.
"""

_LOADING_FILES = 3.8
"""While onnxruntime builds a session it holds the file so many times: 3.7 measured, with IS-Net and U-2-Net.

A file that keeps weights as bytes is held 13 times, in float32 too: less than what such a model takes at work.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a lane takes for one model, in bytes; `measured` or predicted; `best` are lanes and threads, if benched.

    `loading_bytes` is what it takes for a moment while it loads, before there is a picture.
    """

    model: str
    model_bytes: int
    measured: bool
    loading_bytes: int = 0
    best: tuple[int, int] | None = None

    def lane_bytes(self, picture: int) -> int:
        """Give what a lane takes at most, with a picture that takes so much."""
        return BASE_BYTES + max(self.model_bytes + picture, self.loading_bytes)

    @property
    def process_bytes(self) -> int:
        """What a process takes that holds the model for all lanes."""
        return self.lane_bytes(0)

    def elsewhere(self) -> Demand:
        """Give what is left of it for a lane where such a process holds the model; what was benched held it itself."""
        return replace(self, model_bytes=0, loading_bytes=0, best=None)


def predicted(model: str, *, size: int, side: int | None, figures: Figures | None) -> Demand:
    """Give what a model takes: as measured, or by the bytes of its files and the side of its input in pixels."""
    loading = int(size * _LOADING_FILES)
    if figures is not None and figures.resident_bytes:
        taken = figures.resident_bytes
        return Demand(model=model, model_bytes=taken, measured=True, loading_bytes=loading, best=figures.best)
    taken = int(size * _PER_FILE_BYTE + (side or _DEFAULT_SIDE) ** 2 * _PER_PIXEL_BYTES)
    return Demand(model=model, model_bytes=taken, measured=False, loading_bytes=loading)


def most_demanding(demands: list[Demand]) -> Demand:
    """Give the one that decides where several models are in use."""
    return max(demands, key=lambda demand: demand.lane_bytes(0))


def picture_bytes(experience: Experience) -> int:
    """Give what is kept free in each lane for a picture: 50 megapixels, or less where only smaller ones came so far.

    One that takes more does not fail: it is worked on alone, with all the memory.
    """
    if experience.pictures < FEW_PICTURES:
        return PICTURE_BYTES
    return min(PICTURE_BYTES, max(_SMALLEST_BYTES, int(experience.picture_bytes * _SPARE)))


def lanes_and_threads(
    capacity: Capacity, demand: Demand, *, lanes: int, threads: int, memory_limit: int, picture: int
) -> tuple[int, int]:
    """Choose the number of lanes and threads each, where the setting is 0.

    What `bgrd bench` found best, as far as memory lasts. Without that one-thread lanes side by side, which beat one
    lane with many threads (measured 11 to 15); where memory allows fewer lanes than processors, the rest are threads.
    """
    fitting = max(1, memory_limit // demand.lane_bytes(picture))
    benched = demand.best
    if benched is not None and (benched[0] > fitting or max(benched) > capacity.processors):
        benched = None  # there is no room for it, or no bench here can have found it
    if lanes == 0:
        lanes = min(benched[0] if benched else capacity.processors, fitting)
    if threads == 0:
        threads = benched[1] if benched and benched[0] == lanes else max(1, capacity.processors // lanes)
    return lanes, threads
