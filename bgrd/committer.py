"""A folder's committer: the thread that claims, opens, commits and settles that folder's jobs.

Every system call on a folder can block for as long as its share is dead, so each folder has its own
thread; the main loop only posts requests here and reads the answers it posts back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from bgrd.delivery.claim import Claim, drop_claim, drop_drafts, open_claim
from bgrd.delivery.commit import deliver, finish
from bgrd.delivery.failure import FailureNotes, record
from bgrd.delivery.leftovers import Leftovers
from bgrd.delivery.outbox import Outbox
from bgrd.delivery.premises import Premises
from bgrd.delivery.probe import probe, probe_fault, weighed
from bgrd.delivery.recall import adopt, intact_job, same_file_job
from bgrd.engine.events import Blocked, Broken, Closed, Delayed, Event, Fed, Idle, Judged, Outcome, Prepared, Resumed
from bgrd.engine.requests import Requests
from bgrd.engine.verdict import Verdict, judge, takes_holes
from bgrd.engine.wire import Finished, Hashed
from bgrd.errors import ChangedFault, Fault, FileFault, FolderFault, StateError, UnknownFault
from bgrd.intake.lease import lease
from bgrd.job import Folder, Job, recipe_hash
from bgrd.journal.journal import Journal, Recovery
from bgrd.steps import passed

__all__ = ["Committer"]

_SKIPS = 100
"""How many vanished sources one fetch steps over before it lets others have a turn."""


class Committer:
    """Serves requests for one folder, one after the other, on a thread; `post` is called there with each `Event`."""

    def __init__(
        self,
        folder: Folder,
        journal: Journal,
        *,
        post: Callable[[Event], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.blocked: FolderFault | None = None
        self._post = post
        self._stopping = False
        self._delayed = False
        # A full state disk holds this folder up; nothing is lost or done twice, and it goes on by itself.
        self._journal = journal = journal.patient(give_up=lambda: self._stopping, waiting=self._delay)
        self._wall = wall
        self._outbox = Outbox(folder.outbox, mode=folder.mode, group=folder.group, min_free=folder.min_free)
        self._premises = Premises(folder, journal)
        self._notes = FailureNotes(folder, journal)
        self._leftovers = Leftovers(folder, journal, self._outbox, notes=self._notes, closed=self._finished)
        self._claims: dict[int, Claim] = {}
        # The same for thousands of jobs, and slow to make; another for each picture they stand on that changes.
        self._recipe_of = lru_cache(maxsize=8)(partial(recipe_hash, folder.recipe))
        self._requests = Requests(
            f"commit-{folder.name}",
            broken=lambda error: post(Broken(folder=folder.name, error=error)),
            served=self._end_delay,
            ended=self._drop_all,
        )

    def start(self) -> None:
        """Start the thread. Raises OSError where none can be."""
        self._requests.start()

    @property
    def native_id(self) -> int:
        """The thread's id as the kernel knows it, 0 before it runs."""
        return self._requests.native_id

    @property
    def busy_since(self) -> float | None:
        """The monotonic second at which the request under way began, None when idle: there a dead share shows."""
        return self._requests.busy_since

    def stop(self, seconds: float) -> bool:
        """Finish what is queued and end; False when it did not within `seconds`. It waits for no full disk any more."""
        ended = self._requests.stop(seconds)
        self._stopping = True  # whoever is held up by the journal now gives up
        return ended

    def fetch(self, *, oldest: bool) -> None:
        """Ask for one claimed job: answers `Prepared` or `Idle`."""
        self._requests.put(lambda: self._fetch(oldest=oldest))

    def judge(self, message: Hashed) -> None:
        """Ask whether the job's bytes still need work: answers `Judged`, and `Closed` when not."""
        self._requests.put(lambda: self._guarded(message.job, lambda: self._judge(message)), urgent=True)

    def commit(self, message: Finished, *, facts: Mapping[str, Any]) -> None:
        """Ask to commit a finished job: answers `Closed`."""
        self._requests.put(lambda: self._guarded(message.job, lambda: self._commit(message, facts)))

    def settle(self, job_id: int, fault: Fault, *, facts: Mapping[str, Any]) -> None:
        """Ask to record what follows a fault a lane told: answers `Closed`, and `Blocked` where it is the folder's."""
        self._requests.put(lambda: self._settle(job_id, fault, facts, told=True))

    def requeue(self, job_id: int) -> None:
        """Ask to put a job back uncharged: answers `Closed`."""
        self._requests.put(lambda: self._requeue(job_id))

    def probe(self) -> None:
        """Ask whether the folder is well: answers `Resumed` or `Blocked`."""
        self._requests.put(self._probe)

    def block(self, fault: FolderFault) -> None:
        """Stop claiming until a probe succeeds: answers `Blocked`."""
        self._requests.put(lambda: self._block(fault))

    def recover(self, recovery: Recovery) -> None:
        """Have the next probe finish what an earlier run left between claim and done: answers `Closed` for each."""
        self._requests.put(lambda: self._leftovers.take(recovery))

    def _delay(self, error: StateError) -> None:
        """Take note that the journal cannot be written now; told once, until a request comes through."""
        self._requests.renewed()
        if not self._delayed:
            self._delayed = True
            self._post(Delayed(folder=self.folder.name, reason=str(error)))

    def _end_delay(self) -> None:
        self._delayed = False

    def _drop_all(self) -> None:
        for claim in list(self._claims.values()):
            self._drop(claim)
        self._premises.close()

    def _fetch(self, *, oldest: bool) -> None:
        claim = None if self.blocked is not None else self._claim(oldest=oldest)
        if claim is None:
            dues = [due for due in (self._journal.next_due(self.folder.name), self._leftovers.next_due) if due]
            self._post(Idle(folder=self.folder.name, next_due=min(dues, default=None)))
            return
        self._claims[claim.job.id] = claim
        self._post(
            Prepared(
                folder=self.folder.name,
                job=claim.job,
                source=claim.opened.fd,
                drafts=tuple(draft.fd for draft in claim.drafts),
                accept_holes=takes_holes(claim.job, now=self._wall(), grace_seconds=self.folder.grace_seconds),
            )
        )
        passed("job.prepared")

    def _claim(self, *, oldest: bool) -> Claim | None:
        """Claim and open a job; None where there is none now, or the folder turns out to be unwell."""
        try:
            self._premises.ensure()
        except Fault as fault:
            self._block(fault)
            return None
        self._leftovers.finish(now=self._wall())
        for _ in range(_SKIPS):
            job = self._journal.claim(self.folder.name, oldest=oldest, now=self._wall())
            if job is None:
                self._notes.tidy()
                return None
            try:
                return open_claim(self.folder, self._outbox, job)
            except Fault as fault:
                if self._settle_claimed(job, fault, {}).block:
                    return None
        self._post(Fed(folder=self.folder.name))  # there may be more
        return None

    def _judge(self, message: Hashed) -> None:
        """Compare with earlier results of this path: equal bytes whose results are intact need no work."""
        claim = self._claims[message.job]
        claim.job = replace(claim.job, sha256=message.sha256)
        recipe = self._recipe_of(model_sha256=message.model_sha256, grounds=tuple(message.grounds))
        past = self._journal.hashed(message.job, sha256=message.sha256, recipe=recipe)
        passed("job.hashed")
        claim.noted = past.note is not None
        intact = intact_job(past, self._outbox)
        same = same_file_job(past, claim.job)
        self._post(Judged(folder=self.folder.name, job_id=message.job, go=intact is None and same is None))
        passed("job.judged")
        if intact is not None:
            drop_drafts(self._outbox, claim)
            claim.job = adopt(self._journal, claim.job, earlier=intact)
            self._conclude(claim, "known", {"same_as_job": intact.id})
        elif same is not None:
            drop_drafts(self._outbox, claim)
            self._journal.known(message.job, of=same.id)
            passed("job.known")
            self._close(claim, "known", {"same_as_job": same.id})

    def _commit(self, message: Finished, facts: Mapping[str, Any]) -> None:
        claim = self._claims[message.job]
        told = deliver(self.folder, self._journal, self._outbox, claim=claim, finished=message, pause=self._pause)
        self._requests.serve_urgent()
        self._conclude(claim, "done", {**facts, **told})

    def _pause(self) -> None:
        """Answer the lanes that wait while this one's commit waits for the disk. Raises as `Premises.ensure`."""
        if self._requests.serve_urgent():
            self._premises.ensure()  # that may have taken long, or shown that nothing is to be published here

    def _guarded(self, job_id: int, action: Callable[[], None]) -> None:
        """Run a step of a claimed job; whatever fault it raises is settled like a lane's."""
        if job_id not in self._claims:
            return
        try:
            self._premises.ensure()
            action()
        except Fault as fault:
            self._settle(job_id, fault, {"stage": "commit"})

    def _conclude(self, claim: Claim, outcome: Outcome, facts: Mapping[str, Any]) -> None:
        """Apply the source policy to a committed job; where it cannot be now, that is tried again later."""
        if claim.noted:
            self._notes.remove(claim.job.path)
        try:
            self._premises.ensure()
            applied = finish(self.folder, self._journal, claim.job, claim.opened, details=facts)
        except Fault as fault:
            self._leftovers.put_off(replace(claim.job, results=self._journal.results(claim.job.id)), now=self._wall())
            facts = {**facts, "stage": "source policy", "kind": fault.kind, "reason": str(fault)}
            self._close(claim, "wait", facts)
            if isinstance(fault, FolderFault):
                self._block(fault)
        else:
            self._close(claim, outcome, {**facts, "source": applied.outcome})

    def _finished(self, job: Job, outcome: Outcome) -> None:  # what an earlier run or try had left
        why = {"kind": job.kind, "reason": job.reason} if outcome == "failed" else {}
        self._tell(job, outcome, {"recovered": True} | why)

    def _settle(self, job_id: int, fault: Fault, facts: Mapping[str, Any], *, told: bool = False) -> None:
        claim = self._claims.get(job_id)
        if claim is not None:
            if told and type(fault) is FolderFault and self.blocked is None:  # one lane's word stops no folder
                fault = self._premises.fault() or weighed(fault, self._outbox, claim.drafts, claim.job)
            self._settle_claimed(claim.job, fault, facts, claim)

    def _settle_claimed(self, job: Job, fault: Fault, facts: Mapping[str, Any], claim: Claim | None = None) -> Verdict:
        """Record what follows a fault; a file's own trouble is only believed while the folder's probe passes."""
        settled = claim is None or lease(claim.opened.fd) == "free"
        if claim is not None:
            self._drop(claim)
        if type(fault) is FolderFault or not isinstance(fault, FolderFault | ChangedFault):
            fault = self._premises.fault() or fault
        if type(fault) is FolderFault or isinstance(fault, FileFault | UnknownFault):
            # A lane cannot say which outbox is full, and writes to one whose share is gone: the probe can tell.
            fault = probe_fault(self.folder, self._outbox) or fault
        verdict = judge(fault, job, now=self._wall(), grace_seconds=self.folder.grace_seconds, settled=settled)
        record(self._journal, self._notes, job, verdict, now=self._wall())
        outcome: Outcome = verdict.action if verdict.action != "fail" else "failed"
        self._tell(job, outcome, {**facts, "kind": verdict.kind, "reason": verdict.reason})
        if verdict.block:
            self._block(fault)
        return verdict

    def _requeue(self, job_id: int) -> None:
        claim = self._claims.get(job_id)
        if claim is not None:
            self._drop(claim)
            self._journal.requeue(job_id)
            passed("job.requeued")
            self._tell(claim.job, "requeue", {})

    def _close(self, claim: Claim, outcome: Outcome, facts: Mapping[str, Any]) -> None:
        self._drop(claim)
        self._tell(claim.job, outcome, facts)

    def _tell(self, job: Job, outcome: Outcome, facts: Mapping[str, Any]) -> None:
        self._post(Closed(folder=self.folder.name, job=job, outcome=outcome, facts=facts))

    def _drop(self, claim: Claim) -> None:
        self._claims.pop(claim.job.id, None)
        drop_claim(self._outbox, claim)

    def _probe(self) -> None:
        try:
            self._premises.ensure()
            probe(self.folder, self._outbox)
            self._leftovers.recover(now=self._wall())
        except Fault as fault:
            self._block(fault)
            return
        self.blocked = None
        released = self._journal.release(self.folder.name)
        self._post(Resumed(folder=self.folder.name, released=released))

    def _block(self, fault: Fault) -> None:
        self.blocked = fault if isinstance(fault, FolderFault) else FolderFault(str(fault))
        self._post(Blocked(folder=self.folder.name, kind=self.blocked.kind, reason=str(fault)))
