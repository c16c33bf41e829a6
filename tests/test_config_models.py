"""The models that a configuration names: its own, variants, mirrors, and what they run on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bgrd.config.load import custom_models, folders
from bgrd.models.index import Entry, change
from tests.houses.settings import ONE_FOLDER, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give an empty home."""
    return Home(tmp_path)


def test_models_of_ones_own(home: Home) -> None:
    """A [[model]] table is a choice by its name; one without a spec describes itself."""
    digest = "0f" * 32
    text = (
        f'[[model]]\nname = "mine"\npath = "m.onnx"\nsha256 = "{digest}"\n[[model]]\nname = "other"\npath = "/o.onnx"'
    )
    models = custom_models(home.load(text))
    assert models["mine"].path == home.file.parent / "m.onnx"
    assert models["mine"].sha256 == digest
    assert models["mine"].spec is None
    assert models["other"].sha256 is None


def test_two_models_of_one_name(home: Home) -> None:
    """A name stands for one file."""
    text = '[[model]]\nname = "mine"\npath = "a.onnx"\n[[model]]\nname = "mine"\npath = "b.onnx"'
    assert home.error(text) == "PATH: model[mine].name: is given twice"


def test_a_spec_is_checked_and_handed_on(home: Home) -> None:
    """A foreign file's spec stands in its table; what contradicts itself is an error of the file."""
    text = '[[model]]\nname = "mine"\npath = "/m.onnx"\nside = 512\nactivation = "{}"\nstretch = true'
    (model,) = custom_models(home.load(text.format("sigmoid"))).values()
    assert model.spec == {"name": "mine", "side": 512, "activation": "sigmoid", "stretch": True}
    assert home.error(text.format("softmax")).startswith("PATH: model[mine].stretch: makes no sense after softmax")
    assert home.error(text.format("no")).startswith("PATH: model[mine].activation: must be one of")


def test_a_variant_of_a_known_model(home: Home) -> None:
    """`model:variant` is let through where the model is known: whether the file is there is not the file's question."""
    (folder,) = folders(home.load(ONE_FOLDER + 'model = "u2net:int8"'))
    assert folder.recipe.model == "u2net:int8"


def test_an_installed_model_is_known(home: Home) -> None:
    """What was added under a name of its own may be used by that name, and is listed where another is not known."""
    place = home.path / ".local/share/bgrd/models"
    place.mkdir(parents=True)
    change(place, lambda entries: entries.update(mine=Entry(name="mine", file_name="m", sha256="", size=1, origin="")))
    assert folders(home.load(ONE_FOLDER + 'model = "mine"'))[0].recipe.model == "mine"
    assert home.error(ONE_FOLDER + 'model = "zzz"').endswith(", mine")
    (place / "models.json").write_text("{")
    home.load(ONE_FOLDER + 'model = "zzz"')  # what cannot be told now is no mistake of the configuration
    home.load('models_directory = "/not/mounted"\n' + ONE_FOLDER + 'model = "zzz"')


@pytest.mark.parametrize(
    "mirror",
    ["my.server", "ftp://x/", "https://", "https://x/?a=b", "https://x y/", "https://[x/", "https://x:port/", 3],
)
def test_a_mirror_is_a_web_address(mirror: object, home: Home) -> None:
    """Anything else is told with what it may be."""
    assert "PATH: model_mirrors" in home.error(f"model_mirrors = [{json.dumps(mirror)}]")


@pytest.mark.parametrize("mirror", ["https://me:secret@x/ y/", "https://me:secret@x:port/", "https://me:se/cret@x"])
def test_the_password_of_a_mirror_is_not_told(mirror: str, home: Home) -> None:
    """What is wrong with an address is told without user and password: it lands in logs."""
    said = home.error(f'model_mirrors = ["{mirror}"]')
    assert "is 'https://x" in said
    assert "cret" not in said


def test_a_model_like_a_known_one(home: Home) -> None:
    """`like` takes a row's spec, which the table's own keys change; the licence is the file's own affair."""
    text = '[[model]]\nname = "mine"\npath = "/m.onnx"\nlike = "rmbg-1.4"\nside = 512'
    spec = custom_models(home.load(text))["mine"].spec
    assert spec is not None
    assert (spec["name"], spec["side"], spec["mean"], spec["resample"]) == ("mine", 512, (0.5, 0.5, 0.5), "sampled")
    assert not spec.keys() & {"licence", "commercial"}
    assert home.error(text.replace("rmbg-1.4", "rmgb-1.4")) == (
        "PATH: model[mine].like: must be a known model that says how it is fed, is 'rmgb-1.4'; did you mean rmbg-1.4?"
    )
    assert "model[mine].like: must be a known model" in home.error(text.replace("rmbg-1.4", "bgrd-lite"))
    assert home.error(text.replace("512", "500")).startswith("PATH: model[mine].side: 500 is not a multiple of 32")


def test_files_of_weights(home: Home) -> None:
    """They lie beside the model or below it; a name that leads elsewhere is refused."""
    text = '[[model]]\nname = "mine"\npath = "/far/m.onnx"\ndata = ["{}"]'
    (model,) = custom_models(home.load(text.format("parts/m.onnx.data"))).values()
    assert model.files == (Path("/far/m.onnx"), Path("/far/parts/m.onnx.data"))
    for name in ("/etc/passwd", "../m.data", "a//b", "", "."):
        assert "data[0]: must be a name below the model's own folder" in home.error(text.format(name))


def test_what_models_run_on(home: Home) -> None:
    """Providers are a list of short names, or "auto", which is none."""
    assert home.load('providers = "auto"').providers is None
    assert home.load('providers = ["xnnpack", "cpu"]').providers == ("xnnpack", "cpu")
    for wrong in ('"cpu"', "[]", '["gpu"]', '["cpu", "cpu"]', "1", "[[]]"):
        assert home.error(f"providers = {wrong}").startswith("PATH: providers: must be ")


def test_a_model_nobody_knows(home: Home) -> None:
    """A misspelt model is told when the file is read, not when the first picture comes."""
    told = home.error('[defaults]\nmodel = "u2nte"')
    assert told == "PATH: folder[default].model: must be the name of a model, is 'u2nte'; did you mean u2net?"
    told = home.error(ONE_FOLDER + 'model = "zzz"\n[[model]]\nname = "mine"\npath = "/m.onnx"')
    assert told.startswith("PATH: folder[phone].model: must be the name of a model, is 'zzz'; known are bgrd-lite")
    assert told.endswith("mine")
