"""What a run of the benchmarks of speed must have written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.speed.targets import TARGETS

__all__ = ["held"]

_OPTIONAL = {"peer.int8"}
"""Where int8 is not faster there is none."""


def held(results: Mapping[str, Any], *names: str) -> None:
    """Hold that these scenarios gave every figure their targets ask for, or said why they were not run."""
    for name in names:
        scenario = results["scenarios"][name]
        if "not_run" not in scenario:
            keys = {figure["key"] for figure in scenario["figures"]}
            wanted = {key for key, target in TARGETS.items() if target.scenario == name}
            assert keys | _OPTIONAL == wanted | _OPTIONAL
