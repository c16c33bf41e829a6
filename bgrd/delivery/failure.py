"""A folder's failure notes in step with its journal: written with a failure, removed once it is no longer true."""

from __future__ import annotations

from bgrd.delivery.notes import note_text, remove_note, write_note
from bgrd.engine.verdict import ADVICE
from bgrd.job import Folder
from bgrd.journal.journal import Journal

__all__ = ["FailureNotes"]


class FailureNotes:
    """The notes of one folder; does nothing where it wants none."""

    def __init__(self, folder: Folder, journal: Journal) -> None:
        self._root = folder.failure_notes
        self._folder = folder.name
        self._journal = journal

    def write(self, path: bytes, *, kind: str, reason: str, when: float) -> bytes | None:
        """Write the sentence beside the results; gives the note's name for the journal, None where there is none."""
        if self._root is None:
            return None
        self.remove(path)
        advice = ADVICE.get(kind, ADVICE["unknown"])
        return write_note(self._root, path, text=note_text(path, reason=reason, when=when, advice=advice))

    def remove(self, path: bytes) -> None:
        """Remove the note of a path, unless a user changed it."""
        if self._root is None:
            return
        note = self._journal.note_of(self._folder, path)
        if note is not None:
            remove_note(self._root, note)
            self._journal.clear_note(self._folder, path)

    def tidy(self) -> None:
        """Remove the notes of failures whose source went away or was replaced."""
        for path in self._journal.stale_notes(self._folder):
            self.remove(path)
