"""`bgrd train evaluate`: a model whose answer is known, on pictures whose figures are known."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from bgrd.cli.train_evaluate import add, run
from bgrd.errors import BgrdError, CannotCreateError, ModelFileError, NoInputError, TrainingError, UsageError
from bgrd.models.add import add as install
from bgrd.train.entry import Entry, Split
from bgrd.train.evaluate import sampled
from bgrd.train.manifest import read_manifest, write_manifest
from bgrd.train.measures import figures
from tests.pictures.making import model
from tests.pictures.networks import resunet

SIDE = 16
RED = model(activation=None, weights=((1.0, 0.0, 0.0),), spec={"name": "red", "side": SIDE, "multiple": 1})
GREEN = model(activation=None, weights=((0.0, 1.0, 0.0),), spec={"name": "green", "side": SIDE, "multiple": 1})


def pair(place: Path, name: str, *, red: int, green: int, source: str, split: Split = "test") -> Entry:
    """Write a picture whose truth is the left 8 of 16 columns; red marks so many columns, green so many."""
    pixels = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    pixels[:, :red, 0] = 255
    pixels[:, :green, 1] = 255
    truth = np.zeros((SIDE, SIDE), dtype=np.uint8)
    truth[:, :8] = 255
    image, mask = place / f"{name}.png", place / f"{name}-mask.png"
    Image.fromarray(pixels).save(image)
    Image.fromarray(truth).save(mask)
    return Entry(kind="pair", image=image, mask=mask, category="stripes", source=source, licence="CC0-1.0", split=split)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Give two sources: red is right in the one and finds half, then a quarter too much, in the other."""
    place = tmp_path / "data"
    place.mkdir()
    entries = [
        pair(place, "right", red=8, green=4, source="easy"),
        pair(place, "half", red=4, green=8, source="hard"),
        pair(place, "more", red=10, green=8, source="hard"),
        pair(place, "seen", red=0, green=0, source="easy", split="train"),
    ]
    write_manifest(place / "manifest.csv", entries)
    return place


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """Give the model that takes red for the subject."""
    path = tmp_path / "red.onnx"
    path.write_bytes(RED)
    return path


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have neither configuration nor models of a user."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def evaluate(*arguments: str | Path, config: Path | None = None) -> int:
    """Run the command."""
    top = argparse.ArgumentParser()
    top.set_defaults(config=config)
    add(top.add_subparsers())
    return run(top.parse_args(["evaluate", *map(str, arguments)]))


