"""Where a model's file lies."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgrd.errors import DaemonFault, ModelFault
from bgrd.job import ModelChoice
from bgrd.models.catalogue import BUILT_IN, ROWS
from bgrd.models.index import Entry, change, note_speeds, read, speeds
from bgrd.models.spec import ModelSpec
from bgrd.models.store import find, installed_names
from tests.kernel.processes import threadless


def test_the_built_in_model_is_there_and_itself(tmp_path: Path) -> None:
    """The package's model is found without any directory, and its bytes have the catalogue's checksum."""
    choice = find(BUILT_IN, custom={}, directory=tmp_path / "none")
    assert choice.spec is None
    assert choice.sha256 == hashlib.sha256(choice.path.read_bytes()).hexdigest()
    assert f"sha256:{choice.sha256}" == ROWS[BUILT_IN].variants[0].checksum


def test_a_downloaded_model(tmp_path: Path) -> None:
    """A catalogue model is found in the directory, with its spec."""
    (tmp_path / "u2net.onnx").write_bytes(b"x")
    choice = find("u2net", custom={}, directory=tmp_path)
    assert choice.path == tmp_path / "u2net.onnx"
    assert choice.sha256 is None
    assert choice.spec is not None
    assert choice.spec["side"] == 320


def test_a_missing_download_says_what_to_do(tmp_path: Path) -> None:
    """The message names the command that gets it, with what its licence asks for."""
    with pytest.raises(ModelFault, match=r"not installed: run `bgrd models pull u2net`\."):
        find("u2net", custom={}, directory=tmp_path)
    with pytest.raises(ModelFault, match=r"run `bgrd models pull rmbg-1\.4:int8 --accept-licence`\."):
        find("rmbg-1.4:int8", custom={}, directory=tmp_path)


def test_a_model_of_the_users_own_making_is_not_waited_for(tmp_path: Path) -> None:
    """A row without a file to fetch says where the file comes from and how to name it."""
    told = r"exported by yourself from torchvision: run `bgrd models add FILE --name deeplabv3-resnet101`, or .*like ="
    with pytest.raises(ModelFault, match=told):
        find("deeplabv3-resnet101", custom={}, directory=tmp_path)


def test_a_users_own_model_comes_first(tmp_path: Path) -> None:
    """A [[model]] table wins over the catalogue; its missing file is named."""
    own = ModelChoice(name="u2net", path=tmp_path / "mine.onnx")
    with pytest.raises(ModelFault, match=r"mine\.onnx"):
        find("u2net", custom={"u2net": own}, directory=tmp_path)
    own.path.write_bytes(b"x")
    assert find("u2net", custom={"u2net": own}, directory=tmp_path) is own


def test_an_unknown_name_lists_the_known(tmp_path: Path) -> None:
    """A name nobody knows is answered with those that are."""
    own = ModelChoice(name="mine", path=tmp_path / "mine.onnx")
    with pytest.raises(ModelFault, match=r"no model named other; known are bgrd-lite, .*mine"):
        find("other", custom={"mine": own}, directory=tmp_path)


def test_a_model_that_cannot_be_reached_is_the_models_fault(tmp_path: Path) -> None:
    """A path the system refuses to look at blocks the folder and says why; it never ends the daemon."""
    path = tmp_path / ("x" * 300)
    with pytest.raises(ModelFault, match="cannot be reached"):
        find("mine", custom={"mine": ModelChoice(name="mine", path=path)}, directory=tmp_path)


def test_a_shortage_is_not_the_models_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread to look for its file nothing is known of the model: the daemon waits, no folder is blocked."""
    threadless(monkeypatch)
    with pytest.raises(DaemonFault, match="thread cannot be started"):
        find(BUILT_IN, custom={}, directory=tmp_path)


def installed(directory: Path, name: str, **changes: Any) -> Entry:
    """Install some bytes under a name."""
    data = name.encode()
    entry = Entry(
        name=name,
        file_name=name.replace(":", ".") + ".onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        origin="here",
        **changes,
    )
    (directory / entry.file_name).write_bytes(data)
    change(directory, lambda entries: entries.update({name: entry}))
    return entry


def test_what_is_installed_is_found(tmp_path: Path) -> None:
    """A file installed under a name of its own is found by it, with its spec and the checksum it came with."""
    entry = installed(tmp_path, "mine", spec={"name": "mine", "side": 32})
    choice = find("mine", custom={}, directory=tmp_path)
    assert (choice.path, choice.sha256) == (tmp_path / "mine.onnx", entry.sha256)
    assert choice.spec == {"name": "mine", "side": 32}
    assert installed_names(tmp_path) == frozenset({"mine"})
    choice.path.unlink()
    with pytest.raises(ModelFault, match=r"The file of model mine is gone: .*mine\.onnx"):
        find("mine", custom={}, directory=tmp_path)


