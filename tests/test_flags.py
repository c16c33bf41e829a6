"""The flags of `bgrd once` for what is made."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import bgrd
from bgrd.cli.flags import add_flags, flag, given
from bgrd.cli.main import main
from bgrd.config.settings import Options
from bgrd.config.words import KEYS, recipe_from
from tests.pictures.making import encoded
from tests.pictures.scenes import photo


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user of its own, and a picture in the folder it stands in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(encoded(photo(), "PNG"))
    return tmp_path


def words(*arguments: str) -> dict[str, object]:
    """Parse flags alone."""
    made = argparse.ArgumentParser()
    add_flags(made)
    return given(made.parse_args(arguments))


def test_every_key_has_its_flag() -> None:
    """All that decides what is made, but the tables of products, which are no single values."""
    made = argparse.ArgumentParser()
    add_flags(made)
    flags = {name for action in made._actions for name in action.option_strings}
    assert {flag(key) for key in KEYS - {"product"}} <= flags


def test_what_is_not_given_is_not_there() -> None:
    """So that [defaults] keep what they say; a switch can be turned off."""
    assert words() == {}
    assert words("--trim", "--no-enlarge", "--margin", "0.08") == {"trim": True, "enlarge": False, "margin": "0.08"}


def test_flags_are_the_librarys_words() -> None:
    """Texts and lists between commas come to the same recipe as Python's own values."""
    typed = words(
        "--products", "cutout,mask", "--shadow", "0.5", "--shadow-offset=-0.1,0", "--max-side", "90", "--trim"
    )
    said = bgrd.recipe(products=["cutout", "mask"], shadow=0.5, shadow_offset=(-0.1, 0), max_side=90, trim=True)
    assert recipe_from(typed, base=Options()) == said


def test_help_shows_them_for_this_command_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """With description, values and default; the general help stays light."""
    with pytest.raises(SystemExit):
        main(["once", "--help"])
    shown = capsys.readouterr().out
    assert "--on ON" in shown
    assert "--trim, --no-trim" in shown
    assert "8 %" not in shown
    code = "import sys, bgrd.cli.main as m; m.parser().format_help(); print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--margin", "2"], "bgrd: --margin: must be between 0 and 0.45, is '2'"),
        (["--on", "rde"], "bgrd: --on: must be "),
        (["--format", "jpeg"], "bgrd: --on: must be a colour"),
        (["--products", "cutout,x"], "bgrd: --products[1]: must be 'cutout'"),
        (["--on-fit", "stretch"], "bgrd: --on-fit: must be 'cover', 'contain' or 'tile', is 'stretch'"),
        (["--trim"], None),
    ],
)
def test_a_wrong_flag_is_named(arguments: list[str], told: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is made; 64 says that it was the command line."""
    assert main(["once", "a.png", "-o", "out", *arguments]) == (64 if told else 0)
    if told is not None:
        assert capsys.readouterr().err.startswith(told)
        assert not Path("out").exists()


def test_a_ground_that_is_not_there_is_said_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    """With its path; nothing is made."""
    assert main(["once", "a.png", "-o", "out", "--on", "./beach.png"]) == 78
    assert "beach.png of `on` cannot be used: No such file" in capsys.readouterr().err


def test_a_ground_that_is_no_picture_fails_every_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a lane can tell: each is told with the path that is to blame, and nothing is written."""
    Path("text.png").write_bytes(b"text, and no picture")
    assert main(["once", "a.png", "-o", "out", "--on", "text.png"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "text.png of `on` cannot be used" in told
    assert not list(Path("out").iterdir())


def test_flags_without_files_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The inboxes have their own settings."""
    assert main(["once", "--trim", "--on", "white"]) == 64
    assert "-o, --trim, --on: for named files" in capsys.readouterr().err.replace("--on, --trim", "--trim, --on")


def test_flags_win_over_product_tables_too(here: Path) -> None:
    """What a table says itself is no exception; what no flag names stands as it does there."""
    file = here / "home/.config/bgrd/config.toml"
    file.parent.mkdir(parents=True)
    tables = '[[defaults.product]]\nkind = "cutout"\non = "black"\ntrim = true\n[[defaults.product]]\nkind = "mask"\n'
    file.write_text(tables)
    assert main(["once", "a.png", "-o", "out", "--on", "#00f", "--margin", "0.2", "--shadow-offset=-0.1,0"]) == 64
    assert main(["once", "a.png", "-o", "out", "--on", "#00f", "--margin", "0.2"]) == 0
    with Image.open(here / "out/a.png") as made, Image.open(here / "out/a.mask.png") as mask:
        assert made.convert("RGB").getpixel((0, 0)) == (0, 0, 255)
        assert mask.mode == "L"


def test_a_flag_of_a_table_s_trouble_names_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a flag and a table do not agree on is told of the table, which no flag is called after."""
    file = here / "home/.config/bgrd/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[[defaults.product]]\nkind = "cutout"\nformat = "webp"\nresult_name = "{stem}-x"\n')
    assert main(["once", "a.png", "-o", "out", "--level", "9"]) == 64
    assert capsys.readouterr().err.startswith("bgrd: defaults.product[0].level: must be between 0 and 6 for webp")


def test_flags_win_over_the_configuration(here: Path) -> None:
    """What they do not say stands as in [defaults]; the pixels are the library's."""
    file = here / "home/.config/bgrd/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[defaults]\non = "black"\ntrim = true\nformat = "webp"\n')
    Image.new("RGB", (30, 20), (0, 0, 200)).save(here / "sea.png")
    flags = ["--on", "sea.png", "--canvas", "200x100", "--anchor", "bottom", "--shadow", "0.5", "--format", "png"]
    assert main(["once", "a.png", "-o", "out", *flags, "--result-name", "{stem}-{folder}"]) == 0
    with Image.open(here / "out/a-once.png") as made:
        found = made.tobytes()
    said = bgrd.cut_out(here / "a.png", on="./sea.png", trim=True, canvas="200x100", anchor="bottom", shadow=0.5)
    assert found == said.tobytes()
