"""A lane, real but for two things: a picture ending in HOSTILE takes it over, and a wall can be missing.

`hostile_lane.py FACTS SOCKET PARENT`. What the picture tried comes back as the words of its fault.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from bgrd.engine import landlock, lane, seccomp
from bgrd.engine.pipeline import begin, complete
from bgrd.errors import InputFault
from tests.programs.hostile_program import attempts, outcome

FACTS = json.loads(sys.argv[1])
HOSTILE = b"HOSTILE"


def taken_over(data: bytes, **options: Any) -> Any:
    """Begin as ever, but for the picture that takes the lane over."""
    return HOSTILE if data.endswith(HOSTILE) else begin(data, **options)


def hostile(begun: Any, *, write: Callable[[int], BinaryIO], **options: Any) -> Any:
    """Complete as ever, or try everything."""
    if begun != HOSTILE:
        return complete(begun, write=write, **options)
    draft = write(0).fileno()
    facts = {**FACTS, "parent": os.getppid(), "draft": draft}
    # Truncation first: a sparse giant would not show on the disk, where the limit did not hold.
    tries = {**attempts(facts), "fill the disk": lambda: os.pwrite(draft, b"x", 1 << 40)}
    text = f"tried {json.dumps({name: outcome(attempt) for name, attempt in tries.items()}, separators=(',', ':'))}"
    raise InputFault(text)


def missing(*_: object) -> int:
    """Be a kernel without this wall."""
    raise OSError(errno.ENOSYS, "switched off for the test")


vars(lane).update(begin=taken_over, complete=hostile, _TEXT_LIMIT=10_000)
for wall in FACTS.get("without", ()):
    vars({"landlock": landlock, "seccomp": seccomp}[wall]).update(confine=missing)
sys.exit(lane.main(sys.argv[2:]))
