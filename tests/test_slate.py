"""Who waits and whom a model works for, told by memory alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bgrd.engine.slate import ROWS, Slate


@pytest.fixture
def ends() -> Iterator[tuple[Slate, Slate, int]]:
    """Give both ends of one slate and its descriptor."""
    read, descriptor = Slate.made()
    yield read, Slate(descriptor), descriptor
    os.close(descriptor)


def test_what_one_end_writes_the_other_reads(ends: tuple[Slate, Slate, int]) -> None:
    """States by number, who is worked for, and which run is under way; what was struck is away."""
    read, write, _ = ends
    assert (read.run, read.running(), read.state(7)) == (0, [], "away")
    assert write.put(7, "waiting")
    assert write.put(8, "running")
    write.begin(3)
    assert (read.run, read.running(), read.state(7)) == (3, [8], "waiting")
    write.put(7, "running")
    assert read.running() == [7, 8]
    write.strike(7)
    write.end()
    assert (read.run, read.running(), read.state(7)) == (0, [8], "away")


def test_it_outlives_who_wrote_it(ends: tuple[Slate, Slate, int]) -> None:
    """A process that ends in the middle of a run leaves whom it worked for."""
    read, _, descriptor = ends
    code = (
        "import os, sys; from bgrd.engine.slate import Slate; slate = Slate(int(sys.argv[1]));"
        "slate.put(5, 'running'); slate.begin(1); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(descriptor)], pass_fds=(descriptor,), check=False)
    assert done.returncode == -9
    assert (read.run, read.running()) == (1, [5])


def test_nobody_changes_its_size(ends: tuple[Slate, Slate, int]) -> None:
    """Who is handed it can neither cut it off nor make it longer, and what it says can be read still."""
    read, write, descriptor = ends
    write.put(7, "running")
    for size in (0, 8, 10**6):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
    assert read.running() == [7]


def test_a_full_one_takes_no_more_until_one_is_struck(ends: tuple[Slate, Slate, int]) -> None:
    """It says so, and what is on it stays."""
    read, write, _ = ends
    assert all(write.put(number, "running") for number in range(1, ROWS + 1))
    assert not write.put(ROWS + 1, "running")
    assert len(read.running()) == ROWS
    write.strike(1)
    assert write.put(ROWS + 1, "waiting")
