"""One walk over a whole inbox, a step at a time: what is new goes in by the one door, what is gone is told."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from bgrd.errors import FolderUnavailable
from bgrd.intake.lease import look

if TYPE_CHECKING:
    from bgrd.intake.admission import Admission
    from bgrd.intake.protocol import IntakeJournal
    from bgrd.intake.scan import Walk
    from bgrd.job import Folder
from bgrd.steps import passed

__all__ = ["Survey"]

_ROWS = 2000


class Survey:
    """A walk on its way. Each `step` is short, so that fresh events are heard in between.

    `intact` says whether the inbox is still the same directory: without it nothing is called missing. Files that last
    changed before `dismiss_before_ns` are unwanted backlog. `processor_seconds` and `wall_seconds` add up what
    the steps took, `skipped` counts what was passed over, by reason.
    """

    def __init__(
        self,
        folder: Folder,
        journal: IntakeJournal,
        *,
        walk: Walk,
        admission: Admission,
        intact: Callable[[], bool],
        dismiss_before_ns: int = 0,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self.processor_seconds = 0.0
        self.wall_seconds = 0.0
        self.gone = 0
        self._folder = folder
        self._inbox = os.fsencode(folder.inbox)
        self._journal = journal
        self._walk = walk
        self._admission = admission
        self._intact = intact
        self._dismiss_before_ns = dismiss_before_ns
        self._clock = clock
        self._processor = processor
        self._passed: Counter[str] = Counter()
        # 64-bit hashes, a tenth of the paths' own size. Among 100,000 files two agree with a chance of one in a
        # thousand million; then one that is gone goes unnoticed until the next start salts the hashes anew.
        self._seen: set[int] = set()
        self._steps = self._run()

    @property
    def skipped(self) -> dict[str, int]:
        """What was passed over so far, by reason."""
        return {reason: count for reason, count in sorted((self._passed + self._walk.skipped).items()) if count}

    def step(self) -> bool:
        """Go on a little; False means that the walk is over.

        Raises FolderUnavailable where the inbox cannot be read or is another one, and StateError.
        """
        began, used = self._clock(), self._processor()
        try:
            return next(self._steps, "over") != "over"
        finally:
            self.wall_seconds += self._clock() - began
            self.processor_seconds += self._processor() - used

    def close(self) -> None:
        """End early and let go of open directories."""
        self._walk.close()
        self._steps.close()

    def _run(self) -> Generator[str, None, None]:
        for batch in self._walk:
            self._seen.update(hash(path) for path, _ in batch)
            self._admission.take(batch, skipped=self._passed, dismiss_before_ns=self._dismiss_before_ns)
            yield "walked"
        after_id, more = 0, True
        while more:
            rows = self._journal.present(self._folder.name, after_id=after_id, limit=_ROWS)
            self._tell_missing([path for _, path in rows if hash(path) not in self._seen])
            # Fewer than were asked for are the last: each question wakes the journal's thread, and this is an idle
            # daemon's only work.
            more = len(rows) == _ROWS
            after_id = rows[-1][0] if rows else after_id
            yield "compared"

    def _tell_missing(self, paths: list[bytes]) -> None:
        gone = [path for path in paths if not self._admission.stopping() and self._is_gone(path)]
        if not gone:
            return
        # Asked after looking: an inbox that vanished meanwhile makes everything look gone.
        if not self._intact():
            message = f"the inbox {self._folder.inbox} was replaced while it was read"
            raise FolderUnavailable(message)
        self.gone += self._journal.missing(self._folder.name, gone)
        passed("intake.missing")

    def _is_gone(self, path: bytes) -> bool:
        try:
            look(self._inbox, path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False
