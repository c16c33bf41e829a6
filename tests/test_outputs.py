"""Whether what the folders are to make can be made."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from bgrd.config.load import folders, load
from bgrd.examine import Finding
from bgrd.outputs import outputs
from tests.pictures.making import corners, encoded


def found(tmp_path: Path, text: str) -> list[Finding]:
    """Look at a folder with these keys."""
    file = tmp_path / "config.toml"
    file.write_text('[[folder]]\nname = "shop"\ninbox = "/in"\noutbox = "/out"\n' + text)
    return list(outputs(folders(load(file, environ={"HOME": "/home/u"})), max_pixels=100))


def test_what_is_made_is_told_in_a_line(tmp_path: Path) -> None:
    """Each folder with its products, as they come out of all that is inherited."""
    (finding,) = found(tmp_path, 'products = ["cutout", "mask"]\ntrim = true')
    assert (finding.level, finding.subject) == ("ok", "folder shop: products")
    assert finding.text == "cutout as png, trimmed; mask as png, trimmed"


def test_a_ground_is_looked_at(tmp_path: Path) -> None:
    """A good one needs no word; one that is missing, none or no picture is an error with its path."""
    (tmp_path / "good.png").write_bytes(encoded(corners(), "PNG"))
    (tmp_path / "text.png").write_bytes(b"text, and not a picture at all")
    assert [finding.level for finding in found(tmp_path, 'on = "good.png"')] == ["ok"]
    for name, why in (("missing.png", "No such file"), ("text.png", "is not a picture"), ("../", "it is no file")):
        _, finding = found(tmp_path, f'on = "./{name}"')
        assert finding.level == "error"
        assert why in finding.text
        assert finding.advice == "the folder waits until this is mended"


def test_a_format_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of a process that may load Pillow; here it can write all of them."""
    text = '[[folder.product]]\nkind = "cutout"\nformat = "avif"\n[[folder.product]]\nkind = "mask"\nformat = "webp"'
    assert [finding.level for finding in found(tmp_path, text)] == ["ok"]

    def lacking(*_args: object, **_options: object) -> object:
        return SimpleNamespace(stdout="AVIF cannot be written by the Pillow installed here.\n\n")

    monkeypatch.setattr(subprocess, "run", lacking)
    (_, finding) = found(tmp_path, text)
    assert (finding.level, finding.subject) == ("error", "formats")
    assert finding.text.startswith("AVIF cannot be written")

    def late(*_args: object, **_options: object) -> object:
        raise subprocess.TimeoutExpired("python", 1)

    monkeypatch.setattr(subprocess, "run", late)
    assert [finding.level for finding in found(tmp_path, text)] == ["ok"]
