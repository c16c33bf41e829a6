"""Portraits out of photos of people who stand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bgrd.errors import TrainingError
from bgrd.train.scenes import portraits
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.stock import Item, Stock

SIDE = 64


def person(*, category: str = "people", empty: bool = False) -> Item:
    """Give a photo, brighter to the right, of a red figure, head and long body, in its upper left corner."""
    mask = np.zeros((300, 200), np.uint8)
    if not empty:
        cv2.circle(mask, (45, 24), 18, 255, -1)
        cv2.rectangle(mask, (15, 42), (75, 280), 255, -1)
    photo = np.repeat(np.linspace(40, 200, 200, dtype=np.uint8)[None, :, None], 300, axis=0).repeat(3, axis=2)
    photo[mask > 0] = (20, 20, 230)
    image, alpha = (cv2.imencode(".png", each)[1].tobytes() for each in (photo, mask))
    return Item(name="standing", source="street", category=category, image=image, mask=alpha)


def drawn(seed: int) -> Scene:
    """Draw a portrait of that person."""
    stage = Stage(stock=Stock(pairs=[person()]), side=SIDE, rng=np.random.default_rng(seed))
    return portraits.draw(stage)


def test_a_portrait_shows_a_head_and_is_cut_by_the_lower_border() -> None:
    """Of 60 nearly all reach the lower border, in most the head has air above, and all show something of both."""
    scenes = [drawn(seed) for seed in range(60)]
    assert sum(scene.alpha[-1].max() > 0.9 for scene in scenes) >= 55
    assert sum(scene.alpha[0].max() < 0.5 for scene in scenes) >= 45
    assert all(0.05 < scene.alpha.mean() < 0.95 for scene in scenes)


def test_a_portrait_in_its_own_photo_is_that_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two in five stay where they are: what is red is subject, what is grey is not, and no mirror shows them twice."""
    nothing = np.zeros((SIDE, SIDE), np.float32)
    elsewhere = Scene(picture=nothing[..., None].repeat(3, axis=2), alpha=nothing)
    monkeypatch.setattr(portraits, "stand", lambda *_, **__: elsewhere)
    scenes = [scene for scene in map(drawn, range(60)) if scene is not elsewhere]
    assert 15 <= len(scenes) <= 35
    for scene in scenes:
        red = scene.picture[..., 0] - scene.picture[..., 1]
        assert red[scene.alpha > 0.99].min() > 0.7
        assert red[scene.alpha < 0.01].max(initial=0) < 0.05
        assert cv2.connectedComponents((scene.alpha > 0.5).astype(np.uint8))[0] == 2


def test_only_people_sit_for_it() -> None:
    """A stock without any has none to take; a mask without subject is told."""
    assert not Stock(pairs=[person(category="cats")]).people
    stage = Stage(stock=Stock(pairs=[person(empty=True)]), side=SIDE, rng=np.random.default_rng(0))
    with pytest.raises(TrainingError, match="standing: nothing of it is subject"):
        portraits.draw(stage)
