"""Facts of the machine a run was made on: without them its absolute figures mean nothing."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bgrd import __version__
from bgrd.engine.capacity import measure

__all__ = ["cores", "facts", "memory_bytes"]


def cores(*, root: Path = Path("/")) -> int:
    """Give how many processors this run may use; `root` stands for `/`.

    A container's quota counts: by all processors of its machine the limit would be out of reach.
    """
    return measure(root=root).processors


def memory_bytes(*, root: Path = Path("/")) -> int:
    """Give how much memory this run may use."""
    return measure(root=root).memory_bytes


def facts() -> dict[str, Any]:
    """Give processor, cores, memory and the versions of all that works on pixels."""
    return {
        "processor": _line(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": cores(),
        "memory_gib": round(memory_bytes() / 2**30, 1),
        "python": platform.python_version(),
        "bgrd": __version__,
        "onnxruntime": version("onnxruntime"),
        "pillow": version("pillow"),
        "numpy": version("numpy"),
    }


def _line(path: Path, key: str) -> str:
    """Give what stands behind the first `key:` of a file, "" where there is none."""
    for line in path.read_text().splitlines():
        name, _colon, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
