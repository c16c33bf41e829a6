"""The one-shot run on named files, with real lanes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from bgrd.engine.pool import Limits, Pool
from bgrd.engine.process import start_device
from bgrd.engine.wire import Loaded
from bgrd.errors import CannotCreateError, NoInputError
from bgrd.job import ModelChoice, Recipe
from bgrd.models.store import find
from bgrd.once import Once, Outcome, Task, left_out, tasks_of
from bgrd.product import Product
from tests.houses.pools import LIMITS, start_null_lane
from tests.houses.ties import POISONED_DEVICE, SIDE
from tests.kernel.processes import open_files
from tests.pictures.making import corners, encoded, model, noise

JPEG = encoded(corners(), "JPEG")


@pytest.fixture
def null_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every pool start lanes with a null pipeline."""
    original = Pool.__init__

    def init(pool: Pool, *arguments: object, **keywords: object) -> None:
        original(pool, *arguments, **{**keywords, "start": start_null_lane})  # type: ignore[arg-type]

    monkeypatch.setattr(Pool, "__init__", init)


def null_model(root: Path, content: bytes = b"good") -> ModelChoice:
    """Make a model for null lanes."""
    (root / "model").write_bytes(content)
    return ModelChoice(name="bgrd-lite", path=root / "model")


def run(
    tasks: list[Task],
    output: Path,
    model: ModelChoice,
    *,
    limits: Limits = LIMITS,
    recipe: Recipe | None = None,
    progress: Callable[[Task, str | None], None] = lambda _task, _reason: None,
) -> Outcome:
    """Work tasks; nothing of the run may stay: no descriptor, no hidden file."""
    output.mkdir(exist_ok=True)
    before = len(open_files())
    once = Once(
        limits=limits, model=model, recipe=recipe or Recipe(), output=output, max_pixels=10_000, progress=progress
    )
    outcome = once.run(tasks)
    assert len(open_files()) == before
    assert not [path for path in output.rglob(".*") if path.is_file()]
    return outcome


