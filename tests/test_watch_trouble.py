"""Ears that lose events, their root, their reader or the kernel's leave to watch: each is told and seen."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.inotify_c import InotifyFD

from bgrd.intake.limit import WatchLimitFault
from tests.houses.ears import Ear
from tests.houses.inboxes import until
from tests.kernel.processes import begun_since, open_files, threadless


def test_a_listener_that_raises_does_not_make_it_deaf(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doubt is told, and the next event is heard."""

    def fail(path: bytes) -> None:
        monkeypatch.undo()
        raise RuntimeError

    monkeypatch.setattr(ear.watch, "_on_dirty", fail)
    (ear.inbox / "lost").mkdir()
    until(lambda: ear.doubts)
    assert ear.watch.health() is None
    (ear.inbox / "a.jpg").write_bytes(b"x")
    assert set(ear.end()) == {b"a.jpg"}


def test_a_reader_that_ends_is_told_and_seen(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the reading thread, there is a doubt at once and health names it."""

    def fail(event: object) -> None:
        message = "torn"
        raise ValueError(message)

    assert ear.watch._reader is not None
    monkeypatch.setattr(ear.watch._reader, "handle_event", fail)
    (ear.inbox / "a.jpg").write_bytes(b"x")
    until(lambda: ear.doubts)
    assert ear.watch.health() == "its reader ended: ValueError: torn"


def test_a_root_that_is_removed_or_replaced_is_told_and_seen(ear: Ear) -> None:
    """Removed: unreachable. Made anew: another directory. Both with a doubt at once."""
    ear.inbox.rmdir()
    until(lambda: ear.doubts)
    health = ear.watch.health()
    assert health is not None
    assert "cannot be reached" in health
    ear.inbox.mkdir()
    until(lambda: ear.watch.health() is not None)


def test_a_root_that_is_renamed_away_is_told(ear: Ear, tmp_path: Path) -> None:
    """Its events would be another directory's."""
    ear.inbox.rename(tmp_path / "away")
    until(lambda: "the inbox was moved or removed" in ear.doubts)
    ear.inbox.mkdir()
    assert ear.watch.health() == "another directory is in the inbox's place"


def test_lost_events_are_told(ear: Ear, tmp_path: Path) -> None:
    """With the reader held up, more events than the kernel's queue holds end in a doubt, and hearing goes on."""
    held, reached = threading.Event(), threading.Event()

    def hold(path: bytes) -> None:
        reached.set()
        held.wait(30)

    ear.watch._on_dirty = hold
    (tmp_path / "a").write_bytes(b"x")
    os.link(tmp_path / "a", ear.inbox / "0.jpg")
    assert reached.wait(20)
    for number in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) + 4000):
        name = ear.inbox / f"{number % 2 + 1}.jpg"
        os.link(tmp_path / "a", name)
        name.unlink()
    held.set()
    until(lambda: any("queue" in doubt for doubt in ear.doubts))
    ear.watch._on_dirty = ear.hear
    ear.end()
    assert ear.watch.health() is None


@pytest.mark.parametrize(
    ("number", "sysctl"),
    [(errno.ENOSPC, "fs.inotify.max_user_watches"), (errno.EMFILE, "fs.inotify.max_user_instances")],
)
def test_a_limit_met_at_start_is_raised_with_its_sysctl(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, number: int, sysctl: str
) -> None:
    """For the inbox itself as for a directory in it, which watchdog would pass over in silence."""
    (inbox / "sub").mkdir()
    real = InotifyFD.add_callback

    def refuse(self: InotifyFD, path: bytes, *rest: Any) -> Any:
        if path.endswith(b"/sub"):
            raise OSError(number, "limit")
        return real(self, path, *rest)

    monkeypatch.setattr(InotifyFD, "add_callback", refuse)
    ear = Ear(inbox)
    with pytest.raises(WatchLimitFault, match=sysctl) as caught:
        ear.watch.start()
    assert caught.value.sysctl == sysctl
    assert ear.watch.health() == "it is not started"


