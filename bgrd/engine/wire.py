"""Messages and descriptors between parent and lane: one JSON object a packet over a Unix socket pair.

No picture byte and no path travels here: sources, results, models and grounds go as open descriptors
(SCM_RIGHTS). A packet is at most 64 KiB; SOCK_SEQPACKET keeps packets whole.
"""

from __future__ import annotations

import json
import os
import socket
from array import array
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any

from bgrd.engine.request import Client, Infer, Inferred, Ready, Refused, Room
from bgrd.engine.shape import misfit

__all__ = [
    "Answer",
    "Aside",
    "Channel",
    "Drop",
    "Faulted",
    "Finished",
    "Hashed",
    "Hello",
    "Load",
    "Loaded",
    "Message",
    "WireError",
    "Work",
    "close_all",
]

_PACKET_BYTES = 65_536
_DESCRIPTORS = 16


class WireError(ValueError):
    """What came is none of these messages; its descriptors are closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Parent: take this model (descriptors: its file, then those of its weights), check it and run it once.

    `sha256` is what the file's has to be. `external` are the names by which the model calls its files of weights.
    `providers` are short names, none stands for auto, see `models.providers`. With `ground` it is a picture of at most
    so many pixels for cut-outs to stand on; it is held, dropped and faulted as models are, by a name that tells nothing
    of its path. With `remote` another process runs the model (descriptor: the socket to it). To that process `batch` is
    how many pictures may go through at once (descriptors: the files, then its slate).
    """

    model: str
    sha256: str | None
    spec: dict[str, Any] | None
    threads: int
    external: list[str] = field(default_factory=list)
    providers: list[str] = field(default_factory=list)
    fallback: bool = False
    ground: int = 0
    remote: bool = False
    batch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Parent: give this model's memory back."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Parent: one job (descriptors: the source, then a result file for each product).

    `grounds` are the names of the recipe's pictures.
    """

    job: int
    model: str
    recipe: dict[str, Any]
    size: int
    max_pixels: int
    memory_bytes: int
    accept_holes: bool = False
    grounds: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Parent, after `Hashed`: go on, or leave it (the result is already there)."""

    job: int
    go: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Lane: started, shut in and ready for messages; what holds it in and what does not, see `engine.cage`."""

    pid: int
    holds: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Lane: the model is loaded and passed its trial run.

    `sha256` is that of all its files' bytes, one after the other. `providers` are those really in use, `notes` say what
    was decided on the way. `device` is the process that holds it for this lane and others, as the parent knows it.
    """

    model: str
    sha256: str
    seconds: float
    resident_bytes: int
    providers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    device: int = 0

    @property
    def said(self) -> dict[str, object]:
        """What a user is to know of the model: what it runs on, and where, if that is not the lane."""
        shared: dict[str, object] = {"shared": True, "device": self.device} if self.device else {}
        return {"providers": self.providers, "notes": self.notes} | shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    """Lane: the source is read; this is the SHA-256 of its bytes, of the model's, the grounds'. `Answer` is to come."""

    job: int
    sha256: str
    model_sha256: str
    grounds: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Lane: told not to go on, it has put the picture aside that it was decoding; whatever comes now is another's."""

    job: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Lane: every product is written, fsynced and verified; sizes and hashes in the order of the descriptors."""

    job: int
    sizes: list[int]
    sha256s: list[str]
    width: int
    height: int
    format: str
    notes: list[str]
    seconds: dict[str, float]
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulted:
    """Lane: a job (or, with job 0, loading a model) ended in a fault of this kind, in this stage."""

    job: int
    model: str
    kind: str
    text: str
    stage: str = ""
    trace: str = field(default="", repr=False)


Request = Client | Ready | Room | Infer | Inferred | Refused
Message = Load | Drop | Work | Answer | Hello | Loaded | Hashed | Aside | Finished | Faulted | Request

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        *(Load, Drop, Work, Answer, Hello, Loaded, Hashed, Aside, Finished, Faulted),
        *(Client, Ready, Room, Infer, Inferred, Refused),
    )
}


class Channel:
    """One end of the pair. Blocking; the parent reads only when its selector says so."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Make both ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    @classmethod
    def adopt(cls, descriptor: int) -> Channel:
        """Take over an end that was inherited or came with a message."""
        # Said, not asked: a lane in its cage may not ask a socket what it is.
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=descriptor))

    def fileno(self) -> int:
        """Give the descriptor for a selector, -1 once closed."""
        return self._socket.fileno()

    def send(self, message: Message, descriptors: tuple[int, ...] = (), *, wait: bool = True) -> None:
        """Send one message with descriptors. Raises OSError when the other end is gone, ValueError when too large.

        Without `wait` BlockingIOError is raised where the other end has not read what was sent before.
        """
        # Not asdict, which copies what is only read: of a recipe that takes ten times as long as the JSON.
        values = {each.name: getattr(message, each.name) for each in fields(message)}
        packet = json.dumps({"is": type(message).__name__, **values}).encode()
        if len(packet) > _PACKET_BYTES:
            text = f"message {type(message).__name__} of {len(packet)} bytes is over {_PACKET_BYTES}"
            raise ValueError(text)
        # Not socket.send_fds, which forgets its flags (Python 3.11).
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))
        self._socket.sendmsg([packet], [rights] if descriptors else [], 0 if wait else socket.MSG_DONTWAIT)

    def receive(self) -> tuple[Message, list[int]] | None:
        """Wait for one message and its descriptors (close-on-exec, the caller's to close); None at the end.

        Raises OSError when the connection broke, WireError for anything that is not exactly a message: a lane that
        was taken over by a hostile picture may send what it likes.
        """
        try:
            packet, descriptors, flags, _address = socket.recv_fds(self._socket, _PACKET_BYTES, _DESCRIPTORS)
        except ConnectionResetError:
            # It ended with something of ours unread. The kernel says so first, once, and has what it sent before still.
            packet, descriptors, flags, _address = socket.recv_fds(self._socket, _PACKET_BYTES, _DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only form; recv_fds loses MSG_CMSG_CLOEXEC
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                text = "a message between parent and lane was cut short"
                raise WireError(text)
            if packet:
                return _message(packet), descriptors
        except WireError:
            close_all(descriptors)
            raise
        close_all(descriptors)
        return None

    def close(self) -> None:
        """Close this end; the other sees the end."""
        self._socket.close()


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors that came with a message; what they lie on may be dead."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def _message(packet: bytes) -> Message:
    """Give the message a packet holds. Raises WireError."""
    try:
        values = json.loads(packet)
    except (ValueError, RecursionError) as error:
        text = f"no JSON: {type(error).__name__}"
        raise WireError(text) from error
    kind = _KINDS.get(str(values.pop("is", ""))) if isinstance(values, dict) else None
    if kind is None:
        text = "no message of a kind that is known"
        raise WireError(text)
    if wrong := misfit(values, kind):
        text = f"{kind.__name__}: {wrong}"
        raise WireError(text)
    return kind(**values)
