"""One lane's operating-system side, with real processes."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bgrd.engine.process import LaneProcess, device_environment, kernel_oom_kills, lane_environment, start_lane
from bgrd.engine.wire import Channel
from tests.houses.inboxes import until
from tests.kernel.processes import open_files

WAITS = "import sys, socket; socket.socket(fileno=int(sys.argv[1])).recv(1)"
"""A stand-in for a lane: ends when the socket does."""


def started(code: str) -> LaneProcess:
    """Start Python code as a lane."""
    return start_lane(("-c", code))


def test_a_lane_ends_when_its_socket_is_closed() -> None:
    """Closing the parent's end is all it takes, and its end is told in words."""
    lane = started(WAITS)
    assert not lane.reaped()
    assert lane.resident_bytes() > 0
    lane.channel.close()
    assert lane.wait_or_kill(20) == "ended with status 0"
    assert lane.reaped()
    assert lane.resident_bytes() == 0


def test_a_lane_that_does_not_end_is_killed() -> None:
    """After the time given it is ended by force; that it is gone is seen afterwards."""
    lane = started("import time; time.sleep(3600)")
    assert lane.wait_or_kill(0.01) == "did not end in time"
    until(lane.reaped)
    assert lane.wait_or_kill(1) == "was killed"
    lane.channel.close()


def test_how_a_lane_died_is_told() -> None:
    """A signal is named; killing what is gone is harmless."""
    lane = started("import os, signal; os.kill(os.getpid(), signal.SIGABRT)")
    assert lane.wait_or_kill(20) == "died of SIGABRT"
    lane.kill()
    lane.channel.close()


def test_a_lane_is_told_its_socket_and_its_parent() -> None:
    """The last two arguments are the inherited descriptor and the parent's id; standard input is empty."""
    code = (
        "import os, socket, sys\n"
        "assert int(sys.argv[2]) == os.getppid() and os.getpgid(0) == os.getpid()\n"
        "assert sys.stdin.read() == ''\n"
        "socket.socket(fileno=int(sys.argv[1])).send(b'x')\n"
    )
    lane = started(code)
    assert lane.wait_or_kill(20) == "ended with status 0"
    lane.channel.close()


SPINS = "while True: pass"


def test_processor_time_is_limited_from_outside() -> None:
    """A lane that spins ends by itself, also where nobody looks at it any more."""
    lane = started(SPINS)
    until(lambda: lane.processor_seconds() > 0)
    lane.limit(memory_bytes=2**30, file_bytes=2**20, processor_seconds=0.5)
    assert lane.wait_or_kill(60) == "died of SIGXCPU"
    lane.limit(memory_bytes=1, file_bytes=1, processor_seconds=1)  # nobody is there: no error
    assert (lane.threads(), lane.unlimited()) == (0, "")
    lane.channel.close()


def test_each_limit_is_the_one_that_was_set_last() -> None:
    """One that stays is left alone, one that changes is changed, up and down; the hard one stays as it was."""
    lane = started(WAITS)
    hard = resource.prlimit(lane.pid, resource.RLIMIT_FSIZE)[1]
    for file_bytes, memory_bytes in ((2**20, 2**30), (2**20, 2**31), (2**21, 2**31), (2**20, 2**30)):
        lane.limit(memory_bytes=memory_bytes, file_bytes=file_bytes, processor_seconds=10)
        assert resource.prlimit(lane.pid, resource.RLIMIT_FSIZE) == (file_bytes, hard)
        assert resource.prlimit(lane.pid, resource.RLIMIT_DATA)[0] == memory_bytes
        assert resource.prlimit(lane.pid, resource.RLIMIT_CPU)[0] == 10 + math.ceil(lane.processor_seconds())
    lane.channel.close()
    lane.wait_or_kill(20)


def test_processor_time_is_that_of_all_its_threads() -> None:
    """What is read from outside is what the lane itself finds, threads that have ended included; none once it is gone.

    Source: proc(5), /proc/PID/stat, user and system time in ticks.
    """
    burns = "import threading; t = threading.Thread(target=lambda: sum(range(3_000_000))); t.start(); t.join()"
    # It tells when it is through: it sleeps while its thread burns, too.
    waits = "import sys, socket; s = socket.socket(fileno=int(sys.argv[1])); s.send(b'x'); s.recv(1)"
    lane = start_lane(("-c", f"{burns}; {waits}"))
    path = Path(f"/proc/{lane.pid}/stat")
    assert select.select([lane.channel], [], [], 30)[0]
    until(lambda: path.read_text().rpartition(")")[2].split()[0] == "S")
    assert lane.processor_seconds() > 0.03
    ticks = sum(int(field) for field in path.read_text().rpartition(")")[2].split()[11:13])
    assert lane.processor_seconds() == pytest.approx(ticks / os.sysconf("SC_CLK_TCK"), abs=0.03)
    lane.channel.close()
    lane.wait_or_kill(20)
    assert lane.processor_seconds() == 0


