"""The Linux calls Python has no name for."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrd.delivery.beneath import opened_directory
from bgrd.kernel import die_with_parent, first_hole, rename_noreplace


class TestRenameNoreplace:
    def test_renames(self, tmp_path: Path) -> None:
        """A free name is taken, whatever bytes it has."""
        (tmp_path / "a").write_bytes(b"a")
        rename_noreplace(os.fsencode(tmp_path / "a"), os.fsencode(tmp_path) + b"/\xff")
        assert os.listdir(os.fsencode(tmp_path)) == [b"\xff"]

    def test_refuses_a_taken_name(self, tmp_path: Path) -> None:
        """A taken name is refused with both names in the error, and both files stay."""
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(name.encode())
        with pytest.raises(FileExistsError) as caught:
            rename_noreplace(os.fsencode(tmp_path / "a"), os.fsencode(tmp_path / "b"))
        assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "a"), str(tmp_path / "b"))
        assert (tmp_path / "a").read_bytes() == b"a"
        assert (tmp_path / "b").read_bytes() == b"b"

    def test_between_directories(self, tmp_path: Path) -> None:
        """Names are taken relative to the directories given."""
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        (tmp_path / "one/a").write_bytes(b"a")
        with opened_directory(tmp_path / "one") as one, opened_directory(tmp_path / "two") as two:
            rename_noreplace(b"a", b"b", source_dir=one, target_dir=two)
        assert (tmp_path / "two/b").read_bytes() == b"a"

    @pytest.mark.parametrize(("name", "number"), [(b"missing", errno.ENOENT), (b"x" * 300, errno.ENAMETOOLONG)])
    def test_other_errors_keep_their_number(self, name: bytes, number: int, tmp_path: Path) -> None:
        """The kernel's own error comes through."""
        with opened_directory(tmp_path) as directory, pytest.raises(OSError, match=r".") as caught:
            rename_noreplace(name, b"b", source_dir=directory, target_dir=directory)
        assert caught.value.errno == number


_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
sys.stdin.read()
"""

_CHILD = """
import os, signal, sys
from bgrd.kernel import die_with_parent
die_with_parent(signal.SIGKILL)
print(os.getpid(), flush=True)
signal.pause()
"""


def test_child_dies_with_its_parent() -> None:
    """A child that asked for it is killed when its parent is, however that ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
    # A pidfd becomes readable when its process has ended.

    assert select.select([child], [], [], 30)[0]
    os.close(child)


def test_die_with_parent_refuses_nonsense() -> None:
    """A signal that does not exist is an error."""
    with pytest.raises(OSError, match="Invalid argument"):
        die_with_parent(signal.NSIG + 1000)


@pytest.mark.parametrize("take", [os.ftruncate, lambda fd, size: os.posix_fallocate(fd, 0, size)])
def test_what_was_never_written_is_told(tmp_path: Path, take: Callable[[int, int], None]) -> None:
    """Room that was only taken is a hole, by the page, until all of it is written; reading goes on from the start."""
    page, size = 4096, 10 * 4096 + 10
    with (tmp_path / "a").open("w+b", buffering=0) as file:
        take(file.fileno(), size)
        assert first_hole(file.fileno(), size=size) == 0
        file.write(b"x" * 3 * page)
        file.seek(7 * page)
        file.write(b"x" * (size - 7 * page))
        assert first_hole(file.fileno(), size=size) == 3 * page
        assert file.tell() == 0
        file.read()  # whoever has read the hole makes it look like data
        assert first_hole(file.fileno(), size=size) == 3 * page
        file.seek(0)
        file.write(b"x" * size)
        assert first_hole(file.fileno(), size=size) is None
    read, write = os.pipe()
    assert first_hole(read, size=size) is None
    os.close(read)
    os.close(write)


def test_large_blocks_go_back() -> None:
    """What a large block took is the kernel's again once it is freed, however many came before it."""
    code = (
        "import ctypes, os\n"
        "from bgrd.kernel import give_large_blocks_back\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]\n"
        "def block(size): place = libc.malloc(ctypes.c_size_t(size)); ctypes.memset(place, 1, size); return place\n"
        "assert give_large_blocks_back()\n"
        "libc.free(block(8 * 2**20))\n"
        "before, large, small = resident(), block(7 * 2**20), block(1000)\n"
        "libc.free(large); print(resident() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2**20
