"""Lanes give way: whoever else wants a processor gets it first, and the daemon itself answers at once."""

from __future__ import annotations

import os
from contextlib import suppress

from bgrd.engine.process import LaneProcess

__all__ = ["niced"]


def niced(process: LaneProcess, least: int) -> LaneProcess:
    """Give a lane that has just been started this niceness, unless it inherited more; every thread it will have too.

    Best effort: a lane that is gone, or a system that forbids it, is no reason to work on nothing.
    """
    with suppress(OSError):
        if os.getpriority(os.PRIO_PROCESS, process.pid) < least:
            # Its whole group: Linux keeps this for each thread, and it may have started some by now.
            os.setpriority(os.PRIO_PGRP, process.pid, least)
    return process
