"""`bgrd models` from the command line: what is listed, verified and removed, and what it says of what is broken."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from bgrd.cli.main import main
from bgrd.models.catalogue import BUILT_IN, ROWS, Row
from bgrd.models.index import note_speeds, read
from tests.houses.catalogues import SELF_MADE, TINY, Home, published
from tests.houses.file_server import FileServer, Reply
from tests.houses.houses import House
from tests.kernel.processes import bound


@pytest.fixture
def home(home: Path, no_proxy: None, capsys: pytest.CaptureFixture[str]) -> Home:
    """Give an empty home, and a network without proxies."""
    return Home(home, capsys)


@pytest.fixture
def tiny(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Row:
    """Give a small model of the catalogue, published with a checksum at /tiny.onnx."""
    return published(server, monkeypatch)


def test_everything_is_listed(home: Home) -> None:
    """Each file of the catalogue has its line, the built-in one is installed, and no speed is made up."""
    said = home.run("list")
    names = [line.split()[0] for line in said.splitlines()]
    variants = [f"{row.name}:{variant.name}" for row in ROWS.values() for variant in row.variants[1:]]
    assert sorted(names) == sorted(["model", *ROWS, *variants])
    assert "4.6 MB" in said
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
