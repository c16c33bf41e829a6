"""A share that hangs: a FUSE file system whose server stops answering, under a real daemon."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.places import Place
from tests.kernel.mounts_made import Mounts, needs_fuse
from tests.pictures.scenes import phone_photo, slow_photo

pytestmark = [pytest.mark.timeout(400), needs_fuse]

WATCHED = {"WATCHDOG_USEC": "8000000"}
"""A service manager that wants a sign of life every eight seconds."""


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """Give a namespace."""
    with Mounts() as made:
        yield made


def back_of(place: Place) -> Path:
    """Make what the share shows."""
    back = place.house.root / "back"
    back.mkdir()
    return back


def check_pings(daemon: Daemon, *, more: int = 8) -> None:
    """Hold that the service manager goes on being pinged, for longer than it would wait."""
    before = daemon.notices.heard.count("WATCHDOG=1")
    daemon.until(lambda: daemon.notices.heard.count("WATCHDOG=1") >= before + more)
    assert daemon.house.status()["late"] == []


@pytest.mark.long
@pytest.mark.parametrize("part", ["in", "out", "old"])
def test_a_hanging_share_costs_itself(tmp_path: Path, mounts: Mounts, part: str) -> None:
    """Told within half a minute; neighbours, pings, status and check go on; what it held is done once it answers."""
    place = Place(tmp_path, mounts, policy="archive", more="lanes = 1\n")
    back, data = back_of(place), phone_photo()
    inbox = back if part == "in" else place.part("in")
    with mounts.share(back, place.part(part)) as share, place.daemon(WATCHED) as daemon:
        daemon.ready()
        (inbox / "before.jpg").write_bytes(data)
        daemon.heard("job.done", folder="ill", path="before.jpg")
        share.withhold()
        (inbox / "held.jpg").write_bytes(data)
        place.check_neighbour(daemon, "at once.jpg")
        assert "has not answered" in daemon.heard("folder.unavailable", folder="ill")[0]["reason"]
        daemon.until(lambda: place.facts().get("state") == "unavailable")
        check_pings(daemon)
        place.check_neighbour(daemon, "later.jpg")
        assert "has not answered" in place.house.run("status", before=mounts.inside()).stdout
        share.answer()
        daemon.heard("job.done", folder="ill", path="held.jpg")
        daemon.heard("folder.available", folder="ill")
        assert daemon.stop() == 0
    assert place.jobs() == {"before.jpg": (State.DONE, 0), "held.jpg": (State.DONE, 0)}


@pytest.mark.long
@pytest.mark.parametrize(("part", "kind"), [("in", "read"), ("out", "write"), ("out", "fsync"), ("out", "link")])
def test_a_share_that_dies_in_the_middle_of_a_picture(tmp_path: Path, mounts: Mounts, part: str, kind: str) -> None:
    """Whichever call it dies in: the one lane is soon free again, nobody is charged, one result is there at the end."""
    place = Place(tmp_path, mounts, policy="keep", more="lanes = 1\n")
    back, data = back_of(place), slow_photo()
    inbox = back if part == "in" else place.part("in")
    with mounts.share(back, place.part(part)) as share, place.daemon() as daemon:
        daemon.ready()
        share.withhold(kind)
        (inbox / "held.jpg").write_bytes(data)
        share.held(kind)
        share.withhold()
        place.check_neighbour(daemon, "meanwhile.jpg")
        share.answer()
        daemon.heard("job.done", folder="ill", path="held.jpg")
        assert daemon.stop() == 0
    assert place.jobs() == {"held.jpg": (State.DONE, 0)}
    results = back if part == "out" else place.part("out")
    assert sorted(place.house.results(results)) == ["held.png"]


@pytest.mark.long
def test_a_start_on_hanging_shares(tmp_path: Path, mounts: Mounts) -> None:
    """Inbox and model hang before the start: READY is told, the other folder works, and this one once they answer."""
    place = Place(tmp_path, mounts, policy="keep")
    back, data = back_of(place), phone_photo()
    (back / "waits.jpg").write_bytes(data)
    with mounts.share(back, place.part("in")) as share:
        share.withhold()
        with place.daemon(WATCHED) as daemon:
            daemon.ready()
            place.check_neighbour(daemon, "at once.jpg")
            daemon.heard("folder.unavailable", folder="ill")
            check_pings(daemon, more=3)
            share.answer()
            daemon.heard("job.done", folder="ill", path="waits.jpg")
            assert daemon.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize("how", ["withhold", "freeze"])
def test_a_model_on_a_hanging_share(tmp_path: Path, mounts: Mounts, how: str) -> None:
    """It blocks the folder that uses it and no other; reloads go through; it is used once the share answers."""
    place = Place(tmp_path, mounts, policy="keep", model="~/models/mine.onnx")
    back, data = back_of(place), phone_photo()
    place.install_model(back / "mine.onnx")
    point = place.house.home / "models"
    point.mkdir()
    with mounts.share(back, point) as share:
        getattr(share, how)()
        with place.daemon(WATCHED) as daemon:
            daemon.ready()
            assert "does not answer" in daemon.heard("folder.blocked", folder="ill")[0]["reason"]
            (place.part("in") / "a.jpg").write_bytes(data)
            place.check_neighbour(daemon, "at once.jpg")
            check_pings(daemon, more=3)
            place.house.configure(place.text + "# changed\n")
            daemon.signal(signal.SIGHUP)
            daemon.heard("reload.done")
            place.check_neighbour(daemon, "reloaded.jpg")
            getattr(share, {"withhold": "answer", "freeze": "thaw"}[how])()
            daemon.heard("job.done", folder="ill", path="a.jpg")
            assert daemon.stop() == 0


@pytest.mark.long
def test_a_reload_and_a_stop_beside_a_hanging_share(tmp_path: Path, mounts: Mounts) -> None:
    """Both end within their time; the next start does what was held, once."""
    place = Place(tmp_path, mounts, policy="keep", more="stop_seconds = 3\n")
    back, data = back_of(place), phone_photo()
    with mounts.share(back, place.part("in")) as share:
        with place.daemon() as daemon:
            daemon.ready()
            share.freeze()
            (back / "held.jpg").write_bytes(data)
            daemon.heard("folder.unavailable", folder="ill")
            place.house.configure(place.text.replace("policy", "level = 3\npolicy"))
            daemon.signal(signal.SIGHUP)
            daemon.heard("reload.done")
            place.check_neighbour(daemon, "reloaded.jpg")
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 60
        share.thaw()
        with place.daemon() as daemon:
            daemon.heard("job.done", folder="ill", path="held.jpg")
            assert daemon.stop() == 0
    assert place.jobs() == {"held.jpg": (State.DONE, 0)}


@pytest.mark.long
def test_a_share_whose_server_dies(tmp_path: Path, mounts: Mounts) -> None:
    """From hanging to not connected: the reason follows; unmounted and mounted again, it is served again."""
    place = Place(tmp_path, mounts, policy="keep")
    back, data = back_of(place), phone_photo()
    inbox = place.part("in")
    with mounts.share(back, inbox) as share, place.daemon() as daemon:
        (back / "first.jpg").write_bytes(data)
        daemon.heard("job.done", folder="ill", path="first.jpg")
        share.withhold()
        daemon.heard("folder.unavailable", folder="ill")
        share.break_off()
        daemon.until(lambda: "not connected" in place.facts().get("reason", ""))
        place.check_neighbour(daemon, "meanwhile.jpg")
        mounts.unmount(inbox)
        (back / "second.jpg").write_bytes(data)
        share.connect()
        daemon.heard("job.done", folder="ill", path="second.jpg")
        assert daemon.stop() == 0
    assert place.jobs() == {"first.jpg": (State.DONE, 0), "second.jpg": (State.DONE, 0)}
    assert not list(inbox.iterdir())


@pytest.mark.long
def test_check_says_which_share_hangs(tmp_path: Path, mounts: Mounts) -> None:
    """`bgrd check` ends, names the directory that does not answer, and has looked at everything else."""
    place = Place(tmp_path, mounts, policy="keep")
    with mounts.share(back_of(place), place.part("out")) as share:
        share.freeze()
        told = place.house.run("check", before=mounts.inside())
        words = " ".join(told.stdout.split())
        assert told.returncode == 78
        assert "folder ill: outbox" in words
        assert "does not answer" in words
        assert "folder well: watch" in words
        accepted = place.house.run("check", "--accept-mounts", before=mounts.inside())
        assert accepted.returncode == 78
