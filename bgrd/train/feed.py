"""Samples in batches, drawn by processes beside the one that learns."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bgrd.errors import BgrdError

__all__ = ["Samples", "batches"]


class Samples(Protocol):
    """What draws samples: the same one for the same index, whoever asks and whenever."""

    def sample(self, index: int, /) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Give RGB (side, side, 3) and opacity (side, side)."""
        ...


_Pair = tuple[Tensor, Tensor]


class _Drawn(Dataset[_Pair | BgrdError]):
    """Samples as tensors, channels first; or what went wrong, since an error that is raised arrives as a traceback."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> _Pair | BgrdError:
        try:
            picture, opacity = self.samples.sample(index)
        except BgrdError as error:
            return error
        except Exception as error:
            # A fault of ours: torch tells its traceback, and this which sample it takes to see it again.
            error.add_note(f"while sample {index} was drawn")
            raise
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), torch.from_numpy(opacity)[None]


def batches(samples: Samples, indices: range, *, batch: int, workers: int, pinned: bool = False) -> Iterator[_Pair]:
    """Give (B, 3, H, W) and (B, 1, H, W) of uint8 for the indices in their order; 0 workers draws in this process.

    Fewer than a batch at the end are left out. `pinned` puts them where a graphics processor can fetch them while
    both go on working. Raises what drawing raised.
    """
    # A generator of its own: the loader draws from it, and torch's own must not depend on how often one is made.
    loader = DataLoader(
        _Drawn(samples),
        batch_size=batch,
        sampler=indices,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_begin,
        collate_fn=_together,
        drop_last=True,
        generator=torch.Generator(),
        pin_memory=pinned,
    )
    drawn = iter(loader)
    try:
        for found in drawn:
            if isinstance(found, BgrdError):
                raise found
            yield found
    finally:
        # An error keeps the loader alive, and so its workers: they heed no signal, and Python's end would wait for
        # them for ever. torch itself does this only where nobody holds the loader any more.
        if workers:
            drawn._shutdown_workers()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way


def _together(drawn: list[_Pair | BgrdError]) -> _Pair | BgrdError:
    """Stack samples; the first error stands for all."""
    pairs: list[_Pair] = []
    for each in drawn:
        if isinstance(each, BgrdError):
            return each
        pairs.append(each)
    return torch.stack([picture for picture, _ in pairs]), torch.stack([opacity for _, opacity in pairs])


def _begin(_number: int) -> None:
    """Let being stopped be the learner's affair, also where all processes are told: it ends its workers itself.

    One that died first would end the run in the middle of a step. A worker whose learner is gone ends by itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
