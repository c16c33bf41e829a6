"""Whether pictures may go through a model together: real onnxruntime on tiny real models."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bgrd.models.session import Session
from bgrd.models.several import several
from bgrd.models.trial import synthetic
from tests.pictures.making import model


def session(data: bytes) -> Session:
    """Load and try a model."""
    made = Session(data, spec=None, threads=1, name="tiny")
    made.trial()
    return made


def made(nodes: list[onnx.NodeProto], batch: int | str) -> bytes:
    """Make a model of these nodes from `image` to `alpha`."""
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3, 64, 64]) for name in ("image", "alpha")]
    graph = helper.make_graph(nodes, "several", shapes[:1], shapes[1:])
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(built, {"bgrd": json.dumps({"name": "tiny", "side": 64})})
    serialised: bytes = built.SerializeToString()
    return serialised


def stretching(batch: int | str = "n") -> bytes:
    """Make one that divides by the greatest value of all it is given, as some exports stretch in the graph."""
    return made(
        [
            helper.make_node("ReduceMax", ["image"], ["most"], keepdims=0),
            helper.make_node("Div", ["image", "most"], ["alpha"]),
        ],
        batch,
    )


def test_a_model_that_keeps_pictures_apart_takes_several() -> None:
    """As many as are wished, and there is nothing to say of it."""
    assert several(session(model(spec={"name": "tiny", "side": 64})), 8) == (8, "")


def test_a_model_that_mixes_them_takes_one() -> None:
    """What would come out otherwise by its neighbours goes alone, and it is said why."""
    assert several(session(stretching()), 8) == (1, "one picture at a time, as it mixes those it gets together")


def test_a_file_of_one_picture_takes_one() -> None:
    """A batch of 1 in the file is not tried."""
    data = made([helper.make_node("Clip", ["image"], ["alpha"])], 1)
    assert several(session(data), 8) == (1, "one picture at a time, as its file says")


def test_a_graph_that_only_says_it_takes_several_takes_one() -> None:
    """A batch that is open by name and fails inside the graph."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 3, 64, 64])
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("Reshape", ["image", "shape"], ["alpha"]),
    ]
    assert several(session(made(nodes, "n")), 8) == (1, "one picture at a time, as it takes no more")


def test_one_is_not_tried() -> None:
    """Where one by one is wished, that is so."""
    assert several(session(stretching()), 1) == (1, "")


@pytest.mark.parametrize("number", [1, 3])
def test_a_bound_run_gives_the_output_the_spec_means(number: int) -> None:
    """To the bit what a run gives, of one picture or several, for an output by its name too."""
    made = session(model(spec={"name": "tiny", "side": 64, "output": "second"}, names=("first", "second")))
    tensor = np.concatenate([synthetic(made.spec, "float32") * np.float32(1 / (1 + each)) for each in range(number)])
    assert np.array_equal(made.run_bound(tensor), made.run(tensor)[1])
