"""Runs the daemon for a long time on made pictures and watches that nothing grows: `python bench/soak.py [MINUTES]`.

Every round drops pictures of several sizes, a broken one among them, and notes memory, descriptors and threads of the
daemon once it is done with them. The second half of the run must not lie above the first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

SIZES = ((320, 240), (800, 600), (1600, 1200))
ROUND_SECONDS = 120


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what a round leads to; raises TimeoutError."""
    deadline = time.monotonic() + ROUND_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            text = f"{what} took longer than {ROUND_SECONDS} seconds"
            raise TimeoutError(text)
        time.sleep(0.05)


def drop(inbox: Path, number: int) -> int:
    """Drop one picture of each size and one that is none; gives how many results are to come."""
    noise = np.random.default_rng(number)
    for width, height in SIZES:
        ground = np.full((height, width, 3), noise.integers(60, 200, 3), np.uint8)
        ground[height // 4 : -height // 4, width // 3 : -width // 3] = noise.integers(0, 255, 3)
        hidden = inbox / f".{number}-{width}.jpg"
        Image.fromarray(ground).save(hidden, "JPEG")
        hidden.rename(inbox / hidden.name[1:])
    (inbox / f"{number}-broken.jpg").write_text("not a picture")
    return len(SIZES)


def gauge(pid: int) -> tuple[int, int, int]:
    """Give resident KiB, open descriptors and threads of the daemon."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"])


def main() -> int:
    """Soak, print the figures, and end with 1 where something grew."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "BGRD_MIN_FREE": "0"}
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
            environment.pop(name, None)
        daemon = subprocess.Popen([sys.executable, "-m", "bgrd", "run"], env=environment, stderr=subprocess.DEVNULL)
        inbox, outbox = Path(home, "bgr/inbox"), Path(home, "bgr/outbox")
        try:
            wait_until(inbox.is_dir, "starting")
            gauges = soak(daemon.pid, inbox, outbox, until=time.monotonic() + minutes * 60)
        finally:
            daemon.terminate()
            daemon.wait(90)
    return judge(gauges)


def soak(pid: int, inbox: Path, outbox: Path, *, until: float) -> list[tuple[int, int, int]]:
    """Drop round after round; gives the gauges after each."""
    gauges, number, results = [], 0, 0
    while time.monotonic() < until:
        number += 1
        results += drop(inbox, number)
        note = outbox / f"_failed/{number}-broken.jpg.txt"
        wait_until(lambda wanted=results: len(list(outbox.glob("*.png"))) == wanted, f"round {number}")  # type: ignore[misc]
        wait_until(note.exists, f"the note of round {number}")
        gauges.append(gauge(pid))
    return gauges


def judge(gauges: list[tuple[int, int, int]]) -> int:
    """Compare the second half of the run with the first, its first tenth left out."""
    gauges = gauges[len(gauges) // 10 :]
    first, second = gauges[: len(gauges) // 2], gauges[len(gauges) // 2 :]
    if not first:
        print("too few rounds to tell anything")
        return 1
    grown = 0
    for index, (name, allowed) in enumerate((("resident KiB", 1.05), ("descriptors", 1.0), ("threads", 1.0))):
        before, after = median(each[index] for each in first), median(each[index] for each in second)
        grown += after > before * allowed
        print(f"{name:13} first half {before:9.0f}, second half {after:9.0f}, ratio {after / before:.3f}")
    print(f"{len(gauges)} rounds; {'something grew' if grown else 'nothing grew'}")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
