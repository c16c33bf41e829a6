"""One folder as the dispatcher sees it: whether it may have work, is blocked, and when it is to be asked again.

Times are monotonic seconds and given as `now`. Every fetch is answered by exactly one `Prepared` or `Idle`; every
probe by `Resumed` or `Blocked`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bgrd.committer import Committer
from bgrd.engine.events import Blocked, Delayed, Prepared, Report, Resumed
from bgrd.engine.slot import Assignment
from bgrd.engine.supply import Need, find_grounds
from bgrd.engine.wire import Work
from bgrd.errors import GroundFault, ModelFault
from bgrd.job import ModelChoice

__all__ = ["SILENT", "Desk", "Intake", "turned"]

SILENT = "its file system has not answered for a while"
"""Why a folder is unavailable whose system calls do not come back."""

_NEVER = ""
"""No model and no ground has this name."""

_FRESH_SECONDS = 1.0
"""How long a model that was found is taken to be there: one that is gone shows itself when it is opened."""

_OLDEST_EVERY = 4
_PROBE_SECONDS = (5.0, 300.0)
_SILENT_SECONDS = 20.0
_LOOK_SECONDS = 10.0


class Intake(Protocol):
    """What a desk asks of its folder's walker."""

    @property
    def busy_since(self) -> float | None:
        """The monotonic second of its last sign of life, None while it waits for news."""

    @property
    def well(self) -> bool:
        """Whether it has found nothing wrong with the folder."""


