"""A model in memory: real onnxruntime on tiny real models."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bgrd.errors import Fault, MemoryFault, ModelFault
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from tests.making import model

SPEC = ModelSpec(name="tiny", side=32)
BUILT_IN = Path(__file__).parent.parent / "bgrd" / "models" / "data" / "bgrd-lite.onnx"
MEANT = {"mean": 0.5, "std": 0.25}


def opened(data: bytes, spec: ModelSpec | None = SPEC) -> Session:
    """Open a model as a lane would."""
    return Session(data, spec=spec, threads=1, name="tiny")


def spec(**values: Any) -> ModelSpec:
    """Make a spec for the tiny models."""
    return ModelSpec(**{"name": "tiny", "side": 32, **values})


def test_it_runs() -> None:
    """A tensor in gives every output in the file's order."""
    session = opened(model(names=("alpha", "again")))
    outputs = session.run(np.zeros((1, 3, 32, 32), np.float32))
    assert [output.shape for output in outputs] == [(1, 1, 32, 32)] * 2
    assert np.allclose(outputs[0], 0.5)


def test_it_reads_its_own_spec() -> None:
    """A file's metadata is its spec; one that is given goes first."""
    data = model(spec={"name": "own", "side": 64})
    assert opened(data, None).spec.side == 64
    assert opened(data).spec.side == 32


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        (None, "carries no spec"),
        ("{", "cannot be read"),
        ("[]", "no JSON object"),
        ('{"name": "x"}', "x.side|tiny.side"),
    ],
)
def test_an_unusable_own_spec(metadata: str | None, word: str) -> None:
    """A missing or broken spec in a file says so."""
    with pytest.raises(ModelFault, match=word):
        opened(model(spec=metadata), None)


@pytest.mark.parametrize("data", [b"", b"garbage", model()[:100], b"\x08\x08" * 50])
def test_a_damaged_file(data: bytes) -> None:
    """Anything that is no model is a model fault."""
    with pytest.raises(ModelFault, match="damaged"):
        opened(data)


def test_outputs_by_name() -> None:
    """An output named in the spec is found; one that is not there is listed against those that are."""
    data = model(names=("first", "second"))
    assert opened(data, spec(output="second")).spec.output == 1
    with pytest.raises(ModelFault, match="expected an output named third, found first, second"):
        opened(data, spec(output="third"))
    with pytest.raises(ModelFault, match="output number 5"):
        opened(data, spec(output=5))


def test_layout_from_the_file() -> None:
    """Layout "file" is what the file's shape says."""
    assert opened(model(layout="NHWC"), spec(layout="file")).spec.layout == "NHWC"
    assert opened(model(), spec(layout="file")).spec.layout == "NCHW"


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("element", "name"), [(TensorProto.FLOAT, "float32"), (TensorProto.FLOAT16, "float16")])
def test_trial_of_every_kind(layout: str, element: int, name: str) -> None:
    """Both layouts and both precisions pass their trial."""
    session = opened(model(layout=layout, element=element), spec(layout=layout))
    assert session.element_type == name
    session.trial()


def test_the_built_in_model() -> None:
    """The model of the package passes its trial with the spec it carries."""
    session = opened(BUILT_IN.read_bytes(), None)
    session.trial()
    assert (session.spec.name, session.spec.side, session.element_type) == ("bgrd-lite", 256, "float32")


CONTRADICTIONS = [
    ({"layout": "NHWC"}, {}, "3 channels in layout NCHW"),
    ({}, {"layout": "NHWC"}, "3 channels in layout NHWC"),
    ({"sides": (64, 64)}, {}, "expected an input side of 32, found 64 x 64"),
    ({"sides": (32, 64)}, {}, "expected an input side of 32, found 64 x 32"),
    ({"sides": (32, 32)}, {"fit": "short_side"}, "free size"),
    ({"element_in": TensorProto.UINT8}, {}, "float32 or float16"),
]


@pytest.mark.parametrize(("made", "meant", "word"), CONTRADICTIONS)
def test_a_spec_that_contradicts_its_file(made: dict[str, Any], meant: dict[str, Any], word: str) -> None:
    """Layout, size and element type are held against the file when it is opened."""
    with pytest.raises(ModelFault, match=word):
        opened(model(**made), spec(**meant))


def test_a_static_size_that_fits() -> None:
    """A file of fixed size is fine where the spec says the same."""
    opened(model(sides=(32, 32))).trial()


RANGES = [
    ({"activation": None}, {**MEANT}, r"0 to 1 \(activation none\), found -"),
    ({"activation": None, "weights": ((9.0, 9.0, 9.0),)}, {}, "is the activation missing"),
    ({"activation": "Sigmoid"}, {"activation": "sigmoid"}, "inside the file already"),
    ({"activation": "Sigmoid"}, {"activation": "softmax"}, "inside the file already"),
    ({}, {"pick": (3,)}, "expected a channel 3, found 1 channels"),
    ({"layout": "NHWC"}, {"layout": "NHWC", "pick": (2,)}, "expected a channel 2, found 1 channels"),
    ({"activation": "Log", "weights": ((-9.0, -9.0, -9.0),)}, {}, "finite"),
]


@pytest.mark.parametrize(("made", "meant", "word"), RANGES)
def test_a_trial_that_fails(made: dict[str, Any], meant: dict[str, Any], word: str) -> None:
    """Whether the sigmoid is inside the graph depends on the export: the trial tells, with expected and found."""
    meant = {key: (value,) * 3 if key in MEANT else value for key, value in meant.items()}
    session = opened(model(**made), spec(**meant))
    with pytest.raises(ModelFault, match=word):
        session.trial()


def test_raw_values_with_their_activation() -> None:
    """Logits with an activation outside the graph pass; so does argmax, which does not mind the range."""
    centred: dict[str, Any] = {key: (value,) * 3 for key, value in MEANT.items()}
    opened(model(activation=None), spec(activation="sigmoid", **centred)).trial()
    several = model(activation=None, weights=((4.0, 4.0, 4.0), (-4.0, 0.0, 0.0)))
    opened(several, spec(activation="softmax", pick=(1,), **centred)).trial()
    opened(several, spec(activation="argmax", pick=(1,), **centred)).trial()


def test_an_input_the_model_refuses() -> None:
    """A tensor of the wrong shape is a model fault that names it."""
    with pytest.raises(ModelFault, match=r"\(1, 3, 8, 8\)"):
        opened(model(sides=(32, 32))).run(np.zeros((1, 3, 8, 8), np.float32))


class _Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, names: object, feeds: object) -> object:
        raise self._error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (MemoryError(), MemoryFault),
        (RuntimeError("Failed to allocate memory for requested buffer of size 99"), MemoryFault),
        (RuntimeError("Non-zero status code"), ModelFault),
    ],
)
def test_what_a_failed_run_means(error: Exception, fault: type[Fault]) -> None:
    """Missing memory is told apart from a model that fails."""
    session = opened(model())
    session._session = _Failing(error)
    with pytest.raises(fault):
        session.run(np.zeros((1, 3, 32, 32), np.float32))


def test_threads_share_a_session() -> None:
    """Several threads may run one session at once and get the same answer."""
    session = opened(BUILT_IN.read_bytes(), None)
    tensor = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    expected, found = session.run(tensor)[0], []
    threads = [threading.Thread(target=lambda: found.append(session.run(tensor)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(expected, answer) for answer in found)


def test_the_metadata_of_the_built_in_model_is_json() -> None:
    """The spec a session resolved can be written down again."""
    assert json.loads(json.dumps(opened(BUILT_IN.read_bytes(), None).spec.to_json()))["side"] == 256
