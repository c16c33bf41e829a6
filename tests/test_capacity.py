"""What this process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgrd.engine.capacity import Capacity, Limits, busy_seconds, measure

GIB = 2**30


def machine(root: Path, files: dict[str, str]) -> Path:
    """Lay out a proc and sys of our own."""
    files = {"proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n"} | files
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_cgroups_the_machine_counts(tmp_path: Path) -> None:
    """Affinity and MemTotal are the answer where no cgroup limits anything."""
    assert measure(root=machine(tmp_path, {}), affinity=6) == Capacity(processors=6, memory_bytes=16 * GIB)


def test_a_version_2_quota_and_limit_of_any_parent_count(tmp_path: Path) -> None:
    """The tightest limit from the own group up to the root holds."""
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/bgrd.service\n",
            "sys/fs/cgroup/user.slice/cpu.max": "250000 100000\n",
            "sys/fs/cgroup/user.slice/bgrd.service/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/bgrd.service/memory.max": f"{2 * GIB}\n",
        },
    )
    assert measure(root=root, affinity=8) == Capacity(processors=2, memory_bytes=2 * GIB)


def test_version_1_groups_count(tmp_path: Path) -> None:
    """Quota and limit of the older hierarchy are read too; -1 is no quota."""
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/a\n3:memory:/b\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/b/memory.limit_in_bytes": f"{GIB}\n",
        },
    )
    assert measure(root=root, affinity=8) == Capacity(processors=1, memory_bytes=GIB)


def test_this_machine_can_be_measured() -> None:
    """The real proc and sys give at least one processor and some memory."""
    capacity = measure()
    assert capacity.processors >= 1
    assert capacity.memory_bytes > 2**26


def test_what_all_programs_used_is_told(tmp_path: Path) -> None:
    """Time spent idle, or waiting for a disk, is none; a kernel that tells nothing gives 0."""
    machine(tmp_path, {"proc/stat": "cpu  100 50 30 9999 777 5 10 5 0 0\ncpu0 1 1 1 1\n"})
    assert busy_seconds(root=tmp_path) == 200 / os.sysconf("SC_CLK_TCK")
    machine(tmp_path, {"proc/stat": "nothing\n"})
    assert busy_seconds(root=tmp_path) == 0
    assert busy_seconds(root=tmp_path / "none") == 0
    assert busy_seconds() > 0


@pytest.mark.parametrize(
    ("shared", "model_bytes", "expected"),
    [(False, 4, (0, 8)), (True, 4, (4, 4)), (True, 100, (6, 2)), (True, 1, (1, 7))],
)
def test_shared_models_have_their_part_of_the_memory(shared: bool, model_bytes: int, expected: tuple[int, int]) -> None:  # noqa: FBT001
    """What models may have, of which lanes keep a quarter of all at least; nothing where lanes run models."""
    limits = Limits(
        lanes=2,
        threads=1,
        memory_bytes=8 * GIB,
        model_bytes=model_bytes * GIB,
        job_seconds=1,
        idle_unload_seconds=1,
        shared=shared,
    )
    assert (limits.device_bytes, limits.lane_bytes) == (expected[0] * GIB, expected[1] * GIB)
