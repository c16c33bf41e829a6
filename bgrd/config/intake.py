"""Which files are taken, and when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bgrd.config.table import DAY, HOUR, Size, Table
from bgrd.job import Watching

__all__ = ["IntakeOptions"]


class IntakeOptions(Table):
    """How an inbox is watched."""

    recursive: bool = Field(default=True, description="Whether directories below the inbox are watched as well.")
    watch: Watching = Field(
        default="auto",
        description="How new files are noticed: inotify, poll (for network shares), or auto, by the kind of mount.",
    )
    backlog: Literal["process", "ignore"] = Field(
        default="process", description="What happens to pictures that lie in the inbox when bgrd first sees it."
    )
    settle_seconds: float | None = Field(
        default=None,
        ge=0,
        le=HOUR,
        description='How long a file has to stay unchanged before it is taken; "auto": as short as is safe.',
        json_schema_extra={"word": "auto"},
    )
    grace_seconds: float = Field(
        default=600.0,
        ge=0,
        le=7 * DAY,
        description="How long an incomplete picture may stay unchanged before it counts as failed.",
    )
    rescan_seconds: float = Field(
        default=30.0, ge=1, le=DAY, description="How often the inbox is walked, whatever the watching says."
    )
    poll_seconds: float = Field(
        default=5.0, ge=0.5, le=HOUR, description="How often new files of a polled inbox are looked at again."
    )
    max_bytes: Size = Field(default=256 * 2**20, ge=1, description="Larger files are not taken.")
    sync_conflicts: bool = Field(
        default=False, description="Whether conflict copies of sync programs (*.sync-conflict-*) are taken too."
    )