@dataclass(slots=True)
class Desk:
    """A folder's state between its committer's answers.

    It is `silent` while its walker or its committer does not come back, and `mute` while the committer does not.
    `grounds` are the names of its recipe's pictures as they were last found, `awaited` what of its probe's
    needs no lane has loaded yet.
    """

    committer: Committer
    model: Callable[[], ModelChoice]
    max_pixels: int = 0
    intake: Intake | None = None
    hungry: bool = True
    fetching: bool = False
    fed: bool = False
    due_at: float | None = None
    claims: int = 0
    blocked: str = ""
    blocked_kind: str = ""
    probe_at: float | None = None
    probe_pause: float = _PROBE_SECONDS[0]
    probing: bool = False
    resumed: tuple[float, int] | None = None
    silent: bool = False
    mute: bool = False
    delayed: bool = False
    grounds: tuple[str, ...] = ()
    awaited: set[str] = field(default_factory=lambda: {_NEVER})
    leaving: bool = False
    done: int = 0
    failed: int = 0
    _found: tuple[float, ModelChoice] | None = None
    _recipe: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.committer.folder.name

    @property
    def model_name(self) -> str:
        """The name of the folder's model."""
        return self.committer.folder.recipe.model

    @property
    def wants_model(self) -> bool:
        """Whether it is its model that blocks the folder, or a picture its cut-outs stand on."""
        return self.blocked_kind in {ModelFault.kind, GroundFault.kind}

    def uses(self, need: str) -> bool:
        """Say whether the model or ground of this name is the folder's."""
        return need == self.model_name or need in self.grounds

    def needs(self) -> tuple[Need, ...]:
        """Find what a lane has to hold for it: the model first. Raises ModelFault, GroundFault, DaemonFault."""
        grounds = find_grounds(self.committer.folder.recipe, max_pixels=self.max_pixels)
        needs: tuple[Need, ...] = (self.model(), *grounds)
        self.grounds = tuple(ground.name for ground in grounds)
        self.awaited = {need.name for need in needs}
        return needs

    def satisfied(self, need: str) -> bool:
        """Say whether a folder that lacked something lacks nothing more, now that this is loaded."""
        if not self.committer.folder.recipe.grounds:
            return self.wants_model
        self.awaited.discard(need)
        return self.wants_model and not self.awaited

    def refused(self) -> None:
        """Take note that something it needs cannot be used: nothing else that is loaded helps until the next probe."""
        self.awaited = {_NEVER}
        self._found = None

    @property
    def held(self) -> bool:
        """Whether a thread of it does not come back now: held by a dead share, or waiting for the journal's disk."""
        return self.silent or self.delayed

    @property
    def starting(self) -> bool:
        """Whether nobody knows yet if the folder is well."""
        return self.probing and not self.blocked

    def probe(self) -> None:
        """Ask whether the folder is well, unless that is being asked."""
        if not self.probing:
            self.probing = True
            self.committer.probe()

    @property
    def fetchable(self) -> bool:
        """Whether a fetch makes sense now."""
        return self.hungry and not (self.fetching or self.blocked or self.leaving)

    def feed(self) -> None:
        """Remember work that arrives while a fetch is under way: its answer may be older than the work."""
        self.hungry = self.fed = True

    def fetch(self) -> None:
        """Ask for the newest job; every fourth claim takes the oldest, so that none waits for ever."""
        self.fetching, self.fed = True, False
        self.committer.fetch(oldest=self.claims % _OLDEST_EVERY == _OLDEST_EVERY - 1)

    def fetched(self) -> None:
        """Take note of a `Prepared`."""
        self.fetching = False
        self.claims += 1

    def idle(self, *, due_at: float | None) -> None:
        """Take note of an `Idle`."""
        self.fetching = False
        self.hungry, self.due_at = self.fed, due_at

    def due(self, now: float) -> float | None:
        """Be hungry again once a wait is over; gives the second at which one is, or None."""
        if self.due_at is None or self.hungry or self.blocked or self.leaving:
            return None
        if now >= self.due_at:
            self.hungry, self.due_at = True, None
            return now
        return self.due_at

    def assignment(self, prepared: Prepared, *, max_pixels: int, memory: int, now: float) -> Assignment:
        """Say what a lane is to do for a prepared job, within `memory` bytes. Raises as `needs`."""
        job, folder = prepared.job, self.committer.folder
        grounds = find_grounds(folder.recipe, max_pixels=max_pixels)
        self.grounds = tuple(ground.name for ground in grounds)
        if self._recipe is None:  # the same for each of its jobs, and slow to make
            self._recipe = folder.recipe.to_json()
        work = Work(
            job=job.id,
            model=folder.recipe.model,
            recipe=self._recipe,
            size=job.version.size,
            max_pixels=max_pixels,
            memory_bytes=memory,
            accept_holes=prepared.accept_holes,
            grounds=list(self.grounds),
        )
        descriptors = (prepared.source, *prepared.drafts)
        model = self._lately(now)
        return Assignment(work=work, model=model, descriptors=descriptors, alone=job.alone, grounds=grounds)

    def _lately(self, now: float) -> ModelChoice:
        """Find the model, or give what was found a moment ago: each look asks the file system on a thread of its own.

        Raises ModelFault, DaemonFault.
        """
        if self._found is None or not 0.0 <= now - self._found[0] < _FRESH_SECONDS:
            self._found = now, self.model()
        return self._found[1]

    def block(self, event: Blocked, now: float) -> None:
        """Take note of a `Blocked`: pauses grow with each probe that fails, not with each job that does.

        They grow too where a probe passed and no job did since: a disk with a little room takes what a probe writes.
        """
        low, high = _PROBE_SECONDS
        if not self.blocked:
            self.probe_pause = min(self.probe_pause * 2, high) if self._in_vain(now) else low
            self.probe_at = now + self.probe_pause
        elif self.probing:
            self.probe_pause = min(self.probe_pause * 2, high)
            self.probe_at = now + self.probe_pause
        self.probing = False
        self.refused()
        self.blocked, self.blocked_kind = event.reason, event.kind

    def _in_vain(self, now: float) -> bool:
        """Say whether the folder was blocked until not long ago and has ended nothing since."""
        if self.resumed is None:
            return False
        since, ended = self.resumed
        return now - since <= _PROBE_SECONDS[1] and ended == self.done + self.failed

    def resume(self, now: float) -> None:
        """Take note of a `Resumed`."""
        if self.blocked:
            self.resumed = now, self.done + self.failed
        self.blocked = self.blocked_kind = ""
        self.probe_at, self.probing = None, False
        self.feed()

    def probe_due(self, now: float) -> bool:
        """Say whether a probe is to be made now; one that has not been answered is not made again."""
        return self.probe_at is not None and not self.probing and now >= self.probe_at

    def listen(self, now: float) -> str:
        """Find out whether the folder's system calls come back; gives an event's name where that is news, or ""."""
        since, asked = self._busy_since(), self.committer.busy_since
        self.mute = asked is not None and now - asked >= _SILENT_SECONDS
        was, self.silent = self.silent, since is not None and now - since >= _SILENT_SECONDS
        if was == self.silent:
            return ""
        if self.silent:
            return "folder.unavailable"
        # What a share answers in the end may be that it is gone: then it is for the walker to say when it is back.
        return "folder.available" if self.intake is None or self.intake.well else ""

    def late_at(self, now: float) -> float | None:
        """Give the second at which to listen again: a walker sets out unasked, and its end of silence rings no bell."""
        since = self._busy_since()
        late_at = None if since is None or self.silent else since + _SILENT_SECONDS
        look_at = None if self.intake is None else now + _LOOK_SECONDS
        return min((second for second in (late_at, look_at) if second is not None), default=None)

    def _busy_since(self) -> float | None:
        """Give the second since which one of the folder's threads has not been heard of, None while both rest."""
        both = (self.committer.busy_since, self.intake.busy_since if self.intake is not None else None)
        return min((since for since in both if since is not None), default=None)


def turned(desk: Desk, event: Blocked | Resumed | Delayed, *, report: Report, now: float) -> None:
    """Take note that a folder is blocked, well again, or held up by the journal, and tell what is news."""
    match event:
        case Blocked():
            if desk.blocked != event.reason:
                report("folder.blocked", folder=desk.name, reason=event.reason, kind=event.kind)
            desk.block(event, now)
        case Resumed():
            if desk.blocked:
                report("folder.resumed", folder=desk.name, released=event.released)
            desk.resume(now)
        case Delayed():
            report("journal.waiting", folder=desk.name, reason=event.reason)
