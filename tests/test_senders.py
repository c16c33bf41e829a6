"""The daemon from outside: pictures put into its inbox by every kind of sender, and what comes out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgrd import cut_out
from bgrd.job import Job, State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.senders import LONG_SENDERS, SENDERS, TWICE, Sender, missing_for, replaced_by
from tests.houses.sightings import Sightings
from tests.pictures.scenes import check_result, phone_photo

pytestmark = pytest.mark.timeout(240)


@dataclass
class Evidence:
    """What is left after every sender has sent its picture to one daemon, and it has stopped."""

    house: House
    senders: Mapping[str, Sender]
    missing: dict[str, str] = field(default_factory=dict)
    sources: dict[str, bytes] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    jobs: list[Job] = field(default_factory=list)
    clean: dict[str, bytes] = field(default_factory=dict)
    before: dict[str, bytes] = field(default_factory=dict)
    seen: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    walked_again: str = ""


def _send_all(evidence: Evidence) -> None:
    """Have every sender send at the same time, each a picture of its own."""
    house = evidence.house
    threads = []
    for seed, name in enumerate(evidence.senders):
        evidence.missing[name] = missing_for(name, house.inbox)
        if evidence.missing[name]:
            continue
        aside = house.root / f"aside-{seed}"
        aside.mkdir()
        data, tree = phone_photo(seed=seed), name.startswith("tree")
        place = house.inbox / (name if tree else f"{name}.jpg")
        evidence.sources[name] = data
        evidence.paths[name] = f"{name}/one/two/in tree.jpg" if tree else place.name

        def send(name: str = name, data: bytes = data, place: Path = place, aside: Path = aside) -> None:
            try:
                evidence.senders[name](data, place, aside)
            except Exception as error:  # noqa: BLE001 - told by the sender's own test
                evidence.errors[name] = error

        threads.append(threading.Thread(target=send))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _process_alone(house: House, pictures: Mapping[str, bytes], *, name: str) -> dict[str, bytes]:
    """Process the same bytes by `bgrd once`, which knows no inbox."""
    root = house.root / name
    root.mkdir()
    files = [root / f"{index}.jpg" for index, _ in enumerate(pictures)]
    for file, data in zip(files, pictures.values(), strict=True):
        file.write_bytes(data)
    done = house.run("once", "--no-progress", "-o", root / "clean", *files)
    assert done.returncode == 0, done.stderr
    return {
        each: (root / "clean" / f"{file.stem}.png").read_bytes() for each, file in zip(pictures, files, strict=True)
    }


def _gathered(root: Path, senders: Mapping[str, Sender]) -> Evidence:
    """Send everything once; the tests look at what came of it."""
    house = House(root / "house").folders()
    evidence = Evidence(house, senders)
    with Daemon(house) as daemon, Sightings(house.outbox) as sightings:
        daemon.ready()
        _send_all(evidence)
        wanted = {path for name, path in evidence.paths.items() if name not in evidence.errors}
        daemon.done(wanted)
        daemon.until(lambda: _settled(house, wanted))
        assert daemon.stop() == 0
        for event in daemon.events():
            if event["event"].startswith("job."):
                evidence.outcomes[event["path"], event["event"]] += 1
    evidence.seen = sightings.seen
    again = house.run("once", "--no-progress")
    evidence.walked_again = again.stderr
    evidence.jobs = house.jobs()
    evidence.clean = _process_alone(house, evidence.sources, name="alone")
    twice = {name: replaced_by(data) for name, data in evidence.sources.items() if name in TWICE}
    evidence.before = _process_alone(house, twice, name="before") if twice else {}
    return evidence


def _settled(house: House, paths: AbstractSet[str]) -> bool:
    """Say whether the journal has each picture as it lies there now as done, and nothing that is open."""
    query = "SELECT path, size, mtime_ns, ctime_ns, inode, state FROM job WHERE state != 'withdrawn'"
    address = f"file:{house.state / 'journal.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
        rows = connection.execute(query).fetchall()
    done = {(os.fsdecode(path), *version) for path, *version, state in rows if state == "done"}
    return len(done) == len(rows) and all((path, *_version(house.inbox / path)) in done for path in paths)


def _version(path: Path) -> tuple[int, int, int, int]:
    """Give what the journal knows a file's state by."""
    status = path.lstat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _judge(evidence: Evidence, name: str) -> None:
    """Hold what one sender's picture became."""
    if evidence.missing[name]:
        pytest.skip(evidence.missing[name])
    assert name not in evidence.errors
    house, path, data = evidence.house, evidence.paths[name], evidence.sources[name]
    assert 1 <= evidence.outcomes[path, "job.done"] <= 1 + (name in TWICE)
    assert evidence.outcomes[path, "job.failed"] == 0
    stem = path.removesuffix(".jpg")
    found = [result for result in house.results() if result.startswith(stem)]
    own = [result for result in found if result[len(stem)] in ".-"]  # "mv across" begins with "mv"
    assert own == [f"{stem}.png"]
    result = house.outbox / own[0]
    assert result.read_bytes() == evidence.clean[name]
    whole = [evidence.clean[name], *([evidence.before[name]] if name in TWICE else [])]
    assert evidence.seen[own[0]]
    assert evidence.seen[own[0]] <= {hashlib.sha256(data).hexdigest() for data in whole}
    check_result(result, data)
    assert (house.inbox / path).read_bytes() == data
    assert all(job.attempts == 0 for job in evidence.jobs if job.path == path.encode())


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Give what became of the quick senders' pictures."""
    return _gathered(tmp_path_factory.mktemp("senders"), SENDERS)


