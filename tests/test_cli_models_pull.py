"""`bgrd models pull` from the command line: what is fetched, from where, and what it says."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.models.catalogue import BUILT_IN, ROWS, Row
from bgrd.models.index import read
from bgrd.models.store import find
from tests.houses.catalogues import SELF_MADE, TINY, Home, published, with_weights
from tests.houses.file_server import FileServer, Reply, ranged
from tests.houses.houses import PATIENCE_SECONDS, House
from tests.houses.inboxes import until


@pytest.fixture
def home(home: Path, no_proxy: None, capsys: pytest.CaptureFixture[str]) -> Home:
    """Give an empty home, and a network without proxies."""
    return Home(home, capsys)


@pytest.fixture
def tiny(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Row:
    """Give a small model of the catalogue, published with a checksum at /tiny.onnx."""
    return published(server, monkeypatch)


MODNET = "/Xenova/modnet/resolve/main/onnx/model.onnx"


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
    # What a shell starts in the background ignores Ctrl-C, and so does all that is started by that.
    heard = ["env", "--default-signal=INT"]
    command = [*heard, sys.executable, "-m", "bgrd", "models", "pull", "modnet"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    until(lambda: partial.exists() and partial.stat().st_size == half)
    process.send_signal(signal.SIGINT)
    _out, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert said == "stopped; what came so far is kept, and the same command goes on there\n"
    assert house.run("models", "pull", "modnet", environment=environment).returncode == 0
    assert server.requests[-1].offset == half
    assert not partial.exists()
