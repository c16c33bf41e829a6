"""The walk of an inbox: bgrd.intake.scan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrd.errors import FolderUnavailable
from bgrd.intake.scan import Walk, excluded_below, walk
from bgrd.job import version_of
from tests.kernel.processes import open_files


def _paths(found: Walk) -> set[bytes]:
    return {path for batch in found for path, _ in batch}


def test_every_regular_file_is_found_with_its_version(tmp_path: Path) -> None:
    """Whatever the depth and however odd the name, a file comes with what lstat says of it."""
    names = [b"a.jpg", b"d/e/f/b.png", b"new\nline.jpg", b"\xff\xfe.jpg", b"-dash .jpg", b"n" * 255]
    for name in names:
        full = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        Path(os.fsdecode(full)).write_bytes(b"x")
    found = dict(entry for batch in walk(tmp_path, recursive=True) for entry in batch)
    assert set(found) == set(names)
    assert found[b"a.jpg"] == version_of((tmp_path / "a.jpg").lstat())


def test_links_pipes_and_ignored_names_are_counted_not_followed(tmp_path: Path) -> None:
    """A link to a directory, even to the inbox itself, is not walked; what is passed over is counted by reason."""
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "file.jpg").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg.part").write_bytes(b"x")
    (tmp_path / "dir.jpg").mkdir()
    found = walk(tmp_path, recursive=True)
    assert _paths(found) == set()
    assert found.skipped == {"link": 2, "special": 1, "ignored": 1}
    assert found.complete


def test_conflict_copies_are_found_only_when_asked_for(tmp_path: Path) -> None:
    """The folder's setting reaches the walk."""
    name = b"a.sync-conflict-20240101-000000-AAAAAAA.jpg"
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    assert _paths(walk(tmp_path, recursive=True)) == set()
    assert _paths(walk(tmp_path, recursive=True, sync_conflicts=True)) == {name}


def test_excluded_directories_and_depth(tmp_path: Path) -> None:
    """An outbox inside the inbox is left out; without recursion only the top is looked at."""
    for place in ("out", "out/deep", "outside", "album"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.png").write_bytes(b"x")
    (tmp_path / "top.jpg").write_bytes(b"x")
    excluded = excluded_below(tmp_path, [tmp_path / "out", tmp_path, tmp_path.parent / "else"])
    assert excluded == {b"out"}
    assert _paths(walk(tmp_path, recursive=True, excluded=excluded)) == {b"outside/a.png", b"album/a.png", b"top.jpg"}
    assert _paths(walk(tmp_path, recursive=False)) == {b"top.jpg"}


def test_an_inbox_behind_a_link_is_walked_and_its_outbox_left_out(tmp_path: Path) -> None:
    """The inbox itself may be a symlink, and a place below its target is recognised."""
    (tmp_path / "real" / "out").mkdir(parents=True)
    (tmp_path / "real" / "a.jpg").write_bytes(b"x")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    assert excluded_below(link, [tmp_path / "real" / "out"]) == {b"out"}
    assert _paths(walk(link, recursive=True)) == {b"a.jpg"}


def test_batches_are_bounded_and_pauses_are_given_among_skipped_files(tmp_path: Path) -> None:
    """No batch is larger than asked for, and a directory full of what is skipped does not hold the caller up."""
    for number in range(25):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
        (tmp_path / f".{number}.jpg").write_bytes(b"x")
    batches = list(Walk(tmp_path, recursive=True, batch_files=10))
    assert len(batches) >= 5
    assert max(map(len, batches)) <= 10
    assert sum(map(len, batches)) == 25


def test_a_missing_or_unreadable_root_makes_the_folder_unavailable(tmp_path: Path) -> None:
    """The sentence names the inbox."""
    for place in ("nowhere", "file"):
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(FolderUnavailable, match=place):
            list(walk(tmp_path / place, recursive=True))


def test_a_link_in_the_place_of_a_directory_to_walk_is_refused(tmp_path: Path) -> None:
    """A walk that begins inside the inbox does not leave it through a link."""
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(FolderUnavailable):
        list(Walk(tmp_path, recursive=True, start=b"link"))


def test_one_bad_directory_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be opened is counted, its neighbours are walked, and the walk is not complete."""
    for place in ("bad", "good"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.jpg").write_bytes(b"x")
    real = os.open

    def guarded(path: Any, *arguments: Any, **options: Any) -> int:
        if os.fspath(path) == b"bad":
            raise PermissionError(13, "denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr("bgrd.intake.scan.os.open", guarded)
    found = walk(tmp_path, recursive=True)
    assert _paths(found) == {b"good/a.jpg"}
    assert found.skipped == {"unreadable": 1}
    assert not found.complete


def test_a_directory_that_vanishes_during_the_walk_is_no_trouble(tmp_path: Path) -> None:
    """What is gone when its turn comes is passed over silently."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
    (tmp_path / "x.jpg").write_bytes(b"x")
    found = Walk(tmp_path, recursive=True, batch_files=1)
    assert [entry for _ in range(3) for entry in next(found)]
    for place in ("a", "b"):
        (tmp_path / place).rmdir()
    assert _paths(found) == set()
    assert found.complete
    assert found.skipped["unreadable"] == 0


def test_closing_lets_go_of_the_directory(tmp_path: Path) -> None:
    """A walk that is broken off has no descriptor left that would keep a share from being unmounted."""
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    before = len(open_files())
    found = Walk(tmp_path, recursive=True, batch_files=1)
    next(found)
    assert len(open_files()) > before
    found.close()
    assert len(open_files()) == before
    assert next(found, None) is None


_NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & set(b"/\0") and name[:1] not in b".~")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tree=st.sets(st.tuples(_NAMES, _NAMES), max_size=8))
def test_any_tree_is_found_whole(tmp_path: Path, tree: set[tuple[bytes, bytes]]) -> None:
    """Every file of a tree with arbitrary names is found exactly once."""
    root = tmp_path / os.urandom(8).hex()
    root.mkdir()
    wanted = set()
    for directory, name in tree:
        path = b"d" + directory + b"/f" + name + b".jpg"
        full = os.path.join(os.fsencode(root), path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb"):
            wanted.add(path)
    found = [path for batch in walk(root, recursive=True) for path, _ in batch]
    kept = {path for path in wanted if not path.split(b"/")[0].lower().endswith(_LEFT_OUT)}
    assert sorted(found) == sorted(kept)


_LEFT_OUT = (b".tmp", b".part", b".partial", b".filepart", b".crdownload", b".download", b".!sync", b".icloud")
