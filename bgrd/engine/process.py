"""One lane's operating-system side: start it, look at it, end it."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bgrd.engine.wire import Channel

__all__ = [
    "BURY_SECONDS",
    "LaneProcess",
    "Leaving",
    "device_environment",
    "kernel_oom_kills",
    "lane_environment",
    "start_device",
    "start_lane",
]

BURY_SECONDS = 1.0
"""How long a lane that was killed, or hung up, may take to be gone."""

_END_SECONDS = 5.0


_PASSED_ON = frozenset(
    {
        "GLIBC_TUNABLES",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOCPATH",
        "PATH",
        "TMPDIR",
        "TZ",
        "VIRTUAL_ENV",
    }
)
_FAMILIES = ("LC_", "MALLOC_", "NIX_", "PYTHON")
_DRIVERS = (
    "CUDA",
    "NVIDIA",
    "HIP",
    "HSA",
    "ROC",
    "MIGRAPHX",
    "ORT_",
    "OPENVINO",
    "OV_",
    "ONEAPI",
    "SYCL",
    "ZE",
    "XDG_",
)
"""By which the drivers and libraries of devices are told what to use, and where to keep what they have compiled."""
_THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS")
"""What numpy's libraries of linear algebra ask, each its own first."""

_ALLOCATION = (
    "glibc.malloc.hugetlb=1",
    f"glibc.malloc.mmap_threshold={32 * 2**20}",
    f"glibc.malloc.trim_threshold={128 * 2**20}",
)
"""How the C library gets its memory. Tunables of glibc: others pass them over, and it those it does not know.

Large pages, where the system leaves programs the choice: U-2-Netp's run takes 2 % less so, its int8 variant's 5 %.
And what a picture took is kept for the next, up to 128 MiB, which photos of 12 megapixels need. By itself glibc comes
to 64, and each of the 68,000 pages 32 photos took anew cost a fault and cold caches: 0.24 of 3.2 s beside the model.
Blocks of over 32 MiB go back at once, as they come to by themselves.
"""

_THREADS = 20


@dataclass(slots=True)
class LaneProcess:
    """A started lane and the parent's end of its channel."""

    child: subprocess.Popen[bytes]
    channel: Channel
    _hard: dict[int, int] = field(default_factory=dict, init=False)
    _soft: dict[int, int] = field(default_factory=dict, init=False)

    @property
    def pid(self) -> int:
        """The lane's process id."""
        return self.child.pid

    def resident_bytes(self) -> int:
        """Give the memory it holds now; 0 when it is gone."""
        return self._statm()[1]

    def private_bytes(self) -> int:
        """Give the memory it holds now without what files and other processes share with it; 0 when it is gone."""
        _all, resident, shared = self._statm()
        return resident - shared

    def threads(self) -> int:
        """Give how many threads it has now; 0 when it is gone."""
        return self._stat(_THREADS)

    def processor_seconds(self) -> float:
        """Give the processor time it has used so far; 0 when it is gone."""
        try:
            return time.clock_gettime(_clock_of(self.pid))
        except OSError:
            return 0.0

    def limit(self, *, memory_bytes: int, file_bytes: int, processor_seconds: float) -> None:
        """Bound what it may take from now on: private memory, the size of a file, more processor time.

        Set from outside, as the lane cannot: it has given that up. Does nothing where it is gone. Raises
        PermissionError where the system does not let a parent do this.
        """
        with contextlib.suppress(ProcessLookupError):
            self._limit(resource.RLIMIT_DATA, memory_bytes)
            self._limit(resource.RLIMIT_FSIZE, file_bytes)
            self._limit(resource.RLIMIT_CPU, math.ceil(self.processor_seconds() + processor_seconds))

    def unlimited(self) -> str:
        """Say why `limit` cannot work here, by name and reason; empty where it can."""
        try:
            with contextlib.suppress(ProcessLookupError):
                self._limit(resource.RLIMIT_CORE, 0)
        except PermissionError:
            return "limits: they cannot be set from outside here"
        return ""

    def _limit(self, kind: int, most: int) -> None:
        """Set a soft limit; the hard one stays, as only the system's administrator could raise it again.

        Neither can change behind us: a caged lane may not, and nobody else is to.
        """
        if kind not in self._hard:
            self._hard[kind] = resource.prlimit(self.pid, kind)[1]
        hard = self._hard[kind]
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if self._soft.get(kind) != soft:
            resource.prlimit(self.pid, kind, (soft, hard))
            self._soft[kind] = soft

    def _statm(self) -> tuple[int, int, int]:
        """Give size, resident and shared bytes. Source: proc(5), /proc/PID/statm."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()
            size, resident, shared = (int(number) * resource.getpagesize() for number in pages[:3])
        except (OSError, ValueError):
            return 0, 0, 0
        return size, resident, shared

    def _stat(self, field: int) -> int:
        """Give one of the kernel's figures; 0 when it is gone. Source: proc(5), /proc/PID/stat."""
        try:
            return int(Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[field - 3])
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        """End it at once; `reaped` says when it is gone (a process stuck in the kernel may take long)."""
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()

    def reaped(self) -> bool:
        """Say whether it is gone, without waiting."""
        return self.child.poll() is not None

    def wait_or_kill(self, seconds: float) -> str:
        """Wait for its end, kill it after `seconds`; gives how it ended as the end of a sentence."""
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return "did not end in time"
        if status == -signal.SIGKILL:
            return "was killed"
        if status < 0:
            return f"died of {signal.Signals(-status).name}"
        return f"ended with status {status}"


