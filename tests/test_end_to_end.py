"""The daemon from outside: pictures dropped into its inbox by every kind of sender, and what comes out."""

from __future__ import annotations

import io
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgrd import cut_out
from bgrd.job import Job, State
from tests.daemons import Daemon
from tests.houses import House
from tests.making import model
from tests.scenes import check_result, phone_photo
from tests.senders import SENDERS, missing_for

pytestmark = pytest.mark.timeout(240)

MEBIBYTE = 2**20


@dataclass
class Evidence:
    """What is left after every sender has sent its picture to one daemon, and it has stopped."""

    house: House
    missing: dict[str, str] = field(default_factory=dict)
    sources: dict[str, bytes] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    jobs: list[Job] = field(default_factory=list)
    clean: dict[str, Path] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    walked_again: str = ""


def _send_all(evidence: Evidence) -> None:
    """Have every sender send at the same time, each a picture of its own."""
    house = evidence.house
    threads = []
    for seed, name in enumerate(SENDERS):
        evidence.missing[name] = missing_for(name, house.inbox)
        if evidence.missing[name]:
            continue
        aside = house.root / f"aside-{seed}"
        aside.mkdir()
        data, tree = phone_photo(seed=seed), "tree" in name
        place = house.inbox / (name if tree else f"{name}.jpg")
        evidence.sources[name] = data
        evidence.paths[name] = f"{name}/one/two/in tree.jpg" if tree else place.name

        def send(name: str = name, data: bytes = data, place: Path = place, aside: Path = aside) -> None:
            try:
                SENDERS[name](data, place, aside)
            except Exception as error:  # noqa: BLE001 - told by the sender's own test
                evidence.errors[name] = error

        threads.append(threading.Thread(target=send))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _process_alone(evidence: Evidence) -> None:
    """Process the same bytes by `bgrd once`, which knows no inbox."""
    house = evidence.house
    (house.root / "sources").mkdir()
    files = []
    for index, (name, data) in enumerate(evidence.sources.items()):
        file = house.root / "sources" / f"{index}.jpg"
        file.write_bytes(data)
        files.append(file)
        evidence.clean[name] = house.root / "clean" / f"{index}.png"
    done = house.run("once", "--no-progress", "-o", house.root / "clean", *files)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Send everything once; the tests look at what came of it."""
    house = House(tmp_path_factory.mktemp("senders") / "house").folders()
    evidence = Evidence(house)
    with Daemon(house) as daemon:
        daemon.ready()
        _send_all(evidence)
        daemon.done(path for name, path in evidence.paths.items() if name not in evidence.errors)
        assert daemon.stop() == 0
        for event in daemon.events():
            if event["event"].startswith("job."):
                evidence.outcomes[event["path"], event["event"]] += 1
    again = house.run("once", "--no-progress")
    evidence.walked_again = again.stderr
    evidence.jobs = house.jobs()
    _process_alone(evidence)
    return evidence


@pytest.mark.parametrize("name", SENDERS)
def test_a_sender(evidence: Evidence, name: str) -> None:
    """Whoever sends a picture and however: one result, bit for bit that of a clean run, upright, profile kept."""
    if evidence.missing[name]:
        pytest.skip(evidence.missing[name])
    assert name not in evidence.errors
    house, path, data = evidence.house, evidence.paths[name], evidence.sources[name]
    assert evidence.outcomes[path, "job.done"] == 1
    assert evidence.outcomes[path, "job.failed"] == 0
    stem = path.removesuffix(".jpg")
    found = [result for result in house.results() if result.startswith(stem)]
    own = [result for result in found if result[len(stem)] in ".-"]  # "mv across" begins with "mv"
    assert own == [f"{stem}.png"]
    result = house.outbox / own[0]
    assert result.read_bytes() == evidence.clean[name].read_bytes()
    check_result(result, data)
    assert (house.inbox / path).read_bytes() == data
    assert all(job.attempts == 0 for job in evidence.jobs if job.path == path.encode())


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


def test_two_folders_with_two_models(tmp_path: Path) -> None:
    """Folders with different models and recipes work at the same time, each by its own, a foreign file among them."""
    house = House(tmp_path / "house").folders()
    (house.home / "tiny.onnx").write_bytes(model(bias=(-6.0,)))
    for name in ("other in", "other out"):
        (house.home / name).mkdir()
    house.configure(
        """
        lanes = 2
        [[folder]]
        name = "first"
        inbox = "~/bgr/inbox"
        outbox = "~/bgr/outbox"
        [[folder]]
        name = "second"
        inbox = "~/other in"
        outbox = "~/other out"
        model = "tiny"
        products = ["mask", "cutout"]
        [[model]]
        name = "tiny"
        path = "~/tiny.onnx"
        side = 32
        """
    )
    sources = [(seed, phone_photo(seed=seed)) for seed in range(4)]
    with Daemon(house) as daemon:
        for seed, data in sources:
            (house.inbox / f"{seed}.jpg").write_bytes(data)
            (house.home / "other in" / f"{seed}.jpg").write_bytes(data)
        daemon.ready()
        for folder, name in (("first", "bgrd-lite"), ("second", "tiny")):
            done = daemon.heard("job.done", folder=folder, times=len(sources))
            assert sorted(event["path"] for event in done) == [f"{seed}.jpg" for seed, _ in sources]
            assert {event["model"] for event in done} == {name}
        assert daemon.stop() == 0
    for seed, data in sources:
        check_result(house.outbox / f"{seed}.png", data)
        with Image.open(house.home / "other out" / f"{seed}.mask.png") as mask, Image.open(io.BytesIO(data)) as source:
            assert (mask.mode, mask.size) == ("L", source.size[::-1])
    assert len(house.results()) == len(sources)
    assert len(house.results(house.home / "other out")) == 2 * len(sources)


def test_source_policies(tmp_path: Path) -> None:
    """`archive` moves a source beside the inbox and `delete` removes it, once the result is there; equal names live."""
    house = House(tmp_path / "house")
    tables = []
    for policy in ("archive", "delete"):
        for name in ("in", "out"):
            (house.home / policy / name).mkdir(parents=True)
        tables.append(
            f'[[folder]]\nname = "{policy}"\npolicy = "{policy}"\ninbox = "~/{policy}/in"\noutbox = "~/{policy}/out"\n'
        )
    house.configure("".join(tables))
    (house.home / "archive/in-done/trip").mkdir(parents=True)
    (house.home / "archive/in-done/trip/a.jpg").write_bytes(b"an older one")
    data = phone_photo()
    with Daemon(house) as daemon:
        daemon.ready()
        for policy in ("archive", "delete"):
            (house.home / policy / "in/trip").mkdir()
            (house.home / policy / "in/trip/a.jpg").write_bytes(data)
        archived = daemon.heard("job.done", folder="archive")[0]
        deleted = daemon.heard("job.done", folder="delete")[0]
        assert daemon.stop() == 0
    assert (archived["source"], deleted["source"]) == ("archived", "deleted")
    for policy in ("archive", "delete"):
        check_result(house.home / policy / "out/trip/a.png", data)
        assert not [path for path in (house.home / policy / "in").rglob("*") if path.is_file()]
    assert (house.home / "archive/in-done/trip/a-2.jpg").read_bytes() == data
    assert (house.home / "archive/in-done/trip/a.jpg").read_bytes() == b"an older one"
    assert {job.state for job in house.jobs()} == {State.DONE}


def test_an_idle_daemon_is_small(tmp_path: Path) -> None:
    """Without work the lanes go and 60 MB stay, no heavy library among them; the next picture brings a lane back."""
    house = House(tmp_path / "house")
    house.configure("idle_unload_seconds = 0.5\n")
    heavy = ("/PIL/", "/numpy/", "/onnxruntime/", "pillow_heif", "libheif")
    with Daemon(house) as daemon:
        daemon.ready()
        for name in ("first.jpg", "second.jpg"):
            (house.inbox / name).write_bytes(phone_photo())
            daemon.done([name])
            daemon.until(lambda: not house.lanes())
            assert daemon.resident_bytes() <= 60 * MEBIBYTE
            assert not [line for line in daemon.mapped().splitlines() if any(word in line for word in heavy)]
        assert daemon.stop() == 0
    assert sorted(house.results()) == ["first.png", "second.png"]
