"""The daemon from outside: pictures dropped into its inbox, and what comes out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.making import model
from tests.pictures.scenes import check_result, phone_photo

pytestmark = pytest.mark.timeout(240)

MEBIBYTE = 2**20


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
