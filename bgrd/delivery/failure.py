"""What becomes of a job after a fault: the journal's record, and the note that tells the user, in step with it."""

from __future__ import annotations

from contextlib import suppress

from bgrd.delivery.notes import note_place, note_text, remove_note, write_note
from bgrd.delivery.ownership import Ownership
from bgrd.engine.verdict import ADVICE, Verdict
from bgrd.job import Folder, Job
from bgrd.journal.journal import Journal
from bgrd.steps import passed

__all__ = ["FailureNotes", "record"]


class FailureNotes:
    """The notes of one folder; does nothing where it wants none."""

    def __init__(self, folder: Folder, journal: Journal) -> None:
        self._root = folder.failure_notes
        self._folder = folder.name
        self._owner = Ownership(mode=folder.mode, group=folder.group)
        self._journal = journal

    def write(self, job: Job, *, kind: str, reason: str, when: float) -> bytes | None:
        """Write the sentence beside the results; gives the note's name for the journal, None where there is none.

        The journal knows of it before: after a kill in between, the job may end otherwise, and the note has to go.
        """
        if self._root is None:
            return None
        path = job.path
        self.remove(path)
        self._journal.note(job.id, note_place(self._root, path))
        passed("note.intended")
        advice = ADVICE.get(kind, ADVICE["unknown"])
        text = note_text(path, reason=reason, when=when, advice=advice)
        note = write_note(self._root, path, text=text, owner=self._owner)
        passed("note.written")
        return note

    def remove(self, path: bytes) -> None:
        """Remove the note of a path, unless a user changed it; where that cannot be done now, `tidy` tries again."""
        if self._root is None:
            return
        note = self._journal.note_of(self._folder, path)
        if note is not None:
            with suppress(OSError):
                remove_note(self._root, note, path=path)
                passed("note.removed")
                self._journal.clear_note(self._folder, path)

    def tidy(self) -> None:
        """Remove the notes of failures whose source went away or was replaced."""
        for path in self._journal.stale_notes(self._folder):
            self.remove(path)


def record(journal: Journal, notes: FailureNotes, job: Job, verdict: Verdict, *, now: float) -> None:
    """Record a verdict; a failure gets its note. `now` is a wall-clock second."""
    kind, reason = verdict.kind, verdict.reason
    match verdict.action:
        case "wait":
            journal.wait(job.id, kind=kind, reason=reason, due=verdict.due)
            passed("job.waiting")
        case "retry":
            due = verdict.due if verdict.due is not None else now
            journal.retry(job.id, kind=kind, reason=reason, due=due, charged=verdict.charged)
            passed("job.retried")
        case "alone":
            journal.alone(job.id, reason=reason)
            passed("job.alone")
        case "withdraw":
            journal.withdraw(job.id, reason=reason)
            passed("job.withdrawn")
            notes.remove(job.path)
        case "fail":
            note = notes.write(job, kind=kind, reason=reason, when=now)
            journal.fail(job.id, kind=kind, reason=reason, note=note)
            passed("job.failed")
