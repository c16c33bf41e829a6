"""A daemon whose watch is lost in one way or another: told, mended by itself, and nothing missed meanwhile."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.scenes import phone_photo

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

PROGRAM = Path(__file__).parent / "programs/altered_intake.py"


def away_and_back(house: House) -> Path:
    """Rename the inbox away; gives the place where pictures are dropped meanwhile."""
    return house.inbox.rename(house.inbox.with_name("aside"))


def recreated(house: House) -> Path:
    """Remove the inbox and make it anew."""
    shutil.rmtree(house.inbox)
    house.inbox.mkdir()
    return house.inbox


def replaced(house: House) -> Path:
    """Put another directory in its place, with a picture in it."""
    other = house.inbox.with_name("other")
    other.mkdir()
    (other / "in it.jpg").write_bytes(phone_photo(seed=3))
    house.inbox.rename(house.inbox.with_name("aside"))
    other.rename(house.inbox)
    return house.inbox


def linked(house: House) -> Path:
    """Put a symbolic link to another directory in its place."""
    other = house.inbox.with_name("other")
    house.inbox.rename(other)
    house.inbox.symlink_to(other)
    return house.inbox


@pytest.mark.parametrize("change", [recreated, replaced, linked])
def test_another_directory_in_the_inboxs_place(tmp_path: Path, change: Callable[[House], Path]) -> None:
    """The loss and the mending are told once each, and what is in the new one is done, dropped before or after."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        place = change(house)
        (place / "at once.jpg").write_bytes(phone_photo())
        daemon.done(["at once.jpg"])
        if change is replaced:
            daemon.done(["in it.jpg"])
        if change is linked:
            daemon.until(lambda: house.status()["folders"]["default"]["state"] == "ready")
        else:
            # Which of the two it is depends on whether a look fell between the old one and the new one.
            daemon.until(lambda: daemon.events("watch.restored", "folder.available"))
            assert len(daemon.events("watch.lost", "folder.unavailable")) == 1
        (place / "later.jpg").write_bytes(phone_photo(seed=2))
        daemon.done(["later.jpg"])
        assert daemon.stop() == 0
    assert {job.state for job in house.jobs()} == {State.DONE}


def test_an_inbox_renamed_away_and_back(tmp_path: Path) -> None:
    """While it is away the folder is unavailable and nothing is made there; what was dropped meanwhile is done."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        place = away_and_back(house)
        assert "is not there" in daemon.heard("folder.unavailable")[0]["reason"]
        (place / "meanwhile.jpg").write_bytes(phone_photo())
        assert not house.inbox.exists()
        place.rename(house.inbox)
        daemon.heard("folder.available")
        daemon.done(["meanwhile.jpg"])
        (house.inbox / "later.jpg").write_bytes(phone_photo(seed=2))
        daemon.done(["later.jpg"])
        assert daemon.stop() == 0
    assert sorted(house.results()) == ["later.png", "meanwhile.png"]


@pytest.mark.parametrize("order", ["raise", "close", "end"])
def test_a_watch_that_fails(tmp_path: Path, order: str) -> None:
    """A handler that raises, a descriptor closed under the watch, a thread that ends: nothing is missed."""
    house = House(tmp_path / "house").folders()
    orders = tmp_path / "orders"
    with Daemon(house, program=(sys.executable, str(PROGRAM), str(orders), "600", "run")) as daemon:
        daemon.ready()
        orders.write_text(order)
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        daemon.until(lambda: not orders.exists())
        if order != "raise":
            assert daemon.heard("watch.lost")[0]["reason"]
            daemon.heard("watch.restored")
        (house.inbox / "b.jpg").write_bytes(phone_photo(seed=2))
        daemon.done(["b.jpg"])
        daemon.until(lambda: house.status()["folders"]["default"]["watch"] == "inotify")
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    "other",
    ["nothing", "a file", "a broken link"],
)
def test_an_outbox_that_is_gone(tmp_path: Path, other: str) -> None:
    """Whatever took its place stays as it is, jobs wait uncharged, and go on soon after it is there again."""
    house = House(tmp_path / "house").folders()
    house.configure('[[folder]]\nname = "default"\ninbox = "~/bgr/inbox"\noutbox = "~/bgr/outbox"\npolicy = "delete"\n')
    with Daemon(house) as daemon:
        daemon.ready()
        house.outbox.rmdir()
        if other == "a file":
            house.outbox.write_text("mine")
        elif other == "a broken link":
            house.outbox.symlink_to(house.root / "nowhere")
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        assert "outbox" in daemon.heard("folder.blocked")[0]["reason"]
        daemon.until(lambda: house.status()["folders"]["default"]["state"] == "blocked")
        assert (house.inbox / "a.jpg").exists()
        assert not house.outbox.is_dir()
        house.outbox.unlink(missing_ok=True)
        house.outbox.mkdir()
        daemon.done(["a.jpg"])
        daemon.heard("folder.resumed")
        assert daemon.stop() == 0
    assert [(job.state, job.attempts) for job in house.jobs()] == [(State.DONE, 0)]
    assert list(house.results()) == ["a.png"]
