"""An outbox at a directory, results drafted in it, and what lies there."""

from __future__ import annotations

import os
from pathlib import Path

from bgrd.delivery.ladder import LADDER, Rung
from bgrd.delivery.outbox import Draft, Outbox

__all__ = ["NEW", "OLD", "drafted", "files_below", "outbox_at"]

OLD, NEW = b"old result", b"new result"


def outbox_at(
    root: Path,
    *,
    ladder: tuple[Rung, ...] = LADDER,
    mode: int | None = None,
    group: str | None = None,
    min_free: int = 0,
) -> Outbox:
    """Give an outbox at a directory."""
    return Outbox(root, mode=mode, group=group, min_free=min_free, ladder=ladder)


def drafted(outbox: Outbox, target: bytes, content: bytes = NEW) -> Draft:
    """Write a result as far as before it is published."""
    draft = outbox.create(target, job_id=7, index=0)
    os.write(draft.fd, content)
    os.fsync(draft.fd)
    return draft


def files_below(root: Path) -> dict[str, bytes]:
    """Give every file, hidden ones too, with its bytes."""
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
