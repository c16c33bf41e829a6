"""`bgrd models add` from the command line: files by checksum, by name, of their own, and with weights beside them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bgrd.cli.main import main
from bgrd.errors import ModelFault
from bgrd.models.catalogue import BUILT_IN, Row
from bgrd.models.store import find
from tests.houses.catalogues import SELF_MADE, TINY, Home, published, with_weights
from tests.houses.file_server import FileServer
from tests.houses.houses import House
from tests.kernel.processes import bound
from tests.pictures.making import model


@pytest.fixture
def home(home: Path, no_proxy: None, capsys: pytest.CaptureFixture[str]) -> Home:
    """Give an empty home, and a network without proxies."""
    return Home(home, capsys)


@pytest.fixture
def tiny(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Row:
    """Give a small model of the catalogue, published with a checksum at /tiny.onnx."""
    return published(server, monkeypatch)


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
