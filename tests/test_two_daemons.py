"""Two daemons that meet: on one state, on one inbox, over a lock that a dead one left."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.mounted import MOUNTS, own_mounts
from tests.pictures.scenes import check_result, phone_photo
from tests.programs.hurried import HURRIED

pytestmark = pytest.mark.timeout(240)

FOLDER = '[[folder]]\nname = "{0}"\ninbox = "{1}"\noutbox = "{2}"\n'


def second(house: House, *folders: tuple[str, Path, Path]) -> dict[str, str]:
    """Make another configuration with a state of its own, and give the environment that chooses it."""
    home = house.root / "second"
    (home / ".config/bgrd").mkdir(parents=True)
    (home / "run").mkdir(mode=0o700)
    for _, inbox, outbox in folders:
        inbox.mkdir(parents=True, exist_ok=True)
        outbox.mkdir(parents=True, exist_ok=True)
    (home / ".config/bgrd/config.toml").write_text("".join(FOLDER.format(*folder) for folder in folders))
    return {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}


def stamps(house: House) -> dict[str, tuple[int, int]]:
    """Give what shows whether a result was written anew."""
    return {name: (path.stat().st_ino, path.stat().st_mtime_ns) for name, path in house.results().items()}


@pytest.mark.parametrize(
    "way",
    [
        "same path",
        pytest.param("symbolic link", marks=pytest.mark.long),
        pytest.param("bind mount", marks=[MOUNTS, pytest.mark.long]),
    ],
)
def test_two_configurations_with_one_inbox(tmp_path: Path, way: str) -> None:
    """The second blocks that folder and names the first, serves its others, and takes over when the first has ended."""
    house = House(tmp_path / "house").folders()
    inbox, other = house.inbox, house.root / "other"
    with own_mounts() if way == "bind mount" else nullcontext():
        if way == "symbolic link":
            inbox = house.root / "link"
            inbox.symlink_to(house.inbox)
        elif way == "bind mount":
            inbox = house.root / "mount"
            inbox.mkdir()
            assert os.spawnlp(os.P_WAIT, "mount", "mount", "--bind", str(house.inbox), str(inbox)) == 0
        shared = ("shared", inbox, house.outbox)
        environment = second(house, shared, ("own", other / "in", other / "out"))
        data = phone_photo()
        with Daemon(house, program=HURRIED) as first:
            first.ready()
            with Daemon(house, program=HURRIED, environment=environment) as late:
                late.ready()
                reason = late.heard("folder.blocked", folder="shared")[0]["reason"]
                assert f"process {first.pid}" in reason
                (house.inbox / "a.jpg").write_bytes(data)
                (other / "in/b.jpg").write_bytes(data)
                first.done(["a.jpg"])
                late.done(["b.jpg"])
                assert not late.events("job.failed", "job.retry")
                assert [event["path"] for event in late.events("job.done")] == ["b.jpg"]
                before = stamps(house)
                first.kill()
                (house.inbox / "c.jpg").write_bytes(data)
                late.heard("folder.resumed", folder="shared")
                late.done(["c.jpg"])
                late.done(["a.jpg"])
                assert late.stop() == 0
    check_result(house.outbox / "a.png", data)
    check_result(house.outbox / "c.png", data)
    # The second has a journal of its own and knows nothing of the first one's result: it leaves that alone.
    assert sorted(house.results()) == ["a.jpg.png", "a.png", "c.png"]
    assert {name: stamp for name, stamp in stamps(house).items() if name in before} == before


@pytest.mark.long
def test_a_lock_that_a_dead_daemon_left(tmp_path: Path) -> None:
    """After kill -9 the next one starts without help, also where another process has got the dead one's number."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        daemon.kill()
    lock = house.state / "lock"
    left = json.loads(lock.read_bytes())
    assert left["pid"] == daemon.pid
    assert house.run("status").returncode == 3
    lock.write_text(json.dumps(left | {"pid": os.getpid()}))
    assert house.run("status").returncode == 3
    with Daemon(house) as daemon:
        daemon.ready()
        assert json.loads(lock.read_bytes())["pid"] == daemon.pid
        assert daemon.stop() == 0
    assert sorted(house.results()) == ["a.png"]


@pytest.mark.long
def test_a_lock_that_is_removed(tmp_path: Path) -> None:
    """Whoever tidies the lock file away under a running daemon does not let a second one in."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        (house.state / "lock").unlink()
        for command in (("run",), ("once", "--no-progress"), ("check", "--repair")):
            refused = house.run(*command)
            assert refused.returncode == os.EX_TEMPFAIL
            assert f"process {daemon.pid}" in refused.stderr
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        assert house.run("status").returncode == 0
        assert daemon.stop() == 0
    assert sorted(house.results()) == ["a.png"]
