"""What models took here is remembered, and what is remembered is never in the way."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.engine.experience import Experience, Figures, identity, noted, recall

SHA = "a" * 64
LOADED = partial(Experience.loaded, sha256=SHA, name="m", size=10, resident_bytes=500)


def test_what_was_noted_is_remembered(tmp_path: Path) -> None:
    """Figures, the best lanes and what pictures took come back as they were."""
    noted(tmp_path, "here", LOADED)
    noted(tmp_path, "here", lambda known: known.benched(SHA, milliseconds={1: 11.5}, best=(2, 1)))
    noted(tmp_path, "here", lambda known: known.worked(pictures=3, picture_bytes=70))
    told = noted(tmp_path, "here", lambda known: known.worked(pictures=4, picture_bytes=60))
    figures = Figures(name="m", sha256=SHA, size=10, resident_bytes=500, milliseconds={1: 11.5}, best=(2, 1))
    assert told == Experience(machine="here", models={SHA: figures}, pictures=7, picture_bytes=70)
    assert recall(tmp_path, "here") == told


def test_a_model_is_found_by_its_hash_or_by_name_and_size(tmp_path: Path) -> None:
    """Before it is loaded the hash of a file may not be known; another file under its name is another model."""
    known = LOADED(Experience(machine=""))
    assert known.of(sha256=SHA, name="other", size=1) is known.of(sha256=None, name="m", size=10)
    assert known.of(sha256=None, name="m", size=11) is None
    assert known.of(sha256="b" * 64, name="n", size=10) is None
    del tmp_path


def test_a_lane_that_held_more_before_tells_too_little() -> None:
    """The most that was ever told counts, and what bench found is kept."""
    known = LOADED(Experience(machine="")).benched(SHA, milliseconds={1: 9.0}, best=(3, 1))
    again = known.loaded(sha256=SHA, name="m", size=10, resident_bytes=20)
    assert again.models[SHA].resident_bytes == 500
    assert again.models[SHA].best == (3, 1)
    assert again.loaded(sha256=SHA, name="m", size=10, resident_bytes=600).models[SHA].resident_bytes == 600


def test_the_table_does_not_grow_for_ever() -> None:
    """64 models are remembered, those met last."""
    known = Experience(machine="")
    for number in range(100):
        known = known.loaded(sha256=f"{number:064}", name="m", size=number, resident_bytes=1)
    assert list(known.models) == [f"{number:064}" for number in range(36, 100)]


def test_another_machine_is_measured_anew(tmp_path: Path) -> None:
    """A table that came from elsewhere, or from before an update, counts as none."""
    noted(tmp_path, "there", LOADED)
    assert recall(tmp_path, "here") == Experience(machine="here")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"machine": "here"}',
        '{"machine": "here", "models": 3, "pictures": 0, "picture_bytes": 0}',
        '{"machine": "here", "models": [{}], "pictures": 0, "picture_bytes": 0}',
        '{"machine": "here", "models": [], "pictures": -1, "picture_bytes": 0}',
        '{"machine": "here", "models": [], "pictures": true, "picture_bytes": 0}',
        "[" * 100_000,
        f'{{"machine": "here", "models": [], "pictures": 100, "picture_bytes": {10**400}}}',
        (
            '{"machine": "here", "models": [{"name": "m", "sha256": "a", "size": 1, "resident_bytes": 1, "best": null, '
            f'"milliseconds": {{"1": {10**400}}}}}], "pictures": 0, "picture_bytes": 0}}'
        ),
    ],
)
def test_a_damaged_table_counts_as_none(tmp_path: Path, text: str) -> None:
    """Whatever stands there, nothing fails, and the next note mends it."""
    (tmp_path / "machine.json").write_text(text)
    assert recall(tmp_path, "here") == Experience(machine="here")
    assert recall(tmp_path, "here") != noted(tmp_path, "here", LOADED) == recall(tmp_path, "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    key=st.sampled_from(["name", "sha256", "size", "resident_bytes", "milliseconds", "best", "models", "pictures"]),
    value=JSON,
)
def test_any_value_in_any_place_is_read_or_passed_over(
    key: str, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A table somebody edited gives figures of the right kinds, or none."""
    directory = tmp_path_factory.mktemp("state")
    noted(directory, "here", lambda known: LOADED(known).benched(SHA, milliseconds={1: 1.0}, best=(1, 1)))
    told = json.loads((directory / "machine.json").read_text())
    (told if key in told else told["models"][0])[key] = value
    (directory / "machine.json").write_text(json.dumps(told))
    for figures in recall(directory, "here").models.values():
        assert figures.size >= 0 <= figures.resident_bytes
        assert figures.best is None or min(figures.best) >= 1


def test_of_several_who_note_at_once_nobody_is_forgotten(tmp_path: Path) -> None:
    """A daemon at its end, the next one and `bgrd bench`: what each of them learnt is there, and nothing beside it."""
    with ThreadPoolExecutor(4) as pool:
        for _note in range(40):
            pool.submit(noted, tmp_path, "here", lambda known: known.worked(pictures=1, picture_bytes=1))
    assert recall(tmp_path, "here").pictures == 40
    assert sorted(os.listdir(tmp_path)) == [".machine.json.lock", "machine.json"]


def test_where_nothing_can_be_written_nothing_fails(tmp_path: Path) -> None:
    """It is measured again some other time."""
    told = noted(tmp_path / "missing", "here", LOADED)
    assert told.models[SHA].resident_bytes == 500
    assert recall(tmp_path / "missing", "here") == Experience(machine="here")


def test_a_machine_is_its_processor_and_programs(tmp_path: Path) -> None:
    """The processor's name, how many may be used, and both versions; a kernel without a name gives the kind."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: Nine 9000\nmodel name\t: Ten\n")
    named = identity(4, root=tmp_path)
    assert named.startswith("Nine 9000, 4; onnxruntime")
    assert "bgrd" in named
    assert identity(5, root=tmp_path) != named
    assert identity(4, root=tmp_path / "none").split(",")[0].strip()
