"""What a picture that took its lane over would try, one thing after the other, from inside the real cage.

`attempts` gives each by its name; `outcome` makes one and gives the error's name, or "done". As a program,
`hostile_program.py WALLS FACTS` enters the cage with "both" walls, with "landlock" or "seccomp" alone, with "none", or
with seccomp by "prctl", and prints what came of it as JSON. Nobody may be hurt where a wall does not hold: signals are
0, limits and rights stay as they are, and what would be a bomb is one child that ends at once.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["attempts", "outcome"]

_PLACE = ("x86_64", "aarch64").index(platform.machine())

# Numbers from the kernel's tables, then arguments that would be valid where it matters.
_RAW: dict[str, tuple[tuple[int, int], tuple[int, ...]]] = {
    "io_uring": ((425, 425), (1, 0)),
    "memory file": ((319, 279), (0, 0)),
    "page faults": ((323, 282), (1,)),
    "bpf": ((321, 280), (0, 0, 0)),
    "key ring": ((250, 219), (0, -3, 0)),
    "performance counters": ((298, 241), (0, 0, -1, -1, 0)),
    "namespace": ((272, 97), (0x10000000,)),
    "namespace by clone": ((56, 220), (0x10000000 | 17, 0, 0, 0, 0)),
    "personality": ((135, 92), (-1,)),
    "shared memory": ((29, 194), (0, 4096, 0o1600)),
    "file by handle": ((304, 265), (-100, 0, 0)),
    "mount": ((165, 40), (0, 0, 0, 0, 0)),
    "watch files": ((294, 26), (0,)),
    "second filter": ((317, 277), (1, 0, 0)),
    "all my descriptors": ((436, 436), (1000, 1001, 0)),
}
_PRCTL = {"traceable": (4, 1), "outlive the parent": (1, 0), "capabilities": (24, 0)}
_PTRACE_SEIZE, _PTRACE_DETACH = 0x4206, 17

_libc = ctypes.CDLL(None, use_errno=True)


def attempts(facts: Mapping[str, Any]) -> dict[str, Callable[[], object]]:
    """Give every attempt by name. `facts`: home, secret, tcp, path, abstract, parent, draft."""
    home, secret, parent = Path(facts["home"]), Path(facts["secret"]), facts["parent"]
    draft = int(facts["draft"])
    return {
        "connect": lambda: _connect(socket.AF_INET, ("127.0.0.1", facts["tcp"])),
        "connect to a socket file": lambda: _connect(socket.AF_UNIX, facts["path"]),
        "connect to an abstract socket": lambda: _connect(socket.AF_UNIX, "\0" + facts["abstract"]),
        "datagram": lambda: _datagram(facts["tcp"]),
        "socket pair": _pair,
        "write into home": lambda: (home / "planted").write_text("x"),
        "read a secret": secret.read_bytes,
        "read a system file": lambda: Path("/etc/passwd").read_bytes(),
        "see whether a file exists": secret.stat,
        "list a directory": lambda: os.listdir(home),
        "open the draft anew": lambda: os.close(os.open(f"/proc/self/fd/{draft}", os.O_RDWR)),
        "remove": lambda: os.unlink(secret),
        "rename": lambda: os.rename(secret, home / "moved"),
        "link": lambda: os.link(secret, home / "linked"),
        "link symbolically": lambda: os.symlink(secret, home / "symlink"),
        "make a directory": lambda: os.mkdir(home / "made"),
        "change a mode": lambda: os.chmod(secret, 0o600),
        "change the draft's mode": lambda: os.fchmod(draft, 0o777),
        "label": lambda: os.setxattr(secret, "user.x", b"1"),
        "truncate": lambda: os.truncate(secret, 0),
        "run a program": _run,
        "make a process": _fork,
        "signal the parent": lambda: os.kill(parent, 0),
        "signal a thread of the parent": lambda: _checked(_libc.tgkill(parent, parent, 0)),
        "have the kernel signal the parent": lambda: fcntl.fcntl(draft, fcntl.F_SETOWN, parent),
        "trace the parent": lambda: _trace(parent),
        "read the parent's memory": lambda: _peek(parent),
        "hold the parent": lambda: os.close(os.pidfd_open(parent)),
        "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        "limit the parent": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
        "read the parent's limits": lambda: resource.prlimit(parent, resource.RLIMIT_CORE),
        "move to another processor": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "be more important": lambda: os.setpriority(os.PRIO_PROCESS, 0, 0),
        "leave the group": os.setsid,
        "make code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close(),
        "make memory code": _make_executable,
        "talk to a device": lambda: fcntl.ioctl(draft, 0x5413, bytes(8)),
        **{name: partial(_raw, numbers[_PLACE], given) for name, (numbers, given) in _RAW.items()},
        **{name: partial(_prctl, *given) for name, given in _PRCTL.items()},
    }


def outcome(attempt: Callable[[], object]) -> str:
    """Make an attempt; gives the error's name, or "done"."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except ValueError:
        return "EPERM"  # what `setrlimit` makes of it
    return "done"


def _checked(status: int) -> int:
    if status < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return status


def _raw(number: int, given: tuple[int, ...]) -> None:
    got = _checked(_libc.syscall(ctypes.c_long(number), *(ctypes.c_long(part) for part in given)))
    if got == 0 and number in {56, 220}:
        os._exit(0)  # the child, where there was one


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _connect(family: int, address: Any) -> None:
    with socket.socket(family) as end:
        end.connect(address)


def _pair() -> None:
    for end in socket.socketpair():
        end.close()


def _datagram(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"x", ("127.0.0.1", port))


def _run() -> None:
    """Become a program that cannot be told from success: only its absence is an error."""
    os.execv("/bin/true", ["true"])


def _fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _trace(parent: int) -> None:
    _checked(_libc.ptrace(_PTRACE_SEIZE, parent, None, None))
    _libc.ptrace(_PTRACE_DETACH, parent, None, None)


def _peek(parent: int) -> None:
    """Read one byte where we have one: the parent may have it at another place, which is another error."""
    got = ctypes.create_string_buffer(1)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(got), 1)
    _checked(_libc.process_vm_readv(parent, vector, 1, vector, 1, 0))


def _make_executable() -> None:
    with mmap.mmap(-1, 4096) as memory:
        at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        _checked(_libc.mprotect(ctypes.c_void_p(at), 4096, 1 | 4))


def main() -> None:
    """Enter the cage and try."""
    from bgrd.engine import cage, landlock, seccomp  # noqa: PLC0415 - a lane that uses `attempts` has them itself

    def missing(*_: object) -> int:
        raise OSError(errno.ENOSYS, "switched off for the test")

    walls, facts = sys.argv[1], json.loads(sys.argv[2])
    if walls == "landlock":
        seccomp.confine = missing  # type: ignore[assignment]
    if walls == "prctl":  # as below systemd 252's @system-service, which has no seccomp(2)
        vars(seccomp)["_SECCOMP_CALLS"] = (10_000, 10_000)
    if walls == "seccomp":
        landlock.confine = missing
    facts["parent"] = os.getppid()
    with open(facts["draft"], "r+b", buffering=0) as draft:
        facts["draft"] = draft.fileno()
        found = cage.Cage(holds=(), missing=()) if walls == "none" else cage.enter()
        # What a broken wall would let through ends this program or makes another: not while one is switched off.
        fatal = {"run a program"} if walls == "none" else set()
        outcomes = {name: outcome(attempt) for name, attempt in attempts(facts).items() if name not in fatal}
    sys.stdout.write(json.dumps({"holds": found.holds, "missing": found.missing, "tried": outcomes}))


if __name__ == "__main__":
    main()