def told(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Give the rows of a JSON file by kind and name."""
    return {(row["kind"], row["name"]): row["estimates"] for row in json.loads(path.read_text())["rows"]}


def test_figures_are_those_of_a_hand(dataset: Path, red: Path, tmp_path: Path) -> None:
    """Red is right, then 4 of 8 columns, then 8 of 10: IoU 1, 0.5 and 0.8, error 0, 0.25 and 0.125."""
    assert evaluate(red, dataset, "--json", tmp_path / "told.json") == 0
    found = told(tmp_path / "told.json")
    assert found["source", "easy"]["iou"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["source", "hard"]["iou"] == pytest.approx({"value": 0.65, "low": 0.5, "high": 0.8})
    assert found["source", "hard"]["mae"] == pytest.approx({"value": 0.1875, "low": 0.125, "high": 0.25})
    assert found["sources", "all"]["iou"]["value"] == pytest.approx(0.825)
    assert found["pictures", "all"]["iou"]["value"] == pytest.approx(2.3 / 3)
    half, more = 1.3 / (0.3 + 0.5) * 0.5, 1.3 * 0.8 / (0.3 * 0.8 + 1.0)
    assert found["source", "hard"]["max_f"]["value"] == pytest.approx((half + more) / 2)


def test_the_file_says_what_was_judged(dataset: Path, red: Path, tmp_path: Path) -> None:
    """Model, checksum, spec, split and each picture's figures are in it, and pictures of other splits are not."""
    evaluate(red, dataset, "--json", tmp_path / "told.json")
    facts = json.loads((tmp_path / "told.json").read_text())
    assert facts["sha256"] == sha256(RED).hexdigest()
    assert (facts["model"], facts["spec"]["side"], facts["split"]) == ("red.onnx", SIDE, "test")
    assert [Path(each["image"]).stem for each in facts["pictures"]] == ["right", "half", "more"]
    assert [each["iou"] for each in facts["pictures"]] == [1.0, 0.5, 0.8]


def test_two_models_are_held_against_each_other(
    dataset: Path, red: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Green is right where red is not and the other way round: which source lost, and how much, is told."""
    other = tmp_path / "green.onnx"
    other.write_bytes(GREEN)
    evaluate(red, dataset, "--against", other, "--json", tmp_path / "told.json")
    against = json.loads((tmp_path / "told.json").read_text())["against"]
    differences = {(row["kind"], row["name"]): row for row in against["differences"]}
    assert differences["source", "easy"]["estimates"]["iou"]["value"] == pytest.approx(0.5)
    assert differences["source", "hard"]["estimates"]["iou"]["value"] == pytest.approx(-0.35)
    assert "iou" in differences["source", "hard"]["worse"]
    assert differences["source", "easy"]["worse"] == []
    assert "worse beyond its bounds: hard (IoU -0.350, -0.500 to -0.200" in " ".join(capsys.readouterr().out.split())


def test_the_table_fits_a_terminal(dataset: Path, red: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All sources, categories and means are there, within 80 columns."""
    evaluate(red, dataset, "--against", red)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert all(word in out for word in ("easy", "hard", "stripes", "over sources", "over pictures", ".50-.80"))
    assert "no source is worse beyond its bounds" in out


def test_results_can_be_looked_at(dataset: Path, red: Path, tmp_path: Path) -> None:
    """One strip of photo, truth, result and cut-out for each picture, the worst first; a sheet of the worst."""
    evaluate(red, dataset, "--sides", tmp_path / "sides", "--sheet", tmp_path / "sheet.png")
    strips = sorted((tmp_path / "sides").iterdir())
    assert [path.name for path in strips] == [
        "0.500-hard-2-half.jpg",
        "0.800-hard-3-more.jpg",
        "1.000-easy-1-right.jpg",
    ]
    with Image.open(strips[0]) as strip:
        assert strip.size == (4 * SIDE + 12, SIDE)
        # The truth's white ends at its 8th column, the result's at its 4th.
        row = np.asarray(strip.convert("L"))[SIDE // 2]
    assert (row[SIDE + 4 + 6] > 200, row[2 * (SIDE + 4) + 6] < 60) == (True, True)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > sheet.height > 100


def test_strips_of_long_names_are_written(dataset: Path, red: Path, tmp_path: Path) -> None:
    """Source and picture together are more than a name may have; letters are not cut in two, nor is a strip lost."""
    entries = []
    for number, entry in enumerate(read_manifest(dataset / "manifest.csv")):
        image = entry.image.rename(dataset / f"{'e' * 240}{number}.png")
        entries.append(replace(entry, source="\N{CJK UNIFIED IDEOGRAPH-65E5}/" * 60, image=image))
    write_manifest(dataset / "manifest.csv", entries)
    assert evaluate(red, dataset, "--sides", tmp_path / "sides") == 0
    assert len(list((tmp_path / "sides").iterdir())) == 3


def test_a_foreign_file_is_fed_as_it_is_told(dataset: Path, red: Path, tmp_path: Path) -> None:
    """A file that says nothing of itself takes the numbers of a catalogue's row: (x - 128) / 256 with this one's.

    Also beside one that says it itself.
    """
    path = tmp_path / "foreign.onnx"
    path.write_bytes(model(activation=None, weights=((1.0, 0.0, 0.0),), bias=(0.5,)))
    assert evaluate(path, dataset, "--like", "isnet-imgly", "--json", tmp_path / "told.json") == 0
    assert told(tmp_path / "told.json")["source", "hard"]["iou"]["value"] == pytest.approx(0.65)
    assert evaluate(red, dataset, "--against", path, "--like", "isnet-imgly") == 0
    # With modnet's numbers red comes to -0.5 .. 1.5.
    with pytest.raises(ModelFileError, match="expected values from 0 to 1"):
        evaluate(path, dataset, "--like", "modnet")


def test_a_model_of_the_configuration_is_known_by_its_name(dataset: Path, red: Path, tmp_path: Path) -> None:
    """A [[model]] table says how its file is fed."""
    bare, config = tmp_path / "bare.onnx", tmp_path / "config.toml"
    bare.write_bytes(model(activation=None, weights=((1.0, 0.0, 0.0),)))
    config.write_text(f'[[model]]\nname = "mine"\npath = "{bare}"\nside = {SIDE}\nmultiple = 1\n')
    assert evaluate("mine", dataset, "--json", tmp_path / "told.json", config=config) == 0
    assert told(tmp_path / "told.json")["source", "hard"]["iou"]["value"] == pytest.approx(0.65)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["{red}", "{data}", "--split", "validation"], TrainingError, "it has 3 in test, 1 in train"),
        (["{red}", "{data}/nowhere"], NoInputError, "manifest.csv cannot be read"),
        (["{data}/none.onnx", "{data}"], NoInputError, "none.onnx cannot be read"),
        (["{data}/manifest.csv", "{data}"], ModelFileError, "no ONNX model"),
        (["{bare}", "{data}"], UsageError, "does not say itself how it is fed"),
        (["{bare}", "{data}", "--like", "bgrd-lite"], UsageError, "does not say how such a model is fed"),
        (["{red}", "{data}", "--like", "u2net"], UsageError, "--like u2net changes nothing"),
        (["bgrd-lite", "{data}", "--against", "{red}", "--like", "u2net"], UsageError, "--like u2net changes nothing"),
        (["u2net", "{data}"], NoInputError, "bgrd models pull u2net"),
        (["nobody", "{data}"], NoInputError, "no model named nobody"),
        (["{red}", "{data}", "--json", "{data}"], CannotCreateError, "cannot be written"),
        (["{red}", "{data}", "--sheet", "{data}/no/where.png"], CannotCreateError, "cannot be written"),
        (["{red}", "{data}", "--sides", "{red}"], CannotCreateError, "cannot be written"),
        (["{red}", "{data}", "--sides", "{data}"], CannotCreateError, "data has something in it.*: name a new folder"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: Sequence[str], error: type[BgrdError], words: str, dataset: Path, red: Path, tmp_path: Path
) -> None:
    """Each wrong argument ends in a sentence, before anything is judged."""
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(model())
    with pytest.raises(error, match=words):
        evaluate(*(each.format(red=red, data=dataset, bare=bare) for each in arguments))


@pytest.mark.parametrize("line", ["--seed -1", "--seed x", "--most 0", "--most -3", "--most 1.5"])
def test_numbers_that_cannot_be_are_refused(
    dataset: Path, red: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """By the parser, before anything is judged."""
    with pytest.raises(SystemExit):
        evaluate(red, dataset, *line.split())
    flag, value = line.split()
    least = {"--seed": 0, "--most": 1}[flag]
    said = capsys.readouterr().err
    assert f"argument {flag}: must be a whole number of at least {least}, is '{value}'" in said


def test_damage_names_its_file(dataset: Path, red: Path) -> None:
    """A mask of another size or kind, an empty one, and one or a picture that is none are told by their names."""
    mask, image = dataset / "half-mask.png", dataset / "half.png"
    whole = mask.read_bytes()
    for words, size in (("has 4 x 5 pixels", (4, 5)), ("no subject", (SIDE, SIDE))):
        Image.new("L", size).save(mask)
        with pytest.raises(TrainingError, match=f"half-mask.png.*{words}"):
            evaluate(red, dataset)
    mask.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"half-mask\.png cannot be read"):
        evaluate(red, dataset)
    for mode in ("I;16", "LA", "RGB", "P"):  # read as grey they would be white, or something else than they say
        Image.new(mode, (SIDE, SIDE)).save(mask)
        with pytest.raises(TrainingError, match=r"half-mask\.png cannot be read: it is no grey picture of 8 bits"):
            evaluate(red, dataset)
    mask.write_bytes(whole)
    image.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"half\.png cannot be read"):
        evaluate(red, dataset)


def test_a_split_without_pairs_says_so(dataset: Path, red: Path) -> None:
    """Cut-outs and backgrounds have no truth to be held against."""
    only = Entry(
        kind="background",
        image=dataset / "half.png",
        mask=None,
        category="rooms",
        source="rooms",
        licence="CC0-1.0",
        split="test",
    )
    write_manifest(dataset / "manifest.csv", [only])
    with pytest.raises(TrainingError, match="none at all"):
        evaluate(red, dataset)


def test_a_sample_takes_as_many_of_each_source(tmp_path: Path) -> None:
    """At most so many of each, in their order, always the same by the same seed."""
    one = pair(tmp_path, "one", red=1, green=1, source="many")
    many = [replace(one, image=tmp_path / f"{number}.png") for number in range(20)]
    few = [replace(one, image=tmp_path / "few.png", source="few")]
    found = sampled([*many, *few], 3, seed=1)
    assert found == sampled([*many, *few], 3, seed=1) != sampled([*many, *few], 3, seed=2)
    assert [each.source for each in found] == ["many", "many", "many", "few"]
    assert found == [each for each in [*many, *few] if each in found]


def test_a_converted_keras_model_is_installed_and_judged(dataset: Path, tmp_path: Path) -> None:
    """Of 512 x 512, channels last, blue first, with four sigmoids: what is judged is its first mask, fed so by hand."""
    file = tmp_path / "converted.onnx"
    file.write_bytes(resunet())
    config = tmp_path / "config.toml"
    config.write_text(f'models_directory = "{tmp_path / "models"}"\n')
    install(file, name="resunet50", directory=tmp_path / "models")
    assert evaluate("resunet50", dataset, "--json", tmp_path / "told.json", config=config) == 0
    facts = json.loads((tmp_path / "told.json").read_text())
    assert (facts["model"], facts["spec"]["channels"], facts["spec"]["layout"]) == ("resunet50", "BGR", "NHWC")
    session = onnxruntime.InferenceSession(resunet())
    for told_of in facts["pictures"]:
        with Image.open(told_of["image"]) as image:
            large = np.asarray(image.resize((512, 512), Image.Resampling.BILINEAR), np.float32)
        mask = session.run(None, {session.get_inputs()[0].name: large[None, :, :, ::-1] / 255})[0][0, :, :, 0]
        small = Image.fromarray(np.rint(mask * 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        with Image.open(str(told_of["image"]).replace(".png", "-mask.png")) as truth:
            expected = figures(np.asarray(small), np.asarray(truth))
        assert told_of["iou"] == pytest.approx(expected.iou, abs=0.01)
        assert told_of["mae"] == pytest.approx(expected.mae, abs=0.005)
