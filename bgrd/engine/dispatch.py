"""The engine's supervisor: from claimed jobs through lanes to closed jobs, for all folders.

Runs on the main loop's thread and never waits: what may block is asked of the committers, which answer into `step`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from bgrd.committer import Committer
from bgrd.engine.cage import weakened
from bgrd.engine.desk import SILENT, Desk, Intake, turned
from bgrd.engine.events import Blocked, Broken, Closed, Delayed, Event, Fed, Idle, Judged, Prepared, Report, Resumed
from bgrd.engine.mailbox import Mailbox
from bgrd.engine.pool import Pool
from bgrd.engine.rota import Rota
from bgrd.engine.wire import Finished, Hashed, Loaded
from bgrd.errors import DaemonFault, Fault, FolderFault, GroundFault, ModelFault
from bgrd.job import ModelChoice
from bgrd.steps import passed

__all__ = ["Desk", "Dispatcher", "Report"]

_PAUSE_SECONDS = 5.0
# The outcomes whose event in the log has another name.
_REPORTED = {"wait": "waiting", "withdraw": "withdrawn", "requeue": "requeued"}


@dataclass(slots=True)
class _Active:
    """A job between claim and close."""

    desk: Desk
    prepared: Prepared


class Dispatcher:
    """Feeds the pool from the folders' committers and hands what lanes say back to them."""

    def __init__(
        self,
        *,
        report: Report,
        wake: Callable[[], None],
        max_pixels: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.beat = 0.0
        self._rota = Rota()
        self._report = report
        self._wake = wake
        self._wall = wall
        self.max_pixels = max_pixels
        self._pool: Pool | None = None
        self._mailbox = Mailbox()
        self._active: dict[int, _Active] = {}
        self._paused_until = 0.0
        self._loose: set[str] = set()
        self.models: dict[str, dict[str, object]] = {}
        self.claiming = True

    @property
    def pool(self) -> Pool:
        """The lanes; set once with `use`."""
        if self._pool is None:
            raise RuntimeError("the dispatcher has no pool yet")
        return self._pool

    @property
    def desks(self) -> Mapping[str, Desk]:
        """The folders served, by name."""
        return self._rota.desks

    def use(self, pool: Pool) -> None:
        """Tie the pool, whose events come back to this dispatcher."""
        self._pool = pool

    def post(self, event: Event) -> None:
        """Take an event from a committer's thread and wake the main loop."""
        self._mailbox.post(event)
        self._wake()

    def add(self, committer: Committer, model: Callable[[], ModelChoice], intake: Intake | None = None) -> Desk:
        """Serve a folder from now on; `model` finds its model's file and raises ModelFault where it is missing."""
        desk = Desk(committer=committer, model=model, max_pixels=self.max_pixels, intake=intake)
        self._rota.add(desk)
        return desk

    def remove(self, name: str) -> None:
        """Serve the folder no more; call when `idle(name)`. What a dead share still holds of it is forgotten.

        Its lanes are ended: what one of them said later would be taken for the job's next claim.
        """
        for job, active in self._active.items():
            if active.desk.name == name:
                self.pool.cancel(job)
        self._mailbox.forget(name)
        self._rota.remove(name)
        self._active = {job: active for job, active in self._active.items() if active.desk.name != name}

    def idle(self, name: str | None = None) -> bool:
        """Say whether nothing is under way, of one folder or of all.

        What a dead share or a full state disk holds up is not waited for.
        """
        desks = [desk for desk in self.desks.values() if name in {None, desk.name} and not desk.held]
        busy = {active.desk.name for active in self._active.values()}
        return not any(desk.fetching or desk.starting or desk.name in busy for desk in desks)

    def step(self, now: float) -> float | None:
        """Do all that can be done without waiting; gives the monotonic second of the next thing due, or None."""
        self.beat = now
        for event in self._mailbox.take():
            self._take(event)
        wanted = [self.pool.tick(now)]
        for desk in self.desks.values():
            # Before new work takes the free lanes: a blocked folder's model must not wait for the others' backlog.
            wanted += [self._probe(desk, now), self._listen(desk, now)]
        if not self.claiming:
            self.give_back()
        elif now < self._paused_until:
            wanted.append(self._paused_until)
        else:
            wanted += [desk.due(now) for desk in self.desks.values()]
            self._start_prepared()
            if not any(active.prepared.job.alone for active in self._active.values()):
                self._rota.fetch(lanes=self.pool.limits.lanes)
        return min((second for second in wanted if second is not None), default=None)

    def block(self, desk: Desk, fault: FolderFault) -> None:
        """Stop claiming from a folder until a probe finds it well."""
        desk.committer.block(fault)

    def give_back(self) -> None:
        """Put claimed jobs that no lane has begun back, uncharged; done by itself while nothing is to be claimed."""
        for prepared in self._rota.take():
            self._active[prepared.job.id].desk.committer.requeue(prepared.job.id)

    def abort(self, names: Collection[str] | None = None) -> None:
        """End the lanes that work for these folders, or all, and put their jobs back, uncharged."""
        for prepared in self._rota.take(names):
            self._active[prepared.job.id].desk.committer.requeue(prepared.job.id)
        for job, active in list(self._active.items()):
            if (names is None or active.desk.name in names) and self.pool.cancel(job):
                active.desk.committer.requeue(job)

    # What the pool tells (PoolEvents), on this same thread; nobody asks for what is left of a removed folder.

    def lane_started(self, lane: int, missing: Sequence[str]) -> None:
        """Say once what does not hold the lanes in on this system."""
        if missing and set(missing) != self._loose:
            self._loose = set(missing)
            advice = {"advice": "see `bgrd check`"} if weakened(missing) else {}
            self._report("lane.loose" if advice else "lane.confined", lane=lane, missing=list(missing), **advice)

    def hashed(self, message: Hashed) -> None:
        """Ask the folder whether these bytes still need work."""
        if (active := self._active.get(message.job)) is not None:
            active.desk.committer.judge(message)
        else:
            self.pool.answer(message.job, go=False)

    def finished(self, message: Finished, lane: int) -> None:
        """Have the folder commit."""
        if (active := self._active.get(message.job)) is None:
            return
        facts = {
            "lane": lane,
            "model": active.desk.model_name,
            "stage_seconds": message.seconds,
            "bytes": sum(message.sizes),
            "peak_bytes": message.peak_bytes,
            "source_bytes": active.prepared.job.version.size,
        }
        active.desk.committer.commit(message, facts=facts)

    def faulted(self, job: int, fault: Fault, stage: str, trace: str) -> None:
        """Have the folder record what follows."""
        if (active := self._active.get(job)) is not None:
            facts = {"stage": stage} | ({"trace": trace} if trace else {})
            active.desk.committer.settle(job, fault, facts=facts)

    def model_loaded(self, message: Loaded, lane: int) -> None:
        """Release the folders that waited for this model, or this ground."""
        if message.seconds:
            facts = {"seconds": round(message.seconds, 3), "resident_bytes": message.resident_bytes}
            if "/" in message.model:  # no model's name has a slash
                self._report("ground.loaded", model=message.model, lane=lane, **facts)
            else:
                self.models[message.model] = said = message.said
                self._report("model.loaded", model=message.model, lane=lane, sha256=message.sha256, **facts, **said)
        for desk in self._using(message.model):
            if desk.satisfied(message.model):
                desk.committer.probe()

    def model_faulted(self, model: str, fault: Fault) -> None:
        """Block the folders that use this model, or this ground."""
        if not isinstance(fault, ModelFault | GroundFault):
            fault = ModelFault(f"model {model} cannot be used: {fault}")
        for desk in self._using(model):
            desk.refused()
            desk.committer.block(fault)

    def lost(self, process: int, fault: Fault, *, model: str = "") -> None:
        """Say which process ended with nothing to do: no job tells of it, and the next one has another."""
        whose: dict[str, object] = {"model": model, "device": process} if model else {"lane": process}
        self._report("model.lost" if model else "lane.lost", **whose, reason=str(fault))

    def _using(self, model: str) -> list[Desk]:
        return [desk for desk in self.desks.values() if desk.uses(model)]

    def _take(self, event: Event) -> None:
        desk = self.desks.get(event.folder)
        if desk is None:
            return
        if isinstance(event, Broken):
            raise event.error
        desk.delayed = isinstance(event, Delayed)
        match event:
            case Fed():
                desk.feed()
            case Prepared():
                desk.fetched()
                self._active[event.job.id] = _Active(desk=desk, prepared=event)
                self._rota.put(event)
            case Idle():
                desk.idle(due_at=self._monotonic(event.next_due))
            case Judged():
                self.pool.answer(event.job_id, go=event.go)
            case Closed():
                self._closed(desk, event)
            case Blocked() | Resumed() | Delayed():
                turned(desk, event, report=self._report, now=self.beat)

    def _monotonic(self, wall: float | None) -> float | None:
        """Give a wall-clock second as a monotonic one, at once: what is waited for may not move with the clock."""
        return None if wall is None else self.beat + max(0.0, wall - self._wall())

    def _closed(self, desk: Desk, event: Closed) -> None:
        if self._active.pop(event.job.id, None) is not None:
            # A job that was closed instead of judged has left its lane waiting.
            self.pool.answer(event.job.id, go=False)
        desk.feed()  # it may be due again, and another version of its path may have waited for it
        desk.done += event.outcome in {"done", "known"}
        desk.failed += event.outcome == "failed"
        name = _REPORTED.get(event.outcome, event.outcome)
        self._report(f"job.{name}", folder=desk.name, job=event.job.id, path=event.job.path, **event.facts)

    def _probe(self, desk: Desk, now: float) -> float | None:
        """Probe a blocked folder when its time has come; a missing model is looked for and tried again."""
        if not desk.probe_due(now):
            return None if desk.probing else desk.probe_at
        try:
            if not desk.wants_model:
                desk.committer.probe()
            elif not self.pool.warm(*desk.needs()):
                return None  # a lane that becomes free brings us back here
        except (ModelFault, GroundFault) as fault:
            desk.committer.block(fault)
        except DaemonFault as fault:
            self._pause(fault)
            desk.probe_at = self._paused_until
            return desk.probe_at
        desk.probing = True
        return None

    def _listen(self, desk: Desk, now: float) -> float | None:
        """Tell when a folder's system calls stop coming back, whose lanes are then free, and when they do again."""
        was_silent, was_mute = desk.silent, desk.mute
        if event := desk.listen(now):
            self._report(event, folder=desk.name, reason=SILENT if desk.silent else "")
        for job, active in self._active.items() if desk.silent > was_silent or desk.mute > was_mute else ():
            if active.desk is desk and self.pool.let_go(job, unanswered=desk.mute):
                desk.committer.requeue(job)
        return desk.late_at(now)

    def _start_prepared(self) -> None:
        """Give prepared jobs to free lanes; one that must run alone waits until the others are through."""
        for prepared in self._rota.startable if self.pool.free > 0 else ():
            active = self._active[prepared.job.id]
            try:
                memory = self.pool.memory_limit(alone=prepared.job.alone)
                work = active.desk.assignment(prepared, max_pixels=self.max_pixels, memory=memory, now=self.beat)
                if not self.pool.submit(work):
                    return
            except (ModelFault, GroundFault) as fault:
                active.desk.committer.settle(prepared.job.id, fault, facts={})
            except DaemonFault as fault:
                self._pause(fault)
                return
            self._rota.begun(prepared)
            passed("job.begun")

    def _pause(self, fault: Fault) -> None:
        """Hold everything for a few seconds: the daemon itself is short of something."""
        self._paused_until = self.beat + _PAUSE_SECONDS
        self._report("daemon.short", reason=str(fault), pause_seconds=_PAUSE_SECONDS)
