"""Ears, on the real inotify: what bgrd.intake.watch hears."""

from __future__ import annotations

import os
import random
import shutil
import threading
from pathlib import Path

import pytest

from tests.houses.ears import Ear


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
