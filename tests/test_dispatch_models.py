"""What the engine makes of models and grounds that are missing, broken or changed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.errors import ModelFault
from bgrd.job import ModelChoice
from tests.houses.engines import Engine
from tests.houses.workshop import Workshop


def test_a_missing_model_blocks_and_comes_back(engine: Engine) -> None:
    """Installed while the daemon runs, it is tried, and its folder goes on by itself; no job is charged."""
    shop = engine.folder()
    shop.drop("a.jpg", b"source")
    (engine.root / "model").rename(engine.root / "aside")
    (desk,) = engine.serve()
    engine.until(lambda: desk.blocked)
    assert "not installed" in desk.blocked
    assert desk.wants_model
    engine.ahead_seconds += 6
    engine.until(lambda: desk.probe_pause == 10)
    (engine.root / "aside").rename(engine.root / "model")
    engine.ahead_seconds += 11
    engine.until_done(1)
    assert shop.job("a.jpg").attempts == 0


def on(engine: Engine, shop: Workshop, *names: str) -> list[Path]:
    """Let a folder's cut-outs stand on pictures of these names."""
    paths = [engine.root / name for name in names]
    shop.folder = replace(shop.folder, recipe=replace(shop.folder.recipe, grounds=tuple(paths)))
    return paths


def test_a_missing_ground_blocks_and_comes_back(engine: Engine) -> None:
    """Its folder says which picture it lacks, charges no job, leaves the neighbour alone, and goes on by itself."""
    shop, other = engine.folder(), engine.folder("other")
    (path,) = on(engine, shop, "beach.jpg")
    shop.drop("a.jpg", b"source")
    desk, _ = engine.serve()
    engine.until(lambda: desk.blocked)
    assert f"{path} of `on` cannot be used: No such file" in desk.blocked
    other.drop("b.jpg", b"source")
    engine.dispatcher.desks["other"].feed()
    engine.until_done(1)
    engine.ahead_seconds += 6
    engine.until(lambda: desk.probe_pause == 10)
    path.write_bytes(b"good")
    engine.ahead_seconds += 11
    engine.until_done(2)
    assert shop.job("a.jpg").attempts == 0
    assert len(engine.heard.named("folder.resumed")) == 1


@pytest.mark.parametrize(("content", "word"), [(b"broken", "it is broken"), (b"fatal", "loading it failed")])
def test_a_ground_that_cannot_be_used_blocks_until_it_is_another(engine: Engine, content: bytes, word: str) -> None:
    """Found by the first job; each probe has a lane try it, so nothing flaps; the good one beside it is not blamed."""
    shop = engine.folder()
    good, bad = on(engine, shop, "good.jpg", "bad.jpg")
    good.write_bytes(b"good")
    bad.write_bytes(content)
    shop.drop("a.jpg", b"source")
    (desk,) = engine.serve()
    engine.until(lambda: desk.blocked)
    assert re.search(f"bad.jpg of `on` cannot be used: {word}", desk.blocked)
    for pause in (10, 20):
        engine.ahead_seconds += pause
        engine.until(lambda pause=pause: desk.probe_pause == pause)  # type: ignore[misc]
    assert not engine.heard.named("folder.resumed")
    bad.write_bytes(b"mended")
    engine.ahead_seconds += 40
    engine.until_done(1)
    assert shop.job("a.jpg").attempts == 0


def test_a_ground_that_changed_is_loaded_anew(engine: Engine) -> None:
    """The next picture stands on what is there now."""
    shop = engine.folder()
    (path,) = on(engine, shop, "beach.jpg")
    path.write_bytes(b"one")
    shop.drop("a.jpg", b"source a")
    (desk,) = engine.serve()
    engine.until_done(1)
    before = desk.grounds
    path.write_bytes(b"other")
    shop.drop("b.jpg", b"source b")
    desk.feed()
    engine.until_done(2)
    assert desk.grounds != before
    loaded = [facts["model"] for facts in engine.heard.named("ground.loaded")]
    assert {*before, *desk.grounds} == set(loaded)


@pytest.mark.parametrize(("content", "word"), [(b"broken", "broken"), (b"fatal", "loading model bgrd-lite failed")])
def test_a_model_that_cannot_be_used_blocks_with_its_own_reason(engine: Engine, content: bytes, word: str) -> None:
    """Refused by the lane or fatal to it: the folder says so; replaced by a good one, everything is done."""
    shop = engine.folder()
    (engine.root / "model").write_bytes(content)
    (desk,) = engine.serve()
    engine.pool.warm(engine.model("bgrd-lite"))
    engine.until(lambda: desk.blocked)
    shop.drop("a.jpg", b"source")
    assert word in desk.blocked
    (engine.root / "model").write_bytes(b"good")
    engine.ahead_seconds += 6
    engine.until_done(1)


def test_a_model_that_comes_back_is_tried_in_spite_of_a_neighbours_backlog(single: Engine) -> None:
    """The only lane is never idle: the blocked folder's model still gets a turn in it."""
    shop, busy = single.folder(), single.folder("busy")
    busy.folder = replace(busy.folder, recipe=replace(busy.folder.recipe, model="other"))
    for number in range(60):
        busy.drop(f"{number}.jpg", b"%d" % number)
    (desk,) = single.serve(shop)
    single.dispatcher.block(desk, ModelFault("not installed"))
    single.until(lambda: desk.blocked)
    shop.drop("a.jpg", b"source")
    single.serve(busy)
    single.until_done(3)
    single.ahead_seconds += 6
    single.until(lambda: shop.states() == {"done": 1})
    assert busy.states()["done"] < 50


def test_a_model_file_that_cannot_be_opened_is_the_models_fault(engine: Engine) -> None:
    """Gone between the look and the opening: the folder is blocked, the main loop goes on."""
    shop = engine.folder()
    shop.drop("a.jpg", b"source")
    gone = ModelChoice(name="bgrd-lite", path=engine.root / "gone")
    (desk,) = engine.serve()
    desk.model = lambda: gone
    engine.until(lambda: desk.blocked)
    assert "cannot be read" in desk.blocked
