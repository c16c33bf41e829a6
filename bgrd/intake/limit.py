"""The kernel's limits on inotify, told from our own want of descriptors."""

from __future__ import annotations

import errno
import os

from bgrd.errors import DaemonFault

__all__ = ["SYSCTLS", "WatchLimitFault", "limit_or"]

SYSCTLS = {errno.ENOSPC: "fs.inotify.max_user_watches", errno.EMFILE: "fs.inotify.max_user_instances"}
"""Which setting is to be raised, by the kernel's answer."""


class WatchLimitFault(DaemonFault):
    """The kernel's limit on inotify is reached; `sysctl` names the setting to raise."""

    def __init__(self, sysctl: str) -> None:
        super().__init__(f"the inotify limit is reached: raise {sysctl} to have new files noticed at once")
        self.sysctl = sysctl


def limit_or(error: OSError) -> Exception:
    """Give what a failure of inotify means: a limit of the kernel, our own want of descriptors, or itself."""
    sysctl = SYSCTLS.get(error.errno or 0)
    if error.errno == errno.EMFILE and not _room():
        return OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # our own descriptors, not the kernel's inotify
    return WatchLimitFault(sysctl) if sysctl is not None else error


def _room() -> bool:
    """Say whether this process may open one more file."""
    try:
        os.close(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
