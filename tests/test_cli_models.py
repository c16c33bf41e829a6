"""`bgrd models` from the command line: what it says, what it ends with, what it leaves behind."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from bgrd.cli.main import main
from bgrd.errors import ModelFault
from bgrd.models.catalogue import BUILT_IN, ROWS, Row, Variant
from bgrd.models.index import note_speeds, read
from bgrd.models.spec import ModelSpec
from bgrd.models.store import find
from tests.houses.file_server import FileServer, Reply, ranged
from tests.houses.houses import PATIENCE_SECONDS, House
from tests.houses.inboxes import until
from tests.kernel.processes import bound
from tests.pictures.making import model

TINY = model()
SELF_MADE = model(spec={"name": "mine", "side": 32, "licence": "CC-BY-NC-4.0", "commercial": False})


class Home:
    """A home, and a bgrd that is asked in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.models = path / ".local/share/bgrd/models"
        self._capsys = capsys

    def configure(self, text: str) -> None:
        place = self.path / ".config/bgrd/config.toml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """Run `bgrd models ...`; gives what it said, both ways."""
        assert main(["models", *map(str, arguments)]) == code
        said = self._capsys.readouterr()
        return said.out + said.err

    def json(self, *arguments: str, code: int = 0) -> Any:
        assert main(["models", *arguments, "--json"]) == code
        return json.loads(self._capsys.readouterr().out)

    def file(self, name: str, data: bytes) -> Path:
        (self.path / name).write_bytes(data)
        return self.path / name

    @property
    def left(self) -> list[str]:
        """What lies in the models' directory, but for bgrd's own records."""
        own = {".lock", "models.json", "speeds.json"}
        return sorted(path.name for path in self.models.iterdir() if path.name not in own)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    """Give an empty home, and a network without proxies and tokens."""
    for name in list(os.environ):
        if name.startswith(("XDG_", "HF_", "BGRD_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    return Home(tmp_path, capsys)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Give a server that stands for the hub, and for a mirror at /mirror/."""
    with FileServer() as serving:
        monkeypatch.setenv("HF_ENDPOINT", serving.url(""))
        yield serving


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, server: FileServer) -> Row:
    """Give a small model of the catalogue, published with a checksum at /tiny.onnx."""
    checksum = f"md5:{hashlib.md5(TINY).hexdigest()}"
    variant = Variant(name="fp32", file_name="tiny.onnx", sources=(server.url("/tiny.onnx"),), checksum=checksum)
    spec = ModelSpec(name="tiny", side=32, licence="MIT")
    row = Row(name="tiny", licence="MIT", commercial=True, variants=(variant,), spec=spec)
    monkeypatch.setitem(ROWS, "tiny", row)
    server.script(ranged(TINY), path="/tiny.onnx")
    return row


MODNET = "/Xenova/modnet/resolve/main/onnx/model.onnx"


def test_everything_is_listed(home: Home) -> None:
    """Each file of the catalogue has its line, the built-in one is installed, and no speed is made up."""
    said = home.run("list")
    names = [line.split()[0] for line in said.splitlines()]
    variants = [f"{row.name}:{variant.name}" for row in ROWS.values() for variant in row.variants[1:]]
    assert sorted(names) == sorted(["model", *ROWS, *variants])
    assert "3.9 MB" in said
    assert "ms a picture" not in said
    assert [item["name"] for item in home.json("list", "--installed")] == [BUILT_IN]


def test_what_will_have_to_be_fetched_is_told(home: Home) -> None:
    """A model that is not there has the size of its download, and whether its hub wants to know who asks."""
    said = home.run("info", "rmbg-2.0")
    assert "about 1.0 GB" in said
    assert "HF_TOKEN" in said
    assert "HF_TOKEN" not in home.run("info", "u2net")
    item = home.json("info", "silueta")
    assert (item["size"], item["about_bytes"], item["installed"]) == (None, 44_000_000, False)
    assert "about" not in home.run("info", BUILT_IN)


def test_speeds_are_listed_where_they_were_measured(home: Home) -> None:
    """A measured speed has its column."""
    note_speeds(home.models, {BUILT_IN: 13.7})
    (line,) = [line for line in home.run("list").splitlines() if line.startswith(BUILT_IN)]
    assert line.split()[-1] == "14"
    assert home.json("info", BUILT_IN)["milliseconds"] == 13.7


