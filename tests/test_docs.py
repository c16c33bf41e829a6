"""What the documents say is so."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from bgrd.cli.main import parser
from bgrd.config.load import load
from bgrd.config.output import OutputOptions
from bgrd.models.catalogue import ROWS
from tests.making import encoded, noise

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
SHELL = [line.partition("#")[0].strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]


def test_every_bgrd_command_in_the_readme_is_one() -> None:
    """Each `bgrd ...` line is accepted by the command line as it stands."""
    lines = [shlex.split(line) for line in SHELL if line.startswith("bgrd")]
    assert lines
    for _program, *arguments in lines:
        parser(flags="once" in arguments).parse_args(arguments)


def test_no_figure_of_the_readme_is_missing() -> None:
    """No placeholder was left where a measurement belongs."""
    assert not re.findall(r"@[A-Z]+@|TODO|FIXME", README)


def test_every_make_target_in_the_readme_exists() -> None:
    """Each `make X` of the README, in blocks and in prose, is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)", README))
    assert named <= targets
    assert {"run", "test"} <= named


def test_every_file_the_readme_links_is_there() -> None:
    """No link of the README leads nowhere."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    for link in links:
        places = [ROOT / link, ROOT / "bgrd" / "engine" / link]
        assert any(place.exists() for place in places), link


def test_the_settings_of_the_readme_are_valid(tmp_path: Path) -> None:
    """The TOML of the README loads as a configuration."""
    (text,) = [text for kind, text in BLOCKS if kind == "toml"]
    (tmp_path / "config.toml").write_text(text)
    settings = load(tmp_path / "config.toml", environ={"HOME": str(tmp_path)})
    assert [folder.name for folder in settings.folder] == ["phone", "products"]


OUTPUT = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/output.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", [text for kind, text in OUTPUT if kind == "toml"])
def test_the_recipes_for_outputs_are_valid(tmp_path: Path, text: str) -> None:
    """Each block of docs/output.md is what may stand in a folder."""
    folder = '[[folder]]\nname = "x"\ninbox = "/i"\noutbox = "/o"\n'
    (tmp_path / "config.toml").write_text(folder + text)
    load(tmp_path / "config.toml", environ={"HOME": str(tmp_path)})


def test_the_guide_to_outputs_knows_every_key() -> None:
    """No key of a product is missing from docs/output.md."""
    text = (ROOT / "docs/output.md").read_text()
    assert not [key for key in OutputOptions.model_fields if not re.search(rf"`{key}\b", text) and key != "product"]


def test_the_commands_and_the_python_for_outputs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand in docs/output.md."""
    for line in [line for kind, text in OUTPUT if kind == "sh" for line in text.splitlines()]:
        parser(flags=True).parse_args(shlex.split(line)[1:])
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(encoded(noise(), "JPEG"))
    (text,) = [text for kind, text in OUTPUT if kind == "python"]
    exec(compile(text, "output.md", "exec"), {})
    with Image.open("photo.square.png") as square, Image.open("profile.png") as profile:
        assert square.width == square.height
        assert profile.size == (512, 512)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library example, run as it stands beside a photo.jpg, writes a cut-out of the same size."""
    (text,) = [text for kind, text in BLOCKS if kind == "python"]
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(encoded(noise(), "JPEG"))
    exec(compile(text, "README.md", "exec"), {})
    with Image.open("photo.jpg") as source, Image.open("photo.png") as result:
        assert result.size == source.size
        assert result.mode == "RGBA"


def test_the_models_of_the_readme_are_the_catalogues() -> None:
    """The table of models names every row of the catalogue, with its licence."""
    table = dict(re.findall(r"^\| `([\w-]+)`[^|]*\|[^|]*\| ([\w.-]+) \|", README, re.MULTILINE))
    assert table == {name: row.licence for name, row in ROWS.items()}


def test_the_flow_is_told_the_same_everywhere() -> None:
    """README and the package's docstring name the same stages in the same order."""
    (line,) = re.findall(r"^    arrival - .*$", README, re.MULTILINE)
    stages = line.strip().split(" - ")
    docstring = (ROOT / "bgrd" / "__init__.py").read_text().split('"""')[1]
    told = [match.strip() for match in re.findall(r"^    ([a-z ]+?)  +\S", docstring, re.MULTILINE)]
    assert told == stages
    for path in re.findall(r"(\S+\.py)", docstring):
        assert (ROOT / "bgrd" / path).exists(), path


def test_the_classifiers_name_the_pythons_required() -> None:
    """The oldest Python of the classifiers is the one required."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = re.findall(r"Python :: 3\.(\d+)", "\n".join(project["classifiers"]))
    assert project["requires-python"] == f">=3.{min(map(int, versions))}"


def test_constraints_pin_names_and_versions_only() -> None:
    """The constraints file holds exact pins and no place to get them from."""
    for line in (ROOT / "constraints" / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_nothing_committed_is_about_this_machine() -> None:
    """No source names a path of a workplace or a package index."""
    for path in [*ROOT.glob("bgrd/**/*.py"), *ROOT.glob("docs/*"), *ROOT.glob("*.md"), ROOT / "Makefile"]:
        if path.suffix in {".py", ".md", ""} and path.is_file():
            assert not re.search(r"/(home|work|root)/\w|index-url|simple/", path.read_text()), path
