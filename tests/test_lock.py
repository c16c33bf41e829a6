"""One bgrd per state directory and per inbox."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import bgrd.lock
from bgrd.errors import BusyError, FolderUnavailable, StateError
from bgrd.lock import Holder, hold, hold_inbox, holder
from tests.kernel.processes import open_files

_HOLDER = """
import sys
from pathlib import Path
from bgrd.lock import hold, hold_inbox
held = {"state": hold, "inbox": hold_inbox}[sys.argv[1]](Path(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _holder(kind: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process hold a lock."""
    command = [sys.executable, "-c", _HOLDER, kind, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def _answering(number: int) -> Callable[..., Any]:
    def answer(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return answer


class TestHold:
    def test_writes_down_who_holds_it(self, tmp_path: Path) -> None:
        """The lock file tells process, host and start; it and the directory made for it are private."""
        state = tmp_path / "a/state"
        with hold(state, now=12.5):
            holder = json.loads((state / "lock").read_bytes())
            assert holder["pid"] == os.getpid()
            assert holder["since"] == 12.5
            assert holder["host"]
            assert (state / "lock").stat().st_mode & 0o777 == 0o600
            assert state.stat().st_mode & 0o777 == 0o700

    def test_second_one_is_told_the_holder(self, tmp_path: Path) -> None:
        """Whoever comes second is told process, command and since when."""
        with _holder("state", tmp_path) as process:
            with pytest.raises(
                BusyError, match=rf"\(process {process.pid}: .*python.*\) uses .* since \d{{4}}-"
            ) as caught:
                hold(tmp_path)
            assert str(tmp_path) in str(caught.value)

    def test_same_process_is_a_second_one_too(self, tmp_path: Path) -> None:
        """Two locks in one process exclude each other, until the first is closed, which may be done twice."""
        first = hold(tmp_path)
        with pytest.raises(BusyError):
            hold(tmp_path)
        first.close()
        first.close()
        hold(tmp_path).close()

    def test_killed_holder_holds_nothing(self, tmp_path: Path) -> None:
        """After kill -9 the next one starts, over what the dead one wrote."""
        with _holder("state", tmp_path) as process:
            process.send_signal(signal.SIGKILL)
            process.wait()
            with hold(tmp_path):
                assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff"])
    def test_unreadable_holder(self, content: bytes, tmp_path: Path) -> None:
        """Whatever is in the lock file, the second one is refused; /proc may still know who it is."""
        with hold(tmp_path):
            (tmp_path / "lock").write_bytes(content)
            with pytest.raises(BusyError, match=r"another bgrd.* already uses the state directory"):
                hold(tmp_path)

    def test_holder_on_another_machine(self, tmp_path: Path) -> None:
        """A holder elsewhere is told by host, and its number is not looked up here."""
        with hold(tmp_path):
            (tmp_path / "lock").write_text(json.dumps({"pid": os.getpid(), "host": "attic", "since": 0}))
            with pytest.raises(BusyError, match=rf"on attic \(process {os.getpid()}\) uses"):
                hold(tmp_path)

    def test_removed_lock_file_is_locked_anew(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A lock file removed between open and lock is no lock: the next one is taken."""
        real = fcntl.flock

        def removed(fd: int, operation: int) -> None:
            real(fd, operation)
            (tmp_path / "lock").unlink()
            monkeypatch.undo()

        monkeypatch.setattr(fcntl, "flock", removed)
        with hold(tmp_path), pytest.raises(BusyError):
            hold(tmp_path)

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        """A link in the lock file's place is refused."""
        (tmp_path / "lock").symlink_to(tmp_path / "other")
        with pytest.raises(StateError, match="cannot be locked"):
            hold(tmp_path)
        assert not (tmp_path / "other").exists()

    def test_file_system_without_locks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A state directory that cannot be locked is an error that says so, and leaks nothing."""
        before = len(open_files())
        monkeypatch.setattr(fcntl, "flock", _answering(errno.ENOLCK))
        with pytest.raises(StateError, match="cannot be locked: No locks available"):
            hold(tmp_path)
        assert len(open_files()) == before

    def test_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A holder that cannot be written down gives the lock back."""
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", _answering(errno.ENOSPC))
            with pytest.raises(StateError, match="No space left"):
                hold(tmp_path)
        hold(tmp_path).close()


class TestHoldInbox:
    def test_second_one_is_refused(self, tmp_path: Path) -> None:
        """The inbox itself is locked, without a file in it, and the holder is named from what the kernel knows."""
        with _holder("inbox", tmp_path) as process:
            assert list(tmp_path.iterdir()) == []
            with pytest.raises(BusyError, match=f"another bgrd.* already works on the inbox {tmp_path}") as caught:
                hold_inbox(tmp_path)
            known = bgrd.lock._locker(tmp_path.stat())
            assert known in {None, process.pid}
            assert known is None or f"process {process.pid}" in str(caught.value)
            process.kill()
            process.wait()
            lock = hold_inbox(tmp_path)
            assert lock is not None
            lock.close()

    def test_released_on_close(self, tmp_path: Path) -> None:
        """A closed lock excludes nobody."""
        first = hold_inbox(tmp_path)
        assert first is not None
        with pytest.raises(BusyError):
            hold_inbox(tmp_path)
        first.close()
        second = hold_inbox(tmp_path)
        assert second is not None
        second.close()

    @pytest.mark.parametrize("number", [errno.EBADF, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL])
    def test_file_system_without_locks(self, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the inbox's file system has no such locks there is none, and nothing leaks."""
        before = len(open_files())
        monkeypatch.setattr(fcntl, "flock", _answering(number))
        assert hold_inbox(tmp_path) is None
        assert len(open_files()) == before

    def test_missing_inbox(self, tmp_path: Path) -> None:
        """A missing inbox is unavailable and not made."""
        with pytest.raises(FolderUnavailable):
            hold_inbox(tmp_path / "gone")
        assert not (tmp_path / "gone").exists()

    def test_share_that_dies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A share that dies while it is being locked is unavailable."""
        monkeypatch.setattr(fcntl, "flock", _answering(errno.ESTALE))
        with pytest.raises(FolderUnavailable):
            hold_inbox(tmp_path)


def test_locker_reads_what_the_kernel_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder is the process with a flock on that very file; waiting ones and other locks are passed over."""
    found = tmp_path.stat()
    here = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    lines = [
        "1: POSIX  ADVISORY  WRITE 11 " + here + " 0 EOF",
        "2: FLOCK  ADVISORY  WRITE 12 00:00:1 0 EOF",
        "3: -> FLOCK  ADVISORY  WRITE 13 " + here + " 0 EOF",
        "4: FLOCK  ADVISORY  WRITE 14 " + here + " 0 EOF",
    ]
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "\n".join(lines))
    assert bgrd.lock._locker(found) == 14
    monkeypatch.setattr(Path, "read_text", _answering(errno.EACCES))
    assert bgrd.lock._locker(found) is None


def test_process_that_is_gone() -> None:
    """A process whose command line cannot be read is told by its number, an unknown one not at all."""
    assert bgrd.lock._process(999_999_999) == " (process 999999999)"
    assert bgrd.lock._process(None) == ""


def test_who_holds_a_state_directory_can_be_asked(tmp_path: Path) -> None:
    """Asking makes nothing, takes nothing, and does not believe what an ended holder left behind."""
    state = tmp_path / "state"
    assert holder(state) is None
    assert not state.exists()
    with hold(state):
        assert holder(state) == Holder(pid=os.getpid())
    assert (state / "lock").exists()
    assert holder(state) is None
    with hold(state):
        pass  # nobody was in the way


@pytest.mark.parametrize("host", ["elsewhere", None])
def test_a_holder_that_the_kernel_does_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str | None
) -> None:
    """On another machine, or behind a file system whose numbers differ: the lock itself says whether it is held."""
    monkeypatch.setattr("bgrd.lock._locker", lambda _found: None)
    with hold(tmp_path):
        if host is not None:
            (tmp_path / "lock").write_text(json.dumps({"pid": 7, "host": host, "since": 1.0}))
        assert holder(tmp_path) == (Holder(pid=os.getpid()) if host is None else Holder(pid=7, host=host))
    assert holder(tmp_path) is None


def test_a_dead_holder_s_lock_is_not_even_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks all the time must not be in the way of a bgrd that starts."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    holding = {"pid": dead.pid, "host": socket.gethostname(), "since": 1.0}
    (tmp_path / "lock").write_text(json.dumps(holding))
    monkeypatch.setattr("bgrd.lock._is_locked", lambda _fd: pytest.fail("tried"))
    assert holder(tmp_path) is None
