"""How the processes of the engine begin: tied to their parent's life, deaf to its terminal, with a socket to it.

Each is started as `python -m MODULE SOCKET PARENT`: an inherited descriptor, and the pid that must still be its parent.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence

from bgrd.engine.wire import Channel
from bgrd.kernel import die_with_parent

__all__ = ["born", "silence"]


def born(arguments: Sequence[str]) -> Channel | None:
    """Take SOCKET and PARENT from the command line; gives the channel, None where the parent is gone already."""
    descriptor, parent = int(arguments[0]), int(arguments[1])
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        return None  # it died before the kernel was told
    # A terminal's signals are the parent's to answer; the process group is our own, this is for those sent by hand.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the thread that starts us takes no signals
    return Channel.adopt(descriptor)


def silence(streams: Iterable[int]) -> None:
    """Lead these of the standard streams nowhere. Raises OSError."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in streams:
        os.dup2(nowhere, stream)
    os.close(nowhere)
