"""What lies between intent and done and cannot be finished at once: after a crash, or while a source is held.

Nothing here is given up: what fails is kept and tried again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bgrd.delivery.claim import draft_directories
from bgrd.delivery.commit import finish, results_intact
from bgrd.delivery.failure import FailureNotes
from bgrd.delivery.outbox import Outbox
from bgrd.engine.events import Outcome
from bgrd.errors import Fault
from bgrd.job import Folder, Job, State
from bgrd.journal.journal import Journal, Recovery
from bgrd.steps import passed

__all__ = ["Leftovers"]

_PAUSE_SECONDS = 30.0


class Leftovers:
    """One folder's jobs to be finished. `closed` is told each that has left, with what became of it."""

    def __init__(
        self,
        folder: Folder,
        journal: Journal,
        outbox: Outbox,
        *,
        notes: FailureNotes,
        closed: Callable[[Job, Outcome], None],
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._outbox = outbox
        self._notes = notes
        self._closed = closed
        self._due: dict[int, tuple[Job, float]] = {}
        self._begun: list[Job] | None = None
        self._open: deque[Job] = deque()
        self._failed: deque[Job] = deque()

    def put_off(self, job: Job, *, now: float) -> None:
        """Try the source policy of a committed job again in a while."""
        self._due[job.id] = (job, now + _PAUSE_SECONDS)

    @property
    def next_due(self) -> float | None:
        """The wall-clock second at which the next try is due, or None."""
        return min((due for _job, due in self._due.values()), default=None)

    def take(self, recovery: Recovery) -> None:
        """Take over what an earlier run left of this folder; `recover` does it."""
        jobs = (*recovery.committing, *recovery.committed)
        self._open = deque(job for job in jobs if job.folder == self._folder.name)
        self._failed = deque(job for job in recovery.failed if job.folder == self._folder.name)
        begun = (*jobs, *recovery.interrupted, *recovery.failed)
        self._begun = [job for job in begun if job.folder == self._folder.name]

    def recover(self, *, now: float) -> None:
        """Remove hidden files, tell what failed, finish commits whose results are all there, requeue the others.

        Raises FolderFault where the outbox does not tell; to be called again then, and goes on where it stopped.
        """
        if self._begun is not None:
            # The root too: there a kill may have left what it is tried with.
            directories = [b"", *draft_directories(self._folder, self._begun)]
            self._outbox.sweep([job.id for job in self._begun], directories=directories)
            self._begun = None
            passed("start.swept")
        while self._failed:
            job = self._failed[0]
            self._notes.write(job, kind=job.kind, reason=job.reason, when=now)
            self._failed.popleft()
            self._closed(job, "failed")
        while self._open:
            self._recover_one(self._open[0])
            self._open.popleft()
        self.finish(now=now)

    def finish(self, *, now: float) -> None:
        """Apply the source policies that are due; without its result a source is kept."""
        for job, due in list(self._due.values()):
            if now < due:
                continue
            try:
                intact = results_intact(self._outbox, job.results)
                finish(self._folder, self._journal, job, None, keep=not intact)
            except Fault:
                self.put_off(job, now=now)
            else:
                del self._due[job.id]
                self._closed(job, "done")

    def _recover_one(self, job: Job) -> None:
        if job.state is State.COMMITTING:
            if not results_intact(self._outbox, job.results):
                self._journal.requeue(job.id)
                passed("start.requeued")
                self._closed(job, "requeue")
                return
            self._journal.committed(job.id)
            passed("start.committed")
        self._due[job.id] = (job, 0.0)
