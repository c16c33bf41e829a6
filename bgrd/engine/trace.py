"""Where a fault came from: for the log, when nothing of a picture but something of ours or of this system is wrong."""

from __future__ import annotations

import traceback

from bgrd.errors import Fault, UnknownFault

__all__ = ["behind", "trace"]


def behind(fault: Fault) -> str:
    """Say what lies behind a fault: where it came from if nobody foresaw it, else what was said there."""
    cause = fault.__cause__
    if cause is None:
        return ""
    return trace(fault) if isinstance(fault, UnknownFault) else f"{type(cause).__name__}: {cause}"


def trace(error: BaseException) -> str:
    """Say where an error came from, the last call last: by file and line, as the source cannot be opened any more."""
    lines = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        lines.append(f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}\n")
    cause = error.__cause__ or error.__context__
    before = f"{trace(cause)}from that:\n" if cause is not None else ""
    return f"{before}{''.join(lines)}{type(error).__name__}: {error}\n"