@pytest.mark.parametrize("name", SENDERS)
def test_a_sender(evidence: Evidence, name: str) -> None:
    """Whoever sends a picture and however: one result, bit for bit that of a clean run, and never anything else."""
    _judge(evidence, name)


@pytest.mark.long
@pytest.mark.parametrize("name", LONG_SENDERS)
def test_a_patient_sender(tmp_path: Path, name: str) -> None:
    """The same of those who take their time."""
    _judge(_gathered(tmp_path, {name: LONG_SENDERS[name]}), name)


def test_nothing_is_left_to_do(evidence: Evidence) -> None:
    """After all senders a walk of the inbox finds nothing new, nothing open, no note, nothing hidden."""
    assert "0 done, 0 failed" in evidence.walked_again
    assert {job.state for job in evidence.jobs} <= {State.DONE, State.WITHDRAWN}
    assert len(evidence.house.results()) == len(evidence.paths)
    assert not evidence.house.failed.exists() or not list(evidence.house.failed.iterdir())
    names = [path.name for path in evidence.house.home.rglob("*")]
    assert not [name for name in names if name.startswith(".bgrd")]


def test_it_writes_nowhere_else(evidence: Evidence) -> None:
    """The home holds inbox, outbox and the state, and no library has left anything: nothing to send, no cache."""
    home = evidence.house.home
    made = {path.relative_to(home) for path in home.rglob("*")}
    ours = (Path("bgr/inbox"), Path("bgr/outbox"), Path(".local/state/bgrd"))
    assert not [path for path in made if not any(path.is_relative_to(place) or path in place.parents for place in ours)]


def test_the_library_gives_the_same(evidence: Evidence) -> None:
    """`cut_out` gives the pixels and the profile the daemon wrote."""
    name = "cp"
    cut = cut_out(evidence.sources[name])
    with Image.open(evidence.house.outbox / "cp.png") as result:
        assert np.array_equal(np.asarray(cut), np.asarray(result))
        assert cut.info.get("icc_profile") == result.info.get("icc_profile") is not None


def test_a_file_nobody_may_read_yet(tmp_path: Path) -> None:
    """What may not be read waits with that reason, uncharged, and is done once it may be; its neighbour is not held."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("nothing is forbidden to root, and there is no setpriv")
    bound = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all") if not os.geteuid() else ()
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]\nrescan_seconds = 1\n")
    data = phone_photo()
    with Daemon(house, program=(*bound, sys.executable, "-m", "bgrd", "run")) as daemon:
        daemon.ready()
        hidden = house.inbox / ".forbidden.jpg"
        hidden.write_bytes(data)
        hidden.chmod(0)
        hidden.rename(house.inbox / "forbidden.jpg")
        waiting = daemon.heard("job.waiting", path="forbidden.jpg")[0]
        assert waiting["kind"] == "file"
        assert "ermission denied" in waiting["reason"]
        (house.inbox / "neighbour.jpg").write_bytes(data)
        daemon.done(["neighbour.jpg"])
        (house.inbox / "forbidden.jpg").chmod(0o600)
        daemon.done(["forbidden.jpg"])
        assert daemon.stop() == 0
    assert len(house.results()) == 2
    assert {job.attempts for job in house.jobs()} == {0}


def test_a_link_to_a_file_elsewhere_is_all_that_is_deleted(tmp_path: Path) -> None:
    """Of a hard link, of two of them too, `delete` removes the names in the inbox and never the file elsewhere."""
    house = House(tmp_path / "house").folders()
    house.configure('[defaults]\npolicy = "delete"\n')
    elsewhere = house.root / "album.jpg"
    elsewhere.write_bytes(phone_photo())
    with Daemon(house) as daemon:
        daemon.ready()
        for name in ("one.jpg", "two.jpg"):
            (house.inbox / name).hardlink_to(elsewhere)
        daemon.until(lambda: not list(house.inbox.iterdir()))
        daemon.until(lambda: _settled(house, frozenset()) and len(house.results()) == 2)
        assert daemon.stop() == 0
        assert not daemon.events("job.failed")
    assert sorted(house.results()) == ["one.png", "two.png"]
    assert elsewhere.read_bytes() == phone_photo()
    assert elsewhere.stat().st_nlink == 1
