"""What `bgrd check` finds out about the machine and the models."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bgrd.check import Finding, check, prepare_folders
from bgrd.config.load import folders, load
from bgrd.config.settings import Settings
from bgrd.models.index import Entry, change


class World:
    """A home, and a root with what the kernel and systemd would tell below it."""

    def __init__(self, path: Path) -> None:
        self.home, self.root = path / "home", path / "root"
        self.home.mkdir()
        self.file = self.home / "config.toml"
        self.tell("proc/meminfo", "MemTotal: 8000000 kB\n")
        self.tell("proc/sys/fs/inotify/max_user_watches", "8192\n")
        self.tell("proc/sys/fs/inotify/max_user_instances", "128\n")

    def tell(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def load(self, text: str = "") -> Settings:
        self.file.write_text(text)
        return load(self.file, environ={"HOME": str(self.home)})

    def found(self, text: str = "", **environ: str) -> dict[str, Finding]:
        """Give the findings by subject, the worst of each."""
        order = ["ok", "warn", "error"]
        findings = check(self.load(text), environ=environ, root=self.root)
        return {f.subject: f for f in sorted(findings, key=lambda f: order.index(f.level))}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a world where all is well."""
    return World(tmp_path)


def test_a_fresh_installation_is_sound(world: World) -> None:
    """With no configuration at all there is no error, and nothing is made by looking."""
    findings = world.found()
    assert {f.subject: f.text for f in findings.values() if f.level == "error"} == {}
    assert findings["model bgrd-lite"].text.endswith("its checksum is right")
    assert [path.name for path in world.home.iterdir()] == ["config.toml"]


def test_only_default_folders_are_made(world: World) -> None:
    """A configured folder that is missing stays missing; what is there already is not told of."""
    plan = folders(world.load('[defaults]\npolicy = "archive"'))
    assert [f.level for f in prepare_folders(plan)] == ["ok"] * 3
    assert all(path.is_dir() for path in (plan[0].inbox, plan[0].outbox, plan[0].archive))
    assert prepare_folders(plan) == []
    configured = folders(world.load('[[folder]]\nname = "x"\ninbox = "i"\noutbox = "o"'))
    assert prepare_folders(configured) == []
    assert not (world.home / "i").exists()


def test_a_folder_that_cannot_be_made_is_an_error_and_not_the_end(world: World) -> None:
    """The daemon goes on and waits for the folder."""
    (world.home / "bgr").write_text("a file in the way")
    findings = prepare_folders(folders(world.load()))
    assert [f.level for f in findings] == ["error", "error"]
    assert "cannot be made: " in findings[0].text


def test_misspelt_variables_are_told(world: World) -> None:
    """A variable that sets nothing is a warning."""
    assert world.found(BGRD_LANS="2")["environment"].text == "BGRD_LANS sets nothing"


# Models


def test_a_model_that_is_not_installed(world: World) -> None:
    """The store's sentence says what to do."""
    finding = world.found('[defaults]\nmodel = "u2net"')["model u2net"]
    assert (finding.level, "not installed" in finding.text) == ("error", True)


def test_a_catalogue_model_that_is_another_file(world: World) -> None:
    """The published checksum is compared, whatever its algorithm."""
    place = world.home / ".local/share/bgrd/models/u2net.onnx"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half a download")
    finding = world.found('[defaults]\nmodel = "u2net"')["model u2net"]
    assert (finding.level, "checksum is not md5:" in finding.text) == ("error", True)


MINE = '[defaults]\nmodel = "mine"\n[[model]]\nname = "mine"\npath = "m.onnx"\n'


def test_a_model_of_ones_own(world: World) -> None:
    """It is there, with the hash that was asked for, or something is said."""
    assert "is missing" in world.found(MINE)["model mine"].text
    (world.home / "m.onnx").write_bytes(b"model")
    assert world.found(MINE)["model mine"].text.endswith("no checksum is known for it")
    wrong = world.found(MINE + f'sha256 = "{"0" * 64}"')["model mine"]
    assert (wrong.level, wrong.advice) == ("error", "bgrd models verify mine")
    right = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    assert world.found(MINE + f'sha256 = "{right}"')["model mine"].text.endswith("its checksum is right")


def test_weights_in_files_of_their_own(world: World) -> None:
    """An installed model's weights are held against what was recorded of them; of others nothing is known."""
    models = world.home / ".local/share/bgrd/models"
    (models / "mine").mkdir(parents=True)
    (models / "mine" / "m.onnx").write_bytes(b"model")
    (models / "mine" / "m.data").write_bytes(b"weights")
    graph, weights = (hashlib.sha256(data).hexdigest() for data in (b"model", b"weights"))
    entry = Entry(name="mine", file_name="mine/m.onnx", sha256=graph, size=5, origin="", external={"m.data": weights})
    change(models, lambda entries: entries.update(mine=entry))
    assert world.found('[defaults]\nmodel = "mine"')["model mine"].text.endswith("its checksum is right")
    (models / "mine" / "m.data").write_bytes(b"other")
    finding = world.found('[defaults]\nmodel = "mine"')["model mine"]
    assert (finding.level, finding.advice) == ("error", "bgrd models verify mine")
    assert "m.data is damaged or another file" in finding.text
    (world.home / "m.onnx").write_bytes(b"model")
    (world.home / "m.data").write_bytes(b"other")
    text = world.found(MINE + f'data = ["m.data"]\nsha256 = "{graph}"')["model mine"].text
    assert text.endswith("its checksum is right, and none is known for its weights")


def test_a_model_that_cannot_be_read(world: World) -> None:
    """A disk error is told and does not end the check; /proc/self/mem gives one for its first byte."""
    text = MINE.replace("m.onnx", "/proc/self/mem") + f'sha256 = "{"0" * 64}"'
    finding = world.found(text)["model mine"]
    assert (finding.level, "its file cannot be read: [Errno 5]" in finding.text) == ("error", True)


