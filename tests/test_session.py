"""A model in memory: real onnxruntime on tiny real models."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from bgrd.errors import Fault, MemoryFault, ModelFault
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from tests.pictures import networks
from tests.pictures.making import model

SPEC = ModelSpec(name="tiny", side=32)
BUILT_IN = Path(__file__).parent.parent / "bgrd" / "models" / "data" / "bgrd-lite.onnx"


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


def test_the_bytes_of_its_file_are_not_kept() -> None:
    """A session holds its weights once, in onnxruntime: nobody but its maker refers to the file's bytes afterwards."""
    data = bytes(bytearray(model()))
    before = sys.getrefcount(data)
    session = opened(data)
    gc.collect()
    assert sys.getrefcount(data) == before
    assert np.allclose(session.run(np.zeros((1, 3, 32, 32), np.float32))[0], 0.5)


SLIMMED = """
import sys
import numpy as np
from bgrd.engine.gauge import Gauge
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
with Gauge() as gauge:
    before = gauge.resident_bytes()
    file = open(sys.argv[1], "rb").read()
    size = len(file)
    session = Session(file, spec=ModelSpec(name="wide", side=32), threads=1, name="wide")
    del file
    print((gauge.resident_bytes() - before) / size)
"""


def test_a_session_holds_its_weights_about_once(tmp_path: Path) -> None:
    """Neither the file nor what parsing took stays: it was three and a half times the file."""
    (tmp_path / "wide.onnx").write_bytes(networks.wide(32, channels=1200))
    command = [sys.executable, "-c", SLIMMED, str(tmp_path / "wide.onnx")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]).stdout
    assert float(said) < 1.8


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


def test_the_built_in_model() -> None:
    """The model of the package passes its trial with the spec it carries."""
    session = opened(BUILT_IN.read_bytes(), None)
    session.trial()
    assert (session.spec.name, session.spec.side, session.element_type) == ("bgrd-lite", 256, "float32")


@pytest.fixture
def parted(tmp_path: Path) -> tuple[bytes, bytes]:
    """Give a model whose weights lie in a file "tiny.data", and that file."""
    options: dict[str, Any] = {"save_as_external_data": True, "location": "tiny.data", "size_threshold": 0}
    onnx.save(onnx.load_from_string(model()), tmp_path / "tiny.onnx", **options)
    return (tmp_path / "tiny.onnx").read_bytes(), (tmp_path / "tiny.data").read_bytes()


def test_weights_in_a_file_of_their_own(parted: tuple[bytes, bytes]) -> None:
    """A model whose weights lie apart gives the same as one that holds them."""
    data, weights = parted
    session = Session(data, spec=SPEC, threads=1, name="tiny", external={"tiny.data": weights})
    session.trial()
    tensor = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    assert np.array_equal(session.run(tensor)[0], opened(model()).run(tensor)[0])


def test_weights_that_are_wrong(parted: tuple[bytes, bytes]) -> None:
    """Weights that are missing, named otherwise or cut short are told from a damaged model."""
    data, weights = parted
    wrong: list[tuple[dict[str, bytes], str]] = [
        ({}, r"keeps its weights in tiny\.data, which has to be named in `data`\."),
        ({"other": weights}, r"in tiny\.data, which has to be named in `data`; given are other"),
        ({"tiny.data": weights[:8]}, r"tiny\.data, is shorter than the model says"),
    ]
    for external, word in wrong:
        with pytest.raises(ModelFault, match=word):
            Session(data, spec=SPEC, threads=1, name="tiny", external=external)


def test_weights_that_onnxruntime_cannot_use(tmp_path: Path) -> None:
    """A graph that onnxruntime does not run with numbers kept apart is told in its words: nothing is missing."""
    options: dict[str, Any] = {"save_as_external_data": True, "location": "all.data", "size_threshold": 0}
    onnx.save(onnx.load_from_string(networks.isnet(64)), tmp_path / "net.onnx", **options)
    data, weights = ((tmp_path / name).read_bytes() for name in ("net.onnx", "all.data"))
    with pytest.raises(ModelFault, match=r"cannot be run with the weights in all\.data \(.*external tensors"):
        Session(data, spec=SPEC, threads=1, name="net", external={"all.data": weights})


def test_a_provider_that_does_not_work_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What onnxruntime claims to have and does not use is found out, and told or allowed."""
    both = ["XnnpackExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("bgrd.models.session.onnxruntime.get_available_providers", lambda: both)
    with (
        pytest.warns(UserWarning, match="not in available"),
        pytest.raises(ModelFault, match="Provider xnnpack does not work here; onnxruntime uses cpu"),
    ):
        Session(model(), spec=SPEC, threads=1, name="tiny", providers=["xnnpack"])
    with pytest.warns(UserWarning, match="not in available"):
        session = Session(model(), spec=SPEC, threads=1, name="tiny", providers=["xnnpack"], fallback=True)
    assert session.notes == ["Provider xnnpack does not work here; onnxruntime uses cpu"]


class _Picky(onnxruntime.InferenceSession):  # type: ignore[misc]
    """Fails with any provider but the processor, as one whose library is broken does."""

    def __init__(self, data: bytes, options: object, providers: list[str]) -> None:
        if len(providers) > 1:
            text = "the provider's library is broken"
            raise RuntimeError(text)
        super().__init__(data, options, providers=providers)


def test_a_provider_that_cannot_load_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is not called damaged for it, and where that is allowed the processor takes over."""
    both = ["XnnpackExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("bgrd.models.session.onnxruntime.get_available_providers", lambda: both)
    monkeypatch.setattr("bgrd.models.session.onnxruntime.InferenceSession", _Picky)
    with pytest.raises(ModelFault, match=r"cannot be loaded by xnnpack, cpu \(the provider's library is broken\)"):
        Session(model(), spec=SPEC, threads=1, name="tiny", providers=["xnnpack"])
    session = Session(model(), spec=SPEC, threads=1, name="tiny", providers=["xnnpack"], fallback=True)
    session.trial()
    assert session.providers == ["cpu"]
    assert "library is broken" in session.notes[0]


def test_what_is_in_use_is_told() -> None:
    """A session says what it runs on, and what it does without."""
    assert opened(model()).providers == ["cpu"]
    session = Session(model(), spec=SPEC, threads=1, name="tiny", providers=["cuda", "cpu"], fallback=True)
    assert session.providers == ["cpu"]
    assert "cuda" in session.notes[0]
    with pytest.raises(ModelFault, match="Provider cuda"):
        Session(model(), spec=SPEC, threads=1, name="tiny", providers=["cuda", "cpu"])


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
