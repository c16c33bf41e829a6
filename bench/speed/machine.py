"""Facts of the machine a run was made on: without them its absolute figures mean nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bgrd import __version__

__all__ = ["cores", "facts", "memory_bytes"]


def cores() -> int:
    """Give how many processors this run may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Give how much memory this machine has."""
    return int(_line(Path("/proc/meminfo"), "MemTotal").split()[0]) * 1024


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
