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
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from bgrd.engine.process import LaneProcess, start_device, start_lane
from bgrd.engine.wire import Channel
from bgrd.question import begin

__all__ = ["Starter", "Starters"]

_CLONE_FILES = 0x400
_PATIENCE_SECONDS = 30.0
"""For the system to make a process: it takes milliseconds, and the main loop waits for it."""
_END_SECONDS = 5.0


class Starter:
    """Starts lanes until `close`. Make it before anything is open that the lanes should not meet.

    The thread lives as long as this does: PR_SET_PDEATHSIG follows the thread that started a lane.
    """

    def __init__(self, start: Callable[[], LaneProcess] = start_lane) -> None:
        self._start = start
        self._wanted: SimpleQueue[Callable[[], LaneProcess] | None] = SimpleQueue()
        self._started: SimpleQueue[LaneProcess | OSError] = SimpleQueue()
        self._late = False  # whether what was wanted last has not come yet
        self._ahead = False  # whether a lane was wanted that nobody has asked for
        # Descriptors cross from one table to the other as between processes.
        self._here, self._there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="starter", daemon=True)
        try:
            begin(self._thread)
        except OSError:
            self._here.close()
            self._there.close()
            raise
        self._ready.wait()

    def go_ahead(self) -> None:
        """Have a lane start now, without waiting for it; it is for whoever asks first."""
        self._ahead = True
        self._wanted.put(self._start)

    def dismiss(self) -> None:
        """End the lane that was started ahead, where nobody has asked for it."""
        if self._ahead:
            with suppress(OSError):
                unwanted = self.start()
                unwanted.channel.close()
                _end(unwanted)

    def start(self) -> LaneProcess:
        """Start a lane. Raises OSError as `start_lane`, and TimeoutError where the system takes too long to make it.

        A lane that comes after that is for whoever asks next; until then nobody waits again.
        """
        if not (self._late or self._ahead):
            self._wanted.put(self._start)
        self._ahead = False
        try:
            started = self._started.get(timeout=0.0 if self._late else _PATIENCE_SECONDS)
        except Empty:
            self._late = True
            raise TimeoutError(errno.ETIMEDOUT, "the system takes too long to start one") from None
        self._late = False
        if isinstance(started, OSError):
            raise started
        _, descriptors, _, _ = socket.recv_fds(self._here, 1, 1)
        if not descriptors:  # no room for one more in this table
            _end(started)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        os.set_inheritable(descriptors[0], False)  # noqa: FBT003 - its only form; recv_fds loses MSG_CMSG_CLOEXEC
        started.channel = Channel.adopt(descriptors[0])
        return started

    def close(self) -> None:
        """End the thread; lanes that still run end with it. Again is harmless."""
        self._wanted.put(None)
        self._thread.join(_END_SECONDS)
        with suppress(Empty):
            while True:
                if not isinstance(late := self._started.get_nowait(), OSError):
                    _end(late)
        self._here.close()
        self._there.close()

    def _serve(self) -> None:
        # A signal that is taken on this thread is told to a descriptor of the common table, which may be another here.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            ctypes.CDLL(None).unshare(_CLONE_FILES)
        finally:
            self._ready.set()
        while (start := self._wanted.get()) is not None:
            self._started.put(self._begun(start))

    def _begun(self, start: Callable[[], LaneProcess]) -> LaneProcess | OSError:
        """Start a lane and send its channel, or give the reason why not: this thread must not end of it."""
        process = None
        try:
            process = start()
            socket.send_fds(self._there, [b"."], [process.channel.fileno()])
        except Exception as error:  # noqa: BLE001 - memory may be short, or what subprocess knows as no OSError
            if process is not None:
                _end(process)
            return error if isinstance(error, OSError) else OSError(errno.EAGAIN, f"{type(error).__name__}: {error}")
        finally:
            if process is not None:
                process.channel.close()
        return process


class Starters:
    """Starts lanes, and the processes of models that lanes share, until `close`; each has a thread of its own.

    So what is late of the one is never taken for the other. Make it as early as a `Starter`.
    """

    def __init__(self) -> None:
        self.lanes = Starter()
        try:
            self.devices = Starter(start_device)
        except OSError:
            self.lanes.close()
            raise

    def close(self) -> None:
        """End both threads. Again is harmless."""
        self.lanes.close()
        self.devices.close()


def _end(process: LaneProcess) -> None:
    process.kill()
    process.child.wait()
