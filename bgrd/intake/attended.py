"""A journal that tells when somebody waits for its answer: what its disk takes is not the folder's silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from bgrd.intake.protocol import IntakeJournal

__all__ = ["attended"]


def attended(journal: IntakeJournal, *, begun: Callable[[], object], ended: Callable[[], object]) -> IntakeJournal:
    """Give the same journal; `begun` is called before each question and `ended` after it, on the caller's thread."""
    return cast("IntakeJournal", _Attended(journal, begun, ended))


class _Attended:
    def __init__(self, journal: IntakeJournal, begun: Callable[[], object], ended: Callable[[], object]) -> None:
        self._journal = journal
        self._begun = begun
        self._ended = ended

    def __getattr__(self, name: str) -> Callable[..., Any]:
        ask = getattr(self._journal, name)

        def asked(*values: object, **options: object) -> Any:
            self._begun()
            try:
                return ask(*values, **options)
            finally:
                self._ended()

        return asked
