"""Ears, on the real inotify: bgrd.intake.watch."""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.inotify_c import InotifyFD

from bgrd.intake.limit import WatchLimitFault
from bgrd.intake.watch import Watch
from tests.houses.inboxes import until
from tests.kernel.processes import open_files, threadless


class Ear:
    """A watch on a directory and what it said; `end` waits until all that happened so far was heard."""

    def __init__(self, inbox: Path, **options: Any) -> None:
        self.inbox = inbox
        self.dirty: list[bytes] = []
        self.doubts: list[str] = []
        settings: dict[str, Any] = {"recursive": True, "excluded": frozenset(), **options}
        self.watch = Watch(inbox, on_dirty=self.hear, on_doubt=self.doubts.append, **settings)
        self._ends = 0

    def hear(self, path: bytes) -> None:
        self.dirty.append(path)

    def end(self) -> list[bytes]:
        """Give all that was heard up to now."""
        self._ends += 1
        name = f"end-{self._ends}"
        (self.inbox / name).mkdir()
        until(lambda: name.encode() in self.dirty)
        (self.inbox / name).rmdir()
        heard = [path for path in self.dirty if not path.startswith(b"end-")]
        self.dirty = []
        return heard


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Make an empty inbox."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def ear(inbox: Path) -> Iterator[Ear]:
    """Listen to it."""
    ear = Ear(inbox)
    ear.watch.start()
    yield ear
    ear.watch.stop()


def test_each_directory_that_is_registered_is_told(inbox: Path) -> None:
    """Also those that are not watched, on the thread that starts the watch, and not once that is done."""
    for name in ("a/b/c", "d", ".hidden"):
        (inbox / name).mkdir(parents=True)
    told: list[int] = []
    ear = Ear(inbox, looked=lambda: told.append(threading.get_ident()))
    ear.watch.start()
    assert told == [threading.get_ident()] * 6
    (inbox / "e").mkdir()
    ear.end()
    ear.watch.stop()
    assert len(told) == 6


def test_a_written_file_is_heard_when_made_and_when_closed(ear: Ear) -> None:
    """Both, and nothing for the writing itself."""
    with (ear.inbox / "a.jpg").open("wb") as stream:
        stream.write(b"x")
        stream.flush()
        assert ear.end() == [b"a.jpg"]
        stream.write(b"y")
    assert ear.end() == [b"a.jpg"]


def test_reading_is_not_heard(ear: Ear) -> None:
    """Opening, reading, closing and looking leave no trace, or our own reading would answer itself for ever."""
    (ear.inbox / "a.jpg").write_bytes(b"x")
    ear.end()
    (ear.inbox / "a.jpg").read_bytes()
    (ear.inbox / "a.jpg").chmod(0o600)
    os.listdir(ear.inbox)
    assert ear.end() == []


def test_renames_and_links_are_heard_by_the_new_name_at_once(ear: Ear, tmp_path: Path) -> None:
    """Moved in, linked in, renamed inside; what is moved out is not heard and holds nothing up."""
    (tmp_path / "a").write_bytes(b"x")
    os.link(tmp_path / "a", ear.inbox / "linked.jpg")
    (tmp_path / "a").rename(ear.inbox / "moved.jpg")
    (ear.inbox / "moved.jpg").rename(ear.inbox / "renamed.jpg")
    (ear.inbox / "linked.jpg").rename(tmp_path / "out.jpg")
    assert ear.end() == [b"linked.jpg", b"moved.jpg", b"renamed.jpg"]


def test_a_tree_that_is_moved_in_is_heard_and_watched(ear: Ear, tmp_path: Path) -> None:
    """The directory is named, so that it can be walked, and what happens in it later is heard, at any depth."""
    (tmp_path / "album" / "deep").mkdir(parents=True)
    (tmp_path / "album").rename(ear.inbox / "album")
    assert ear.end() == [b"album"]
    (ear.inbox / "album" / "deep" / "a.jpg").write_bytes(b"x")
    assert set(ear.end()) == {b"album/deep/a.jpg"}


def test_a_directory_that_is_renamed_inside_stays_watched(ear: Ear) -> None:
    """Events come under the new name, for directories inside it too."""
    (ear.inbox / "old" / "deep").mkdir(parents=True)
    ear.end()
    (ear.inbox / "old").rename(ear.inbox / "new")
    assert ear.end() == [b"new"]
    (ear.inbox / "new" / "deep" / "a.jpg").write_bytes(b"x")
    assert set(ear.end()) == {b"new/deep/a.jpg"}
    assert ear.watch.health() is None


def test_a_name_that_was_moved_out_and_made_again_is_no_trouble(ear: Ear, tmp_path: Path) -> None:
    """Two directories that had one name are both removed without ending the watch."""
    (ear.inbox / "album").mkdir()
    ear.end()
    (ear.inbox / "album").rename(tmp_path / "album")
    (ear.inbox / "album").mkdir()
    ear.end()
    (ear.inbox / "album").rmdir()
    ear.end()
    (tmp_path / "album").rmdir()
    ear.end()
    assert ear.watch.health() is None


