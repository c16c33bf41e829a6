"""What a model's trial finds: that it fits its spec or what is wrong, its kind, its activation, its layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bgrd.errors import ModelFault
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from tests.pictures.making import model

SPEC = ModelSpec(name="tiny", side=32)


MEANT = {"mean": 0.5, "std": 0.25}


def opened(data: bytes, spec: ModelSpec | None = SPEC) -> Session:
    """Open a model as a lane would."""
    return Session(data, spec=spec, threads=1, name="tiny")


def spec(**values: Any) -> ModelSpec:
    """Make a spec for the tiny models."""
    return ModelSpec(**{"name": "tiny", "side": 32, **values})


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("element", "name"), [(TensorProto.FLOAT, "float32"), (TensorProto.FLOAT16, "float16")])
def test_trial_of_every_kind(layout: str, element: int, name: str) -> None:
    """Both layouts and both precisions pass their trial."""
    session = opened(model(layout=layout, element=element), spec(layout=layout))
    assert session.element_type == name
    session.trial()


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


@pytest.mark.parametrize("sides", [(32, 32), (32, "width"), ("height", 32), ("height", "width")])
def test_sizes_that_fit(sides: tuple[int | str, int | str]) -> None:
    """A file of fixed, half fixed or free size is fine where the spec says the same."""
    opened(model(sides=sides)).trial()


def network(node: Any, shape: Sequence[int | str], *, element: int = TensorProto.FLOAT, inputs: int = 1) -> bytes:
    """Make a model of one node whose input has any shape and type at all."""
    entries = [helper.make_tensor_value_info(f"image{number}", element, list(shape)) for number in range(inputs)]
    out = helper.make_tensor_value_info("alpha", helper.np_dtype_to_tensor_dtype(np.dtype(np.int64)), None)
    if node.op_type != "ArgMax":
        out = helper.make_tensor_value_info("alpha", element, None)
    graph = helper.make_graph([node], "odd", entries, [out])
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return made


SIGMOID = helper.make_node("Sigmoid", ["image0"], ["alpha"])
ODD: list[tuple[bytes, str]] = [
    (
        network(helper.make_node("Add", ["image0", "image1"], ["alpha"]), [1, 3, 32, 32], inputs=2),
        r"one input, found 2",
    ),
    (network(SIGMOID, [3, 32, 32]), "an input of 4 dimensions, found "),
    (network(SIGMOID, [0, 3, 32, 32]), "a batch of 1, found 0"),
    (network(SIGMOID, [4, 3, 32, 32]), "a batch of 1, found 4"),
    (network(SIGMOID, [1, 1, 32, 32]), "3 channels in layout NCHW"),
    (network(SIGMOID, [1, 3, 0, 32]), "an input side of 32, found 32 x 0"),
    (
        network(SIGMOID, [1, 3, 32, 32], element=TensorProto.DOUBLE),
        r"an input of float32 or float16, found tensor\(double",
    ),
    (network(helper.make_node("ArgMax", ["image0"], ["alpha"], axis=1), [1, 3, 32, 32]), "an output of float32 or"),
    (network(helper.make_node("Flatten", ["image0"], ["alpha"]), [1, 3, 32, 32]), "a channel 2"),
]

NO_MASKS: list[Any] = [
    helper.make_node("Flatten", ["image0"], ["alpha"]),
    helper.make_node("GlobalAveragePool", ["image0"], ["alpha"]),
    helper.make_node("ReduceMean", ["image0"], ["alpha"], axes=[2]),
    helper.make_node("ReduceMean", ["image0"], ["alpha"], axes=[1, 3], keepdims=0),
]


@pytest.mark.parametrize("node", NO_MASKS, ids=lambda node: node.op_type)
def test_an_output_that_is_no_mask(node: Any) -> None:
    """A list of numbers, a mean, a line: what has not the picture's proportions is told by its shape."""
    session = opened(network(node, [1, 3, 128, 128]), spec(side=128))
    with pytest.raises(ModelFault, match="expected a mask of a picture of 128 x 128, found an output of"):
        session.trial()


@pytest.mark.parametrize(("data", "word"), ODD)
def test_a_file_of_another_kind(data: bytes, word: str) -> None:
    """Several inputs, odd types, no dimensions, nothing at all: expected and found are named."""
    with pytest.raises(ModelFault, match=f"does not fit its spec: expected .*{word}"):
        opened(data, spec(pick=(2,))).trial()


@pytest.mark.parametrize(("made", "wanted"), [(None, "sigmoid"), ("Sigmoid", "none")])
def test_an_activation_found_by_trial(made: str | None, wanted: str) -> None:
    """With "auto" the trial's values decide, once, and the session says what it found."""
    centred: dict[str, Any] = {key: (value,) * 3 for key, value in MEANT.items()}
    session = opened(model(activation=made), spec(activation="auto", **centred))
    session.trial()
    assert session.spec.activation == wanted
    session.trial()
    assert session.notes == [f"activation {wanted}, by the values of its trial run"]


def test_an_output_laid_out_by_the_file() -> None:
    """Layout "file" tells the output's from its own shape: channels are few."""
    turned = helper.make_node("Transpose", ["image0"], ["alpha"], perm=[0, 2, 3, 1])
    data = onnx.shape_inference.infer_shapes(onnx.load_from_string(network(turned, [1, 3, 32, 32]))).SerializeToString()
    found = opened(data, spec(layout="file")).spec
    assert (found.layout, found.output_layout) == ("NCHW", "NHWC")
    assert opened(data, spec(layout="file", output_layout="NCHW")).spec.output_layout == "NCHW"


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