def test_what_a_shared_session_may_do_is_told(world: World) -> None:
    """A process that works with a device may open files, one that uses the processor may not: said where it is so."""
    finding = world.found('providers = ["cuda", "cpu"]')["providers"]
    assert (finding.level, "may open what its driver needs" in finding.text) == ("ok", True)
    finding = world.found('shared_session = "on"')["providers"]
    assert (finding.level, "sees tensors and no picture" in finding.text) == ("ok", True)
    assert "may open" not in finding.text


def test_providers_that_cannot_work_in_a_lane(world: World) -> None:
    """They are an error, or told where bgrd may do without; what can work is said too."""
    assert world.found()["providers"].text == "models run on the processor"
    finding = world.found('shared_session = "off"\nproviders = ["cuda", "cpu"]')["providers"]
    assert (finding.level, finding.text.startswith("Provider cuda opens devices")) == ("error", True)
    fallback = 'shared_session = "off"\nprovider_fallback = true\n'
    assert world.found(f'{fallback}providers = ["cuda", "cpu"]')["providers"].level == "warn"
    assert world.found('providers = ["xnnpack", "cpu"]')["providers"].level == "ok"


def test_the_heif_decoder_is_only_looked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the advice is the command that brings it."""
    monkeypatch.setattr("bgrd.check.find_spec", lambda _name: None)
    assert world.found()["formats"].advice == "pip install 'bgrd[heif]'"
    monkeypatch.setattr("bgrd.check.find_spec", lambda _name: object())
    assert world.found()["formats"].level == "ok"


# The machine


WATCHED = '[defaults]\nwatch = "{}"\nrecursive = {}\n[[folder]]\nname = "a"\ninbox = "in"\noutbox = "in/out"\n'


@pytest.mark.parametrize(
    ("watch", "recursive", "needed"),
    [("inotify", "true", 3), ("inotify", "false", 1), ("poll", "true", 0)],
)
def test_inotify_counts_what_is_watched(world: World, watch: str, recursive: str, needed: int) -> None:
    """Directories that are left out, and polled folders, take no watch."""
    for name in ("in/a/b", "in/.stfolder/x", "in/out/y"):
        (world.home / name).mkdir(parents=True)
    text = WATCHED.format(watch, recursive)
    texts = [f.text for f in check(world.load(text), environ={}, root=world.root) if f.subject == "inotify"]
    assert texts == [f"{needed} of 8192 watches", f"{min(needed, 1)} of 128 instances"]


def test_inotify_limits_that_are_too_low_name_the_sysctl(world: World) -> None:
    """The folder works all the same, by scanning, which is said."""
    (world.home / "in/a/b").mkdir(parents=True)
    world.tell("proc/sys/fs/inotify/max_user_watches", "2\n")
    finding = world.found(WATCHED.format("inotify", "true"))["inotify"]
    assert (finding.level, finding.advice) == ("warn", "sysctl fs.inotify.max_user_watches=8192")


def test_inotify_that_tells_nothing(world: World) -> None:
    """In some containers there is none."""
    (world.root / "proc/sys/fs/inotify/max_user_watches").unlink()
    assert world.found()["inotify"].level == "warn"


def test_memory_that_does_not_fit(world: World) -> None:
    """Too much, too little and unknown are warnings; the rest is told in numbers."""
    told = world.found("lanes = 1\nthreads = 2")["lanes"].text
    assert re.fullmatch(
        r"1 lane x 2 threads \(as configured\): \d+ processors?, 4\.1 of 8\.2 GB allowed, "
        r"a lane takes up to 0\.9 GB with bgrd-lite \(reckoned, as it was not loaded here yet\)",
        told,
    )
    assert "more than there is" in world.found('memory_limit = "9 GB"')["lanes"].text
    assert "large pictures may fail" in world.found('memory_limit = "1 GB"\nlanes = 2')["lanes"].text
    assert "too little" in world.found('model_memory = "50 MB"\nshared_session = "on"')["lanes"].text
    (world.root / "proc/meminfo").unlink()
    assert "is unknown" in world.found()["lanes"].text


def test_the_state_directory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be writable, and is best on a local disk."""
    (world.home / "file").write_text("")
    assert world.found('state_directory = "file"')["state"].level == "error"
    assert "cannot be reached" in world.found('state_directory = "file/x"')["state"].text
    monkeypatch.setattr("bgrd.check.is_network", lambda _mount: True)
    assert world.found('state_directory = "state"')["state"].level == "warn"


def test_stopping_has_to_fit_into_the_service(world: World) -> None:
    """A longer wait than systemd's would be cut off."""
    assert world.found("stop_seconds = 90")["service"].level == "warn"


def test_headless_machines_are_told_of_lingering(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a desktop bgrd would stop at the logout; on a desktop that is what one wants."""
    assert "service" not in world.found()
    (world.root / "run/systemd/system").mkdir(parents=True)
    monkeypatch.setattr("bgrd.check.os.getuid", lambda: 4_000_000_000)
    assert world.found()["service"].advice == "loginctl enable-linger 4000000000"
    assert "service" not in world.found(DISPLAY=":0")
    world.tell("var/lib/systemd/linger/4000000000", "")
    assert world.found()["service"].level == "ok"


def test_no_heavy_library_is_loaded() -> None:
    """The parent process stays small: neither pictures nor models are loaded to check."""
    code = (
        "import sys, bgrd.check, bgrd.telemetry.log, bgrd.telemetry.notify, bgrd.telemetry.status\n"
        "print(sorted({'PIL', 'numpy', 'onnxruntime', 'pillow_heif'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
