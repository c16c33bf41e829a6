"""A model in memory, ready to run; the only importer of onnxruntime."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgrd.errors import ConfigError, MemoryFault, ModelFault
from bgrd.models.spec import ModelSpec, parse

# Since 1.29 onnxruntime notes in ~/.cache/Microsoft on what it is used, with the program's path, and sends it to its
# maker, unless this is set before it is imported (`disable_telemetry_events` is too late). bgrd works offline.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

__all__ = ["Session"]

METADATA_KEY = "bgrd"
_ELEMENT_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}
_TOLERANCE = 0.02
"""Rounding in half precision and quantised graphs may leave 0..1 by so much."""

_LOAD_ERRORS = (
    ort_errors.InvalidProtobuf,
    ort_errors.InvalidGraph,
    ort_errors.InvalidArgument,
    ort_errors.NotImplemented,
    ort_errors.NoSuchFile,
    ort_errors.NoModel,
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)


class Session:
    """A model's session on the processor, its spec resolved against its file; `run` may be called from any thread.

    `spec` None takes the one in the file's metadata. Raises ModelFault where file or spec are unusable.
    """

    def __init__(self, data: bytes, *, spec: ModelSpec | None, threads: int, name: str) -> None:
        self._name = name
        try:
            self._session = onnxruntime.InferenceSession(data, _options(threads), providers=["CPUExecutionProvider"])
        except MemoryError as error:
            message = f"There is not enough memory to load model {name}."
            raise MemoryFault(message) from error
        except _LOAD_ERRORS as error:
            message = f"Model {name} is damaged or no ONNX model this onnxruntime can run ({_one_line(error)})."
            raise ModelFault(message) from error
        self._input = self._only_input()
        self.element_type: str = self._element_type()
        self.spec: ModelSpec = self._resolved(spec or self._own_spec())

    def run(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Run one input tensor; gives every output in the file's order. Raises ModelFault where the model fails."""
        try:
            return list(self._session.run(None, {self._input.name: tensor}))
        except MemoryError as error:
            message = f"There is not enough memory to run model {self._name}."
            raise MemoryFault(message) from error
        except _LOAD_ERRORS as error:
            if "alloc" in str(error).lower():
                message = f"There is not enough memory to run model {self._name}."
                raise MemoryFault(message) from error
            message = f"Model {self._name} failed to run on an input of {tensor.shape} ({_one_line(error)})."
            raise ModelFault(message) from error

    def trial(self) -> None:
        """Run a synthetic picture and hold what comes out against the spec; raises ModelFault on a contradiction."""
        outputs = self.run(_synthetic(self.spec, self.element_type))
        output = outputs[int(self.spec.output)]
        self._check_shape(output)
        self._check_range(output)

    def _only_input(self) -> Any:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise self._contradiction("one input", f"{len(inputs)}")
        return inputs[0]

    def _element_type(self) -> str:
        found: str = self._input.type
        if found not in _ELEMENT_TYPES:
            raise self._contradiction("an input of float32 or float16", found)
        return _ELEMENT_TYPES[found]

    def _own_spec(self) -> ModelSpec:
        """Read the spec the file carries."""
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            message = f"Model {self._name} carries no spec: describe it in a [[model]] table of the configuration."
            raise ModelFault(message)
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                message = "its metadata is no JSON object"
                raise TypeError(message)
            return parse(values, where=self._name)
        except (ValueError, TypeError, ConfigError) as error:
            message = f"Model {self._name} carries a spec that cannot be read ({_one_line(error)})."
            raise ModelFault(message) from error

    def _resolved(self, spec: ModelSpec) -> ModelSpec:
        """Fix layout and output number from the file and hold the input's static shape against the spec."""
        shape = list(self._input.shape)
        if len(shape) != 4:
            raise self._contradiction("an input of 4 dimensions", f"{shape}")
        layout = spec.layout
        if layout == "file":
            layout = "NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW"
        spec = replace(spec, layout=layout, output=self._output_number(spec.output))
        batch, channels, height, width = (shape[at] for at in ((0, 1, 2, 3) if layout == "NCHW" else (0, 3, 1, 2)))
        if isinstance(batch, int) and batch != 1:
            raise self._contradiction("a batch of 1", f"{batch}")
        swapped = (shape[3] if layout == "NCHW" else shape[1]) == 3
        if channels != 3 and (isinstance(channels, int) or swapped):
            raise self._contradiction(f"3 channels in layout {layout}", f"an input of {shape}")
        for side in (height, width):
            if isinstance(side, int) and (spec.fit != "square" or side != spec.side):
                wanted = f"an input side of {spec.side}" if spec.fit == "square" else "an input of free size"
                raise self._contradiction(wanted, f"{width} x {height}")
        return spec

    def _output_number(self, wanted: int | str) -> int:
        names = [output.name for output in self._session.get_outputs()]
        if isinstance(wanted, str):
            if wanted not in names:
                raise self._contradiction(f"an output named {wanted}", ", ".join(names))
            return names.index(wanted)
        if wanted >= len(names):
            raise self._contradiction(f"an output number {wanted}", f"{len(names)} outputs")
        return wanted

    def _check_shape(self, output: NDArray[Any]) -> None:
        shape = output.shape
        if output.ndim not in {2, 3, 4} or (output.ndim == 4 and shape[0] != 1) or 0 in shape:
            raise self._contradiction("an output that is one picture", f"{shape}")
        channels = 1 if output.ndim == 2 else shape[-3]
        if output.ndim == 4 and self.spec.layout == "NHWC":
            channels = shape[3]
        if max(self.spec.pick) >= channels:
            raise self._contradiction(f"a channel {max(self.spec.pick)}", f"{channels} channels in {shape}")

    def _check_range(self, output: NDArray[Any]) -> None:
        """Tell from the values whether the activation is inside the graph: it depends on the export, not the model."""
        low, high = float(np.min(output)), float(np.max(output))
        if not np.isfinite([low, high]).all():
            raise self._contradiction("finite numbers", f"{low:.3g} to {high:.3g}")
        within = low >= -_TOLERANCE and high <= 1.0 + _TOLERANCE
        if self.spec.activation == "none" and not within:
            raise self._contradiction(
                "values from 0 to 1 (activation none)",
                f"{low:.3g} to {high:.3g}; is the activation missing?",
            )
        if self.spec.activation in {"sigmoid", "softmax"} and within:
            raise self._contradiction(
                f"raw values (activation {self.spec.activation})",
                f"{low:.3g} to {high:.3g}; it seems to be inside the file already",
            )

    def _contradiction(self, expected: str, found: str) -> ModelFault:
        return ModelFault(f"Model {self._name} does not fit its spec: expected {expected}, found {found}.")


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # The caller's choice: one thread per lane where models are small. At 1024 pixels two take 138 ms instead of 203,
    # but a third more processor time, which another lane would use better.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # The arena pays: without it a 1024-pixel run of bgrd-lite takes 280 ms instead of 200 and up to 360 MB.
    options.enable_cpu_mem_arena = True
    # Planning memory ahead does not: 364 MB instead of 232 at 1024 pixels (2.1 GB instead of 1.35 for IS-Net),
    # with the same time.
    options.enable_mem_pattern = False
    # Python raises what matters; the rest would land on the lane's stderr.
    options.log_severity_level = 4
    # Threads that spin while they wait burn the core another lane could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _synthetic(spec: ModelSpec, element_type: str) -> NDArray[Any]:
    """Make a picture with a bright disc on a dark slope, as the model would get it."""
    side = spec.side
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    disc = (rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.09
    grey = np.where(disc, np.float32(0.9), 0.4 * columns)
    values = np.stack([grey, grey * np.float32(0.8), grey * np.float32(0.6)], axis=-1)
    values = (values - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    if spec.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None], dtype=element_type)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
