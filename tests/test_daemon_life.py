"""The daemon's life from outside: start, reload, stop, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from bgrd.config.load import load
from bgrd.daemon import Daemon as Program
from bgrd.errors import BusyError, StateError
from bgrd.job import State
from bgrd.lock import hold
from bgrd.telemetry.notify import Notifier
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.inboxes import until
from tests.kernel.processes import begun_since, open_files
from tests.pictures.scenes import check_result, phone_photo

pytestmark = pytest.mark.timeout(240)

FOLDER = '[[folder]]\nname = "{0}"\ninbox = "~/{0}/in"\noutbox = "~/{0}/out"\n'


def test_ready_comes_after_all_it_promises(tmp_path: Path) -> None:
    """READY=1 is told once, after the model was tried and the inbox is watched; STOPPING=1 when it ends."""
    house = House(tmp_path / "house")
    with Daemon(house) as daemon:
        daemon.ready()
        first, *between, last = [event["event"] for event in daemon.events()]
        # The inbox is watched by one thread and the model tried by another: either may be the first.
        assert (first, sorted(between), last) == ("daemon.start", ["model.loaded", "watch.mode"], "daemon.ready")
        assert daemon.stop() == 0
        until(lambda: "STOPPING=1" in daemon.notices.heard)
        heard = daemon.notices.heard
    assert heard.count("READY=1") == 1
    assert heard.index("READY=1") < heard.index("STOPPING=1")
    assert not house.status(), "the status file went with the daemon"


def test_what_models_and_pictures_took_is_remembered(tmp_path: Path) -> None:
    """After a run the table beside the journal has the model by its hash, and what the picture took."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        loaded = daemon.heard("model.loaded")[0]
        assert daemon.stop() == 0
    told = json.loads((house.home / ".local/state/bgrd/machine.json").read_text())
    assert [(model["name"], model["sha256"]) for model in told["models"]] == [("bgrd-lite", loaded["sha256"])]
    assert told["models"][0]["resident_bytes"] == loaded["resident_bytes"]
    assert told["pictures"] == 1


def test_a_broken_model_blocks_its_folder_alone(tmp_path: Path) -> None:
    """A model that cannot be loaded blocks its folder with a reason and keeps READY from nobody."""
    house = House(tmp_path / "house").folders()
    for name in ("well/in", "well/out", "ill/in", "ill/out"):
        (house.home / name).mkdir(parents=True)
    (house.home / "ill.onnx").write_bytes(b"this is no model")
    table = '[[model]]\nname = "mine"\npath = "~/ill.onnx"\nside = 32\n'
    house.configure(FOLDER.format("well") + FOLDER.format("ill") + 'model = "mine"\n' + table)
    with Daemon(house) as daemon:
        for name in ("well", "ill"):
            (house.home / name / "in/a.jpg").write_bytes(phone_photo())
        daemon.ready()
        blocked = daemon.heard("folder.blocked", folder="ill")[0]
        assert blocked["kind"] == "model"
        daemon.heard("job.done", folder="well")
        daemon.until(lambda: house.status().get("folders", {}).get("ill", {}).get("state") == "blocked")
        assert not daemon.events("job.failed")
        assert daemon.stop() == 0
    assert [(job.folder, job.state, job.attempts) for job in house.jobs() if job.folder == "ill"] in (
        [("ill", State.READY, 0)],
        [("ill", State.WAITING, 0)],
    )


def test_a_provider_that_cannot_be_used_is_never_passed_over(tmp_path: Path) -> None:
    """It blocks the folders with a sentence; allowed to do without, bgrd works and log and status say on what."""
    house = House(tmp_path / "house")
    for name in ("one/in", "one/out"):
        (house.home / name).mkdir(parents=True)
    wanted = 'providers = ["cuda", "cpu"]\n'
    house.configure(wanted + FOLDER.format("one"))
    with Daemon(house) as daemon:
        daemon.ready()
        assert "Provider cuda is not in the onnxruntime" in daemon.heard("folder.blocked", folder="one")[0]["reason"]
        house.configure(f"provider_fallback = true\n{wanted}{FOLDER.format('one')}")
        daemon.signal(signal.SIGHUP)
        loaded = daemon.heard("model.loaded")[0]
        assert loaded["providers"] == ["cpu"]
        assert "cuda" in loaded["notes"][0]
        (house.home / "one/in/a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        daemon.until(lambda: house.status().get("models", {}).get("bgrd-lite", {}).get("providers") == ["cpu"])
        assert daemon.stop() == 0


def test_a_reload_adds_a_folder(tmp_path: Path) -> None:
    """SIGHUP with a folder more: pictures that lie there are done; the folder that stayed never stopped."""
    house = House(tmp_path / "house")
    for name in ("old/in", "old/out", "new/in", "new/out"):
        (house.home / name).mkdir(parents=True)
    house.configure(FOLDER.format("old"))
    data = phone_photo()
    with Daemon(house) as daemon:
        daemon.ready()
        (house.home / "new/in/a.jpg").write_bytes(data)
        house.configure(FOLDER.format("old") + FOLDER.format("new"))
        daemon.signal(signal.SIGHUP)
        daemon.heard("reload.done")
        (house.home / "old/in/b.jpg").write_bytes(data)
        daemon.done(["a.jpg", "b.jpg"])
        check_result(house.home / "new/out/a.png", data)
        check_result(house.home / "old/out/b.png", data)
        daemon.until(lambda: daemon.notices.heard.count("READY=1") == 2)
        assert daemon.notices.heard.count("RELOADING=1") == 1
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("text", "word"),
    [("[[folder]\n", "TOML"), ("threshold = 2\n", "threshold"), ('[defaults]\npolicy = "burn"\n', "policy")],
)
def test_a_reload_refuses_what_is_wrong(tmp_path: Path, text: str, word: str) -> None:
    """SIGHUP with a wrong file: the log says what is wrong with which key, and everything goes on as before."""
    house = House(tmp_path / "house")
    with Daemon(house) as daemon:
        daemon.ready()
        house.configure(text)
        daemon.signal(signal.SIGHUP)
        assert word in daemon.heard("reload.rejected")[0]["reason"]
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        daemon.until(lambda: daemon.notices.heard.count("READY=1") == 2)
        assert daemon.stop() == 0


