"""Weights as bytes: a smaller file that answers nearly the same; and a network asked both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

from bgrd.errors import TrainingError
from bgrd.models.session import Session
from bgrd.train.export import apart, check, described, graph_of, inputs_for
from bgrd.train.networks.lite import Lite
from bgrd.train.networks.mirrored import Mirrored
from bgrd.train.pack import packed
from tests.houses.small_networks import SPEC, Tiny, kinds, lived_in

LITE = replace(SPEC, multiple=32)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def lite() -> bytes:
    """Give the file of a network that says something."""
    torch.manual_seed(1)
    return described(graph_of(lived_in(Lite()), LITE), LITE, {})


def test_a_quarter_of_the_file_and_nearly_the_same_answer(lite: bytes) -> None:
    """Every weight is within half a step of its channel's scale of what it was, and all else is as it was."""
    made = packed(lite)
    assert len(made.data) < 0.3 * len(lite)
    assert apart(lite, made.data, LITE) < 0.02
    before = {each.name: numpy_helper.to_array(each) for each in onnx.load_from_string(lite).graph.initializer}
    after = {each.name: numpy_helper.to_array(each) for each in onnx.load_from_string(made.data).graph.initializer}
    names = [name.removesuffix("/bytes") for name in after if name.endswith("/bytes")]
    assert sum(before[name].size for name in names) == made.weights > 1_000_000
    for name in names:
        steps = after[f"{name}/scale"]
        back = after[f"{name}/bytes"] * steps
        assert np.abs(back - before[name]).max(axis=(1, 2, 3)) == pytest.approx(0, abs=float(steps.max()) * 0.501)
        assert (np.abs(back - before[name]) <= steps * 0.501).all()
    assert all(np.array_equal(values, after[name]) for name, values in before.items() if name not in names)


def test_a_packed_file_is_loaded_as_any(lite: bytes) -> None:
    """It is float32 for whoever asks, knows its spec, and takes any batch."""
    session = Session(packed(lite).data, spec=None, threads=1, name="packed")
    session.trial()
    assert session.element_type == "float32"
    assert session.spec.side == LITE.side
    for tensor in inputs_for(LITE):
        assert session.run(tensor)[0].shape == (len(tensor), 1, *tensor.shape[2:])


def test_once_loaded_it_is_the_graph_it_was(lite: bytes, tmp_path: Path) -> None:
    """The runtime works the weights out while it loads: what it then runs has the same operators, so the same speed."""
    found = []
    for name, data in (("plain", lite), ("packed", packed(lite).data)):
        options = SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        InferenceSession(data, options, providers=["CPUExecutionProvider"])
        found.append(kinds((tmp_path / f"{name}.onnx").read_bytes()))
    assert found[0] == found[1]
    assert found[1]["Cast"] == 0


def test_where_there_is_nothing_to_pack_it_says_so() -> None:
    """A network of some dozen weights gains nothing."""
    with pytest.raises(TrainingError, match="no convolution has float32 weights enough"):
        packed(described(graph_of(Tiny().eval(), SPEC), SPEC, {}))


def test_both_ways_is_the_mean_of_both_answers() -> None:
    """In torch and in the file: the logits of a picture and of its mirror image, turned back; so it is even-handed."""
    torch.manual_seed(1)
    network = lived_in(Tiny())
    both = Mirrored(network).eval()
    images = torch.rand(3, 3, 32, 64)
    with torch.no_grad():
        plain, turned = network(images)[0], network(images.flip(-1))[0].flip(-1)
        found = both(images)[0]
        assert float((plain - turned).abs().max()) > 0.01
        assert found == pytest.approx((plain + turned) / 2, abs=1e-5)
        assert both(images.flip(-1))[0].flip(-1) == pytest.approx(found, abs=1e-5)
    data = described(graph_of(both, SPEC), SPEC, {})
    assert check(data, both, SPEC, inputs_for(SPEC)).difference <= 1e-4
