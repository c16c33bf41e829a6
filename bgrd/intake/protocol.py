"""What intake wants from the rest of the house: a journal's answers, and somebody to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bgrd.job import Version

__all__ = ["Arrival", "Events", "IntakeJournal"]

Arrival = tuple[bytes, Version]
"""A path below an inbox and the version of the file there."""


class Events(Protocol):
    """Takes one event for log and status: a dotted name and its facts. Called on the folder's own thread."""

    def __call__(self, name: str, /, **facts: object) -> None:
        """Take the event; has to return soon and must not raise."""


class IntakeJournal(Protocol):
    """The part of the journal that intake uses; every method may raise StateError."""

    def unknown(self, folder: str, seen: Sequence[Arrival]) -> list[Arrival]:
        """Give those whose exact version has no row that still stands for a file."""

    def admit(self, folder: str, arrivals: Sequence[Arrival]) -> int:
        """Make a job of each that has none, and give how many were new."""

    def ignore(self, folder: str, arrivals: Sequence[Arrival]) -> int:
        """Record them as backlog nobody wants, and give how many were new."""

    def present(self, folder: str, *, after_id: int, limit: int) -> list[tuple[int, bytes]]:
        """Give rows above `after_id` whose source is not known to be gone, in the order of ids."""

    def missing(self, folder: str, paths: Sequence[bytes]) -> int:
        """Record that the sources at these paths are gone."""

    def mount(self, folder: str, role: str) -> str | None:
        """Give the identity of the mount that a role's directory lay on."""

    def set_mount(self, folder: str, role: str, identity: str) -> None:
        """Record it."""

    def flag(self, folder: str, key: str) -> bool:
        """Tell whether a flag of the folder is set."""

    def set_flag(self, folder: str, key: str) -> None:
        """Set it."""
