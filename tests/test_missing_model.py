"""A daemon whose model is missing, until somebody installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.processes import children
from tests.pictures.making import model
from tests.pictures.scenes import phone_photo

pytestmark = pytest.mark.timeout(240)


def test_a_folder_waits_for_its_model_and_goes_on(tmp_path: Path) -> None:
    """Without its model a folder is blocked with the command that gets it; once that was run its picture is done."""
    house = House(tmp_path / "house").folders()
    house.configure('[defaults]\nmodel = "resunet50"\n')
    told = "run `bgrd models add FILE --name resunet50`"
    checked = house.run("check")
    assert checked.returncode == 78
    assert told in " ".join(checked.stdout.split())
    file = house.home / "trained.onnx"
    file.write_bytes(model(sides=(512, 512), layout="NHWC", bias=(-6.0,)))
    with Daemon(house) as daemon:
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        (blocked,) = daemon.heard("folder.blocked")
        assert told in blocked["reason"]
        assert house.results() == {}
        assert house.run("models", "add", file, "--name", "resunet50").returncode == 0
        (done,) = daemon.heard("job.done")
        assert (done["path"], done["model"]) == ("a.jpg", "resunet50")
        assert daemon.stop() == 0
    assert list(house.results()) == ["a.png"]
    assert "its checksum is right" in " ".join(house.run("check").stdout.split())


def test_no_lane_stays_where_no_folder_has_its_model(tmp_path: Path) -> None:
    """The one that was on its way while the daemon started is ended once it is ready: nobody has asked for it."""
    house = House(tmp_path / "house").folders()
    house.configure('[defaults]\nmodel = "resunet50"\n')
    with Daemon(house) as daemon:
        daemon.ready().heard("folder.blocked")
        daemon.until(lambda: not list(children(daemon.pid)))
        assert daemon.stop() == 0
