"""Shares that come and go under a real daemon, with real mounts in a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.places import Place
from tests.kernel.mounts_made import Mounts, needs_mounts
from tests.pictures.scenes import phone_photo

pytestmark = [pytest.mark.timeout(300), pytest.mark.long, needs_mounts]


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """Give a namespace."""
    with Mounts() as made:
        yield made


def test_another_file_system_over_the_inbox(tmp_path: Path, mounts: Mounts) -> None:
    """What is mounted over an inbox is not its content: nothing there is taken, deleted or moved, until it is gone."""
    place = Place(tmp_path, mounts, policy="delete")
    inbox, data = place.part("in"), phone_photo()
    with place.daemon() as daemon:
        daemon.ready()
        (inbox / "before.jpg").write_bytes(data)
        daemon.heard("job.done", folder="ill", path="before.jpg")
        mounts.tmpfs(inbox)
        mounts.at(inbox / "foreign.jpg").write_bytes(data)
        assert "not on the mount it used to be on" in daemon.heard("folder.unavailable", folder="ill")[0]["reason"]
        daemon.until(lambda: place.facts().get("state") == "unavailable")
        (inbox / "below.jpg").write_bytes(data)
        place.check_neighbour(daemon, "meanwhile.jpg")
        assert mounts.at(inbox / "foreign.jpg").read_bytes() == data
        mounts.unmount(inbox)
        daemon.heard("folder.available", folder="ill")
        daemon.heard("job.done", folder="ill", path="below.jpg")
        daemon.until(lambda: place.facts().get("state") == "ready")
        assert daemon.stop() == 0
    assert place.jobs() == {"before.jpg": (State.DONE, 0), "below.jpg": (State.DONE, 0)}
    assert sorted(place.house.results(place.part("out"))) == ["before.png", "below.png"]
    assert not list(inbox.iterdir())


def test_a_share_that_goes_and_comes_back(tmp_path: Path, mounts: Mounts) -> None:
    """The bare mount point is no inbox: what lies there stays; what came to the share is done once it is back."""
    place = Place(tmp_path, mounts, policy="keep")
    inbox, data = place.part("in"), phone_photo()
    (inbox / "bare.jpg").write_bytes(data)
    back = place.lend("in")
    (back / "first.jpg").write_bytes(data)
    with place.daemon() as daemon:
        daemon.heard("job.done", folder="ill", path="first.jpg")
        mounts.unmount(inbox)
        daemon.heard("folder.unavailable", folder="ill")
        (back / "second.jpg").write_bytes(data)
        place.check_neighbour(daemon, "meanwhile.jpg")
        place.lend("in")
        daemon.heard("job.done", folder="ill", path="second.jpg")
        assert daemon.stop() == 0
    assert place.jobs() == {"first.jpg": (State.DONE, 0), "second.jpg": (State.DONE, 0)}
    assert [path.name for path in inbox.iterdir()] == ["bare.jpg"]


@pytest.mark.parametrize(("part", "policy"), [("out", "delete"), ("old", "archive")])
def test_where_results_or_sources_go_is_gone(tmp_path: Path, mounts: Mounts, part: str, policy: str) -> None:
    """Without the outbox's or the archive's share nothing is made at its mount point and no source is touched."""
    place = Place(tmp_path, mounts, policy=policy)
    data = phone_photo()
    back = place.lend(part)
    with place.daemon() as daemon:
        daemon.ready()
        (place.part("in") / "before.jpg").write_bytes(data)
        daemon.heard("job.done", folder="ill", path="before.jpg")
        mounts.unmount(place.part(part))
        (place.part("in") / "deep").mkdir()
        (place.part("in") / "deep/after.jpg").write_bytes(data)
        (place.part("in") / "bad.jpg").write_bytes(b"no picture " * 99)
        daemon.heard("folder.unavailable", folder="ill")
        place.check_neighbour(daemon, "meanwhile.jpg")
        daemon.until(lambda: place.facts().get("state") in {"unavailable", "blocked"})
        assert "mount" in place.facts()["reason"]
        assert not list(place.part(part).iterdir())
        assert (place.part("in") / "deep/after.jpg").read_bytes() == data
        place.lend(part)
        daemon.heard("job.done", folder="ill", path="deep/after.jpg")
        daemon.until(lambda: not (place.part("in") / "deep/after.jpg").exists())
        assert daemon.stop() == 0
    assert not list(place.part(part).iterdir())
    names = {path.name for path in back.rglob("*") if path.is_file()}
    assert {"before.png", "after.png"} <= names if part == "out" else names == {"before.jpg", "after.jpg"}


def test_a_boot_without_the_share(tmp_path: Path, mounts: Mounts) -> None:
    """A daemon that starts before its share is mounted is ready, serves the others, and this one once it appears."""
    place = Place(tmp_path, mounts, policy="keep")
    data = phone_photo()
    backs = {name: place.lend(name) for name in ("in", "out")}
    with place.daemon() as daemon:
        daemon.ready()
        (backs["in"] / "first.jpg").write_bytes(data)
        daemon.heard("job.done", folder="ill", path="first.jpg")
        assert daemon.stop() == 0
    for name in backs:
        mounts.unmount(place.part(name))
    (place.part("in") / "bare.jpg").write_bytes(data)
    with place.daemon() as daemon:
        daemon.ready()
        daemon.heard("folder.unavailable", folder="ill")
        place.check_neighbour(daemon, "meanwhile.jpg")
        (backs["in"] / "second.jpg").write_bytes(data)
        place.lend("in")
        place.lend("out")
        daemon.heard("job.done", folder="ill", path="second.jpg")
        assert daemon.stop() == 0
    assert place.jobs() == {"first.jpg": (State.DONE, 0), "second.jpg": (State.DONE, 0)}
    assert not list(place.part("out").iterdir())


def test_a_new_place_is_accepted(tmp_path: Path, mounts: Mounts) -> None:
    """`bgrd check` says that a directory lies elsewhere; told that this is meant, the running daemon goes on there."""
    place = Place(tmp_path, mounts, policy="keep")
    data = phone_photo()
    with place.daemon() as daemon:
        daemon.ready()
        place.lend("in")
        daemon.heard("folder.unavailable", folder="ill")
        (place.part("in") / "old.jpg").write_bytes(data)
        mounts.at(place.part("in") / "new.jpg").write_bytes(data)
        told = place.house.run("check", before=mounts.inside())
        assert told.returncode == 78
        assert "is not on the mount it used to be on" in " ".join(told.stdout.split())
        assert place.house.run("check", "--accept-mounts", before=mounts.inside()).returncode == 0
        daemon.heard("job.done", folder="ill", path="new.jpg")
        assert daemon.stop() == 0
    assert place.jobs() == {"new.jpg": (State.DONE, 0)}
