"""The named steps of a picture's way through bgrd, so that a test can hold the process right behind any of them.

Nothing but a test program that sets `hook` in its own process ever makes anything of them: no setting, no variable of
the environment and no message reaches here. The order is that of the flow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

__all__ = ["STEPS", "Step", "hook", "passed"]

Step = Literal[
    # At start: what the last end left is taken up.
    "start.recovered",
    "start.swept",
    "start.requeued",
    "start.committed",
    # From arrival to a lane.
    "intake.admitted",
    "intake.missing",
    "job.claimed",
    "job.opened",
    "job.drafted",
    "job.prepared",
    "job.begun",
    # Inside the lane; the parent answers to the hash while it decodes.
    "lane.loaded",
    "lane.read",
    "lane.hashed",
    "job.hashed",
    "job.judged",
    "job.known",
    "job.adopted",
    "lane.decoded",
    "lane.prepared",
    "lane.told",
    "lane.inferred",
    "lane.matted",
    "lane.composed",
    "lane.encoded",
    "lane.written",
    "lane.synced",
    "lane.verified",
    "lane.reported",
    # The commit.
    "commit.intended",
    "commit.compared",
    "commit.named",
    "commit.linked",
    "commit.exchanged",
    "commit.replaced",
    "commit.synced",
    "commit.committed",
    # The source policy.
    "source.hidden",
    "source.proven",
    "source.copied",
    "source.stored",
    "source.archived",
    "source.removed",
    "source.returned",
    "job.done",
    # What else may become of a job.
    "note.intended",
    "note.drafted",
    "note.written",
    "note.removed",
    "job.failed",
    "job.waiting",
    "job.retried",
    "job.alone",
    "job.withdrawn",
    "job.requeued",
]

STEPS: tuple[Step, ...] = get_args(Step)

hook: Callable[[Step], None] | None = None
"""What a test wants called behind each step, on the thread that took it."""


def passed(step: Step) -> None:
    """Mark that a step was taken; does nothing where no test looks."""
    if hook is not None:
        hook(step)
