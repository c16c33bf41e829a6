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

__all__ = ["Samples", "batches"]


class Samples(Protocol):
    """What draws samples: the same one for the same index, whoever asks and whenever."""

    def sample(self, index: int, /) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Give RGB (side, side, 3) and opacity (side, side)."""
        ...


class _Drawn(Dataset[tuple[Tensor, Tensor]]):
    """Samples as tensors, channels first."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture, opacity = self.samples.sample(index)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), torch.from_numpy(opacity)[None]


def batches(samples: Samples, indices: range, *, batch: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give (B, 3, H, W) and (B, 1, H, W) of uint8 for the indices in their order; 0 workers draws in this process.

    Fewer than a batch at the end are left out.
    """
    # A generator of its own: the loader draws from it, and torch's own must not depend on how often one is made.
    loader = DataLoader(
        _Drawn(samples),
        batch_size=batch,
        sampler=indices,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_begin,
        drop_last=True,
        generator=torch.Generator(),
    )
    yield from loader


def _begin(_number: int) -> None:
    """Let Ctrl-C be the learner's affair: it ends its workers itself, after the step it is at."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
