"""Control groups of a test's own: a limit that holds for a daemon and its lanes together."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.houses.inboxes import until

__all__ = ["limited"]

_ROOT = Path("/sys/fs/cgroup")
_KNOBS = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}


@contextmanager
def limited(controller: str, limit: int) -> Iterator[tuple[str, ...]]:
    """Give what goes before a command so that it runs under the limit; skips where no group can be made."""
    old = (_ROOT / controller).is_dir()
    group = (_ROOT / controller if old else _ROOT) / f"bgrd-test-{uuid.uuid4().hex[:8]}"
    try:
        if not old:
            (_ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {os.strerror(error.errno or 0)}")
    try:
        try:
            (group / _KNOBS[controller][0 if old else 1]).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"no limit can be set: {os.strerror(error.errno or 0)}")
        yield ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        with suppress(OSError):
            group.rmdir()
