"""A real daemon whose lanes share one model's process: the same pixels, and whatever dies, nothing is lost."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.inboxes import until
from tests.kernel.processes import children, command
from tests.pictures.making import encoded
from tests.pictures.scenes import check_result, check_whole, photo, slow_photo

pytestmark = pytest.mark.timeout(400)

SHARED = 'shared_session = "on"\nlanes = 2\nthreads = 1\n'
FOLDER = '[[folder]]\nname = "one"\ninbox = "~/one/in"\noutbox = "~/one/out"\nmodel = "mine"\n'


def devices(daemon: Daemon) -> list[int]:
    """Give the processes that run models."""
    return [pid for pid in children(daemon.pid) if b"bgrd.engine.device" in command(pid)]


def drop(house: House, names: Sequence[str]) -> dict[str, bytes]:
    """Drop pictures of all kinds a lane has code of its own for; gives their bytes."""
    kinds = ("JPEG", "PNG", "WEBP")
    made = {name: encoded(photo(seed=seed), kinds[seed % 3]) for seed, name in enumerate(names)}
    for name, data in made.items():
        (house.inbox / name).write_bytes(data)
    return made


def hashes(house: House) -> dict[str, str]:
    """Give the hash of every result."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in house.results().items()}


def attempts(house: House) -> set[tuple[State, int]]:
    """Give the states of all jobs with what they were charged."""
    return {(job.state, job.attempts) for job in house.jobs()}


def test_the_same_bytes_come_out(tmp_path: Path) -> None:
    """Lanes in their cage that share a model, one by one, make what lanes of their own make, bit for bit."""
    names = [f"{number}.img" for number in range(6)]
    made: list[dict[str, str]] = []
    for settings in ("lanes = 2\nthreads = 1\n", f"{SHARED}shared_batch = 1\n"):
        house = House(tmp_path / f"house{len(made)}").folders()
        house.configure(settings)
        with Daemon(house) as daemon:
            daemon.ready()
            drop(house, names)
            daemon.done(names)
            assert daemon.stop() == 0
        made.append(hashes(house))
    assert len(made[0]) == len(names)
    assert made[0] == made[1]


def test_log_and_status_say_who_runs_the_model(tmp_path: Path) -> None:
    """Each lane's `model.loaded` names the one process, which `bgrd status` names too; it ends with the daemon."""
    house = House(tmp_path / "house").folders()
    house.configure(SHARED)
    with Daemon(house) as daemon:
        daemon.ready()
        names = [f"{number}.jpg" for number in range(4)]
        drop(house, names)
        daemon.done(names)
        (device,) = devices(daemon)
        assert {(event["shared"], event["device"]) for event in daemon.events("model.loaded")} == {(True, device)}
        daemon.until(lambda: house.status().get("models", {}).get("bgrd-lite", {}).get("device") == device)
        told = house.run("status")
        assert f"model bgrd-lite runs on cpu, in process {device} for all lanes" in told.stdout
        assert daemon.stop() == 0
        until(lambda: not house.processes())
    assert attempts(house) == {(State.DONE, 0)}


