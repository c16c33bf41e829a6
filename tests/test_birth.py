"""How the processes of the engine begin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from bgrd.engine.process import LaneProcess, start_device, start_lane
from bgrd.engine.wire import Channel
from tests.houses.inboxes import until
from tests.kernel.processes import signals


@pytest.mark.parametrize("module", ["lane", "device"])
def test_what_has_another_parent_than_it_was_told_ends_at_once(module: str) -> None:
    """The one that started it was gone before the kernel could be told: it ends well, though its socket is open."""
    ours, theirs = Channel.pair()
    command = [sys.executable, "-P", "-m", f"bgrd.engine.{module}", str(theirs.fileno()), str(os.getppid())]
    assert subprocess.run(command, pass_fds=(theirs.fileno(),), check=False, timeout=50).returncode == 0
    ours.close()
    theirs.close()


@pytest.mark.parametrize("start", [start_lane, start_device])
def test_it_takes_no_signal_of_a_terminal(start: Callable[[], LaneProcess]) -> None:
    """Those are the parent's to answer; whatever the thread that started it blocks, the others are taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    until(lambda: {signal.SIGINT, signal.SIGHUP} <= signals(process.pid, "SigIgn"))
    until(lambda: signal.SIGTERM not in signals(process.pid, "SigBlk"))
    process.channel.close()
    assert process.wait_or_kill(20) == "ended with status 0"