def test_where_limits_cannot_be_set_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that refuses gives a reason, and the setting itself is an error."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    lane = started(WAITS)
    monkeypatch.setattr("bgrd.engine.process.resource.prlimit", refuse)
    assert lane.unlimited() == "limits: they cannot be set from outside here"
    with pytest.raises(PermissionError):
        lane.limit(memory_bytes=1, file_bytes=1, processor_seconds=1)
    lane.channel.close()
    lane.wait_or_kill(20)


def test_nothing_in_the_working_directory_is_imported(tmp_path: Path) -> None:
    """`bgrd once` runs among people's files: a module lying there is not the lane's."""
    (tmp_path / "hashlib.py").write_text("raise SystemExit(9)")
    code = "from bgrd.engine.process import start_lane; lane = start_lane(); lane.channel.receive();"
    code += "lane.channel.close(); print(lane.wait_or_kill(30))"
    run = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "ended with status 0\n"


def test_no_lane_means_no_open_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no process, OSError is raised and the socket pair is closed."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before = set(open_files())
    monkeypatch.setattr("bgrd.engine.process.subprocess.Popen", refuse)
    with pytest.raises(BlockingIOError):
        start_lane()
    assert set(open_files()) == before


def test_a_lane_knows_no_secrets_has_no_thread_pools_and_no_ear_of_the_service_manager() -> None:
    """Of the environment it gets what Python and its libraries need to start."""
    needed = {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "/x", "LD_LIBRARY_PATH": "/y"}
    needed |= {"NIX_LD": "/z", "LOCPATH": "/l", "GLIBC_TUNABLES": "glibc.pthread.rseq=0", "MALLOC_ARENA_MAX": "1"}
    given = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "OMP_NUM_THREADS": "8", "OPENBLAS_NUM_THREADS": "8"}
    given |= {"TOKEN": "secret", "AWS_SECRET_ACCESS_KEY": "secret", **needed}
    environment = lane_environment(given)
    tunables = environment.pop("GLIBC_TUNABLES").split(":")
    assert tunables[-1] == needed.pop("GLIBC_TUNABLES")
    pools = {name: value for name, value in environment.items() if name.endswith("_NUM_THREADS")}
    assert len(pools) == 4
    assert set(pools.values()) == {"1"}
    assert environment == {**needed, "PYTHONDONTWRITEBYTECODE": "1", **pools}


@pytest.mark.parametrize("given", [{}, {"GLIBC_TUNABLES": ""}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=9"}])
def test_how_a_lane_gets_memory_is_set_and_the_users_word_is_the_last(given: dict[str, str]) -> None:
    """Large pages, and what one picture took kept for the next; what the user has set comes after it, and counts."""
    *ours, last = lane_environment(given)["GLIBC_TUNABLES"].split(":")
    assert ours[0] == "glibc.malloc.hugetlb=1"
    own = given.get("GLIBC_TUNABLES") or "glibc.malloc.trim_threshold=134217728"
    assert last == own


KEEPS = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
for size, number in ((16, 6), (48, 2)):
    blocks = [libc.malloc(size * 2**20) for _ in range(number)]
    for block in blocks:
        libc.memset(block, 1, size * 2**20)
    for block in blocks:
        libc.free(block)
    os.write(int(sys.argv[1]), f"{(resident() - before) // 2**20} ".encode())
"""
"""Takes 96 MiB in blocks as Pillow's are, gives them back, then 96 more in two; tells what it holds afterwards."""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="it is glibc that is told")
def test_a_lane_keeps_what_a_picture_took_and_gives_back_what_is_larger() -> None:
    """What 12 megapixels take stays for the next picture; blocks of more than 32 MiB are gone at once."""
    lane = started(KEEPS)
    assert lane.wait_or_kill(20) == "ended with status 0"
    told = lane.channel.fileno()
    assert [int(word) for word in os.read(told, 100).split()[:1]] == [pytest.approx(96, abs=8)]
    assert int(os.read(told, 100)) == pytest.approx(96, abs=8)
    lane.channel.close()


def test_the_kernels_count_of_memory_kills_is_a_number() -> None:
    """Whatever this kernel counts, it only grows."""
    assert 0 <= kernel_oom_kills() <= kernel_oom_kills()


def test_the_other_end_is_closed_in_the_parent() -> None:
    """A lane that dies is seen at once: nobody else holds its end of the socket."""
    lane = started("import time; time.sleep(3600)")
    os.kill(lane.pid, signal.SIGKILL)
    assert isinstance(lane.channel, Channel)
    assert lane.channel.receive() is None
    assert lane.wait_or_kill(20) == "was killed"
    lane.channel.close()


def test_a_models_process_knows_what_drivers_ask_for_and_no_secrets() -> None:
    """What says which device to use goes along; what the user has set for other programs does not, as with lanes."""
    asked = {"CUDA_VISIBLE_DEVICES": "1", "HSA_OVERRIDE_GFX_VERSION": "10.3.0", "XDG_CACHE_HOME": "/c", "HOME": "/h"}
    secrets = {"HF_TOKEN": "s", "NOTIFY_SOCKET": "/x", "AWS_SECRET": "s"}
    assert device_environment(asked | secrets) == lane_environment({"HOME": "/h"}) | asked
