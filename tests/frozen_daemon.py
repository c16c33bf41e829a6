"""bgrd with an intake that can be frozen: `python frozen_intake.py FLAG run`.

While the file FLAG exists it stands still. The thread waits on a lock, as it would in a deadlock: not in a system call
on a dead share, which is forgiven.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from bgrd.cli.main import main
from bgrd.intake.walker import Walker

FLAG = Path(sys.argv[1])
_round = Walker.round


def frozen_round(walker: Walker) -> float:
    """Go round as ever, or never come back."""
    if FLAG.exists():
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    return _round(walker)


Walker.round = frozen_round  # type: ignore[method-assign, assignment]
sys.exit(main(sys.argv[2:]))
