"""Memory that two processes share, for tensors: no byte of them goes through a socket.

The process that runs the model makes it and seals its size: a lane that could shrink what the other reads would end it
by a bus error. What lies in it may change at any moment, so whoever does not trust the other end copies it first.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Region"]

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_STEP_BYTES = 2**16


class Region:
    """A mapped piece of memory of a size that nobody can change; it goes with the last array that lies in it."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._mapped = mmap.mmap(descriptor, size)

    @classmethod
    def made(cls, least_bytes: int) -> tuple[Region, int]:
        """Make one of at least so many bytes; gives its descriptor too, which is the caller's. Raises OSError."""
        size = max(1, -(-least_bytes // _STEP_BYTES)) * _STEP_BYTES
        descriptor = os.memfd_create("tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, size)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return cls(descriptor, size), descriptor
        except BaseException:
            os.close(descriptor)
            raise

    def array(self, shape: Sequence[int], element_type: str) -> NDArray[Any]:
        """Give an array at its start. Raises ValueError where it does not fit or is of no type that models have."""
        if element_type not in {"float32", "float16"} or not all(side > 0 for side in shape):
            message = f"no tensor: {element_type} {list(shape)}"
            raise ValueError(message)
        count = prod(shape)
        if count * np.dtype(element_type).itemsize > self.size:
            message = f"{element_type} {list(shape)} is more than {self.size} bytes"
            raise ValueError(message)
        return np.frombuffer(self._mapped, element_type, count).reshape(tuple(shape))