def test_a_model_is_pulled(home: Home, server: FileServer, tiny: Row) -> None:
    """Pulling installs the file for `find`, with its checksum on record; a second time there is nothing to do."""
    assert "tiny is installed" in home.run("pull", "tiny")
    choice = find("tiny", custom={}, directory=home.models)
    assert choice.path.read_bytes() == TINY
    assert choice.sha256 == hashlib.sha256(TINY).hexdigest()
    assert "is installed already" in home.run("pull", "tiny:fp32")
    assert len(server.requests) == 1
    assert home.json("info", "tiny")["origin"] == server.url("/tiny.onnx")


def test_a_file_put_there_by_hand_is_taken_into_the_records(home: Home, server: FileServer, tiny: Row) -> None:
    """A right file that lies there already is not fetched again; a wrong one is replaced."""
    home.models.mkdir(parents=True)
    (home.models / "tiny.onnx").write_bytes(TINY)
    assert "is installed already" in home.run("pull", "tiny")
    assert server.requests == []
    assert list(read(home.models)) == ["tiny"]
    (home.models / "tiny.onnx").write_bytes(b"wrong")
    assert "tiny is installed" in home.run("pull", "tiny")
    assert (home.models / "tiny.onnx").read_bytes() == TINY


def test_what_was_added_with_weights_is_not_pulled(
    home: Home, server: FileServer, tiny: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose weights lie in files of their own is not replaced by one file; what comes first is told."""
    monkeypatch.setitem(ROWS, "tiny", replace(tiny, variants=(replace(tiny.variants[0], checksum=None),)))
    with_weights(home.path / "large.onnx", "large.data")
    home.run("add", home.path / "large.onnx", "--name", "tiny")
    find("tiny", custom={}, directory=home.models).files[1].unlink()
    assert "`bgrd models remove tiny` comes first" in home.run("pull", "tiny", code=64)
    assert home.json("verify", "tiny", code=1)[0]["mend"] == "bgrd models add FILE --name tiny"
    assert server.requests == []


def test_what_is_there_needs_no_more_words(home: Home, server: FileServer) -> None:
    """A model that is installed and right is not written to, and its licence is not asked for again."""
    server.script(ranged(TINY), path="/briaai/RMBG-1.4/resolve/main/onnx/model.onnx")
    home.run("pull", "rmbg-1.4", "--accept-licence")
    home.models.chmod(0o555)
    before = home.models.stat().st_mtime_ns
    assert "is installed already" in home.run("pull", "rmbg-1.4")
    assert home.models.stat().st_mtime_ns == before


def test_mirrors_come_first(home: Home, server: FileServer, tiny: Row) -> None:
    """A mirror with wrong bytes is passed over, one with the right ones is enough."""
    mirrors = [server.url("/wrong"), server.url("/right/")]
    home.configure(f"model_mirrors = {json.dumps(mirrors)}")
    server.script(ranged(b"x" * 100), path="/wrong/tiny.onnx")
    server.script(ranged(TINY), path="/right/tiny.onnx")
    said = home.run("pull", "tiny")
    assert "/wrong/tiny.onnx sends other bytes than md5:" in said
    assert [request.target for request in server.requests] == ["/wrong/tiny.onnx", "/right/tiny.onnx"]


def test_the_first_pull_is_remembered_where_no_checksum_is_published(home: Home, server: FileServer) -> None:
    """What came first is held from then on, which is said; another file is refused, and how to forget is told."""
    server.script(ranged(TINY), path=MODNET)
    assert f"no checksum is published for it: sha256:{hashlib.sha256(TINY).hexdigest()}" in home.run("pull", "modnet")
    (home.models / "modnet.onnx").unlink()
    server.script(ranged(SELF_MADE), path=MODNET)
    said = home.run("pull", "modnet", code=69)
    assert "sends other bytes than sha256:" in said
    assert "`bgrd models remove modnet` forgets" in said
    assert home.left == []
    home.run("remove", "modnet")
    home.run("pull", "modnet")
    assert (home.models / "modnet.onnx").read_bytes() == SELF_MADE


def test_a_licence_has_to_be_accepted(home: Home, server: FileServer) -> None:
    """What may not be used commercially is fetched only by those who say so, and the licence is named and found."""
    said = home.run("pull", "rmbg-1.4:int8", code=77)
    assert "bria-rmbg-1.4" in said
    assert f"read it at {server.url('/briaai/RMBG-1.4')}" in said
    assert "--accept-licence" in said
    assert server.requests == []
    server.script(ranged(TINY), path="/briaai/RMBG-1.4/resolve/main/onnx/model_quantized.onnx")
    home.run("pull", "rmbg-1.4:int8", "--accept-licence")
    assert home.left == ["rmbg-1.4-int8.onnx"]


def test_a_gated_model(home: Home, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token it is said how to get in; the token is never shown."""
    server.script(Reply(status=401), path="/briaai/RMBG-2.0/resolve/main/onnx/model_fp16.onnx")
    said = home.run("pull", "rmbg-2.0:fp16", "--accept-licence", code=77)
    assert "HF_TOKEN" in said
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in home.run("pull", "rmbg-2.0:fp16", "--accept-licence", code=77)
    assert server.requests[-1].headers["Authorization"] == "Bearer hf_secret"


def test_what_cannot_be_pulled(home: Home) -> None:
    """The built-in one, what nobody knows, what is not published, and what the configuration has are told apart."""
    home.configure('[[model]]\nname = "own"\npath = "~/own.onnx"')
    assert "comes with bgrd" in home.run("pull", BUILT_IN, code=64)
    assert "no model named nope" in home.run("pull", "nope", code=64)
    assert "bgrd models add FILE --name resunet50" in home.run("pull", "resunet50", code=64)
    assert "bgrd models quantize u2net --calibrate FOLDER" in home.run("pull", "u2net:int8", code=64)
    assert "[[model]] table" in home.run("pull", "own", code=64)


def test_a_stop_is_told(home: Home, tiny: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 and says that the same command goes on."""

    def stopped(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bgrd.models.pull.fetch", stopped)
    assert "the same command goes on there" in home.run("pull", "tiny", code=130)


def test_ctrl_c_leaves_the_beginning(tmp_path: Path, server: FileServer) -> None:
    """A real bgrd that is stopped in the middle ends with 130 and a sentence; the next one asks for the rest."""
    house = House(tmp_path / "house")
    half = len(TINY) // 2
    server.script(
        Reply(body=TINY[:half], length=len(TINY), headers={"ETag": '"one"'}, hang=True), ranged(TINY), path=MODNET
    )
    environment = house.environment | {"HF_ENDPOINT": server.url("")}
    partial = house.home / ".local/share/bgrd/models/.modnet.onnx.part"
    command = [sys.executable, "-m", "bgrd", "models", "pull", "modnet"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    until(lambda: partial.exists() and partial.stat().st_size == half)
    process.send_signal(signal.SIGINT)
    _out, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert said == "stopped; what came so far is kept, and the same command goes on there\n"
    assert house.run("models", "pull", "modnet", environment=environment).returncode == 0
    assert server.requests[-1].offset == half
    assert not partial.exists()


def test_a_file_is_added_by_its_checksum(home: Home, server: FileServer, tiny: Row) -> None:
    """A published file is known whatever it is called, and the original stays."""
    file = home.file("some download (1)", TINY)
    assert "tiny is installed" in home.run("add", file)
    assert home.left == ["tiny.onnx"]
    assert file.read_bytes() == TINY
    assert server.requests == []


def test_a_file_is_added_by_name(home: Home) -> None:
    """A model of the catalogue without published checksum or file is named; its row says how it is fed."""
    home.run("add", home.file("mine.onnx", model(sides=(512, 512), layout="NHWC")), "--name", "resunet50")
    choice = find("resunet50", custom={}, directory=home.models)
    assert choice.spec is not None
    assert (choice.path.name, choice.spec["side"]) == ("resunet50.onnx", 512)


def test_a_file_that_describes_itself_is_added(home: Home) -> None:
    """Its own name and spec are taken; what its licence does not allow is said; the configuration may name it."""
    said = home.run("add", home.file("whatever.onnx", SELF_MADE))
    assert 'model = "mine"' in said
    assert "does not allow commercial use" in said
    choice = find("mine", custom={}, directory=home.models)
    assert choice.spec is not None
    assert choice.spec["side"] == 32
    home.configure('[defaults]\nmodel = "mine"')
    assert home.json("info", "mine")["licence"] == "CC-BY-NC-4.0"
    assert "folder default uses it, and has to name another one" in home.run("remove", "mine")
    assert main(["check"]) == 78
    home.run("add", home.path / "whatever.onnx")  # what a folder names and nobody knows yet may be installed
    find("mine", custom={}, directory=home.models)


def test_a_file_is_added_under_another_name(home: Home) -> None:
    """Odd names that can stand in the configuration are fine, and never become paths or codes for a terminal."""
    for name in ("Mein Modell \u00fc", "u2netp.onnx", "x" * 64, "\u6f22" * 64):
        home.run("add", home.file("a.onnx", SELF_MADE), "--name", name)
        assert find(name, custom={}, directory=home.models).path.read_bytes() == SELF_MADE
    assert len(home.left) == 4


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a/b",
        "../a",
        ".hidden",
        "a\x1b[31m",
        " a",
        "x" * 65,
        BUILT_IN,
        "mine:int8",
        "a[b]",
        "u2net:",
        ":a",
        "u2net:a:b",
    ],
)
def test_names_that_cannot_be(name: str, home: Home) -> None:
    """What could not be named in the configuration, or stands for something else, is refused."""
    said = home.run("add", home.file("a.onnx", SELF_MADE), "--name", name, code=64)
    assert "\x1b" not in said
    assert not home.models.exists()


def test_a_foreign_file_says_what_to_write(home: Home) -> None:
    """A file that says nothing of itself is answered with the table it needs, and the likely name."""
    said = home.run("add", home.file("modnet.onnx", TINY), code=64)
    assert "(as modnet?)" in said
    assert "[[model]]" in said
    assert str(home.path / "modnet.onnx") in said


def test_a_file_that_calls_itself_as_another(home: Home) -> None:
    """A retrained built-in model needs a name of its own."""
    file = home.file("a.onnx", model(spec={"name": BUILT_IN, "side": 32}))
    assert "say with --name" in home.run("add", file, code=64)
    home.run("add", file, "--name", "better")


def test_files_that_cannot_be_added(home: Home, tiny: Row) -> None:
    """Missing, damaged, other than published, contradicting their spec: each is told, and nothing is installed."""
    assert "No such file" in home.run("add", home.path / "none.onnx", code=66)
    os.mkfifo(home.path / "pipe")
    for nothing in (home.path, home.path / "pipe"):
        assert f"{nothing} is no file" in home.run("add", nothing, code=66)
    assert "no ONNX model" in home.run("add", home.file("cut.onnx", SELF_MADE[:-9]), code=65)
    assert "no ONNX model" in home.run("add", home.file("page.onnx", b"<html>"), code=65)
    assert "is not the published tiny" in home.run("add", home.file("a.onnx", SELF_MADE), "--name", "tiny", code=65)
    wrong = home.file("wrong.onnx", model(activation=None, spec={"name": "wrong", "side": 32}))
    assert "does not fit its spec" in home.run("add", wrong, code=65)
    broken = home.file("broken.onnx", model(spec='{"name": "x", "side": 33}'))
    assert "carries a spec that cannot be read" in home.run("add", broken, code=65)
    assert not home.models.exists()


def with_weights(file: Path, beside: str) -> None:
    """Write a model that describes itself, its numbers in a file of their own."""
    made = onnx.load_from_string(SELF_MADE)
    for tensor in made.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save(made, file, save_as_external_data=True, location=beside, size_threshold=0)


def test_weights_beside_a_file_come_along(home: Home) -> None:
    """Files of weights are installed with the model, in a directory of their own, and missing ones are told."""
    file = home.path / "large.onnx"
    with_weights(file, "large.data")
    assert "it was not tried" not in home.run("add", file)
    choice = find("mine", custom={}, directory=home.models)
    assert choice.external == ("large.data",)
    assert [path.read_bytes() for path in choice.files] == [
        path.read_bytes() for path in (file, home.path / "large.data")
    ]
    assert home.json("verify", "mine")[0]["state"] == "right"
    choice.files[1].write_bytes(b"\0" * choice.files[1].stat().st_size)
    assert "large.data is damaged" in home.run("verify", "mine", code=1)
    choice.files[1].unlink()
    assert "large.data is gone" in home.run("verify", "mine", code=1)
    with pytest.raises(ModelFault, match=r"A file of weights of model mine is missing: .*large\.data"):
        find("mine", custom={}, directory=home.models)
    home.run("remove", "mine")
    assert home.left == []
    (home.path / "large.data").unlink()
    assert "needs large.data beside it" in home.run("add", file, code=66)


def test_a_model_is_added_anew(home: Home) -> None:
    """A model that is added again replaces the one before, and nothing of that one stays: with weights or without."""
    for name in ("one", "two", "three"):
        with_weights(home.path / name, f"{name}.data")
        home.run("add", home.path / name)
        assert sorted(path.name for path in (home.models / home.left[0]).iterdir()) == [name, f"{name}.data"]
        assert len(home.left) == 1
    size = sum(path.stat().st_size for path in (home.models / home.left[0]).iterdir())
    assert home.json("info", "mine")["size"] == size
    home.run("add", home.file("plain.onnx", SELF_MADE))
    assert home.left == ["mine.onnx"]
    home.run("add", home.path / "one")
    assert home.left == ["mine"]
    assert home.json("verify", "mine")[0]["state"] == "right"


def test_a_model_that_cannot_be_added_anew_stays_as_it_was(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full in the middle, the model that was there is whole, and nothing of the new one stays."""
    with_weights(home.path / "one", "one.data")
    home.run("add", home.path / "one")
    before, left = find("mine", custom={}, directory=home.models), home.left
    with_weights(home.path / "two", "one.data")
    written: list[int] = []

    def full(fd: int, data: bytes, offset: int) -> int:
        written.append(fd)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data[:-1])

    monkeypatch.setattr(os, "pwrite", full)
    for file in (home.path / "two", home.file("plain.onnx", SELF_MADE)):
        written.clear()
        said = home.run("add", file, code=73)
        assert "there is no room left for" in said
        assert "is kept" not in said
        assert home.left == left
    assert find("mine", custom={}, directory=home.models) == before
    assert home.json("verify", "mine")[0]["state"] == "right"


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    """A file of weights that is somebody else's is told by its name, and nothing is installed."""
    house = House(tmp_path / "house")
    with_weights(house.home / "large.onnx", "large.data")
    (house.home / "large.data").chmod(0)
    done = house.run("models", "add", house.home / "large.onnx", before=bound())
    assert (done.returncode, done.stdout) == (66, "")
    assert "large.data cannot be read: Permission denied" in done.stderr
    assert not (house.home / ".local/share/bgrd/models").exists()


def test_weights_elsewhere_are_refused(home: Home) -> None:
    """A model that names a file outside its own directory does not get it."""
    with_weights(home.path / "l.onnx", "l.data")
    data = (home.path / "l.onnx").read_bytes().replace(b"l.data", b"../dat")
    assert "not beside it" in home.run("add", home.file("l.onnx", data), code=65)


def test_what_is_installed_is_verified(home: Home, tiny: Row) -> None:
    """Each file is held against its checksum; a damaged one ends with 1 and the command that mends it."""
    home.run("pull", "tiny")
    home.run("add", home.file("a.onnx", SELF_MADE))
    assert [found["state"] for found in home.json("verify")] == ["right"] * 3
    with (home.models / "tiny.onnx").open("r+b") as file:
        file.write(b"\0")
    said = home.run("verify", code=1)
    assert "is damaged or another file" in said
    assert "-> bgrd models pull tiny" in said
    assert home.json("verify", "mine")[0]["state"] == "right"
    (home.models / "mine.onnx").unlink()
    assert home.json("verify", "mine", code=1)[0]["mend"] == "bgrd models add FILE --name mine"
    assert "not installed: run `bgrd models pull u2net`" in home.run("verify", "u2net", code=66)
    home.run("pull", "tiny")
    assert home.json("verify", "tiny")[0]["state"] == "right"


def test_what_no_checksum_is_known_for(home: Home) -> None:
    """A file put there by hand that nobody published a checksum for cannot be told right or wrong."""
    home.models.mkdir(parents=True)
    (home.models / "modnet.onnx").write_bytes(TINY)
    assert home.json("verify", "modnet")[0]["state"] == "unknown"


def test_a_model_of_the_configuration(home: Home) -> None:
    """A [[model]] table is listed and verified, and removed where it stands."""
    home.file("own.onnx", TINY)
    home.configure(f'[[model]]\nname = "own"\npath = "~/own.onnx"\nside = 32\nsha256 = "{"0" * 64}"')
    assert home.json("info", "own")["spec"] == {"name": "own", "side": 32}
    assert "change its [[model]] table" in home.run("verify", "own", code=1)
    assert "[[model]] table" in home.run("remove", "own", code=64)
    home.run("list")


def test_a_model_is_removed(home: Home, server: FileServer, tiny: Row) -> None:
    """The file goes, and what came of a broken pull; the built-in one and what is not there are refused."""
    home.run("pull", "tiny")
    home.configure('[defaults]\nmodel = "tiny:fp32"')
    assert "folder default uses it, and waits" in home.run("remove", "tiny")
    assert home.left == []
    assert read(home.models) == {}
    server.script(Reply(body=TINY[:50], length=len(TINY)), Reply(status=404), path="/tiny.onnx")
    said = home.run("pull", "tiny", code=69)
    assert "a file you have from elsewhere is installed with `bgrd models add FILE --name tiny`" in said
    assert home.left == [".tiny.onnx.part", ".tiny.onnx.part.json"]
    home.run("remove", "tiny")
    assert home.left == []
    assert "tiny is not installed" in home.run("remove", "tiny", code=66)
    assert "model nope is not installed" in home.run("remove", "nope", code=66)
    assert "cannot be removed" in home.run("remove", BUILT_IN, code=64)


def test_what_a_killed_command_left_can_be_removed(home: Home) -> None:
    """The beginning of a copy goes by the name it was to have; a file that nobody installed stays."""
    home.models.mkdir(parents=True)
    (home.models / ".mine.onnx.part").write_bytes(b"half")
    (home.models / "mine.onnx").write_bytes(b"somebody's")
    assert ".mine.onnx.part" in home.run("remove", "mine")
    assert home.left == ["mine.onnx"]
    assert "model mine is not installed" in home.run("remove", "mine", code=66)
    assert "a model's name has" in home.run("remove", "../mine", code=64)


def test_what_is_being_fetched_is_not_removed(home: Home, server: FileServer, tiny: Row) -> None:
    """While another bgrd fetches a model, removing it is refused and takes nothing away."""
    server.script(Reply(body=TINY[:50], length=len(TINY)), Reply(status=404), path="/tiny.onnx")
    home.run("pull", "tiny", code=69)
    with (home.models / ".tiny.onnx.part").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another bgrd is fetching" in home.run("remove", "tiny", code=75)
    assert home.left == [".tiny.onnx.part", ".tiny.onnx.part.json"]


def test_a_damaged_index_is_told(home: Home) -> None:
    """Every command says which file is damaged and what to do."""
    home.models.mkdir(parents=True)
    (home.models / "models.json").write_text("{")
    for arguments in (["list"], ["verify"], ["info", "u2net"], ["remove", "u2net"], ["pull", "u2net"]):
        assert "models.json is damaged: move it away" in home.run(*arguments, code=65)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """Where nothing may be written, each command says so in a sentence, and reading still works."""
    house = House(tmp_path / "house")
    models = house.home / ".local/share/bgrd/models"
    models.mkdir(parents=True)
    models.chmod(0o555)
    (house.home / "a.onnx").write_bytes(SELF_MADE)
    commands: list[list[str | Path]] = [["add", house.home / "a.onnx"], ["pull", "u2net"]]
    for command in commands:
        done = house.run("models", *command, before=bound())
        assert (done.returncode, done.stdout) == (73, "")
        assert "cannot be written: Permission denied" in done.stderr
    assert house.run("models", "list", before=bound()).returncode == 0


def test_records_that_cannot_be_read(tmp_path: Path) -> None:
    """Where the index is somebody else's, each command says which file that is."""
    house = House(tmp_path / "house")
    models = house.home / ".local/share/bgrd/models"
    models.mkdir(parents=True)
    (models / "models.json").touch(mode=0)
    (house.home / "a.onnx").write_bytes(SELF_MADE)
    commands = (["list"], ["verify"], ["pull", "u2net"], ["remove", "u2net"], ["add", str(house.home / "a.onnx")])
    for command in commands:
        done = house.run("models", *command, before=bound())
        assert (done.returncode, done.stdout) == (66, "")
        assert done.stderr == f"bgrd: {models / 'models.json'} cannot be read: Permission denied\n"


def test_an_output_that_is_full_is_not_the_models_fault(tmp_path: Path) -> None:
    """What is wrong with our own output is not said of the models' directory."""
    house = House(tmp_path / "house")
    command = [sys.executable, "-m", "bgrd", "models", "list"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, env=house.environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "cannot be read" not in done.stderr


def test_a_file_in_place_of_the_directory(home: Home) -> None:
    """Where the models' directory is a file, nothing is installed, and that is said."""
    home.models.parent.mkdir(parents=True)
    home.models.write_text("a file")
    assert home.json("list", "--installed")[0]["name"] == BUILT_IN
    assert "cannot be written" in home.run("add", home.file("a.onnx", SELF_MADE), code=73)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["pull"], ["quantize", "u2net"], ["add"]])
def test_what_makes_no_sense(arguments: list[str], home: Home) -> None:
    """Missing words are the parser's affair."""
    with pytest.raises(SystemExit) as caught:
        main(["models", *arguments])
    assert caught.value.code == 2
