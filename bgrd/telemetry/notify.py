"""Tells systemd how the service is: sd_notify(3) in a few lines of our own.

The packages that speak it are unmaintained or need C headers to install, and the protocol is one datagram. Without a
socket every call does nothing. A lost message stops nobody: systemd draws its own conclusion from silence.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from threading import Lock

from bgrd.escape import line

__all__ = ["Beats", "Notifier"]

_SEND_SECONDS = 1.0


class Notifier:
    """The service manager's ear; `watchdog_interval` is how often it wants `watchdog()`, in seconds, or None.

    Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: a lane must not speak for the daemon.
    """

    def __init__(
        self,
        environ: MutableMapping[str, str] = os.environ,
        *,
        pid: int | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        limit_us, watched = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        self.watchdog_interval = _interval(limit_us, watched=watched, pid=os.getpid() if pid is None else pid)
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None

    def ready(self, status: str) -> bool:
        """Say that the service is up, or up again after `reloading`. True if it was heard, as in all that follow."""
        return self._send("READY=1", _status(status), wait=True)

    def status(self, text: str) -> bool:
        """Say in one line what the service is doing."""
        return self._send(_status(text))

    def reloading(self) -> bool:
        """Say that the configuration is being read again; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_ns() // 1000}", wait=True)

    def stopping(self) -> bool:
        """Say that the service is shutting down."""
        return self._send("STOPPING=1", wait=True)

    def watchdog(self) -> bool:
        """Say that the service is alive; only to be said when no loop is late, see `Beats`."""
        return self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> bool:
        """Ask for this much time, from now, until the next message about start, reload or stop."""
        return self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def close(self) -> None:
        """Let the socket go; later calls do nothing. Idempotent."""
        if self._socket:
            self._socket.close()
        self._socket = None

    def _send(self, *lines: str, wait: bool = False) -> bool:
        """Send the lines as one datagram; with `wait`, where the manager is behind with reading, wait a little.

        What is said again soon does not wait: the main loop has pictures to look after.
        """
        if self._socket is None:
            return False
        message = "\n".join(lines).encode("utf-8", "backslashreplace")
        try:
            self._socket.sendto(message, socket.MSG_DONTWAIT, self._address)
        except BlockingIOError:
            return wait and self._insist(message)
        except OSError:
            return False
        return True

    def _insist(self, message: bytes) -> bool:
        """Send once there is room. Only a connected socket can wait for that: poll(2) finds any other ready at once."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connected:
                connected.settimeout(_SEND_SECONDS)
                connected.connect(self._address)
                connected.send(message)
        except OSError:
            return False
        return True


class Beats:
    """When each named loop last came round, and which of them are late; for use by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._deadlines: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def expect(self, name: str, *, within_seconds: float, now: float) -> None:
        """Expect a beat of this loop at least every `within_seconds` from now on; the last call holds."""
        with self._lock:
            self._deadlines[name] = within_seconds
            self._last[name] = now

    def beat(self, name: str, now: float) -> None:
        """Note that the loop came round; a loop nobody expects may beat as well. Never goes back in time."""
        with self._lock:
            if name in self._last:
                self._last[name] = max(self._last[name], now)

    def forget(self, name: str) -> None:
        """Expect this loop no more: it ended on purpose, or its share is dead and said to be."""
        with self._lock:
            self._deadlines.pop(name, None)
            self._last.pop(name, None)

    def late(self, now: float) -> list[str]:
        """Give the names of the loops whose last beat is longer ago than they may, sorted."""
        with self._lock:
            return sorted(name for name, last in self._last.items() if now - last > self._deadlines[name])


def _interval(limit_us: str, *, watched: str, pid: int) -> float | None:
    """Give half of systemd's limit in seconds, or None where it does not wait for this process."""
    if not limit_us.isdecimal() or int(limit_us) == 0 or (watched and watched != str(pid)):
        return None
    return int(limit_us) / 2e6


def _address(text: str) -> str:
    """Give the socket's address: a path, or a name in the abstract space; "" for what this cannot speak to (vsock)."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


def _status(text: str) -> str:
    """Give the STATUS line; a line break would start another assignment, and people read it on a terminal."""
    return "STATUS=" + line(text)
