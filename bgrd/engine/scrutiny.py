"""Whether what a lane says can be true of what it was asked.

A lane parses hostile bytes: whatever it says is believed only where it fits its own slot.
"""

from __future__ import annotations

import re

from bgrd.engine.slot import Slot
from bgrd.engine.wire import Faulted, Finished, Hashed, Hello, Loaded, Message

__all__ = ["objection"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def objection(message: Message, slot: Slot) -> str:
    """Say what is odd about a message from this slot's lane; empty where nothing is."""
    match message:
        case Hello():
            fits = not slot.greeted
        case Loaded():
            fits = message.model in slot.loading and _are_hashes(message.sha256)
        case Hashed():
            fits = message.job == slot.job and slot.stage == "read"
            fits = fits and _are_hashes(message.sha256, message.model_sha256)
        case Finished():
            fits = message.job == slot.job and slot.stage == "work" and _has_all_products(message, slot)
        case Faulted(job=0):
            fits = message.model in slot.loading
        case Faulted():
            fits = message.job == slot.job and slot.stage != "load"
        case _:
            fits = False
    return "" if fits else f"{type(message).__name__} was not to be expected"


def _has_all_products(message: Finished, slot: Slot) -> bool:
    """Compare with the drafts the lane was given: all descriptors but the first, which is the source."""
    products = len(slot.assignment.descriptors) - 1 if slot.assignment is not None else 0
    return len(message.sizes) == len(message.sha256s) == products and _are_hashes(*message.sha256s)


def _are_hashes(*texts: str) -> bool:
    return all(_SHA256.fullmatch(text) for text in texts)
