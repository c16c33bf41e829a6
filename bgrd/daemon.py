"""The daemon's life: startup, main loop, reload, shutdown. Signal handlers only set flags.

Stop order: intake, claiming, lanes (drained within `stop_seconds`), committers, journal, locks.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

from bgrd import __version__
from bgrd.check import prepare_folders
from bgrd.config.settings import Settings
from bgrd.crew import Crew
from bgrd.engine.dispatch import Dispatcher, Report
from bgrd.engine.loop import Loop
from bgrd.engine.starter import Starters
from bgrd.errors import BgrdError, ConfigError, StateError
from bgrd.journal.journal import open_journal
from bgrd.lessons import Lessons
from bgrd.lock import hold
from bgrd.pulse import Pulse, identity, summary
from bgrd.roster import Roster
from bgrd.service import Plan, plan_of
from bgrd.signals import Signals
from bgrd.steps import passed
from bgrd.telemetry import status
from bgrd.telemetry.log import configure, level_of, logger
from bgrd.telemetry.notify import Notifier

__all__ = ["Daemon"]

_START_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_PING_SECONDS = 5.0
_LAST_WORD_SECONDS = 1.0
_ABANDON_SECONDS = 5.0
_PRUNE_SECONDS = 86_400.0
_HISTORY_SECONDS = 90 * 86_400.0


class Daemon:
    """Runs until it is told to stop, or with `until_done` until nothing is left to do.

    `load` reads the configuration anew at start and at each reload; `watcher` is told every event the log gets.
    `starters`, which this closes, may have a lane on its way.
    After `run`, `left` is how many jobs are not at their end, `writing` which files were still being written, and
    `stopped` whether a signal ended it.
    Making one takes the lock on the state directory and opens the journal. Raises BgrdError.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        *,
        notifier: Notifier,
        until_done: bool = False,
        watcher: Report | None = None,
        starters: Starters | None = None,
    ) -> None:
        self._load = load
        self._notifier = notifier
        self._until_done = until_done
        self._watcher = watcher
        self._log = logger()
        self._settings = settings = load()
        plan = plan_of(settings)
        self._signals = Signals()
        self._ready = False
        self._prune_at = 0.0
        self.left = 0
        self.writing: tuple[bytes, ...] = ()
        starters = starters or Starters()  # before anything is open that may lie on a share
        with ExitStack() as opened:
            opened.callback(starters.close)
            self._lock = hold(settings.state_directory)
            opened.callback(self._lock.close)
            self._journal = open_journal(settings.state_directory)
            opened.pop_all()
        self._loop = Loop()
        self._dispatcher = Dispatcher(report=self._report, wake=self._loop.wake, max_pixels=settings.max_pixels)
        self._crew = Crew(settings, starters, events=self._dispatcher, loop=self._loop)
        self._pool = self._crew.pool
        self._dispatcher.use(self._pool)
        self._roster = Roster(
            plan, self._journal, self._dispatcher, self._pool, report=self._report, wake=self._loop.wake
        )
        place = status.location(settings.state_directory)
        self._pulse = Pulse(notifier, place, beats=self._beats, facts=self._facts, report=self._report)

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._signals.stops > 0

    def run(self) -> None:
        """Start, work, stop. Raises BgrdError when it cannot start or cannot go on; everything is left in order."""
        try:
            self._signals.listen(self._loop)
            self._start()
            self._work()
        except BaseException:
            self._signals.stops = 2  # nobody is left to wait for
            raise
        finally:
            self._stop()

    # Startup

    def _start(self) -> None:
        self._prepare(self._roster.plan)
        recovery = self._journal.recover()
        passed("start.recovered")
        limits = self._pool.limits
        self._report(
            "daemon.start",
            version=__version__,
            lanes=limits.lanes,
            threads=limits.threads,
            memory_limit_bytes=limits.memory_bytes,
            requeued=recovery.requeued,
        )
        if self._journal.exclusive:
            self._report("journal.network", advice="keep state_directory on a local disk")
        self._roster.open_all(recovery)

    def _prepare(self, plan: Plan) -> None:
        """Make the default folder; what cannot be made is told, and its folder found missing."""
        for finding in prepare_folders(plan.folders):
            if finding.level == "error":
                self._report("folder.missing", subject=finding.subject, reason=finding.text)

    # Main loop

    def _work(self) -> None:
        """Go round until told to stop; each turn does all that is due and then waits for the next thing."""
        while not self._signals.stops and not (self._until_done and self._all_done()):
            if self._signals.reload:
                self._signals.reload = False
                self._reload()
            self._crew.apply(self._report)
            look_at = time.monotonic() + _LOOK_SECONDS if self._until_done else None
            self._turn(self._roster.tend(), self._get_ready(), self._prune(), look_at)

    def _turn(self, *wanted: float | None) -> None:
        """Do what is due now, then wait for a lane, a thread, a signal or the next due second."""
        now = time.monotonic()
        due = [*wanted, self._dispatcher.step(now), self._pulse.tick(now)]
        for fileno in self._loop.wait(min((second for second in due if second is not None), default=None)):
            self._pool.handle(fileno)

    def _get_ready(self) -> float | None:
        """Say READY once the roster is; ask systemd for more time until then."""
        if self._ready:
            return None
        if self._roster.ready:
            self._ready = True
            self._crew.settle()
            self._report("daemon.ready", inboxes=[folder.inbox for folder in self._roster.plan.folders])
            self._notifier.ready(summary(self._facts()))
            return None
        self._notifier.extend_timeout(_START_SECONDS)
        return time.monotonic() + 1.0

    def _prune(self) -> float:
        """Once a day, have the journal forget the details of what is long over, a step a turn."""
        now = time.monotonic()
        if self._ready and now >= self._prune_at:
            with suppress(StateError):  # tomorrow, then
                if self._journal.prune_step(time.time() - _HISTORY_SECONDS):
                    return now
            self._prune_at = now + _PRUNE_SECONDS
        return max(self._prune_at, now + 1.0)

    def _all_done(self) -> bool:
        """Say whether nothing is left that could be done now."""
        return self._ready and self._dispatcher.idle() and self._roster.done(time.monotonic())

    # Reload

    def _reload(self) -> None:
        """Read the configuration aside; swap to it, or keep the old one and say why.

        Before READY was told the service manager hears nothing of it: it would take the end of a reload for it.
        """
        if self._ready:
            self._notifier.reloading()
        try:
            settings = self._load()
            self._refuse_unswappable(settings)
            plan, lessons = plan_of(settings), Lessons(settings)
            self._prepare(plan)
            # A swap writes to the journal: better refused now than broken off half-way on a full disk.
            self._journal.set_flag("", "reload")
        except (BgrdError, OSError) as error:
            self._report("reload.rejected", reason=str(error))
        else:
            self._swap(settings, plan, lessons)
        if self._ready:
            self._notifier.ready(summary(self._facts()))

    def _refuse_unswappable(self, settings: Settings) -> None:
        if settings.state_directory != self._settings.state_directory:
            text = "state_directory cannot change while bgrd runs: restart it"
            raise ConfigError(text)

    def _swap(self, settings: Settings, plan: Plan, lessons: Lessons) -> None:
        """Finish what runs in folders that change or go, within `stop_seconds`, then serve the new plan."""
        leaving = self._roster.leave(plan)
        deadline = time.monotonic() + self._settings.stop_seconds
        while not all(self._dispatcher.idle(name) for name in leaving):
            if self._signals.stops:
                return
            if time.monotonic() >= deadline:
                self._dispatcher.abort(leaving)
                deadline = math.inf
            self._turn(time.monotonic() + _LOOK_SECONDS)
        self._settings = settings
        configure(log_format=settings.log_format, log_level=settings.log_level, stream=sys.stderr)
        self._crew.turn(lessons)
        self._dispatcher.max_pixels = settings.max_pixels
        self._roster.swap(plan, leaving, until=time.monotonic() + _ABANDON_SECONDS)
        self._report("reload.done", folders=len(self._roster))

    # Shutdown

    def _stop(self) -> None:
        """Take nothing new, finish what runs within `stop_seconds`, put the rest back, end everything."""
        self._notifier.stopping()
        deadline = time.monotonic() + self._settings.stop_seconds
        self._roster.stop_intake()
        self._dispatcher.claiming = False
        self._dispatcher.give_back()
        self._report("daemon.stop", running=self._pool.busy)
        with ExitStack() as rest:
            rest.callback(self._loop.close)
            rest.callback(self._lock.close)
            rest.callback(self._pulse.remove)
            rest.callback(self._end)
            while not self._dispatcher.idle() and time.monotonic() < deadline and self._signals.stops < 2:
                # A turn may close the last job and then wait: it must look again soon.
                self._turn(time.monotonic() + _LOOK_SECONDS)
            if not self._dispatcher.idle():
                self._dispatcher.abort()
                deadline = time.monotonic() + _LAST_WORD_SECONDS
                while not self._dispatcher.idle() and time.monotonic() < deadline and self._signals.stops < 2:
                    self._turn(time.monotonic() + _LOOK_SECONDS)  # the log tells of each job that is put back

    def _end(self) -> None:
        """End threads and lanes and close the journal, which a full disk may keep from knowing of the clean end."""
        with suppress(StateError):
            self.left, self.writing = self._roster.left, self._roster.writing
        clean = self._roster.close(time.monotonic() + _ABANDON_SECONDS)
        self._crew.close()
        try:
            self._journal.close(clean=clean)
        except StateError as error:
            self._report("journal.waiting", reason=str(error))
            clean = False
        self._report("daemon.end", clean=clean)

    # Events, facts

    def _report(self, event: str, **facts: Any) -> None:
        """Log an event, at the level it deserves, and note that the status file is out of date."""
        self._log.log(level_of(event), event, **facts)
        self._crew.lessons.hear(event, facts)
        if self._watcher is not None:
            self._watcher(event, **facts)
        self._pulse.changed()

    def _beats(self) -> Iterator[tuple[str, float, int]]:
        """Give each loop's last round; the journal's is a round trip on its thread."""
        now = time.monotonic()
        yield "engine", self._dispatcher.beat, 0
        yield "journal", now if self._journal.ping(_PING_SECONDS) else 0.0, 0
        yield from self._roster.beats(now)

    def _facts(self) -> dict[str, Any]:
        return {
            **identity(),
            "version": __version__,
            "ready": self._ready,
            "lanes": list(self._pool.pids),
            "late": self._pulse.late,
            "models": self._dispatcher.models,
            "folders": self._roster.facts(),
        }
