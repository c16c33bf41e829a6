"""Whether what a lane says can be true of what it was asked.

A lane parses hostile bytes: whatever it says is believed only where it fits its own slot.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bgrd.engine.slot import Slot, Stage
from bgrd.engine.wire import Aside, Faulted, Finished, Hashed, Hello, Loaded, Message, WireError, close_all
from bgrd.errors import (
    ChangedFault,
    DeviceFault,
    FileFault,
    FolderFault,
    FormatFault,
    GroundFault,
    IncompleteFault,
    InputFault,
    MemoryFault,
    ModelFault,
    SparseFault,
    UnknownFault,
)
from bgrd.escape import line
from bgrd.job import ModelChoice

__all__ = ["harmless", "heard", "objection"]

_SHA256 = re.compile(r"[0-9a-f]{64}")

_ANYWHERE = frozenset(
    fault.kind for fault in (InputFault, FormatFault, IncompleteFault, SparseFault, MemoryFault, UnknownFault)
)
_IN_STAGE: dict[Stage, frozenset[str]] = {
    "read": frozenset({FileFault.kind, ChangedFault.kind}),
    "work": frozenset({FolderFault.kind}),
}
"""The source is read before the parent's answer, results are written after it."""


def heard(slot: Slot) -> Message | None:
    """Take one message from this slot's lane; None where it has ended. Raises WireError for what cannot be true."""
    try:
        received = slot.process.channel.receive()
    except OSError:
        received = None
    if received is None:
        return None
    message, descriptors = received
    close_all(descriptors)
    if odd := "a lane sends no descriptors" if descriptors else objection(message, slot):
        raise WireError(odd)
    return harmless(message)


def objection(message: Message, slot: Slot) -> str:
    """Say what is odd about a message from this slot's lane; empty where nothing is."""
    match message:
        case Hello():
            fits = not slot.greeted
        case Loaded():
            fits = message.model in slot.loading and _are_hashes(message.sha256)
        case Hashed():
            fits = message.job == slot.job and slot.stage == "read"
            fits = fits and _are_hashes(message.sha256, message.model_sha256, *message.grounds)
            fits = fits and slot.assignment is not None and len(message.grounds) == len(slot.assignment.grounds)
        case Aside():
            fits = slot.stage == "aside"
        case Finished():
            fits = message.job == slot.job and slot.stage == "work" and _has_all_products(message, slot)
        case Faulted(job=0):
            fits = message.model in slot.loading
        case Faulted():
            fits = message.job == slot.job and _may_say(message.kind, slot)
        case _:
            fits = False
    return "" if fits else f"{type(message).__name__} was not to be expected"


def harmless(message: Message) -> Message:
    """Give a message whose words can go anywhere: into the log, the journal, a note, a terminal.

    They may be a stranger's: libraries quote broken files, models name their parts, and a lane may be taken over.
    """
    match message:
        case Finished():
            seconds = {line(stage): value for stage, value in message.seconds.items()}
            notes = [line(note) for note in message.notes]
            return replace(message, format=line(message.format), notes=notes, seconds=seconds)
        case Faulted():
            return replace(message, text=line(message.text), stage=line(message.stage))
        case Hello():
            return replace(message, missing=[line(name) for name in message.missing])
        case Loaded():
            providers, notes = ([line(text) for text in texts] for texts in (message.providers, message.notes))
            return replace(message, providers=providers, notes=notes)
        case _:
            return message


def _has_all_products(message: Finished, slot: Slot) -> bool:
    """Compare with the drafts the lane was given: all descriptors but the first, which is the source."""
    products = len(slot.assignment.descriptors) - 1 if slot.assignment is not None else 0
    return len(message.sizes) == len(message.sha256s) == products and _are_hashes(*message.sha256s)


def _may_say(kind: str, slot: Slot) -> bool:
    """Whether a lane can have met this kind of fault: what is the daemon's or its own end only the parent can tell."""
    if kind in {ModelFault.kind, GroundFault.kind}:  # it never took the one it was sent
        needs = () if slot.assignment is None else slot.assignment.needs
        kinds = (ModelFault.kind if isinstance(need, ModelChoice) else GroundFault.kind for need in slot.lacked(needs))
        return slot.stage == "read" and kind in kinds
    if kind == DeviceFault.kind:  # whether it has such a model, and it has ended, the pool knows
        return slot.stage in {"read", "work"}
    return slot.stage != "load" and kind in _ANYWHERE | _IN_STAGE.get(slot.stage, frozenset())


def _are_hashes(*texts: str) -> bool:
    return all(_SHA256.fullmatch(text) for text in texts)
