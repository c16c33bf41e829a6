"""A lane that was taken over by a picture: whatever it sends, the parent goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.engine.wire import Answer, Aside, Hello, Message
from bgrd.errors import InputFault, ModelFault, UnknownFault
from tests.houses.taken_lanes import FAULTED, FINISHED, HASHED, JOB, LOADED, SCENE, SHA, Scene
from tests.kernel.processes import open_files


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give a scene and end it."""
    made = Scene()
    yield made
    made.close()


def test_an_honest_lane_is_believed(scene: Scene) -> None:
    """What fits is taken: the job is finished, the lane kept."""
    for message in SCENE:
        scene.say(message)
        scene.check()
    assert scene.told.finished_jobs == [JOB]
    assert not scene.gone


def test_a_fault_is_believed_in_every_stage_of_the_job(scene: Scene) -> None:
    """A lane may find its picture bad at any time after loading."""
    scene.say(LOADED)
    scene.say(FAULTED)
    assert isinstance(scene.told.faults[JOB], InputFault)
    assert not scene.gone


@pytest.mark.parametrize(
    ("honest", "kind"), [(2, "file"), (2, "changed"), (2, "unknown"), (3, "folder"), (3, "memory"), (3, "unknown")]
)
def test_each_stage_has_its_faults(honest: int, kind: str, scene: Scene) -> None:
    """The source is read before the answer, results are written after it; most faults may come at any time."""
    for message in SCENE[:honest]:
        scene.say(message)
    scene.say(changed(FAULTED, kind=kind))
    assert scene.told.faults[JOB].kind == kind


def test_a_model_that_was_refused_is_its_jobs_fault(scene: Scene) -> None:
    """Without its model the job that came with it cannot be begun: the same lane says both."""
    scene.say(Hello(pid=1))
    scene.say(changed(FAULTED, job=0, kind="model"))
    scene.say(changed(FAULTED, kind="model"))
    assert isinstance(scene.told.faults[JOB], ModelFault)
    assert not scene.gone


def changed(message: Message, **changes: Any) -> bytes:
    """Give a message with something wrong in it, as it travels."""
    return json.dumps({"is": type(message).__name__, **asdict(message), **changes}).encode()


@pytest.mark.parametrize(
    ("honest", "lie"),
    [
        (2, changed(HASHED, job=8)),
        (2, changed(HASHED, sha256="x" * 64)),
        (2, changed(HASHED, sha256=SHA + "\n")),
        (2, changed(HASHED, grounds=[SHA])),
        (2, changed(FAULTED, kind="ground")),
        (3, changed(FAULTED, kind="ground")),
        (2, changed(LOADED)),
        (2, changed(FINISHED)),
        (3, changed(HASHED)),
        (3, changed(FINISHED, job=8)),
        (3, changed(FINISHED, sizes=[])),
        (3, changed(FINISHED, sizes=[1, 1], sha256s=[SHA, SHA])),
        (3, changed(FINISHED, sizes=[-1])),
        (3, changed(FINISHED, sizes=[2**63])),
        (3, changed(FINISHED, sha256s=["../../etc/passwd"])),
        (3, changed(FAULTED, job=8)),
        (3, changed(FAULTED, job=0)),
        (3, changed(FAULTED, job=0, model="other")),
        (2, changed(FAULTED, kind="folder")),
        (2, changed(FAULTED, kind="model")),
        (3, changed(FAULTED, kind="model")),
        (3, changed(FAULTED, kind="file")),
        (3, changed(FAULTED, kind="changed")),
        (3, changed(FAULTED, kind="unavailable")),
        (3, changed(FAULTED, kind="daemon")),
        (3, changed(FAULTED, kind="crash")),
        (3, changed(FAULTED, kind="odd")),
        (3, changed(Answer(job=JOB, go=True))),
        (2, changed(Aside(job=JOB))),
        (3, changed(Aside(job=JOB))),
        (3, b'{"is": "Load"}'),
        (3, b"rubbish"),
        (3, b"[]"),
    ],
)
def test_a_lie_ends_the_lane(honest: int, lie: bytes) -> None:
    """Its job has met something unknown; nobody else is touched."""
    scene = Scene()
    for message in SCENE[:honest]:
        scene.say(message)
    scene.say(lie)
    scene.check()
    assert scene.gone
    assert type(scene.told.faults[JOB]) is UnknownFault
    assert "nonsense" in str(scene.told.faults[JOB])
    scene.close()