@pytest.mark.parametrize("seed", range(4))
def test_any_shuffling_of_directories_leaves_it_hearing(ear: Ear, tmp_path: Path, seed: int) -> None:
    """After hundreds of directories were made, renamed, moved out and in, and removed, every one there is heard."""
    chance = random.Random(seed)
    outside = tmp_path / "outside"
    outside.mkdir()
    for turn in range(300):
        inside = [ear.inbox, *(path for path in ear.inbox.rglob("*") if path.is_dir())]
        place, target = chance.choice(inside), chance.choice(inside) / chance.choice("abc")
        match chance.randrange(4):
            case 0 if not target.exists():
                target.mkdir()
            case 1 if place != ear.inbox and not target.exists() and not target.is_relative_to(place):
                place.rename(target)
            case 2 if place != ear.inbox:
                place.rename(outside / str(turn))
            case 3 if not target.exists() and (away := list(outside.iterdir())):
                chance.choice(away).rename(target)
    shutil.rmtree(outside)
    ear.end()
    for path in [ear.inbox, *(path for path in ear.inbox.rglob("*") if path.is_dir())]:
        (path / "x.jpg").write_bytes(b"x")
        assert os.fsencode((path / "x.jpg").relative_to(ear.inbox)) in ear.end()
    assert ear.watch.health() is None
    assert ear.doubts == []


def test_files_made_in_a_new_directory_at_once_are_not_missed(ear: Ear) -> None:
    """Either the directory is heard after its content was there, or the content is heard itself."""
    (ear.inbox / "new" / "deep").mkdir(parents=True)
    (ear.inbox / "new" / "deep" / "a.jpg").write_bytes(b"x")
    heard = ear.end()
    assert heard[0] == b"new"
    assert {b"new/deep", b"new/deep/a.jpg"} & set(heard)


def test_odd_names_are_heard_as_bytes(ear: Ear) -> None:
    """No name is lost or changed on the way."""
    names = [b"\xff\xfe.jpg", b"new\nline.jpg", b" .jpg", b"n" * 255]
    for name in names:
        with open(os.path.join(os.fsencode(ear.inbox), name), "wb"):
            pass
    assert set(ear.end()) == set(names)


def test_ignored_and_excluded_places_are_silent(inbox: Path) -> None:
    """Hidden names, service directories and an outbox inside the inbox wake nobody, those made later included."""
    (inbox / "out" / "deep").mkdir(parents=True)
    ear = Ear(inbox, excluded=frozenset({b"out"}))
    ear.watch.start()
    (inbox / "out" / "deep" / "a.png").write_bytes(b"x")
    (inbox / ".stversions").mkdir()
    (inbox / ".stversions" / "a.jpg").write_bytes(b"x")
    (inbox / "a.jpg.part").write_bytes(b"x")
    (inbox / "out" / "late").mkdir()
    (inbox / "out" / "late" / "a.jpg").write_bytes(b"x")
    heard = ear.end()
    ear.watch.stop()
    assert heard == []


def test_without_recursion_only_the_top_is_heard(inbox: Path) -> None:
    """Directories are named when they come, their content is not watched."""
    (inbox / "sub").mkdir()
    ear = Ear(inbox, recursive=False)
    ear.watch.start()
    (inbox / "sub" / "a.jpg").write_bytes(b"x")
    (inbox / "b.jpg").write_bytes(b"x")
    heard = ear.end()
    ear.watch.stop()
    assert set(heard) == {b"b.jpg"}


def test_an_inbox_behind_a_link_is_watched(tmp_path: Path, inbox: Path) -> None:
    """The configured path may be a symlink; one that is turned elsewhere is noticed."""
    (tmp_path / "link").symlink_to(inbox)
    ear = Ear(tmp_path / "link")
    ear.watch.start()
    (inbox / "a.jpg").write_bytes(b"x")
    assert set(ear.end()) == {b"a.jpg"}
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path)
    assert ear.watch.health() == "another directory is in the inbox's place"
    ear.watch.stop()


def test_a_link_inside_is_not_followed(tmp_path: Path, inbox: Path) -> None:
    """Not even one that leads back to the inbox."""
    (tmp_path / "elsewhere").mkdir()
    (inbox / "loop").symlink_to(inbox)
    (inbox / "away").symlink_to(tmp_path / "elsewhere")
    ear = Ear(inbox)
    ear.watch.start()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(b"x")
    assert ear.end() == []
    ear.watch.stop()


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
    threads = threading.active_count()
    with pytest.raises(FileNotFoundError):
        Ear(tmp_path / "none").watch.start()
    assert threading.active_count() == threads


def test_stopping_gives_everything_back(inbox: Path) -> None:
    """A hundred lives leave no thread and no descriptor; stopping twice is harmless."""
    (inbox / "sub").mkdir()
    threads, descriptors = threading.active_count(), len(open_files())
    for _ in range(100):
        ear = Ear(inbox)
        ear.watch.start()
        ear.watch.stop()
        ear.watch.stop()
        assert ear.doubts == []
    assert threading.active_count() == threads
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
