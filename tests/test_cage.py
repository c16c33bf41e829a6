"""The cage, tried from inside by real processes."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrd.engine.seccomp import CALLS, MACHINES, program

HOSTILE = Path(__file__).parent / "programs/hostile_program.py"

LANDLOCK = {
    "write into home",
    "read a secret",
    "read a system file",
    "list a directory",
    "open the draft anew",
    "remove",
    "rename",
    "link",
    "link symbolically",
    "make a directory",
    "run a program",
    "trace the parent",
    "read the parent's memory",
}
"""What Landlock holds by itself, in every version."""

LANDLOCK_LATER = {
    3: {"truncate"},
    4: {"connect"},
    6: {"connect to an abstract socket", "signal the parent", "signal a thread of the parent"},
}


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Give a home with a secret, listeners that would answer, and a draft."""
    (tmp_path / "secret").write_bytes(b"s" * 100)
    (tmp_path / "draft").write_bytes(b"")
    path, abstract = f"/tmp/bgrd-{os.getpid()}.sock", f"bgrd-{os.getpid()}"  # a socket's path must be short
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as unnamed,
    ):
        named.bind(path)
        named.listen()
        unnamed.bind("\0" + abstract)
        unnamed.listen()
        yield {
            "home": str(tmp_path),
            "secret": str(tmp_path / "secret"),
            "draft": str(tmp_path / "draft"),
            "tcp": tcp.getsockname()[1],
            "path": path,
            "abstract": abstract,
        }
    os.unlink(path)


