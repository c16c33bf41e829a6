"""Starts lanes from a thread that shares no descriptors with the others.

A child begins with a copy of its parent's descriptors and closes them before it becomes a lane. Closing one that lies
on a FUSE file system asks its server: where that is dead, neither the child nor whoever started it goes on, and no
folder gets a lane any more. A thread that has left the common table (unshare(2), CLONE_FILES) before any folder is
opened has nothing of the sort to pass on.

Residual risk: where unshare is forbidden (some containers), lanes are started as by anybody else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue

from bgrd.engine.process import LaneProcess, start_lane
from bgrd.engine.wire import Channel

__all__ = ["Starter"]

_CLONE_FILES = 0x400


class Starter:
    """Starts lanes until `close`. Make it before anything is open that the lanes should not meet.

    The thread lives as long as this does: PR_SET_PDEATHSIG follows the thread that started a lane.
    """

    def __init__(self, start: Callable[[], LaneProcess] = start_lane) -> None:
        self._start = start
        self._wanted: SimpleQueue[Callable[[], LaneProcess] | None] = SimpleQueue()
        self._started: SimpleQueue[LaneProcess | OSError] = SimpleQueue()
        # Descriptors cross from one table to the other as between processes.
        self._here, self._there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="starter", daemon=True)
        self._thread.start()
        self._ready.wait()

    def start(self) -> LaneProcess:
        """Start a lane. Raises OSError as `start_lane`."""
        self._wanted.put(self._start)
        started = self._started.get()
        if isinstance(started, OSError):
            raise started
        _, descriptors, _, _ = socket.recv_fds(self._here, 1, 1)
        if not descriptors:  # no room for one more in this table
            started.kill()
            started.child.wait()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        os.set_inheritable(descriptors[0], False)  # noqa: FBT003 - its only form; recv_fds loses MSG_CMSG_CLOEXEC
        started.channel = Channel.adopt(descriptors[0])
        return started

    def close(self) -> None:
        """End the thread; lanes that still run end with it."""
        self._wanted.put(None)
        self._thread.join()
        self._here.close()
        self._there.close()

    def _serve(self) -> None:
        ctypes.CDLL(None).unshare(_CLONE_FILES)
        self._ready.set()
        while (start := self._wanted.get()) is not None:
            try:
                process = start()
            except OSError as error:
                self._started.put(error)
                continue
            socket.send_fds(self._there, [b"."], [process.channel.fileno()])
            process.channel.close()
            self._started.put(process)
