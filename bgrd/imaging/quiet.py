"""Pillow without its warnings and without its own pixel limit."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from PIL import Image

__all__ = ["quiet"]


class _Depth:
    """How many blocks are open, and what to restore when the last one closes; both settings are process-wide."""

    lock = threading.Lock()
    count = 0
    limit: int | None = None
    filters: ClassVar[list[warnings.catch_warnings[None]]] = []


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings and its pixel limit out of the way: ours is checked from the header.

    Counted, because `catch_warnings` restores the wrong filters when two threads overlap.
    """
    with _Depth.lock:
        if _Depth.count == 0:
            _Depth.filters.append(warnings.catch_warnings())
            _Depth.filters[-1].__enter__()
            warnings.simplefilter("ignore")
            _Depth.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _Depth.count += 1
    try:
        yield
    finally:
        with _Depth.lock:
            _Depth.count -= 1
            if _Depth.count == 0:
                Image.MAX_IMAGE_PIXELS = _Depth.limit
                _Depth.filters.pop().__exit__(None, None, None)
