"""Where a result and its source go once it is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bgrd.config.table import Size, Table
from bgrd.config.values import mode_of, place_of
from bgrd.job import Policy

__all__ = ["DeliveryOptions"]


def _mode(value: object) -> int | None:
    """Let "not set" through and read anything else as octal text."""
    return None if value is None else mode_of(value)


def _notes(value: str) -> str:
    """Keep the two words as they are and expand anything else as a path."""
    return value if value in {"outbox", "none"} else str(place_of(value))


class DeliveryOptions(Table):
    """What becomes of results, sources and failures."""

    policy: Policy = Field(
        default="keep",
        description="What happens to a source once its result is safely written: keep it, archive it, or delete it.",
    )
    min_free: Size = Field(
        default=500 * 10**6, description="The folder waits while its outbox has less free space than this."
    )
    result_mtime: Literal["now", "source"] = Field(
        default="now", description="The modification time a result gets: when it was made, or the source's."
    )
    mode: Annotated[int | None, BeforeValidator(_mode)] = Field(
        default=None,
        description='Permissions of the results as octal text like "0640", or "umask".',
        json_schema_extra={"word": "umask"},
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        description='The group the results belong to, or "inherit": as the system decides.',
        json_schema_extra={"word": "inherit"},
    )
    failure_notes: Annotated[str, AfterValidator(_notes)] = Field(
        default="outbox",
        description='Where notes about failed pictures go: "outbox" (its _failed directory), "none", or a directory.',
    )
    corrections: Annotated[str, AfterValidator(_notes)] = Field(
        default="outbox",
        description='Where you may put corrected results, by their names, for `bgrd train prepare`: "outbox" (its '
        '_corrections directory), "none", or a directory. bgrd makes nothing there and takes nothing from it.',
    )
