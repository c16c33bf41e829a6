"""`bgrd bench` from outside, with a tiny model."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bgrd.benchmark import Effort
from bgrd.cli.main import main
from bgrd.engine.capacity import measure
from bgrd.engine.experience import identity, recall
from bgrd.lock import hold
from bgrd.models import index
from tests.pictures.networks import u2net
from tests.pictures.scenes import phone_photo

TABLE = '[[model]]\nname = "tiny"\npath = "~/tiny.onnx"\nlike = "u2net"\nside = 64\n[defaults]\nmodel = "tiny"\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user with a tiny model and a few pictures, on a machine where nothing else happens."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "BGRD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("bgrd.cli.bench.busy_seconds", lambda: 0.0)
    monkeypatch.setattr("bgrd.cli.bench._QUICK", Effort(seconds=0.05, rounds=1))
    (tmp_path / "tiny.onnx").write_bytes(u2net(64))
    (tmp_path / ".config/bgrd").mkdir(parents=True)
    (tmp_path / ".config/bgrd/config.toml").write_text(TABLE)
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(phone_photo())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(*arguments: str) -> int:
    """Run the command quickly on the photos."""
    return main(["bench", "--quick", "--pictures", "photos", *arguments])


def test_what_was_found_is_told_drawn_and_remembered(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stages, lanes and a suggestion; an SVG that needs nothing from elsewhere; the next start and `models list`."""
    before = {path: path.read_bytes() for path in (home / "photos").iterdir()}
    assert bench("--picture", "bench.svg") == 0
    told = capsys.readouterr().out
    for word in ("tiny on", "decode", "infer", "encode", "pictures a minute", "best: "):
        assert word in told
    machine = identity(measure().processors)
    (figures,) = recall(home / ".local/state/bgrd", machine).models.values()
    assert figures.name == "tiny"
    assert figures.best is not None
    assert f"best: {figures.best[0]} lane" in told
    assert set(figures.milliseconds) >= {1}
    assert index.speeds(home / ".local/share/bgrd/models")["tiny"] > 0
    svg = (home / "bench.svg").read_text()
    assert ET.fromstring(svg).tag.endswith("svg")
    assert set(re.findall(r"https?://[^\s\"]+", svg)) == {"http://www.w3.org/2000/svg"}
    assert "infer" in svg
    assert {path: path.read_bytes() for path in (home / "photos").iterdir()} == before
    assert main(["check"]) in {0, 78}
    assert "a lane takes up to" in capsys.readouterr().out


def test_json_has_it_all(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts: every model named, with combinations and what was suggested."""
    del home
    assert bench("--json", "tiny", "bgrd-lite", "tiny") == 0
    told = json.loads(capsys.readouterr().out)
    assert [model["model"] for model in told["models"]] == ["tiny", "bgrd-lite"]
    assert told["remembered"] is True
    for model in told["models"]:
        assert model["best"] in model["combinations"]
        assert model["stages"]["infer"] > 0


def test_a_busy_machine_is_told_and_nothing_remembered(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What others use in between says more of them than of the model."""
    used = iter([0.0, 1e6])
    monkeypatch.setattr("bgrd.cli.bench.busy_seconds", lambda: next(used))
    assert bench() == 0
    assert "other programs used" in capsys.readouterr().err
    assert not (home / ".local/state/bgrd/machine.json").exists()


def test_what_cannot_be_written_down_is_told_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Minutes of measuring are not lost to a full disk."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bgrd.engine.experience.write_whole", full)
    assert bench("--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["remembered"] is False
    assert "not remembered" in said.err
    assert not (home / ".local/state/bgrd/machine.json").exists()


def test_a_running_bgrd_is_told_and_nothing_remembered(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be at work at any moment."""
    (home / ".local/state/bgrd").mkdir(parents=True)
    with hold(home / ".local/state/bgrd"):
        assert bench("--json") == 0
    said = capsys.readouterr()
    assert "bgrd is running" in said.err
    assert "bgrd is running" in json.loads(said.out)["notes"][0]
    assert not (home / ".local/state/bgrd/machine.json").exists()


def test_lanes_that_share_their_model_are_measured_and_not_remembered(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so; the memory has the model's process in it, which is more than a lane's."""
    config = home / ".config/bgrd/config.toml"
    assert bench("--json") == 0
    whole = json.loads(capsys.readouterr().out)["models"][0]
    (home / ".local/state/bgrd/machine.json").unlink()
    config.write_text(f'shared_session = "on"\n{TABLE}')
    assert bench("--json") == 0
    said = capsys.readouterr()
    assert "runs once for all lanes here" in said.err
    told = json.loads(said.out)
    assert not told["remembered"]
    assert "set shared_session to off" in told["notes"][0]
    shared = told["models"][0]
    assert shared["stages"]["infer"] > 0
    assert shared["resident_bytes"] > whole["resident_bytes"]
    assert all(each["memory_bytes"] > shared["resident_bytes"] for each in shared["combinations"])
    assert not (home / ".local/state/bgrd/machine.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["u2net"], 66, "Model u2net is not installed: run `bgrd models pull u2net`."),
        (["nobody"], 66, "There is no model named nobody"),
        (["--pictures", "gone"], 66, "gone cannot be read"),
        (["--picture", "gone/bench.svg"], 73, "gone/bench.svg cannot be written"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_measured(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    """With the sentences of other commands, and sysexits' codes."""
    del home
    assert main(["bench", *arguments]) == code
    assert sentence in capsys.readouterr().err


def test_a_damaged_model_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where it is installed."""
    (home / "tiny.onnx").write_bytes(b"no model")
    assert bench() == 65
    assert "tiny is damaged" in capsys.readouterr().err


def test_pictures_that_all_fail_are_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing can be measured on them."""
    for path in (home / "photos").iterdir():
        path.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert bench() == 66
    assert "no picture could be worked on" in capsys.readouterr().err


def test_nothing_is_left_behind(home: Path) -> None:
    """Neither results nor lanes; without a terminal there is no bar."""
    (home / "tmp").mkdir()
    command = [sys.executable, "-m", "bgrd", "bench", "--quick", "--pictures", "photos"]
    environment = {**os.environ, "TMPDIR": str(home / "tmp")}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert not list((home / "tmp").iterdir())
    assert "\x1b" not in done.stdout + done.stderr
