"""Whether bytes have been worked on before: the same bytes under the same path need no second result."""

from __future__ import annotations

from dataclasses import replace

from bgrd.delivery.commit import results_intact
from bgrd.delivery.outbox import Outbox
from bgrd.job import Job
from bgrd.journal.journal import Journal, Past
from bgrd.steps import passed

__all__ = ["adopt", "intact_job", "same_file_job"]


def intact_job(past: Past, outbox: Outbox) -> Job | None:
    """Give the newest earlier job of the same bytes whose results are all still there. Raises FolderFault."""
    return next((earlier for earlier in past.alike if results_intact(outbox, earlier.results)), None)


def same_file_job(past: Past, job: Job) -> Job | None:
    """Give the earlier job of what is the very same file with other inode or ctime, wherever its results are now."""
    return next(iter(past.alike), None) if job.same_stat else None


def adopt(journal: Journal, job: Job, *, earlier: Job) -> Job:
    """Take the results of an earlier job for those of this one, and give this one as it stands then; `finish` follows.

    Its kind too: the source of a picture with holes is spared, by this run or by the one after a kill.
    """
    journal.intend(job.id, earlier.results, kind=earlier.kind)
    passed("job.adopted")
    return replace(job, kind=earlier.kind)