class Leaving:
    """Lanes that were told to end, or killed, and are not yet gone."""

    def __init__(self) -> None:
        self._lanes: list[LaneProcess] = []

    def add(self, lane: LaneProcess) -> None:
        """Look after one more."""
        self._lanes.append(lane)

    def any_left(self) -> bool:
        """Say, without waiting, whether one is still there."""
        self._lanes = [lane for lane in self._lanes if not lane.reaped()]
        return bool(self._lanes)

    def wait(self) -> None:
        """Wait for all; those that do not end within a few seconds are killed."""
        for lane in self._lanes:
            lane.wait_or_kill(_END_SECONDS)
            if not lane.reaped():
                lane.wait_or_kill(BURY_SECONDS)
        self._lanes.clear()


def lane_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give a lane's environment: what Python and its libraries need to start, and no thread pools beside ours.

    Of what the user has set for other programs, tokens among it, a lane that a picture takes over must know nothing;
    and a thread that starts with a library would stay outside the cage.
    """
    kept = {name: value for name, value in environment.items() if name in _PASSED_ON or name.startswith(_FAMILIES)}
    tunables = (*_ALLOCATION, *filter(None, [kept.get("GLIBC_TUNABLES")]))  # of two of a name the last one counts
    kept["GLIBC_TUNABLES"] = ":".join(tunables)
    return kept | dict.fromkeys(_THREAD_POOLS, "1") | {"PYTHONDONTWRITEBYTECODE": "1"}


def device_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a process that runs a model: a lane's, and what drivers of devices ask for."""
    return lane_environment(environment) | {
        name: value for name, value in environment.items() if name.startswith(_DRIVERS)
    }


def start_lane(arguments: tuple[str, ...] = ("-P", "-m", "bgrd.engine.lane")) -> LaneProcess:
    """Start a lane in a process group of its own, so that a terminal's signals do not reach it.

    With -P: `bgrd once` is run among people's files, and a `json.py` there must not be imported. Raises OSError when
    the system cannot (no memory, no processes, no descriptors left).
    """
    return _started(arguments, lane_environment(os.environ))


def start_device(arguments: tuple[str, ...] = ("-P", "-m", "bgrd.engine.device")) -> LaneProcess:
    """Start the process of a model that lanes share, as a lane is started. Raises OSError."""
    return _started(arguments, device_environment(os.environ))


def _started(arguments: tuple[str, ...], environment: Mapping[str, str]) -> LaneProcess:
    ours, theirs = Channel.pair()
    try:
        child = subprocess.Popen(
            [sys.executable, *arguments, str(theirs.fileno()), str(os.getpid())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            process_group=0,
            env=environment,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return LaneProcess(child=child, channel=ours)


def _clock_of(pid: int) -> int:
    """Give the clock of a process's processor time. Source: clock_getcpuclockid(3), which Python does not know."""
    return (~pid << 3) | 2


def kernel_oom_kills() -> int:
    """Give how many processes the kernel has killed for memory since boot; 0 where it does not count them."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