def test_no_inotify_instance_left_is_a_limit_too(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE from inotify_init names the sysctl for instances."""

    def refuse(cls: type) -> int:
        raise OSError(errno.EMFILE, "limit")

    monkeypatch.setattr(InotifyFD, "_create_inotify_fd", classmethod(refuse))
    with pytest.raises(WatchLimitFault, match="max_user_instances"):
        Ear(inbox).watch.start()


def test_a_limit_met_later_is_told(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new directory that cannot be watched makes a doubt and sets `limit`."""

    def refuse(self: InotifyFD, path: bytes, *rest: Any) -> Any:
        raise OSError(errno.ENOSPC, "limit")

    assert ear.watch.limit is None
    monkeypatch.setattr(InotifyFD, "add_callback", refuse)
    (ear.inbox / "new").mkdir()
    until(lambda: ear.watch.limit == "fs.inotify.max_user_watches")
    assert ear.doubts


def test_unreadable_directories(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One inside costs itself; an unreadable inbox is an error, not a watch that hears nothing."""
    (inbox / "shut").mkdir()
    (inbox / "shut too").mkdir()
    monkeypatch.setattr("bgrd.intake.watch.os.access", lambda path, _: b"shut" not in path)
    ear = Ear(inbox)
    ear.watch.start()
    (inbox / "a.jpg").write_bytes(b"x")
    assert set(ear.end()) == {b"a.jpg"}
    ear.watch.stop()
    monkeypatch.setattr("bgrd.intake.watch.os.access", lambda *_: False)
    with pytest.raises(PermissionError):
        Ear(inbox).watch.start()


def test_a_missing_inbox_is_an_error(tmp_path: Path) -> None:
    """And nothing is left running."""
    threads = threading.enumerate()
    with pytest.raises(FileNotFoundError):
        Ear(tmp_path / "none").watch.start()
    until(lambda: not begun_since(threads))


def test_stopping_gives_everything_back(inbox: Path) -> None:
    """A hundred lives leave no thread and no descriptor; stopping twice is harmless."""
    (inbox / "sub").mkdir()
    threads, descriptors = threading.enumerate(), len(open_files())
    for _ in range(100):
        ear = Ear(inbox)
        ear.watch.start()
        ear.watch.stop()
        ear.watch.stop()
        assert ear.doubts == []
    until(lambda: not begun_since(threads))
    assert len(open_files()) == descriptors


def test_a_descriptor_closed_under_it_is_noticed(inbox: Path) -> None:
    """It neither spins nor looks well: it ends, says so, and gives back what is left of it."""
    before = open_files()
    ear = Ear(inbox)
    ear.watch.start()
    reader = ear.watch._reader
    assert reader is not None
    reader._inotify_fd, closed = os.dup(reader._inotify_fd), reader._inotify_fd
    os.close(closed)
    os.close(reader._inotify_fd)
    os.write(reader._kill_w, b"!")  # what wakes it in a process that does more than wait
    until(lambda: ear.watch.health() is not None)
    assert "closed" in (ear.watch.health() or "")
    assert ear.doubts == ["the watch ended"]
    ear.watch.stop()
    assert open_files() == before


def test_our_own_descriptors_are_not_the_kernels_limit(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE while nothing can be opened names no sysctl."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "limit")

    monkeypatch.setattr(InotifyFD, "_create_inotify_fd", refuse)
    monkeypatch.setattr("bgrd.intake.limit._room", lambda: False)
    with pytest.raises(OSError, match="Too many open files"):
        Ear(inbox).watch.start()


@pytest.mark.parametrize("name", ["watch", "question"])
def test_without_a_thread(inbox: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that cannot read is an error and leaves nothing open; one that reads can always be stopped."""
    before = open_files()
    ear = Ear(inbox)
    with monkeypatch.context() as patch:
        threadless(patch, name)
        if name == "watch":
            with pytest.raises(OSError, match="thread cannot be started"):
                ear.watch.start()
        else:
            ear.watch.start()
        ear.watch.stop()
    assert open_files() == before