def test_a_variant_is_found(tmp_path: Path) -> None:
    """`model:variant` is the catalogue's file, or one made here; it is fed as the model itself."""
    (tmp_path / "modnet-fp16.onnx").write_bytes(b"x")
    choice = find("modnet:fp16", custom={}, directory=tmp_path)
    assert choice.path == tmp_path / "modnet-fp16.onnx"
    assert choice.spec == (ROWS["modnet"].spec or ModelSpec(name="", side=1)).to_json()
    installed(tmp_path, "u2net:int8")
    choice = find("u2net:int8", custom={}, directory=tmp_path)
    assert (choice.name, choice.path.name) == ("u2net:int8", "u2net.int8.onnx")
    assert choice.spec is not None
    assert choice.spec["side"] == 320


def test_the_default_variant_may_be_named(tmp_path: Path) -> None:
    """`name:fp32` means the same file as `name` where that is the default."""
    assert find(f"{BUILT_IN}:fp32", custom={}, directory=tmp_path) == find(BUILT_IN, custom={}, directory=tmp_path)
    (tmp_path / "own.onnx").write_bytes(b"x")
    own = ModelChoice(name="u2net", path=tmp_path / "own.onnx")
    assert find("u2net:fp32", custom={"u2net": own}, directory=tmp_path) == own


def test_a_variant_that_can_be_made_or_not(tmp_path: Path) -> None:
    """A missing int8 says how to make it, of a model of one's own too; another unknown one says which there are."""
    own = {"mine": ModelChoice(name="mine", path=tmp_path / "mine.onnx")}
    for name in (BUILT_IN, "mine"):
        with pytest.raises(ModelFault, match=rf"run `bgrd models quantize {name} --calibrate FOLDER`"):
            find(f"{name}:int8", custom=own, directory=tmp_path)
    with pytest.raises(ModelFault, match="no model named modnet:int4; variants of modnet are modnet:fp32, modnet:fp16"):
        find("modnet:int4", custom={}, directory=tmp_path)
    with pytest.raises(ModelFault, match=r"your own copy .*: run `bgrd models add FILE --name isnet-imgly:fp16`"):
        find("isnet-imgly:fp16", custom={}, directory=tmp_path)


def test_the_built_in_model_needs_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged index, or a share that does not answer, is nothing to the model that comes with the package."""
    (tmp_path / "models.json").write_text("{")
    find(BUILT_IN, custom={}, directory=tmp_path)
    with pytest.raises(ModelFault, match=r"models\.json is damaged: move it away"):
        find("u2net", custom={}, directory=tmp_path)
    assert installed_names(tmp_path) is None


ENTRY: dict[str, Any] = {
    "name": "x",
    "file_name": "x.onnx",
    "sha256": "",
    "size": 1,
    "origin": "",
    "licence": "",
    "spec": None,
    "external": {},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"models": 3}',
        '{"models": [3]}',
        '{"models": [{"name": "x"}]}',
        json.dumps({"models": [{**ENTRY, "file_name": "../x"}]}),
        json.dumps({"models": [{**ENTRY, "file_name": "/x"}]}),
        json.dumps({"models": [{**ENTRY, "file_name": 3}]}),
        json.dumps({"models": [{**ENTRY, "spec": "x"}]}),
        json.dumps({"models": [{**ENTRY, "external": {"../x": ""}}]}),
    ],
)
def test_a_damaged_index_is_told(text: str, tmp_path: Path) -> None:
    """What is no index is told with what to do, and never leads out of the directory."""
    (tmp_path / "models.json").write_text(text)
    with pytest.raises(ModelFault, match="is damaged"):
        read(tmp_path)


def test_speeds_are_kept_beside_each_other(tmp_path: Path) -> None:
    """What was measured of one model stays when another is measured; nonsense counts as nothing."""
    assert speeds(tmp_path) == {}
    note_speeds(tmp_path, {"a": 1.234})
    note_speeds(tmp_path, {"b": 2})
    assert speeds(tmp_path) == {"a": 1.23, "b": 2.0}
    (tmp_path / "speeds.json").write_text('{"milliseconds": {"a": "fast"}}')
    assert speeds(tmp_path) == {}


def test_speeds_go_with_their_file(tmp_path: Path) -> None:
    """Another file under a name has not the speed of the one before, nor has one that was removed."""
    note_speeds(tmp_path, {"a": 1, "b": 2, "c": 3})
    first = Entry(name="a", file_name="a.onnx", sha256="0" * 64, size=1, origin="here")
    change(tmp_path, lambda entries: entries.update(a=first, b=replace(first, name="b", file_name="b.onnx")))
    assert speeds(tmp_path) == {"c": 3.0}
    note_speeds(tmp_path, {"a": 1, "b": 2})
    change(tmp_path, lambda entries: entries.pop("a"))
    assert speeds(tmp_path) == {"b": 2.0, "c": 3.0}
    (tmp_path / ".speeds.json.new").mkdir()  # no file can be written there
    change(tmp_path, lambda entries: entries.pop("b"))
    assert read(tmp_path) == {}


def test_a_killed_command_blocks_no_later_one(tmp_path: Path) -> None:
    """What a command left that was killed while it wrote the index is in nobody's way, and does not stay."""
    (tmp_path / ".models.json.new").write_text("half")
    change(tmp_path, lambda entries: entries.clear())
    assert read(tmp_path) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "models.json"]
