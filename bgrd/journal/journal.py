"""Every job's state, durable: the journal is the queue.

`Journal` is the face; the SQL lies in arrivals, turns, outcomes and origins, over the tables of ledger.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from pathlib import Path
from typing import Any

from bgrd.errors import StateError
from bgrd.job import Job, Origin, Result, State, Version
from bgrd.journal import arrivals as intake
from bgrd.journal import origins, outcomes, turns
from bgrd.journal.database import Database
from bgrd.journal.file import journal_file
from bgrd.journal.ledger import ALLOWED, MIGRATIONS, TransitionError, counts, fact, job_of, jobs, set_fact
from bgrd.journal.outcomes import Past
from bgrd.journal.patience import PatientDatabase
from bgrd.journal.turns import Recovery

__all__ = ["ALLOWED", "Journal", "Past", "Recovery", "TransitionError", "open_journal"]

_PRUNED_AT_ONCE = 500


def open_journal(state_directory: Path) -> Journal:
    """Open the journal of a state directory; on a network file system with the locking that is safe there.

    Raises StateError, on a network file system also while another process has it open.
    """
    path, exclusive = journal_file(state_directory)
    return Journal(path, exclusive=exclusive)


class Journal:
    """The open journal; thread-safe.

    Each method is one transaction, answers once that is on disk, and may raise StateError; what it changed then is
    there after a kill or a power cut. A transition that `ALLOWED` does not list raises TransitionError and changes
    nothing. `exclusive` is for network mounts, `clock` gives wall-clock seconds.
    """

    def __init__(self, path: Path, *, exclusive: bool = False, clock: Callable[[], float] = time.time) -> None:
        self.exclusive = exclusive
        self._database: Database | PatientDatabase = Database(path, exclusive=exclusive, migrations=MIGRATIONS)
        self._clock = clock
        self._pruned_to = 0

    def patient(self, *, give_up: Callable[[], bool], waiting: Callable[[StateError], None]) -> Journal:
        """Give a view of this journal that repeats what fails for a transient reason until it works.

        Before each pause `waiting` is told the error, on the caller's thread; once `give_up` is true it is raised.
        """
        view = copy.copy(self)
        view._database = PatientDatabase(self._database, give_up=give_up, waiting=waiting)  # noqa: SLF001 - a copy of us
        return view

    def close(self, *, clean: bool = False) -> None:
        """Close the file; `clean` records that nothing was killed in the middle of its work."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._database.close)
            if clean:
                self._database.write(turns.end_cleanly)

    def ping(self, timeout_seconds: float) -> bool:
        """Tell whether a round trip to the journal's thread ends in time."""
        try:
            future = self._database.submit(lambda _: None, writes=False)
        except StateError:
            return False
        try:
            future.result(timeout_seconds)
        except (FutureTimeoutError, StateError):
            future.cancel()  # pings to a stuck thread must not pile up
            return False
        return True

    # What the intake asks

    def unknown(self, folder: str, seen: Sequence[tuple[bytes, Version]]) -> list[tuple[bytes, Version]]:
        """Give those whose exact version no present row vouches for."""
        return self._database.read(lambda tables: intake.unknown(tables, folder, seen))

    def admit(self, folder: str, arrivals: Sequence[tuple[bytes, Version]]) -> int:
        """Queue the versions that are not known yet, and give their number.

        An older row of the same path that waits, is ready or failed is withdrawn. A row gets `same_stat` where only
        inode or ctime tell it from a finished version that was never missed.
        """
        return self._add(folder, arrivals, state=State.READY, reason="")

    def ignore(self, folder: str, arrivals: Sequence[tuple[bytes, Version]]) -> int:
        """Record the versions that are not known yet as never to be worked on, and give their number."""
        return self._add(folder, arrivals, state=State.WITHDRAWN, reason="backlog ignored")

    def _add(self, folder: str, arrivals: Sequence[tuple[bytes, Version]], *, state: State, reason: str) -> int:
        now = self._clock()
        add = partial(intake.add, folder=folder, arrivals=arrivals, state=state, reason=reason, now=now)
        return self._database.write(add)

    def present(self, folder: str, *, after_id: int, limit: int) -> list[tuple[int, bytes]]:
        """Give id and path of the rows whose source is thought to be there, above `after_id`, in the order of ids."""
        return self._database.read(lambda tables: intake.present(tables, folder, after_id=after_id, limit=limit))

    def missing(self, folder: str, paths: Sequence[bytes]) -> int:
        """Mark the sources as gone and give how many rows that met; what has not started or has failed is withdrawn."""
        now = self._clock()
        return self._database.write(lambda tables: intake.mark_missing(tables, folder, paths, now=now))

    # Whose turn it is

    def claim(self, folder: str, *, oldest: bool, now: float) -> Job | None:
        """Bring the newest or oldest job whose turn it is into RUNNING and give it, or None.

        Waits that are over at `now` count, also those that are longer than they ever were because the clock jumped.
        A job waits while another version of its path is being worked on.
        """
        return self._database.write(lambda tables: turns.claim(tables, folder, oldest=oldest, now=now))

    def next_due(self, folder: str) -> float | None:
        """Give when the next wait ends by the wall clock, None where nothing waits for a time."""
        now = self._clock()
        return self._database.read(lambda tables: turns.next_due(tables, folder, now=now))

    def ready_count(self, folder: str) -> int:
        """Give how many jobs are ready."""
        return self.counts().get(folder, {}).get(State.READY, 0)

    def release(self, folder: str) -> int:
        """Make ready what waits with kind folder, unavailable, model or ground, and give the number."""
        now = self._clock()
        return self._database.write(lambda tables: turns.release(tables, folder, now=now))

    def recover(self) -> Recovery:
        """Take up what the last end left: to be called once, before anything is claimed.

        RUNNING becomes READY, nothing charged. A job whose bytes a lane had begun to decode at an unclean end is run
        alone after the second and failed after the third; one that was only claimed is never to blame.
        """
        now = self._clock()
        return self._database.write(lambda tables: turns.recover(tables, now=now))

    def interrupted(self, folder: str) -> Recovery:
        """Do as `recover` for one folder that an abandoned worker left while bgrd runs, with nobody to blame."""
        now = self._clock()
        return self._database.write(lambda tables: turns.interrupted(tables, folder, now=now))

    def withdraw_folder(self, folder: str) -> int:
        """End all open jobs of a folder that is no longer watched and on which nobody works; give the number withdrawn.

        COMMITTED becomes DONE. Mounts and flags are forgotten; what is done stays known.
        """
        now = self._clock()
        return self._database.write(lambda tables: turns.withdraw_folder(tables, folder, now=now))

    # How a job goes on

    def hashed(self, job_id: int, *, sha256: str, recipe: str) -> Past:
        """Note the hash of a running job's bytes and of its recipe; from now on it may be to blame for an end.

        Gives what is known of its path, of whose older jobs at most a few dozen are looked at.
        """
        return self._database.write(lambda tables: outcomes.hashed(tables, job_id, sha256=sha256, recipe=recipe))

    def results(self, job_id: int) -> tuple[Result, ...]:
        """Give the results recorded for a job."""
        return self._database.read(lambda tables: job_of(tables, job_id).results)

    def known(self, job_id: int, *, of: int) -> None:
        """End a running job as DONE with the results of row `of`, which stays as history without them."""
        now = self._clock()
        self._database.write(lambda tables: outcomes.known(tables, job_id, of=of, now=now))

    def intend(
        self, job_id: int, results: Sequence[Result], *, kind: str | None = None, unless_taken: bool = False
    ) -> frozenset[bytes]:
        """Record what is about to be published: COMMITTING, with a `kind` if given. May be called again.

        Gives, with `unless_taken`, the targets that are another path's: where there are any, nothing is recorded.
        """
        intend = partial(outcomes.intend, kind=kind, unless_taken=unless_taken, now=self._clock())
        return self._database.write(lambda tables: intend(tables, job_id, results))

    def committed(self, job_id: int) -> None:
        """Record that all results are published; again is harmless."""
        now = self._clock()
        self._database.write(lambda tables: outcomes.commit(tables, job_id, now=now))

    def done(self, job_id: int, *, details: Mapping[str, Any], published: bool = False) -> None:
        """End a committed job, or one whose results are `published`, which is committed by the same write."""
        end = partial(outcomes.end_done, details=details, published=published, now=self._clock())
        self._database.write(lambda tables: end(tables, job_id))

    def fail(self, job_id: int, *, kind: str, reason: str, note: bytes | None) -> None:
        """End a job as FAILED, the try counted; `note` is the failure note's name."""
        now = self._clock()
        failed = partial(outcomes.end_failed, job_id=job_id, kind=kind, reason=reason, note=note, now=now)
        self._database.write(failed)

    def retry(self, job_id: int, *, kind: str, reason: str, due: float | None, charged: bool) -> None:
        """Try again from `due` on: RETRY."""
        self._set_aside(job_id, State.RETRY, kind=kind, reason=reason, due=due, charged=charged)

    def wait(self, job_id: int, *, kind: str, reason: str, due: float | None, charged: bool = False) -> None:
        """Wait until `due`, or until released where that is None or infinite: WAITING."""
        self._set_aside(job_id, State.WAITING, kind=kind, reason=reason, due=due, charged=charged)

    def _set_aside(
        self, job_id: int, state: State, *, kind: str, reason: str, due: float | None, charged: bool
    ) -> None:
        aside = partial(turns.set_aside, kind=kind, reason=reason, due=due, charged=charged, now=self._clock())
        self._database.write(lambda tables: aside(tables, job_id, state))

    def alone(self, job_id: int, *, reason: str) -> None:
        """Send a job back to READY, to be run with nothing beside it."""
        now = self._clock()
        self._database.write(lambda tables: outcomes.run_alone(tables, job_id, reason=reason, now=now))

    def withdraw(self, job_id: int, *, reason: str) -> None:
        """End a job whose version is no longer there; should that very version come back, it is new."""
        now = self._clock()
        self._database.write(lambda tables: outcomes.withdraw(tables, job_id, reason=reason, now=now))

    def requeue(self, job_id: int) -> None:
        """Send a job back to READY, nothing charged; a failed one gets all its tries again."""
        now = self._clock()
        self._database.write(lambda tables: outcomes.requeue(tables, job_id, now=now))

    def written(self, folder: str, path: bytes, target: bytes) -> frozenset[str]:
        """Give every hash with which the path's jobs published, or meant to publish, at `target`."""
        return self._database.read(lambda tables: outcomes.written(tables, folder, path, target))

    def target_owner(self, folder: str, target: bytes) -> tuple[bytes, str] | None:
        """Give source path and recorded hash of the newest result at `target`, a published one before an intent."""
        return self._database.read(lambda tables: outcomes.target_owner(tables, folder, target))

    def origin(self, folder: str, target: bytes) -> Origin | None:
        """Give where the newest published result at `target` came from."""
        return self._database.read(lambda tables: origins.origin(tables, folder, target))

    # Notes and facts

    def note(self, job_id: int, note: bytes) -> None:
        """Record the failure note that is about to be written for a job."""
        self._database.write(lambda tables: outcomes.intend_note(tables, job_id, note))

    def note_of(self, folder: str, path: bytes) -> bytes | None:
        """Give the newest failure note recorded for the path."""
        return self._database.read(lambda tables: outcomes.note_of(tables, folder, path))

    def clear_note(self, folder: str, path: bytes) -> None:
        """Forget the path's failure notes."""
        self._database.write(lambda tables: outcomes.clear_note(tables, folder, path))

    def stale_notes(self, folder: str) -> list[bytes]:
        """Give the paths that have a failure note but no failed job any more."""
        return self._database.read(lambda tables: outcomes.stale_notes(tables, folder))

    def mount(self, folder: str, role: str) -> str | None:
        """Give the identity of the mount on which the folder's inbox, outbox or archive was seen."""
        return self._database.read(lambda tables: fact(tables, folder, f"mount:{role}"))

    def set_mount(self, folder: str, role: str, identity: str) -> None:
        """Remember a mount's identity."""
        self._database.write(lambda tables: set_fact(tables, folder, f"mount:{role}", identity))

    def flag(self, folder: str, key: str) -> bool:
        """Tell whether a flag of the folder is set."""
        return bool(self._database.read(lambda tables: fact(tables, folder, f"flag:{key}")))

    def set_flag(self, folder: str, key: str, *, value: bool = True) -> None:
        """Set or clear a flag of the folder."""
        self._database.write(lambda tables: set_fact(tables, folder, f"flag:{key}", "1" if value else ""))

    # What the user asks

    def counts(self) -> dict[str, dict[str, int]]:
        """Give the number of jobs by folder and state, without zeros; costs the same with any number of jobs."""
        return self._database.read(counts)

    def jobs(self, *, states: Collection[State], folder: str | None = None, limit: int) -> list[Job]:
        """Give at most `limit` jobs in these states, newest first."""
        return self._database.read(lambda tables: jobs(tables, states=states, folder=folder, limit=limit))

    def prune_step(self, older_than: float) -> bool:
        """Forget details older than a time, and rows whose source is gone or replaced as long.

        Does a few hundredths of a second's worth of it and says whether there is more; for one thread only.
        """
        forget = partial(outcomes.forget, older_than=older_than, after_id=self._pruned_to, rows=_PRUNED_AT_ONCE)
        _, last = self._database.write(forget)
        self._pruned_to = last or 0
        return last is not None
