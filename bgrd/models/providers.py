"""What a model runs on: short names of onnxruntime's execution providers, and which of them a lane may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bgrd.errors import ModelFault

__all__ = ["CAGED", "PROVIDERS", "Sharing", "chosen", "shares", "short"]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
}
"""The names of the setting, and onnxruntime's. Source: onnxruntime's documentation, Execution Providers."""

_OPENS = "opens devices or libraries while it works"
_NEEDS = {
    "dnnl": "makes machine code while it works",
    "openvino": _OPENS,
    "cuda": _OPENS,
    "tensorrt": _OPENS,
    "migraphx": _OPENS,
}
"""What a lane in its cage may not do, see `engine.cage`: these need a process of their own, see `engine.device`."""

CAGED = frozenset(PROVIDERS.keys() - _NEEDS.keys())
"""Those that can live in a lane."""


Sharing = Literal["auto", "on", "off"]


def shares(sharing: Sharing, wanted: Sequence[str]) -> bool:
    """Say whether a model runs in a process of its own that all lanes share: auto, where no lane could run it."""
    return sharing == "on" or (sharing == "auto" and not CAGED.issuperset(wanted))


def chosen(
    wanted: Sequence[str], *, available: Sequence[str], fallback: bool, caged: bool = True
) -> tuple[list[str], list[str]]:
    """Give onnxruntime's names to ask for, and a sentence for each provider that is left out.

    `wanted` are short names, () stands for auto, which is the processor; `available` are onnxruntime's names. A
    provider that cannot be used raises ModelFault, or is left out where `fallback` allows it. The processor takes what
    the others cannot. `caged` says that a lane is to run them.
    """
    reasons = {name: reason for name in wanted if (reason := _objection(name, available, caged=caged))}
    if reasons and not fallback:
        message = f"{next(iter(reasons.values()))}; take it out of `providers`, or allow `provider_fallback`."
        raise ModelFault(message)
    names = [PROVIDERS[name] for name in wanted if name not in reasons]
    return list(dict.fromkeys([*names, PROVIDERS["cpu"]])), list(reasons.values())


def short(names: Sequence[str]) -> list[str]:
    """Give the setting's names for onnxruntime's."""
    known = {long: name for name, long in PROVIDERS.items()}
    return [known.get(name, name) for name in names]


def _objection(name: str, available: Sequence[str], *, caged: bool) -> str:
    """Say why a provider cannot be used here; empty where it can."""
    if PROVIDERS.get(name) not in available:
        here = ", ".join(each for each in short(available) if each in PROVIDERS)
        return f"Provider {name} is not in the onnxruntime that is installed, which has {here}"
    if caged and name in _NEEDS:
        return f"Provider {name} {_NEEDS[name]}, which a lane is not allowed to"
    return ""