def made(root: Path, **files: bytes) -> list[Path]:
    """Make files `name.jpg` below a root."""
    root.mkdir(exist_ok=True)
    paths = [root / f"{name}.jpg" for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    return paths


def test_a_real_picture_is_cut_out(tmp_path: Path) -> None:
    """With the built-in model: the result has the picture's size and an alpha channel, the source is untouched."""
    (file,) = made(tmp_path / "in", a=JPEG)
    model = find("bgrd-lite", custom={}, directory=tmp_path)
    outcome = run(tasks_of([file]), tmp_path / "out", model, recipe=Recipe(products=(Product(), Product(kind="mask"))))
    assert [path.name for path in outcome.results[Task(root=file.parent, path=b"a.jpg")]] == ["a.png", "a.mask.png"]
    with Image.open(tmp_path / "out/a.png") as image:
        assert (image.size, image.mode) == ((48, 32), "RGBA")
    assert file.read_bytes() == JPEG
    assert outcome.stage_seconds.keys() >= {"read", "infer", "encode"}


def test_one_bad_picture_costs_only_itself(tmp_path: Path, null_lanes: None) -> None:
    """Bad input, a crash and a file that is gone fail with reasons; every other file is done; each is told once."""
    files = made(tmp_path / "in", a=b"one", b=b"bad", c=b"crash", d=b"two", e=b"three")
    tasks = tasks_of(files)
    files[4].unlink()
    told: list[tuple[bytes, bool]] = []
    outcome = run(
        tasks,
        tmp_path / "out",
        null_model(tmp_path),
        progress=lambda task, reason: told.append((task.path, reason is None)),
    )
    assert sorted(told) == [(b"a.jpg", True), (b"b.jpg", False), (b"c.jpg", False), (b"d.jpg", True), (b"e.jpg", False)]
    reasons = {failure.task.path: failure.reason for failure in outcome.failures}
    assert reasons[b"b.jpg"] == "it is bad"
    assert "SIGSEGV" in reasons[b"c.jpg"]
    assert "no longer there" in reasons[b"e.jpg"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"a.png": b"ONE", "d.png": b"TWO"}


@pytest.mark.parametrize("gone", [0, 1])
def test_a_picture_that_cannot_be_opened_is_not_waited_for(tmp_path: Path, null_lanes: None, gone: int) -> None:
    """Alone, or as the last while every lane is idle, it ends the run at once."""
    files = made(tmp_path / "in", a=b"one", b=b"two")
    tasks = tasks_of(files)
    for file in files[gone:]:
        file.unlink()
    outcome = run(tasks, tmp_path / "out", null_model(tmp_path), limits=replace(LIMITS, lanes=1))
    assert (len(outcome.results), len(outcome.failures)) == (gone, 2 - gone)


def test_nothing_is_ever_replaced(tmp_path: Path, null_lanes: None) -> None:
    """A file in the way keeps its name, also where the picture lies in the output folder itself."""
    (file,) = made(tmp_path / "both", a=b"one")
    (tmp_path / "both/a.png").write_bytes(b"mine")
    for _ in range(2):
        run(tasks_of([file]), tmp_path / "both", null_model(tmp_path))
    found = {path.name: path.read_bytes() for path in (tmp_path / "both").iterdir()}
    assert found == {"a.jpg": b"one", "a.png": b"mine", "a.jpg.png": b"ONE", "a.jpg-2.png": b"ONE"}


def test_files_of_one_name_are_two_results(tmp_path: Path, null_lanes: None) -> None:
    """Two folders' pictures of the same name are both done, and both are counted."""
    files = [*made(tmp_path / "x", a=b"one"), *made(tmp_path / "y", a=b"two")]
    outcome = run(tasks_of(files), tmp_path / "out", null_model(tmp_path))
    assert len(outcome.results) == 2
    assert {path.read_bytes() for path in (tmp_path / "out").iterdir()} == {b"ONE", b"TWO"}


def test_what_needs_all_the_memory_runs_alone_at_the_end(tmp_path: Path, null_lanes: None) -> None:
    """Too big beside others is tried once more alone; too big alone fails with the limit in the reason."""
    files = made(tmp_path / "in", a=b"bloat", b=b"one")
    limits = replace(LIMITS, memory_bytes=400 * 2**20)
    outcome = run(tasks_of(files), tmp_path / "out", null_model(tmp_path), limits=limits)
    (failure,) = outcome.failures
    assert "the limit is 400 MiB" in failure.reason
    assert len(outcome.results) == 1


def test_a_picture_that_ends_a_shared_model_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were beside it are tried alone and done; it fails, whether it was alone or not."""
    start = partial(start_device, (str(POISONED_DEVICE),))
    monkeypatch.setattr("bgrd.once.start_device", start)
    monkeypatch.setenv("PYTHON_GATE", "/")
    white = encoded(Image.new("RGB", (80, 60), (255,) * 3), "PNG")
    good = encoded(noise(80, 60), "PNG")
    files = made(tmp_path / "in", a=good, b=white, c=good, d=good)
    tiny = null_model(tmp_path, model(spec={"name": "m", "side": SIDE}))
    limits = replace(LIMITS, lanes=3, shared=True, batch=8)
    outcome = run(tasks_of(files), tmp_path / "out", tiny, limits=limits)
    (failure,) = outcome.failures
    assert failure.task.path == b"b.jpg"
    assert "SIGSEGV" in failure.reason
    assert len(outcome.results) == 3


@pytest.mark.parametrize("content", [b"broken", b"fatal", None])
def test_a_model_that_cannot_be_used_fails_every_picture_and_ends(
    tmp_path: Path, null_lanes: None, content: bytes | None
) -> None:
    """Refused, fatal, or gone since it was looked up: no hang, no traceback, a reason for each."""
    files = made(tmp_path / "in", a=b"one", b=b"two")
    model = null_model(tmp_path, content or b"x")
    if content is None:
        model.path.unlink()
    outcome = run(tasks_of(files), tmp_path / "out", model)
    # The null lane works without a model where the file was merely refused.
    assert len(outcome.failures) == (0 if content == b"broken" else 2)


def test_an_output_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    """No folder, no run: exit 73."""
    (file,) = made(tmp_path / "in", a=JPEG)
    once = Once(
        limits=LIMITS,
        model=null_model(tmp_path),
        recipe=Recipe(),
        output=tmp_path / "missing",
        max_pixels=1,
        progress=lambda _task, _reason: None,
    )
    with pytest.raises(CannotCreateError, match="outbox"):
        once.run(tasks_of([file]))


def test_a_folder_means_all_pictures_below_it(tmp_path: Path) -> None:
    """Named by suffix or, where that says nothing, by content; what is no picture or ignored is not meant."""
    root = tmp_path / "in"
    (root / "trip").mkdir(parents=True)
    for name, content in {
        "a.jpg": JPEG,
        "trip/b.JPG": JPEG,
        "c": JPEG,
        "d": b"text",
        "e.mp4": JPEG,
        ".hidden.jpg": JPEG,
    }.items():
        (root / name).write_bytes(content)
    assert {task.path for task in tasks_of([root])} == {b"a.jpg", b"trip/b.JPG", b"c"}


def test_a_file_named_twice_is_one_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is spelt; and a file is taken whatever it is called."""
    (tmp_path / "a.mp4").write_bytes(JPEG)
    monkeypatch.chdir(tmp_path)
    assert tasks_of([Path("a.mp4"), tmp_path / "a.mp4"]) == [Task(root=tmp_path, path=b"a.mp4")]


def test_results_inside_the_input_are_no_input(
    tmp_path: Path, null_lanes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However input and output are spelt, a second run finds the same pictures; elsewhere a folder is taken whole."""
    made(tmp_path / "in", a=b"one")
    made(tmp_path / "in/out", mine=b"two")
    root, output = tmp_path / "in", tmp_path / "in/out"
    monkeypatch.chdir(root)
    for file, place in ((root, output), (Path(), Path("out")), (Path("../in"), Path("./out")), (root, Path("out"))):
        tasks = tasks_of([file], output=place)
        assert [task.path for task in tasks] == [b"a.jpg"]
        assert left_out(file, place) == {b"out"}
    run(tasks_of([root], output=output), output, null_model(tmp_path))
    assert {task.path for task in tasks_of([root], output=tmp_path / "x")} == {b"a.jpg", b"out/mine.jpg", b"out/a.png"}
    assert not left_out(root, tmp_path / "x")


def test_a_run_into_its_own_folder_takes_each_picture_once(tmp_path: Path, null_lanes: None) -> None:
    """The pictures are those that were there before the first result; all of them are meant."""
    made(tmp_path / "in", a=b"one", b=b"two")
    outcome = run(tasks_of([tmp_path / "in"], output=tmp_path / "in"), tmp_path / "in", null_model(tmp_path))
    assert len(outcome.results) == 2
    assert sorted(os.listdir(tmp_path / "in")) == ["a.jpg", "a.png", "b.jpg", "b.png"]


def test_a_link_that_is_named_is_followed(tmp_path: Path, null_lanes: None) -> None:
    """The result has the link's name; a link inside a folder is not followed."""
    (file,) = made(tmp_path / "in", a=b"one")
    link = tmp_path / "links/b.jpg"
    link.parent.mkdir()
    link.symlink_to(os.path.relpath(file, link.parent))
    outcome = run(tasks_of([link]), tmp_path / "out", null_model(tmp_path))
    assert not outcome.failures
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"b.png": b"ONE"}
    assert tasks_of([link.parent]) == []


@pytest.mark.parametrize(
    ("name", "word"),
    [("missing.jpg", "there is no file"), ("fifo", "neither a file nor a folder"), ("x" * 300, "cannot be looked at")],
)
def test_what_is_not_there_is_said(tmp_path: Path, name: str, word: str) -> None:
    """A name that leads nowhere is a sentence and exit 66."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NoInputError, match=word):
        tasks_of([tmp_path / name])


def test_a_ground_that_is_loaded_does_not_unsay_what_was_said_of_the_model(tmp_path: Path) -> None:
    """Both are loaded in turn; what the model does without is told all the same."""
    once = Once(
        limits=LIMITS,
        model=null_model(tmp_path),
        recipe=Recipe(),
        output=tmp_path,
        max_pixels=10,
        progress=lambda _task, _reason: None,
    )
    for name, notes in (("bgrd-lite", ["no cuda here"]), ("ground/0", [])):
        once.model_loaded(Loaded(model=name, sha256="", seconds=0.1, resident_bytes=0, notes=notes), 1)
    assert once.run([]).notes == ("no cuda here",)