def caged(walls: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Run the hostile program; gives what it said."""
    done = subprocess.run(
        [sys.executable, str(HOSTILE), walls, json.dumps(facts)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(HOSTILE.parents[2]), "OMP_NUM_THREADS": "1"},
        check=True,
    )
    assert done.stdout, "it became another program, or ended without a word"
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def needs(said: dict[str, Any], wall: str) -> None:
    """Skip where this system has no such wall."""
    if lacking := [reason for reason in said["missing"] if reason.startswith(wall)]:
        pytest.skip(lacking[0])


def untouched(facts: dict[str, Any]) -> bool:
    """Say whether nothing happened to the home."""
    home = Path(facts["home"])
    return sorted(os.listdir(home)) == ["draft", "secret"] and (home / "secret").read_bytes() == b"s" * 100


def test_the_attempts_would_succeed_without_a_cage(facts: dict[str, Any]) -> None:
    """What the other tests see refused is possible for a process like any other: their claim is not empty."""
    done = {name for name, outcome in caged("none", facts)["tried"].items() if outcome == "done"}
    assert done >= {"connect", "connect to a socket file", "connect to an abstract socket", "write into home"}
    assert done >= {"read a secret", "remove", "make a process", "signal the parent", "make code", "socket pair"}
    assert not untouched(facts)


@pytest.mark.parametrize("walls", ["both", "prctl"])
def test_nothing_gets_out(walls: str, facts: dict[str, Any]) -> None:
    """With both walls every single attempt is refused, and by the cage: not because it was made badly."""
    said = caged(walls, facts)
    needs(said, "seccomp")
    assert said["missing"] == [] or "landlock" in said["missing"][0]
    assert {name: outcome for name, outcome in said["tried"].items() if outcome != "EPERM"} == {}
    assert untouched(facts)


def test_seccomp_holds_alone(facts: dict[str, Any]) -> None:
    """Where the kernel has no Landlock nothing gets out either, and what is missing is told with its reason."""
    said = caged("seccomp", facts)
    needs(said, "seccomp")
    assert said["missing"] == ["landlock: this kernel has none"]
    assert {name: outcome for name, outcome in said["tried"].items() if outcome != "EPERM"} == {}
    assert untouched(facts)


def test_landlock_holds_files_and_programs_alone(facts: dict[str, Any]) -> None:
    """Without seccomp no file is opened, made or removed, no program run; later versions hold network and signals."""
    said = caged("landlock", facts)
    needs(said, "landlock")
    version = next(int(name.split()[1]) for name in said["holds"] if name.startswith("landlock"))
    held = LANDLOCK.union(*(names for since, names in LANDLOCK_LATER.items() if since <= version))
    assert {name: said["tried"][name] for name in held if said["tried"][name] not in {"EACCES", "EPERM", "EXDEV"}} == {}
    assert said["missing"] == ["seccomp: this kernel has none"]
    assert untouched(facts)


@pytest.mark.parametrize(
    ("before", "missing"),
    [
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "one thread: 1 more are running and stay outside",
        ),
        (
            "import platform; platform.machine = lambda: 'riscv64'",
            "seccomp: no list of system calls for riscv64 yet",
        ),
        (
            "import errno; from bgrd.engine import landlock; landlock._CREATE_RULESET = 10_000",
            "landlock: this kernel has none",
        ),
    ],
)
def test_what_does_not_hold_is_told(before: str, missing: str) -> None:
    """A thread that stays outside, an unknown machine, an older kernel: each by name with its reason."""
    code = f"{before}\nfrom bgrd.engine.cage import enter; print(*enter().missing, sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(HOSTILE.parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert missing in done.stdout.splitlines()


def test_a_door_that_stands_open_is_told() -> None:
    """What the kernel says it holds is tried: a filter that lets a file be opened is not believed."""
    code = (
        "from bgrd.engine import cage, landlock, seccomp\n"
        "seccomp.confine = lambda machine: None\nlandlock.confine = lambda: 9\nprint(cage.enter().missing)"
    )
    environment = {**os.environ, "PYTHONPATH": str(HOSTILE.parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "files: one could still be opened" in done.stdout
    assert "network: a socket could still be made" in done.stdout


# The filter itself, run by an interpreter of the few instructions it has; also for the machine this is not.

ARCHES = dict(zip(MACHINES, (0xC000003E, 0xC00000B7), strict=True))
ALLOWED, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
PID = 4242


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """Give what the filter says of a call. Source: linux/filter.h."""
    code = list(struct.iter_unpack("=HBBI", program(machine, pid=PID)))
    given = [argument & (2**64 - 1) for argument in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<iIQ6Q", number, ARCHES[machine] if arch is None else arch, 0, *given)
    at, word = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        match operation:
            case 0x20:
                (word,) = struct.unpack_from("<I", data, value)
            case 0x15:
                at += yes if word == value else no
            case 0x45:
                at += yes if word & value else no
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_not_in_the_list_is_refused(machine: str) -> None:
    """Every number there is or will be: allowed only by name."""
    place = MACHINES.index(machine)
    listed = {numbers[place] for numbers in CALLS.values()}
    for number in range(1200):
        if number not in listed:
            assert verdict(machine, number) == EPERM, number


@pytest.mark.parametrize("machine", MACHINES)
def test_other_tables_of_calls_are_refused(machine: str) -> None:
    """Neither 32-bit calls nor x32's pass, whatever their number."""
    place = MACHINES.index(machine)
    for numbers in CALLS.values():
        if (number := numbers[place]) is not None:
            assert verdict(machine, number, arch=0x40000003) == EPERM
            assert verdict(machine, number | 0x40000000) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read", (3, 4096, 10), ALLOWED),
        ("clone", (0x3D0F00,), ALLOWED),
        ("clone", (0x7D0F00,), ALLOWED),
        ("clone", (17,), EPERM),
        ("clone", (0x3D0F00 & ~0x10000,), EPERM),
        ("clone", (0x3D0F00 | 0x10000000,), EPERM),
        ("clone3", (1, 88), ENOSYS),
        ("mmap", (0, 4096, 3, 34), ALLOWED),
        ("mmap", (0, 4096, 7, 34), EPERM),
        ("mprotect", (0, 4096, 1), ALLOWED),
        ("mprotect", (0, 4096, 5), EPERM),
        ("fcntl", (3, 1030, 0), ALLOWED),
        ("fcntl", (3, 8, 1), EPERM),
        ("fcntl", (3, 4, 0x2000), EPERM),
        ("ioctl", (3, 0x5451), ALLOWED),
        ("ioctl", (3, 0x5412), EPERM),
        ("prctl", (15, 1), ALLOWED),
        ("prctl", (1, 0), EPERM),
        ("prlimit64", (0, 9, 0, 4096), ALLOWED),
        ("prlimit64", (0, 9, 4096, 0), EPERM),
        ("prlimit64", (0, 9, 1 << 40, 0), EPERM),
        ("prlimit64", (1, 9, 0, 4096), EPERM),
        ("kill", (PID, 9), ALLOWED),
        ("kill", (1, 9), EPERM),
        ("kill", (-1, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("tgkill", (PID, PID, 6), ALLOWED),
        ("tgkill", (1, 1, 6), EPERM),
    ],
)
def test_arguments_are_looked_at(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    """A call that could do more than a lane needs is allowed only in the form it needs."""
    number = CALLS[name][MACHINES.index(machine)]
    assert number is not None
    assert verdict(machine, number, *arguments) == expected


def test_no_allowed_call_takes_a_path() -> None:
    """Opening, asking, making, removing: none is in the list under any name."""
    for part in ("open", "stat", "link", "mkdir", "rename", "chmod", "chown", "exec", "socket", "connect", "mount"):
        assert not [name for name in CALLS if part in name and name != "fstat"]


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_the_kernels(machine: str, header: str) -> None:
    """The table is held against the kernel's headers, where they are installed."""
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed here")
    lines = (line.split() for line in Path(header).read_text().splitlines() if line.startswith("#define __NR"))
    named = [(words[1].removeprefix("__NR3264_").removeprefix("__NR_"), words[2]) for words in lines if len(words) >= 3]
    known = {name: number for name, number in named if number.isdecimal()}
    numbers = {name: pair[MACHINES.index(machine)] for name, pair in CALLS.items()}
    assert {name: number for name, number in numbers.items() if number is not None and known[name] != str(number)} == {}
