"""Landlock with everything forbidden: no file is opened, made or removed, no port used, nobody signalled.

Sources: landlock(7), landlock_create_ruleset(2), linux/landlock.h. The packages that speak it are young and made for
rules; a ruleset without any rule is two system calls.
"""

from __future__ import annotations

import ctypes
import os
import struct

__all__ = ["confine"]

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_VERSION = 1

_RIGHTS = (
    (6, (1 << 16) - 1, 3, 3),
    (5, (1 << 16) - 1, 3, 0),
    (4, (1 << 15) - 1, 3, 0),
    (3, (1 << 15) - 1, 0, 0),
    (2, (1 << 14) - 1, 0, 0),
    (1, (1 << 13) - 1, 0, 0),
)
"""The version that brought them, and all rights there are since: on files, on the network (TCP), and on what is
outside (abstract sockets, signals)."""


def confine() -> int:
    """Take every right Landlock knows of from this thread and the threads it makes; gives Landlock's version.

    What is open stays usable. Raises OSError: ENOSYS where the kernel has none, EOPNOTSUPP where it is switched off.
    Needs no_new_privs.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = _checked(libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION)))
    rights = next(rights for since, *rights in _RIGHTS if since <= version)
    # An older kernel takes a longer structure as long as what it does not know is zero.
    wanted = struct.pack("=QQQ", *rights)
    ruleset = _checked(
        libc.syscall(ctypes.c_long(_CREATE_RULESET), wanted, ctypes.c_size_t(len(wanted)), ctypes.c_uint(0))
    )
    try:
        _checked(libc.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0)))
    finally:
        os.close(ruleset)
    return version


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
