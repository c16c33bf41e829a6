"""The sheet of the worst: it looks the same however large the photos are, and does not hold them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from bgrd.job import ModelChoice
from bgrd.train import sheets
from bgrd.train.entry import Entry
from bgrd.train.evaluate import Judge
from bgrd.train.sheets import contact_sheet, draw_worst, side_by_side
from tests.pictures.making import model
from tests.pictures.sets import disc, photo, write


def _entries(place: Path) -> list[Entry]:
    """Write three photos of 400 x 300 with their masks."""
    size = (400, 300)
    write(place, {f"{seed}.jpg": photo(seed, size) for seed in range(3)} | {"mask.png": disc(size)})
    return [
        Entry(
            kind="pair",
            image=place / f"{seed}.jpg",
            mask=place / "mask.png",
            category="fields",
            source="ours",
            licence="CC0-1.0",
            split="test",
        )
        for seed in range(3)
    ]


def test_a_sheet_holds_no_strip_at_full_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips are shrunk one after the other, to the same sheet as if all were kept and shrunk at the end."""
    made: list[Image.Image] = []
    held: list[tuple[str, Image.Image]] = []

    def strip(photo: Image.Image, truth: Image.Image, result: Image.Image) -> Image.Image:
        made.append(side_by_side(photo, truth, result))
        return made[-1].copy()

    def sheet(strips: Sequence[tuple[str, Image.Image]]) -> Image.Image:
        held.extend(strips)
        return contact_sheet(strips)

    monkeypatch.setattr(sheets, "side_by_side", strip)
    monkeypatch.setattr(sheets, "contact_sheet", sheet)
    red = model(activation=None, weights=((1.0, 0.0, 0.0),), spec={"name": "red", "side": 16, "multiple": 1})
    (tmp_path / "red.onnx").write_bytes(red)
    judge = Judge(ModelChoice(name="red", path=tmp_path / "red.onnx"), threads=1)
    found = [judged for judged, _result in judge.judged(_entries(tmp_path))]
    draw_worst(tmp_path / "sheet.png", judge, found)
    assert ({each.size for each in made}, {each.width for _caption, each in held}) == ({(1612, 300)}, {612})
    expected = contact_sheet([(caption, whole) for (caption, _small), whole in zip(held, made, strict=True)])
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert ImageChops.difference(drawn, expected).getbbox() is None
