"""The pictures samples are made of."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from bgrd.errors import TrainingError
from bgrd.train.entry import Entry, Kind, Split
from bgrd.train.stock import Item, Stock


def entry(image: Path, *, kind: Kind = "pair", mask: Path | None = None, split: Split = "train") -> Entry:
    """Give a row of a manifest."""
    return Entry(kind=kind, image=image, mask=mask, category="c", source="s", licence="CC0-1.0", split=split)


def written(path: Path, shape: tuple[int, ...], *, value: int = 200) -> Path:
    """Write a picture of one value."""
    assert cv2.imwrite(str(path), np.full(shape, value, np.uint8))
    return path


def test_a_stock_holds_one_split(tmp_path: Path) -> None:
    """Pairs, cut-outs and backgrounds of the split asked, by source; nothing of another split."""
    image, mask = written(tmp_path / "a.jpg", (8, 9, 3)), written(tmp_path / "a.png", (8, 9))
    cut = written(tmp_path / "c.png", (8, 9, 4))
    stock = Stock.load(
        [
            entry(image, mask=mask),
            entry(cut, kind="cutout"),
            entry(image, kind="background"),
            entry(tmp_path / "never read", mask=mask, split="test"),
        ]
    )
    assert [len(group["s"]) for group in (stock.pairs, stock.cutouts, stock.backgrounds)] == [1, 1, 1]
    pixels, found = stock.pair(stock.pairs["s"][0])
    assert pixels.shape == (8, 9, 3)
    assert found.shape == (8, 9)


def test_an_empty_split_is_told(tmp_path: Path) -> None:
    """A manifest without a picture for training says so."""
    with pytest.raises(TrainingError, match="no picture for train"):
        Stock.load([entry(tmp_path / "a", split="test")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error names the file and why it cannot be read."""
    with pytest.raises(TrainingError, match=r"gone\.jpg: No such file"):
        Stock.load([entry(tmp_path / "gone.jpg", kind="background")])


def test_a_pair_without_a_mask_is_told(tmp_path: Path) -> None:
    """A pair is a photo with a mask."""
    with pytest.raises(TrainingError, match="without a mask"):
        Stock.load([entry(written(tmp_path / "a.jpg", (8, 8, 3)))])


def test_a_mask_of_another_size_is_told(tmp_path: Path) -> None:
    """The error gives both sizes, width first."""
    image, mask = written(tmp_path / "a.jpg", (8, 9, 3)), written(tmp_path / "a.png", (8, 5))
    stock = Stock.load([entry(image, mask=mask)])
    with pytest.raises(TrainingError, match="9 x 8, its mask 5 x 8"):
        stock.pair(stock.pairs["s"][0])


@pytest.mark.parametrize("kind", ["pair", "cutout", "background"])
def test_rubbish_is_named(kind: str) -> None:
    """A file that is no picture is an error that names it, in every kind."""
    item = Item(name="rubbish.png", source="s", category="c", image=b"rubbish", mask=b"rubbish")
    stock = Stock()
    with pytest.raises(TrainingError, match=r"rubbish\.png"):
        getattr(stock, kind)(item)


def test_a_cutout_without_alpha_is_told(tmp_path: Path) -> None:
    """RGB is no cut-out."""
    path = written(tmp_path / "a.png", (8, 8, 3))
    item = Item(name="a.png", source="s", category="c", image=path.read_bytes(), mask=None)
    with pytest.raises(TrainingError, match="alpha"):
        Stock().cutout(item)


def test_a_cutout_comes_with_its_colours_times_its_alpha(tmp_path: Path) -> None:
    """What hides under an alpha of 0 does not bleed into a rim; red stays red."""
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 2], pixels[:2, :, 3] = 200, 128
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    item = Item(name="a", source="s", category="c", image=(tmp_path / "a.png").read_bytes(), mask=None)
    found = Stock().cutout(item)
    assert found[0, 0].tolist() == [100, 0, 0, 128]
    assert found[3, 0].tolist() == [0, 0, 0, 0]


def test_what_is_kept_cannot_be_changed(tmp_path: Path) -> None:
    """Decoded backgrounds are shared between samples: they are read-only, and decoded once."""
    path = written(tmp_path / "a.jpg", (8, 8, 3))
    item = Item(name="a", source="s", category="c", image=path.read_bytes(), mask=None)
    stock = Stock(backgrounds=[item])
    found = stock.background(item)
    assert found is stock.background(item)
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0, 0] = 1


def test_a_stock_goes_to_another_process(tmp_path: Path) -> None:
    """Pickled, it gives the same pictures there, each its own, whatever was decoded before."""
    items = [
        Item(
            name=name,
            source="s",
            category="c",
            image=written(tmp_path / name, (8, 8, 3), value=value).read_bytes(),
            mask=None,
        )
        for name, value in (("a.jpg", 20), ("b.jpg", 220))
    ]
    stock = Stock(backgrounds=items)
    before = [int(stock.background(item).mean()) for item in items]
    copy = pickle.loads(pickle.dumps(stock))
    assert [int(copy.background(item).mean()) for item in reversed(copy.backgrounds["s"])] == before[::-1]