@pytest.mark.parametrize("who", ["device", "lane", "daemon"])
def test_whoever_is_killed_nothing_is_lost(tmp_path: Path, who: str) -> None:
    """Kill -9 in the middle of work: every picture is done once, and at most one try is charged to one."""
    house = House(tmp_path / "house").folders()
    house.configure(SHARED)
    sources = {house.inbox / f"slow-{seed}.jpg": slow_photo(seed=seed) for seed in range(4)}
    with Daemon(house) as daemon:
        daemon.ready()
        for path, data in sources.items():
            path.write_bytes(data)
        lane, _ = daemon.catch_lane(sources)
        device = devices(daemon)[0]
        if who == "daemon":
            daemon.kill()
            until(lambda: not house.processes(), seconds=20)
        else:
            os.kill(lane if who == "lane" else device, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(lane, signal.SIGCONT)
            daemon.done(path.name for path in sources)
            assert daemon.stop() == 0
    if who == "daemon":
        with Daemon(house) as daemon:
            daemon.ready()
            daemon.until(lambda: len(house.results()) == len(sources))
            assert daemon.stop() == 0
    for path, data in sources.items():
        check_whole(house.outbox / f"{path.stem}.png", data)
    assert len(house.results()) == len(sources)
    jobs = house.jobs()
    assert {job.state for job in jobs} == {State.DONE}
    assert sum(job.attempts for job in jobs) <= (0 if who == "daemon" else 1)


@pytest.mark.long
def test_the_model_killed_again_and_again(tmp_path: Path) -> None:
    """Its process ends at ten moments while pictures come: all are done or, killed alone twice, failed with a note."""
    house = House(tmp_path / "house").folders()
    house.configure(SHARED)
    names = [f"{number}.jpg" for number in range(30)]
    with Daemon(house) as daemon:
        daemon.ready()
        made = drop(house, names)
        for killed in range(10):
            daemon.until(lambda killed=killed: len(daemon.events("job.done")) > 2 * killed)  # type: ignore[misc]
            for device in devices(daemon):
                with suppress(ProcessLookupError):
                    os.kill(device, signal.SIGKILL)
        daemon.until(lambda: len(daemon.events("job.done", "job.failed")) >= len(names))
        assert daemon.stop() == 0
    failed = {job.path.decode() for job in house.jobs() if job.state is State.FAILED}
    assert attempts(house) <= {(State.DONE, 0), (State.DONE, 1), (State.FAILED, 2)}
    assert {note.name for note in house.failed.iterdir()} == {f"{name}.txt" for name in failed} if failed else True
    for name in set(names) - failed:
        check_result(house.outbox / f"{Path(name).stem}.png", made[name])


def test_a_reload_shares_and_unshares(tmp_path: Path) -> None:
    """What is under way is finished before; the process comes and goes with the setting, and work goes on."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 2\n")
    with Daemon(house) as daemon:
        daemon.ready()
        for number, (settings, shared) in enumerate([(SHARED, 1), ("lanes = 2\n", 0)]):
            house.configure(settings)
            daemon.signal(signal.SIGHUP)
            daemon.heard("reload.done", times=number + 1)
            name = f"{number}.jpg"
            drop(house, [name])
            daemon.done([name])
            daemon.until(lambda shared=shared: len(devices(daemon)) == shared)  # type: ignore[misc]
        assert daemon.stop() == 0
    assert attempts(house) == {(State.DONE, 0)}


def test_a_stop_waits_for_what_runs(tmp_path: Path) -> None:
    """SIGTERM in the middle: pictures under way are finished, the rest is put back, nobody is left."""
    house = House(tmp_path / "house").folders()
    house.configure(SHARED)
    sources = {house.inbox / f"slow-{seed}.jpg": slow_photo(seed=seed) for seed in range(3)}
    with Daemon(house) as daemon:
        daemon.ready()
        for path, data in sources.items():
            path.write_bytes(data)
        lane, _ = daemon.catch_lane(sources)
        os.kill(lane, signal.SIGCONT)
        assert daemon.stop() == 0
        assert not house.processes()
    assert attempts(house) <= {(State.DONE, 0), (State.READY, 0)}
    assert (State.DONE, 0) in attempts(house)


def test_a_shared_model_that_is_broken_blocks_its_folder(tmp_path: Path) -> None:
    """With the reason, no picture charged, no process left; once the file is mended all is done."""
    house = House(tmp_path / "house")
    for name in ("one/in", "one/out"):
        (house.home / name).mkdir(parents=True)
    (house.home / "ill.onnx").write_bytes(b"this is no model")
    house.configure(f'{SHARED}{FOLDER}[[model]]\nname = "mine"\npath = "~/ill.onnx"\nside = 32\n')
    with Daemon(house) as daemon:
        (house.home / "one/in/a.jpg").write_bytes(encoded(photo(), "JPEG"))
        daemon.ready()
        blocked = daemon.heard("folder.blocked", folder="one")[0]
        assert (blocked["kind"], "damaged" in blocked["reason"]) == ("model", True)
        daemon.until(lambda: not devices(daemon))
        assert daemon.stop() == 0
    assert attempts(house) <= {(State.READY, 0), (State.WAITING, 0)}


def test_once_shares_too(tmp_path: Path) -> None:
    """`bgrd once` with the setting on makes its results and leaves no process."""
    house = House(tmp_path / "house").folders()
    house.configure(SHARED)
    data = encoded(photo(), "JPEG")
    (house.home / "a.jpg").write_bytes(data)
    done = house.run("once", "-o", str(house.home / "made"), str(house.home / "a.jpg"))
    assert done.returncode == 0, done.stderr
    check_result(house.home / "made/a.png", data)
    assert not house.processes()
