"""What a lane has to hold, as files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgrd.engine import supply
from bgrd.engine.supply import find_grounds, open_need
from bgrd.errors import DaemonFault, GroundFault, ModelFault
from bgrd.job import GroundChoice, ModelChoice, Recipe


def found(path: Path) -> GroundChoice:
    """Look one picture up."""
    (choice,) = find_grounds(Recipe(grounds=(path,)), max_pixels=7)
    return choice


def test_a_name_stands_for_what_the_file_is_now(tmp_path: Path) -> None:
    """The same while it stays, another when it changes; it tells nothing of the path, and is no model's."""
    path = tmp_path / "beach.jpg"
    path.write_bytes(b"one")
    first = found(path)
    assert (first.path, first.max_pixels, found(path).name) == (path, 7, first.name)
    assert "beach" not in first.name
    assert "/" in first.name
    path.write_bytes(b"other")
    second = found(path)
    aside = tmp_path / "aside"
    aside.write_bytes(b"other")
    os.utime(aside, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    aside.replace(path)
    assert len({first.name, second.name, found(path).name}) == 3


def test_every_picture_of_a_recipe_is_looked_up(tmp_path: Path) -> None:
    """In the recipe's order; none is none."""
    paths = tuple(tmp_path / name for name in "ba")
    for path in paths:
        path.touch()
    assert [choice.path for choice in find_grounds(Recipe(grounds=paths), max_pixels=1)] == list(paths)
    assert find_grounds(Recipe(), max_pixels=1) == ()


def test_what_is_no_file_is_told_with_its_path(tmp_path: Path) -> None:
    """Not there, a directory, a pipe: a sentence with the path, whether it is looked up or opened."""
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("missing", "No such file"), ("pipe", "it is no file"), ("", "it is no file")):
        path = tmp_path / name
        with pytest.raises(GroundFault, match=f"the picture .*{name} of `on` cannot be used: {why}"):
            found(path)
        with pytest.raises(GroundFault, match=why):
            open_need(GroundChoice(name="ground/x", path=path, max_pixels=1), path)


def test_odd_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    """The path is shown with its control characters escaped."""
    with pytest.raises(GroundFault) as caught:
        found(tmp_path / "a\x1b[31m")
    assert "\x1b" not in str(caught.value)


def test_a_file_is_opened_for_reading_alone(tmp_path: Path) -> None:
    """Models and grounds; the descriptor is the receiver's to close."""
    path = tmp_path / "x"
    path.write_bytes(b"bytes")
    for need in (ModelChoice(name="m", path=path), found(path)):
        descriptor = open_need(need, path)
        assert os.read(descriptor, 9) == b"bytes"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
        os.close(descriptor)
    with pytest.raises(ModelFault, match=r"the file of model m cannot be read: .*: No such file"):
        open_need(ModelChoice(name="m", path=tmp_path / "missing"), tmp_path / "missing")


@pytest.mark.parametrize(
    ("error", "kind"),
    [(TimeoutError(110, "its file system does not answer"), GroundFault), (OSError(24, "many"), DaemonFault)],
)
def test_a_dead_share_is_the_folder_s_and_a_shortage_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[Exception]
) -> None:
    """A question that is never answered blocks the folder; a lack of descriptors is nobody's file."""

    def ask(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(supply, "ask", ask)
    with pytest.raises(kind, match=str(error.strerror)):
        found(tmp_path)
    with pytest.raises(kind):
        open_need(GroundChoice(name="ground/x", path=tmp_path, max_pixels=1), tmp_path)