def test_a_reload_that_takes_a_folder_away(tmp_path: Path) -> None:
    """A folder that is configured no more is served no more: its jobs are withdrawn, its results stay."""
    house = House(tmp_path / "house")
    for name in ("stays/in", "stays/out", "goes/in", "goes/out"):
        (house.home / name).mkdir(parents=True)
    house.configure(FOLDER.format("stays") + FOLDER.format("goes"))
    with Daemon(house) as daemon:
        daemon.ready()
        (house.home / "goes/in/before.jpg").write_bytes(phone_photo())
        daemon.done(["before.jpg"])
        house.configure(FOLDER.format("stays"))
        daemon.signal(signal.SIGHUP)
        daemon.heard("reload.done", folders=1)
        (house.home / "goes/in/after.jpg").write_bytes(phone_photo())
        (house.home / "stays/in/after.jpg").write_bytes(phone_photo())
        daemon.heard("job.done", folder="stays")
        assert daemon.stop() == 0
    assert list(house.results(house.home / "goes/out")) == ["before.png"]


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    """A second `run` or `once` on one state exits 75 and names the first; with another state it leaves the inbox be."""
    house = House(tmp_path / "house")
    with Daemon(house) as daemon:
        daemon.ready()
        for command in (("run",), ("once", "--no-progress")):
            refused = house.run(*command)
            assert refused.returncode == os.EX_TEMPFAIL
            assert str(daemon.pid) in refused.stderr
            assert "Traceback" not in refused.stderr
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        another = {"BGRD_STATE_DIRECTORY": str(house.root / "another")}
        aside = house.run("once", "--no-progress", environment=another)
        assert aside.returncode == 1
        assert f"another bgrd (process {daemon.pid}" in " ".join(aside.stderr.split())
        assert len(house.results()) == 1
        assert daemon.stop() == 0


def test_a_wrong_configuration_is_refused(tmp_path: Path) -> None:
    """`run` exits 78 and names the key; nothing has been made."""
    house = House(tmp_path / "house")
    house.configure("lanes = 1000\n")
    refused = house.run("run")
    assert refused.returncode == os.EX_CONFIG
    assert "lanes" in refused.stderr
    assert not house.inbox.exists()


def test_once_on_the_inboxes(tmp_path: Path) -> None:
    """`bgrd once` does what lies there and exits 1 with a table where one failed; a second run has nothing to do."""
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]\ngrace_seconds = 0\n")
    data = phone_photo()
    (house.inbox / "trip").mkdir()
    (house.inbox / "trip/a.jpg").write_bytes(data)
    (house.inbox / "bad.jpg").write_bytes(b"no picture " * 99)
    first = house.run("once", "--no-progress")
    assert first.returncode == 1
    assert "1 done, 1 failed" in first.stderr
    assert "bad.jpg" in first.stderr
    check_result(house.outbox / "trip/a.png", data)
    again = house.run("once", "--no-progress")
    assert again.returncode == 0
    assert "0 done, 0 failed" in again.stderr
    (house.inbox / "bad.jpg").write_bytes(data)
    mended = house.run("once", "--no-progress")
    assert mended.returncode == 0
    assert sorted(house.results()) == ["bad.png", "trip/a.png"]
    assert not house.clear()


def test_status_beside_a_running_daemon(tmp_path: Path) -> None:
    """`bgrd status` says who runs and what was done, beside the daemon and after it."""
    house = House(tmp_path / "house")
    with Daemon(house) as daemon:
        daemon.ready()
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        running = house.run("status", "--json")
        assert running.returncode == 0
        assert f'"pid": {daemon.pid}' in running.stdout
        assert '"done": 1' in running.stdout
        assert daemon.stop() == 0
    after = house.run("status", "--json")
    assert after.returncode == 3
    assert '"done": 1' in after.stdout


def test_check_of_a_fresh_home(tmp_path: Path) -> None:
    """`bgrd check` finds nothing wrong in a fresh home and makes no claim without a line that says OK."""
    house = House(tmp_path / "house").folders()
    checked = house.run("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "OK" in checked.stdout


@pytest.mark.parametrize(("kind", "error"), [("lock", BusyError), ("journal", StateError)])
def test_one_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, kind: str, error: type[Exception]) -> None:
    """No thread and no descriptor, whichever of what it takes is refused."""
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "config.toml").write_text(f'state_directory = "{state}"\n')
    held = hold(state) if kind == "lock" else None
    if held is None:
        (state / "journal.db").write_bytes(b"no journal" * 1000)
    before, threads = open_files(), threading.enumerate()
    with pytest.raises(error):
        Program(lambda: load(tmp_path / "config.toml", environ={"HOME": str(tmp_path)}), notifier=Notifier({}))
    assert not begun_since(threads)
    assert open_files() == before
    if held is not None:
        held.close()
