"""bgrd with an intake that can be disturbed: `python altered_intake.py ORDER LIMIT_SECONDS run`.

The file ORDER names what is to go wrong next, once: `raise` (the handler of events raises), `close` (the watch's
descriptor is closed under it), `end` (the watch's thread ends). Watches that met the kernel's limit are tried again
after LIMIT_SECONDS.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bgrd.cli.main import main
from bgrd.intake import ears
from bgrd.intake.walker import Walker
from bgrd.intake.watch import Watch

ORDER = Path(sys.argv[1])
ears._LIMIT_SECONDS = float(sys.argv[2])
_health, _dirty = Watch.health, Walker.dirty


def _taken(*words: str) -> str:
    order = ORDER.read_text().strip() if ORDER.exists() else ""
    if order in words:
        ORDER.unlink()
        return order
    return ""


def disturbed_health(watch: Watch) -> str | None:
    """Do what was ordered to the watch, then look after it as ever."""
    reader = watch._reader
    if reader is not None:
        match _taken("close", "end"):
            case "close":
                os.close(reader._inotify_fd)
                os.write(reader._kill_w, b"!")
            case "end":
                reader.stop()
                reader.join()
    return _health(watch)


def disturbed_dirty(walker: Walker, path: bytes) -> None:
    """Note a path, or raise where that was ordered."""
    if _taken("raise"):
        raise RuntimeError(path)
    _dirty(walker, path)


Watch.health = disturbed_health  # type: ignore[method-assign, assignment]
Walker.dirty = disturbed_dirty  # type: ignore[method-assign, assignment]
sys.exit(main(sys.argv[3:]))
