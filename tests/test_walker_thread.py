"""One folder's intake on its own thread, among real senders and real mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrd.intake.mounts import mount_of, read_mounts
from bgrd.intake.walker import Walker
from bgrd.job import State
from bgrd.journal.journal import Journal
from tests.houses.inboxes import Heard, folder_at, until
from tests.houses.intakes import JPEG
from tests.kernel.processes import begun_since


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Open a real journal."""
    journal = Journal(tmp_path / "state" / "journal.sqlite3")
    yield journal
    journal.close()


@pytest.fixture
def heard() -> Heard:
    """Listen to events."""
    return Heard()


@pytest.fixture
def start(tmp_path: Path, journal: Journal, heard: Heard) -> Iterator[Callable[..., Walker]]:
    """Start walkers that are stopped in the end."""
    walkers = []

    def begin(**changes: Any) -> Walker:
        walker = Walker(folder_at(tmp_path, **{"watch": "inotify", **changes}), journal, events=heard)
        walkers.append(walker)
        walker.start()
        assert walker.first_walk_done.wait(20)
        return walker

    yield begin
    for walker in walkers:
        assert walker.stop(20)
        assert walker.state == "stopped"


def _paths(journal: Journal) -> set[bytes]:
    return {job.path for job in journal.jobs(states=[State.READY], folder="test", limit=100_000)}


def test_every_sender_is_heard(tmp_path: Path, start: Callable[..., Walker], journal: Journal) -> None:
    """Written, moved in, linked, renamed from a hidden name, moved in as a tree: all admitted without a rescan."""
    inbox = start(rescan_seconds=3600.0).folder.inbox
    (inbox / "written.jpg").write_bytes(JPEG)
    (tmp_path / "a").write_bytes(JPEG)
    os.link(tmp_path / "a", inbox / "linked.jpg")
    shutil.copy(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").rename(inbox / "moved.jpg")
    (inbox / ".syncthing.synced.jpg.tmp").write_bytes(JPEG)
    (inbox / ".syncthing.synced.jpg.tmp").rename(inbox / "synced.jpg")
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "c.heic").write_bytes(JPEG)
    (tmp_path / "tree").rename(inbox / "tree")
    wanted = {b"written.jpg", b"linked.jpg", b"moved.jpg", b"synced.jpg", b"tree/deep/c.heic"}
    until(lambda: _paths(journal) == wanted)


def test_a_slow_writer_is_waited_for(start: Callable[..., Walker], journal: Journal) -> None:
    """The file is shown as being written, and admitted when it is closed."""
    walker = start(rescan_seconds=3600.0)
    with (walker.folder.inbox / "a.jpg").open("wb") as stream:
        until(lambda: walker.writing == (b"a.jpg",))
        stream.write(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg"})
    until(lambda: walker.settled)


def test_a_replaced_root_is_noticed_and_watched_anew(
    tmp_path: Path, start: Callable[..., Walker], journal: Journal
) -> None:
    """Renamed away and made again: what happens in the new one is heard."""
    inbox = start(rescan_seconds=3600.0).folder.inbox
    inbox.rename(tmp_path / "away")
    inbox.mkdir()
    (inbox / "a.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg"})
    (inbox / "b.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg", b"b.jpg"})


def test_admitting_does_not_wake_itself(
    start: Callable[..., Walker], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own look at a file is no event: after it was admitted nothing more is looked at."""
    walker = start(rescan_seconds=3600.0)
    seen: list[bytes] = []
    real = walker._ears._watch
    assert real is not None
    note = walker.dirty

    def overhear(path: bytes) -> None:
        seen.append(path)
        note(path)

    monkeypatch.setattr(real, "_on_dirty", overhear)
    (walker.folder.inbox / "a.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg"})
    (walker.folder.inbox / "b.jpg").write_bytes(JPEG)
    until(lambda: _paths(journal) == {b"a.jpg", b"b.jpg"})
    until(lambda: seen[-2:] == [b"b.jpg"] * 2)
    assert seen == [b"a.jpg"] * 2 + [b"b.jpg"] * 2


def test_a_backlog_is_taken_whole_and_left_alone_by_the_next_start(
    tmp_path: Path, start: Callable[..., Walker], journal: Journal, heard: Heard
) -> None:
    """Thousands of files are admitted once each; a second walker admits none of them."""
    (tmp_path / "in").mkdir()
    for number in range(3000):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"x")
    walker = start()
    until(lambda: walker.settled)
    assert sum(facts["count"] for facts in heard.named("intake.admitted") if isinstance(facts["count"], int)) == 3000
    assert walker.stop(20)
    told = len(heard.named("intake.admitted"))
    again = start()
    until(lambda: again.settled)
    assert len(heard.named("intake.admitted")) == told
    (tmp_path / "in" / "7.jpg").unlink()
    again.doubt("test")
    until(lambda: b"7.jpg" not in _paths(journal))


def test_stopping_is_prompt_and_leaves_nothing(start: Callable[..., Walker]) -> None:
    """Even while it sleeps for long; threads and descriptors are given back."""
    before = threading.enumerate()
    walker = start(rescan_seconds=3600.0)
    assert walker._thread.is_alive()
    walker.stop(0)
    assert walker.stop(20)
    assert not walker._thread.is_alive()
    until(lambda: not begun_since(before))


_MOUNTS = """
import subprocess, sys
from pathlib import Path
from bgrd.intake.walker import Walker
from tests.houses.inboxes import Heard, MemoryJournal, folder_at, until
root, heard, journal = Path(sys.argv[1]), Heard(), MemoryJournal()
folder = folder_at(root)
place = root / sys.argv[2]
mount = lambda: subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
walker = Walker(folder, journal, events=heard)
walker.start()
assert walker.first_walk_done.wait(20)
mount()
(place / "stranger.jpg").write_bytes(b"x")
until(lambda: walker.state == "unavailable", seconds=30)
assert "accept-mounts" in walker.reason, walker.reason
subprocess.run(["umount", place], check=True)
(folder.inbox / "a.jpg").write_bytes(b"x")
until(lambda: journal.admitted == [b"a.jpg"], seconds=30)
assert walker.state == "ready"
assert walker.stop(20)
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="mounting takes a mount namespace, which takes root",
)
@pytest.mark.parametrize("place", ["in", "out"])
def test_a_file_system_mounted_over_a_directory_stops_the_folder(tmp_path: Path, place: str) -> None:
    """With real mounts: over the inbox as over the outbox, nothing is read there, and unmounting brings it back."""
    command = ["unshare", "-m", sys.executable, "-c", _MOUNTS, str(tmp_path), place]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


def test_this_directory_is_told_as_what_it_is(tmp_path: Path, start: Callable[..., Walker]) -> None:
    """Left to itself a walker decides by the mount and names its kind."""
    walker = start(watch="auto")
    mount = mount_of(os.path.realpath(os.fsencode(tmp_path)), read_mounts())
    assert mount is not None
    assert mount.fstype in walker.mode_reason
