"""What the documents say is so."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from PIL import Image

from bgrd.cli.main import main, parser
from bgrd.config.edge import EdgeOptions
from bgrd.config.load import custom_models, load
from bgrd.config.output import OutputOptions
from bgrd.models.catalogue import ROWS
from bgrd.models.spec import ModelSpec
from tests.pictures.making import encoded, noise

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MODELS = (ROOT / "docs" / "models.md").read_text()
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
    """The table of models names every row of the catalogue in its order, with side, licence and what that allows."""
    table = re.findall(r"^\| `([\w.-]+)`[^|]*\| (\d+) \| ([\w. -]+) \| (yes|no) \|", README, re.MULTILINE)
    assert table == [
        (row.name, str(row.spec.side if row.spec else 256), row.licence, "yes" if row.commercial else "no")
        for row in ROWS.values()
    ]


def test_the_sizes_of_the_readme_are_the_catalogues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of models has the size `bgrd models list` shows of each, and none where there is none to fetch."""
    table = re.findall(r"^\| `([\w.-]+)`[^|]*\| \d+ \|[^|]*\|[^|]*\| ([^|]*)\|", README, re.MULTILINE)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "config.toml").write_text(f"models_directory = {json.dumps(str(tmp_path / 'none'))}")
    assert main(["models", "list", "-c", str(tmp_path / "config.toml")]) == 0
    listed = dict(re.findall(r"^([\w.-]+) +([\d.]+ [MG]B)? ", capsys.readouterr().out, re.MULTILINE))
    assert {name: size.strip() for name, size in table} == {row: listed[row] for row in ROWS}


def test_every_key_of_a_spec_is_explained() -> None:
    """The table of keys names each with its default, and every word it may be."""
    lines = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", MODELS.partition("## How")[0], re.MULTILINE)
    told = {key: (default.strip().strip('"`'), words) for key, default, words in lines}
    hints = get_type_hints(ModelSpec)
    spec = ModelSpec(name="", side=1)
    assert told.keys() == hints.keys()
    for key, (default, words) in told.items():
        assert default == _SHORT.get(key, str(getattr(spec, key))), key
        choices = get_args(hints[key]) if get_origin(hints[key]) is Literal and key != "upscale" else ()
        assert all(f"`{choice}`" in words for choice in choices), key


_SHORT = {
    "name": "",
    "side": "",
    "mean": "0",
    "std": "1",
    "pick": "0",
    "stretch": "false",
    "licence": "",
    "quick": "true",
    "commercial": "true",
}


def test_how_each_model_is_fed_is_told() -> None:
    """The table of rows says of each spec in the catalogue what it is."""
    for row in ROWS.values():
        if row.spec is not None:
            assert _fed(row.spec) in MODELS, row.name


def _fed(spec: ModelSpec) -> str:
    """Give a row's line."""
    fit = "square" if spec.fit == "square" else f"short side, x{spec.multiple}"
    exact = ", exact" if spec.resample == "bilinear" and not spec.quick else ""
    mean, std = (
        " ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
        for values in (spec.mean, spec.std)
    )
    order = "" if spec.channels == "RGB" else f", {spec.channels}"
    layout = "" if spec.layout == "NCHW" else f", {spec.layout}"
    pick = "" if spec.pick == (0,) else f", pick {spec.pick[0]} to {spec.pick[-1]}"
    values = f"{spec.divide_by}, mean {mean}, std {std}{order}{layout}"
    after = f"{spec.activation}{pick}, stretch {spec.stretch}"
    return f"| `{spec.name}` | {spec.side} {fit} | {spec.resample}{exact} | {values} | {after} |"


def test_the_example_of_a_model_table_loads(tmp_path: Path) -> None:
    """The `[[model]]` table of the documentation is one."""
    (text,) = re.findall(r"^```toml\n(.*?)^```$", MODELS, re.MULTILINE | re.DOTALL)
    (tmp_path / "config.toml").write_text(text)
    (model,) = custom_models(load(tmp_path / "config.toml", environ={"HOME": str(tmp_path)})).values()
    assert model.spec is not None
    assert (model.spec["side"], model.external) == (768, ("mine.onnx.data",))


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


def test_the_gallery_shows_every_option() -> None:
    """The page is what its program writes, its sheets are there, and each key of edge and output is in it."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        gallery = import_module("gallery")
    finally:
        sys.path.pop(0)
    assert (ROOT / "docs/gallery.md").read_text() == gallery.page()
    assert all((ROOT / f"docs/gallery/{part.title.lower()}.png").exists() for part in gallery.PARTS)
    shown = {key for part in gallery.PARTS for words in part.tiles for key in words}
    assert shown == (EdgeOptions.model_fields.keys() | OutputOptions.model_fields.keys()) - {"model", "product"}
