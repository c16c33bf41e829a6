"""What an ONNX file says of itself."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bgrd.errors import ModelFileError
from bgrd.models.anatomy import dissect
from bgrd.models.store import find
from tests.pictures.making import UNHURRIED, model


def test_the_built_in_model_describes_itself(tmp_path: Path) -> None:
    """The package's model has its spec in it and all its numbers."""
    found = dissect(find("bgrd-lite", custom={}, directory=tmp_path).path)
    assert found.spec is not None
    assert '"side"' in found.spec
    assert found.outside == ()


def test_a_foreign_model(tmp_path: Path) -> None:
    """A file without a spec has none."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(model())
    assert dissect(path).spec is None
    path.write_bytes(model(spec={"name": "mine", "side": 32}))
    assert dissect(path).spec == '{"name": "mine", "side": 32}'


def test_numbers_in_other_files(tmp_path: Path) -> None:
    """The files a model's numbers lie in are named."""
    weight = numpy_helper.from_array(np.zeros((64, 64), np.float32), "weight")
    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy"]
    made = helper.make_model(helper.make_graph([node], "g", shapes[:1], shapes[1:], [weight]))
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert dissect(tmp_path / "m.onnx").outside == ("m.data",)


def test_every_shorter_file_is_told(tmp_path: Path) -> None:
    """Wherever a file is cut, except between its outermost fields behind the graph, that is seen."""
    data = model()
    path = tmp_path / "cut.onnx"
    graph_ends = len(data) - 4  # the opset's field comes last
    for length in random.Random(1).sample(range(graph_ends), 100):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError):
            dissect(path)


@given(st.binary(max_size=200))
@UNHURRIED
def test_any_bytes_are_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever lies there, the answer is a model's anatomy or one sentence."""
    path = tmp_path_factory.mktemp("any") / "any.onnx"
    path.write_bytes(data)
    with suppress(ModelFileError):
        assert dissect(path) == dissect(path)
