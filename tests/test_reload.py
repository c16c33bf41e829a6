"""Reloads under load, in bursts and at the wrong moment: nothing is lost, nothing is done twice, nothing adds up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.inboxes import until
from tests.pictures.scenes import check_result, phone_photo, slow_photo

pytestmark = pytest.mark.timeout(240)

FOLDER = '[[folder]]\nname = "{0}"\ninbox = "~/{1}/in"\noutbox = "~/{1}/out"\n'
ONE, TWO, MORE, OTHER = (FOLDER.format(name, place) for name, place in (("1", "1"), ("2", "2"), ("3", "3"), ("4", "3")))
FIRST = "lanes = 2\nstop_seconds = 30\n" + ONE + TWO
VALID = (
    FIRST + MORE,  # a folder more
    FIRST + OTHER,  # the same by another name
    "lanes = 1\nstop_seconds = 30\n" + ONE + TWO,
    FIRST + "level = 2\n",  # the second folder's results are written otherwise
    "lanes = 2\nlog_format = 'json'\nmax_pixels = 9000000\n" + ONE,  # a folder less
    'models_directory = "~/models"\n' + FIRST,
    FIRST,
)
INVALID = ("lanes = 1000\n" + FIRST, FIRST + "colour = 3\n", "[[folder]\n", FIRST + ONE)


def open_house(root: Path) -> House:
    """Make a house with all the directories that any of the configurations names."""
    house = House(root / "house")
    for name in ("1", "2", "3"):
        for place in ("in", "out"):
            (house.home / name / place).mkdir(parents=True)
    house.configure(FIRST)
    return house


@dataclass(frozen=True)
class Holdings:
    """What a process holds that must not add up."""

    descriptors: int
    threads: int
    watches: int

    @classmethod
    def of(cls, pid: int) -> Holdings:
        """Count them, as /proc tells; watches are lines of the inotify descriptors."""
        told = []
        for path in Path(f"/proc/{pid}/fdinfo").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                told.append(path.read_text())
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        watches = sum(line.startswith("inotify ") for text in told for line in text.splitlines())
        return cls(descriptors=len(told), threads=threads, watches=watches)


@contextmanager
def pictures_flow(house: House, *, at_most: int) -> Iterator[dict[Path, bytes]]:
    """Drop a picture into one of two inboxes every little while; gives what was dropped, complete at the end."""
    dropped: dict[Path, bytes] = {}
    ended = threading.Event()

    def drop() -> None:
        for number in range(at_most):
            path = house.home / f"{number % 2 + 1}/in/{number}.jpg"
            dropped[path] = phone_photo(seed=number)
            path.write_bytes(dropped[path])
            if ended.wait(0.2):
                return

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        yield dropped
    finally:
        ended.set()
        thread.join()


def answers(daemon: Daemon) -> list[str]:
    """Give how the reloads so far ended, in order."""
    return [event["event"] for event in daemon.events("reload.done", "reload.rejected")]


def reload(house: House, daemon: Daemon, text: str) -> str:
    """Configure, ask for a reload, wait for its end and give how it ended."""
    before = len(answers(daemon))
    house.configure(text)
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: len(answers(daemon)) > before)
    return answers(daemon)[before]


def let_pass(daemon: Daemon) -> None:
    """Wait until a burst is over: nobody can tell which signal an answer was for."""
    count = -1
    while count != len(answers(daemon)):
        count = len(answers(daemon))
        threading.Event().wait(1.0)
        daemon.until(lambda: daemon.notices.heard.count("RELOADING=1") == len(answers(daemon)))


def check_notices(daemon: Daemon) -> None:
    """Hold that each RELOADING=1 has its time and is followed by one READY=1, and none comes before the first."""
    # A reload is logged before its READY is told.
    daemon.until(lambda: daemon.notices.heard.count("READY=1") == daemon.notices.heard.count("RELOADING=1") + 1)
    told = [line for line in daemon.notices.heard if line in {"READY=1", "RELOADING=1"}]
    assert told == ["READY=1", *["RELOADING=1", "READY=1"] * (len(told) // 2)]
    heard = daemon.notices.heard
    times = [heard[index + 1].partition("=") for index, line in enumerate(heard) if line == "RELOADING=1"]
    assert {name for name, _, _ in times} <= {"MONOTONIC_USEC"}
    moments = [int(value) for _, _, value in times]
    assert moments == sorted(set(moments))


def check_each_done_once(house: House, dropped: dict[Path, bytes]) -> None:
    """Hold that every picture has exactly one result, nobody was charged, and nothing is left over."""
    for name in ("1", "2"):
        expected = sorted(f"{path.stem}.png" for path in dropped if path.parts[-3] == name)
        assert sorted(house.results(house.home / name / "out")) == expected
    for path, data in dropped.items():
        check_result(path.parent.parent / f"out/{path.stem}.png", data)
        assert path.read_bytes() == data
    jobs = [job for job in house.jobs() if job.state is not State.WITHDRAWN]
    assert len(jobs) == len(dropped)
    assert {(job.state, job.attempts, job.unclean) for job in jobs} == {(State.DONE, 0, 0)}
    assert not list(house.home.rglob(".bgrd*"))


def storm(root: Path, *, signals: int, pictures: int) -> None:
    """Reload again and again while pictures flow, a third of the times a wrong file, in between in bursts."""
    house = open_house(root)
    with Daemon(house) as daemon:
        daemon.ready()
        (house.home / "1/in/first.jpg").write_bytes(phone_photo(seed=999))
        daemon.done(["first.jpg"])
        assert reload(house, daemon, VALID[0]) == "reload.done"
        assert reload(house, daemon, FIRST) == "reload.done"
        daemon.until(lambda: len(house.lanes()) >= 1)
        before = Holdings.of(daemon.pid)
        answered = len(answers(daemon))
        with pictures_flow(house, at_most=pictures) as dropped:
            for number in range(signals):
                wrong = number % 3 == 1
                text = INVALID[number % len(INVALID)] if wrong else VALID[number % len(VALID)]
                if number % 10 < 6:
                    if number % 10 == 0:
                        let_pass(daemon)
                    assert reload(house, daemon, text) == ("reload.rejected" if wrong else "reload.done")
                else:
                    house.configure(text)  # the next one does not wait for this one
                    daemon.signal(signal.SIGHUP)
            let_pass(daemon)
            assert signals // 2 < len(answers(daemon)) - answered <= signals
            assert reload(house, daemon, FIRST) == "reload.done"
        daemon.done(path.name for path in dropped)
        daemon.until(lambda: not any(daemon_jobs(house)))
        # A lane may have come, none of the rest may have.
        daemon.until(lambda: flat(Holdings.of(daemon.pid), before))
        check_notices(daemon)
        assert daemon.stop() == 0
    check_each_done_once(house, {**dropped, house.home / "1/in/first.jpg": phone_photo(seed=999)})


def flat(now: Holdings, before: Holdings) -> bool:
    """Say whether nothing has added up; another lane is two descriptors more."""
    same = (now.threads, now.watches) == (before.threads, before.watches)
    return same and now.descriptors <= before.descriptors + 2


def daemon_jobs(house: House) -> list[int]:
    """Give the numbers of jobs that are open, by what the status file says."""
    counts = [folder["jobs"] for folder in house.status().get("folders", {}).values()]
    return [jobs.get(state, 0) for jobs in counts for state in ("ready", "running", "committing", "committed")]


@pytest.mark.long
def test_a_gust_of_reloads(tmp_path: Path) -> None:
    """A dozen signals while pictures flow, a third of them to wrong files: all done once, nothing adds up."""
    storm(tmp_path, signals=12, pictures=12)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_storm_of_reloads(tmp_path: Path) -> None:
    """A hundred signals do no more than a dozen do."""
    storm(tmp_path, signals=100, pictures=120)


def test_a_reload_before_ready(tmp_path: Path) -> None:
    """A signal during the start is obeyed and does not pass for READY: that comes once, when it is true."""
    house = open_house(tmp_path)
    with Daemon(house) as daemon:
        daemon.heard("daemon.start")
        house.configure(FIRST + MORE)
        daemon.signal(signal.SIGHUP)
        daemon.ready()
        assert daemon.events("daemon.ready")
        daemon.heard("reload.done")
        (house.home / "3/in/a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        check_notices(daemon)
        assert daemon.stop() == 0


def drop_slow(house: House, *, number: int = 2) -> list[Path]:
    """Drop pictures that can be caught in the middle."""
    paths = [house.home / f"1/in/slow-{seed}.jpg" for seed in range(number)]
    for seed, path in enumerate(paths):
        path.write_bytes(slow_photo(seed=seed))
    return paths


CHANGED = FIRST.replace('"~/1/out"\n', '"~/1/out"\nlevel = 2\n')


def test_a_reload_while_a_folder_leaves(tmp_path: Path) -> None:
    """Signals that come while another reload waits for a picture are obeyed after it, as one."""
    house = open_house(tmp_path)
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house)
        lane, _ = daemon.catch_lane(sources)
        house.configure(CHANGED)
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda: "RELOADING=1" in daemon.notices.heard)
        house.configure(FIRST + MORE)
        for _ in range(5):
            daemon.signal(signal.SIGHUP)
        os.kill(lane, signal.SIGCONT)
        daemon.until(lambda: len(answers(daemon)) == 2)
        # RELOADING is told before the file is read: the first may have read the second one already.
        assert [event["folders"] for event in daemon.events("reload.done")] in ([2, 3], [3, 3])
        daemon.done(path.name for path in sources)
        check_notices(daemon)
        assert daemon.stop() == 0
    assert sorted(house.results(house.home / "1/out")) == ["slow-0.png", "slow-1.png"]


def test_a_reload_does_not_wait_for_a_lane_that_hangs(tmp_path: Path) -> None:
    """Past `stop_seconds` the picture is put back uncharged and done under the new configuration; pings go on."""
    house = open_house(tmp_path)
    house.configure(FIRST.replace("stop_seconds = 30", "stop_seconds = 3"))  # a ping is due each second
    with Daemon(house, environment={"WATCHDOG_USEC": "2000000"}) as daemon:
        daemon.ready()
        sources = drop_slow(house)
        daemon.catch_lane(sources)
        pings = daemon.notices.heard.count("WATCHDOG=1")
        assert reload(house, daemon, CHANGED) == "reload.done"
        assert daemon.notices.heard.count("WATCHDOG=1") > pings
        daemon.done(path.name for path in sources)
        assert daemon.stop() == 0
    assert {(job.state, job.attempts, job.unclean) for job in house.jobs()} == {(State.DONE, 0, 0)}
    assert sorted(house.results(house.home / "1/out")) == ["slow-0.png", "slow-1.png"]


@pytest.mark.parametrize("reloading", [False, True])
def test_a_reload_while_it_stops(tmp_path: Path, *, reloading: bool) -> None:
    """A signal to reload does not hold up a stop, nor does a reload under way; what was caught is done or put back."""
    house = open_house(tmp_path)
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house)
        lane, _ = daemon.catch_lane(sources)
        house.configure(CHANGED)
        if reloading:
            daemon.signal(signal.SIGHUP)
            daemon.until(lambda: "RELOADING=1" in daemon.notices.heard)
        daemon.signal(signal.SIGTERM)
        daemon.heard("daemon.stop")
        daemon.signal(signal.SIGHUP)
        os.kill(lane, signal.SIGCONT)
        assert daemon.ended() == 0
        assert not daemon.events("reload.done")
        done = {event["path"] for event in daemon.events("job.done")}
    with Daemon(house) as daemon:
        daemon.ready().done(path.name for path in sources if path.name not in done)
        assert daemon.stop() == 0
    until(lambda: not house.processes())
    assert {(job.state, job.attempts, job.unclean) for job in house.jobs()} == {(State.DONE, 0, 0)}
    assert sorted(house.results(house.home / "1/out")) == ["slow-0.png", "slow-1.png"]
