"""The README as a new user would follow it: a fresh copy, a fresh home, `make run`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures.making import corners, encoded

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def copied(place: Path) -> Path:
    """Copy what is committed or would be: neither environments nor caches."""
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
    shutil.copytree(ROOT, place, ignore=ignored)
    return place


def until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Wait for a condition another process brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def environment(home: Path) -> dict[str, str]:
    """Give the environment of somebody who has just logged in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "BGRD_", "VIRTUAL_ENV"))}
    return kept | {"HOME": str(home), "PYTHON": sys.executable}


def test_make_run_in_a_fresh_copy_cuts_out_what_is_dropped(tmp_path: Path) -> None:
    """`make run` sets itself up, makes the folders, cuts out a photo offline, and ends well on Ctrl-C."""
    home = tmp_path / "home"
    home.mkdir()
    with (tmp_path / "log").open("wb") as log:
        make = subprocess.Popen(
            ["make", "run", f"PYTHON={sys.executable}"],
            cwd=copied(tmp_path / "copy"),
            env=environment(home),
            stdout=log,
            stderr=log,
            process_group=0,
        )
        try:
            until(lambda: make.poll() is not None or (home / "bgr/inbox").is_dir(), seconds=300)
            assert make.poll() is None, (tmp_path / "log").read_text()
            (home / "bgr/inbox/photo.jpg").write_bytes(encoded(corners(640, 480), "JPEG"))
            until((home / "bgr/outbox/photo.png").exists, seconds=60)
        finally:
            os.killpg(make.pid, signal.SIGINT)
            make.wait(60)
    with Image.open(home / "bgr/outbox/photo.png") as result:
        assert result.size == (640, 480)
        assert result.mode == "RGBA"
    assert (home / "bgr/inbox/photo.jpg").exists()
    assert '"event": "daemon.end", "clean": true' in (tmp_path / "log").read_text()