def test_a_lie_while_loading_is_the_models(scene: Scene) -> None:
    """Another model than the one it was given: the one being loaded is to blame, no job is charged."""
    scene.say(changed(LOADED, model="other"))
    assert scene.gone
    assert isinstance(scene.told.models["m"], ModelFault)
    assert isinstance(scene.told.faults[JOB], ModelFault)


@pytest.mark.parametrize(
    "said", [LOADED, b"rubbish", b"{}", b"x" * 70_000, b""], ids=["Loaded", "rubbish", "{}", "long", "end"]
)
def test_descriptors_from_a_lane_are_closed(said: Message | bytes, scene: Scene) -> None:
    """A lane has none to give: whatever came with them, they are closed and the lane ended."""
    scene.say(Hello(pid=1))
    before = len(open_files())
    scene.say(said, [0, 0, 0])
    assert scene.gone
    assert len(open_files()) == before - 1  # the parent's end of the socket


def test_the_words_of_a_lane_are_made_harmless(scene: Scene) -> None:
    """What a library or a hostile lane says goes into journal, notes and terminals: one line, nothing hidden in it."""
    for message in SCENE[:3]:
        scene.say(message)
    scene.say(changed(FAULTED, text="is\nbad \x1b[31m\u202e", stage="\x07"))
    assert str(scene.told.faults[JOB]) == "is bad \\x1b[31m\\u202e"
    assert scene.told.stages == ["\\x07"]


def test_what_a_lane_notes_is_made_harmless(scene: Scene) -> None:
    """So are the notes of a picture that is done, and the names of its stages; and what a lane says of its cage."""
    scene.say(changed(Hello(pid=1), missing=["a\nb"]))
    for message in SCENE[1:3]:
        scene.say(message)
    scene.say(changed(FINISHED, notes=["\x1b]0;x\x07"], seconds={"in\nfer": 1.0}, format="P\0"))
    (finished,) = scene.told.finished_messages
    assert finished.notes == ["\\x1b]0;x\\x07"]
    assert (finished.seconds, finished.format) == ({"in fer": 1.0}, "P\\x00")
    assert scene.told.missing == [["a b"]]


def test_a_lane_greets_once(scene: Scene) -> None:
    """A second greeting is nonsense: it could fill the log."""
    scene.say(Hello(pid=1))
    scene.say(Hello(pid=1))
    assert scene.gone


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([JOB, 0, 1, "m", SHA])
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = sorted({name for message in (*SCENE, FAULTED) for name in asdict(message)})
KINDS = st.sampled_from(["Hello", "Loaded", "Hashed", "Aside", "Finished", "Faulted", "Work", "Odd"])
ODD = st.one_of(
    st.binary(max_size=200),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda kind, values: json.dumps({"is": kind, **values}).encode(),
        KINDS,
        st.dictionaries(st.sampled_from(NAMES), VALUES),
    ),
    st.builds(
        lambda message, name, value: changed(message, **{name: value}),
        st.sampled_from([*SCENE, FAULTED]),
        st.sampled_from(NAMES),
        VALUES,
    ),
    st.sampled_from([*SCENE, FAULTED]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ODD, max_size=6), st.integers(min_value=0, max_value=len(SCENE)))
def test_nothing_a_lane_sends_reaches_the_main_loop(said: list[bytes | Message], honest: int) -> None:
    """Arbitrary bytes, objects and half-true messages at any point: no exception, and the lane gone or consistent."""
    scene = Scene()
    try:
        for message in [*SCENE[:honest], *said]:
            scene.say(message)
            scene.check()
    finally:
        scene.close()
