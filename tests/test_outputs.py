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
    settings = load(file, environ={"HOME": "/home/u"})
    return list(outputs(settings, folders(settings)))


def test_what_is_made_is_told_in_a_line(tmp_path: Path) -> None:
    """Each folder with its products, as they come out of all that is inherited."""
    (finding,) = found(tmp_path, 'products = ["cutout", "mask"]\ntrim = true')
    assert (finding.level, finding.subject) == ("ok", "folder shop: products")
    assert finding.text == "cutout as png, trimmed; mask as png, trimmed"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("enlarge = true\nanchor = 'top'\nmargin = 0.1", ["anchor", "enlarge"]),
        ('canvas = "9x9"\naspect = "4:5"\nmax_side = 9\nanchor = "top"', ["aspect", "max_side"]),
        ('quality = 50\nblur = 0.1\non_fit = "tile"\nshadow_size = 0.1', ["blur", "on_fit", "quality", "shadow_size"]),
        ('products = ["mask"]\non = "white"\nshadow = 1', ["on", "shadow"]),
        ('format = "jpeg"\non = "white"\nquality = 50\nshadow_offset = [0.0, 0.02]', []),
        (
            '[[folder.product]]\nkind = "background"\ntrim = true\n[[folder.product]]\nkind = "cutout"\nblur = 0.2',
            ["product[0].trim", "product[1].blur"],
        ),
    ],
)
def test_what_is_set_for_nothing_is_told(tmp_path: Path, keys: str, told: list[str]) -> None:
    """A key that has no say in anything a folder makes was meant otherwise."""
    notes = [finding for finding in found(tmp_path, keys) if finding.level == "warn"]
    assert [finding.text for finding in notes] == [f"{key} changes nothing of what is made" for key in told]


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
