"""The library's face."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bgrd
from bgrd.errors import ConfigError, GroundFault, InputFault, ModelFault
from bgrd.job import Recipe
from bgrd.product import Frame, Ground, Product, Shadow
from tests.pictures.making import corners, encoded, noise
from tests.pictures.scenes import photo


def test_a_recipe_in_words() -> None:
    """The configuration's words give what a folder with them would make; without words it is the default."""
    assert bgrd.recipe() == Recipe()
    made = bgrd.recipe(on="white", trim=True, margin=0.08, canvas="512x512", shadow=0.5, threshold=0.4)
    frame = Frame(trim=True, margin=0.08, canvas=(512, 512))
    product = Product(ground=Ground(kind="colour"), frame=frame, shadow=Shadow(opacity=0.5))
    assert made == Recipe(threshold=0.4, products=(product,))
    assert bgrd.recipe(canvas=(9, 8), on=Path("a.png")).products[0].frame == Frame(canvas=(9, 8))
    assert bgrd.recipe(aspect=[2, 4], max_side=90).products[0].frame == Frame(aspect=(1, 2), max_side=90)
    tables = bgrd.recipe(on="blue", product=[{"kind": "mask"}, {"kind": "cutout", "format": "jpeg"}])
    assert [(each.kind, each.format) for each in tables.products] == [("mask", "png"), ("cutout", "jpeg")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"margin": 2}, "margin: must be between 0 and 0.45, is 2"),
        ({"on": "rde"}, "on: must be "),
        ({"trim": "perhaps"}, "trim: must be true or false, is 'perhaps'"),
        ({"format": "gif"}, "format: must be 'png', 'webp'"),
        ({"format": "jpeg"}, "on: must be a colour"),
        ({"format": "webp", "level": 9}, "level: must be between 0 and 6 for webp, is 9"),
        ({"products": ["x"]}, "products[0]: must be 'cutout'"),
        ({"product": [{"kind": "mask", "trim": 7}]}, "product[0].trim: must be true or false, is 7"),
        ({"product": [{"kind": "mask", "format": "jpeg"}]}, "product[0].format: must be png"),
        ({"products": ["mask"], "product": [{"kind": "mask"}]}, "has both products and product tables"),
        ({"canvas": (0, -5)}, 'canvas: must be "none" or a size in pixels like "512x512"'),
        ({"aspect": (1, 2, 3)}, 'aspect: must be "none" or an aspect'),
        ({"trimm": True}, "trimm: is no word for what is made; there are "),
        ({"policy": "delete"}, "policy: is no word for what is made"),
        ({"canvas": (9, 8), "aspect": "4:5"}, "aspect: changes nothing of what is made"),
        ({"quality": 80}, "quality: changes nothing of what is made"),
    ],
)
def test_a_wrong_word_is_named(words: dict[str, Any], told: str) -> None:
    """As in the configuration: which, what it may be, and what it is."""
    for made in (lambda: bgrd.recipe(**words), lambda: bgrd.cut_out(corners(), **words)):
        with pytest.raises(ConfigError) as caught:
            made()
        assert told in str(caught.value)


def test_every_kind_of_picture_gives_the_same(tmp_path: Path) -> None:
    """An image, an array, bytes, a path and its text; in words or by a recipe."""
    image = photo()
    path = tmp_path / "a.png"
    path.write_bytes(encoded(image, "PNG"))
    words: dict[str, Any] = {"on": "#123456", "trim": True, "aspect": "1:1"}
    expected = bgrd.cut_out(image, bgrd.recipe(**words))
    assert expected.mode == "RGB"
    assert expected.width == expected.height
    for given in (image, np.asarray(image), path.read_bytes(), path, str(path)):
        assert bgrd.cut_out(given, **words).tobytes() == expected.tobytes()


def test_a_recipe_or_words() -> None:
    """Both at once would have to be reconciled: it is refused."""
    with pytest.raises(TypeError, match="not both: trim"):
        bgrd.cut_out(corners(), bgrd.recipe(), trim=True)


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)])
def test_an_array_of_another_kind_is_told(array: object) -> None:
    """Which it may be, and which it is."""
    with pytest.raises(InputFault, match="An array is uint8"):
        bgrd.cut_out(array)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, bytearray(b"x"), 5, io.BytesIO()])
def test_what_is_no_picture_is_told(given: object) -> None:
    """Which kinds there are, and which it is."""
    with pytest.raises(InputFault, match=f"bytes or a path, not {type(given).__name__}"):
        bgrd.cut_out(given)  # type: ignore[arg-type]


def test_a_picture_to_stand_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a path that starts here; read anew when it changes; missing or no picture it is named."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GroundFault, match=r"beach.png of `on` cannot be used: No such file"):
        bgrd.cut_out(photo(), on="./beach.png")
    (tmp_path / "beach.png").write_bytes(b"text")
    with pytest.raises(GroundFault, match="is not a picture"):
        bgrd.cut_out(photo(), on="./beach.png")
    for colour in ((0, 0, 200), (0, 200, 0)):
        Image.new("RGB", (9 + colour[1] // 100, 9), colour).save(tmp_path / "beach.png")
        shown = bgrd.cut_out(photo(), on="./beach.png")
        assert np.abs(np.asarray(shown, int)[0, 0] - colour).max() <= 8


def test_every_product_can_be_had() -> None:
    """The first that is asked for is given."""
    modes = {kind: bgrd.cut_out(noise(), products=[kind]).mode for kind in ("cutout", "mask", "background", "compare")}
    assert modes == {"cutout": "RGBA", "mask": "L", "background": "RGBA", "compare": "RGB"}


def test_a_model_that_is_not_there_is_told() -> None:
    """With the command that gets it."""
    with pytest.raises(ModelFault, match="bgrd models pull u2net"):
        bgrd.cut_out(corners(), model="u2net")
