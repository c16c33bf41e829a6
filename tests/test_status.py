"""The status file: whole, private, and exact about names."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.telemetry.status import location, read, said, write


def test_it_lies_in_the_runtime_directory_or_else_beside_the_journal(tmp_path: Path) -> None:
    """Without a directory for running things, as in some containers, the state directory serves."""
    state = tmp_path / "bgrd"
    own = {"XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert location(state, environ=own) == tmp_path / "bgrd/status.json"
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert location(tmp_path / ".local/state/bgrd", environ=home) == tmp_path / "bgrd/status.json"
    assert location(state, environ={}) == state / "status.json"
    assert location(state, environ={"XDG_RUNTIME_DIR": "relative"}) == state / "status.json"
    assert location(state, environ={"XDG_RUNTIME_DIR": str(tmp_path / "gone")}) == state / "status.json"


def test_state_directories_do_not_share_a_file(tmp_path: Path) -> None:
    """Each but the default one has a name of its own in the runtime directory, the same through any link."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    (tmp_path / "first").mkdir()
    (tmp_path / "link").symlink_to("first")
    first, second, link = (location(tmp_path / name, environ=environ) for name in ("first", "second", "link"))
    assert first == link != second
    assert re.fullmatch(r"status-[0-9a-f]{8}\.json", first.name)


def test_what_was_said_is_found_wherever_it_was_written(tmp_path: Path) -> None:
    """A service and a shell may differ in XDG_RUNTIME_DIR: the newer file counts, and only the holder's own word."""
    state, environ = tmp_path / "state", {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert said(state, pid=None, environ=environ) == {}
    write(location(state, environ=environ), {"pid": 1, "written": 10.0})
    write(location(state, environ={}), {"pid": 2, "written": 20})
    assert said(state, pid=None, environ=environ) == {"pid": 2, "written": 20}
    assert said(state, pid=1, environ=environ) == {"pid": 1, "written": 10.0}
    assert said(state, pid=3, environ=environ) == {}
    assert said(state, pid=2, environ={}) == {"pid": 2, "written": 20}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Odd names come back as their exact bytes, plain ones as text that any program can read."""
    path = tmp_path / "bgrd/status.json"
    write(path, {"working": [b"a.jpg", b"\xff\n.jpg"], "inbox": Path("/in"), "counts": {"ready": 3}, "none": None})
    assert read(path) == {"working": ["a.jpg", b"\xff\n.jpg"], "inbox": "/in", "counts": {"ready": 3}, "none": None}
    assert json.loads(path.read_text())["working"] == ["a.jpg", {"base64": "/wouanBn"}]


def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    """Names of somebody's pictures are nobody else's affair, whatever the umask."""
    path = tmp_path / "new/status.json"
    before = os.umask(0)
    try:
        write(path, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_new_state_replaces_the_old_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Also where a killed daemon of the same number left a half-written file or a trap."""
    path = tmp_path / "status.json"
    (tmp_path / f".status.json.{os.getpid()}").symlink_to(tmp_path / "victim")
    write(path, {"a": 1})
    held = path.open()
    write(path, {"a": 2})
    assert json.load(held) == {"a": 1}
    held.close()
    assert read(path) == {"a": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_a_place_that_cannot_be_written_is_the_callers_to_tell(tmp_path: Path) -> None:
    """The error comes up, and nothing hidden stays."""
    (tmp_path / "status.json").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        write(tmp_path / "status.json", {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        write(tmp_path / "file/status.json", {})


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"base64": "aGk="}', b'{"a": {"base64": "?"}}', b"\xff"])
def test_what_is_no_status_is_none(tmp_path: Path, text: bytes) -> None:
    """A foreign or damaged file means that nothing is known."""
    path = tmp_path / "status.json"
    assert read(path) is None
    path.write_bytes(text)
    assert read(path) is None


NAMES = st.binary(max_size=6)
FACTS = st.dictionaries(st.text(max_size=4), NAMES | st.lists(NAMES, max_size=3) | st.integers(), max_size=4)


@settings(deadline=None)
@given(FACTS.filter(lambda facts: facts.keys() != {"base64"}))
def test_every_name_survives(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, Any]) -> None:
    """Whatever bytes a name has, the reader can have them."""
    path = tmp_path_factory.mktemp("status") / "status.json"
    write(path, facts)
    found = read(path)
    assert found is not None
    assert {key: _as_bytes(value) for key, value in found.items()} == facts


def _as_bytes(value: object) -> object:
    if isinstance(value, list):
        return [_as_bytes(item) for item in value]
    return value.encode() if isinstance(value, str) else value
