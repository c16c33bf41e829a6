"""A model in memory, ready to run; the only importer of onnxruntime."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from bgrd.errors import ConfigError, MemoryFault, ModelFault
from bgrd.kernel import trim_memory
from bgrd.models.anatomy import METADATA_KEY
from bgrd.models.providers import chosen, short
from bgrd.models.spec import ModelSpec, OutputLayout, parse
from bgrd.models.trial import contradiction, settled, synthetic

# Since 1.29 onnxruntime notes in ~/.cache/Microsoft on what it is used, with the program's path, and sends it to its
# maker, unless this is set before it is imported (`disable_telemetry_events` is too late). bgrd works offline.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

__all__ = ["Session"]

_ELEMENT_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}
_EXTERNAL = re.compile(r"External file: (.+?) not found")
"""How onnxruntime names a file of weights that it misses."""

_NO_WEIGHTS = {"-": b"-"}
"""Given a table, however small, onnxruntime opens no file by itself and names the one it misses."""

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
    """A model's session, its spec resolved against its file; `run` may be called from any thread.

    `spec` None takes the one in the file's metadata. `external` holds the files of weights that the model names, whole.
    `providers` are short names, see `models.providers`; what is in use is in `providers`, and `notes` says in sentences
    what was decided here. `caged` says that a lane holds it. Raises ModelFault where file, spec or providers are
    unusable.
    """

    def __init__(
        self,
        data: bytes,
        *,
        spec: ModelSpec | None,
        threads: int,
        name: str,
        external: Mapping[str, bytes] | None = None,
        providers: Sequence[str] = (),
        fallback: bool = False,
        caged: bool = True,
    ) -> None:
        self._name = name
        available = onnxruntime.get_available_providers()
        wanted, self.notes = chosen(providers, available=available, fallback=fallback, caged=caged)
        try:
            self._session = self._opened(data, _options(threads), external or {}, wanted)
        except ModelFault as fault:
            if len(wanted) == 1 or not fallback:
                raise
            self.notes.append(str(fault))
            wanted = chosen((), available=(), fallback=False)[0]
            self._session = self._opened(data, _options(threads), external or {}, wanted)
        self._slim()
        self.providers: list[str] = short(self._session.get_providers())
        if lacking := [each for each in short(wanted) if each not in self.providers]:
            self._make_do(lacking, fallback=fallback)
        self._input = self._only_input()
        self.element_type: str = self._element_type(self._input, "an input")
        self.spec: ModelSpec = self._resolved(spec or self._own_spec())

    def _opened(
        self, data: bytes, options: onnxruntime.SessionOptions, external: Mapping[str, bytes], providers: list[str]
    ) -> onnxruntime.InferenceSession:
        name = self._name
        try:
            table = external or _NO_WEIGHTS
            lengths = [len(content) for content in table.values()]
            options.add_external_initializers_from_files_in_memory([*table], [*table.values()], lengths)
            return onnxruntime.InferenceSession(data, options, providers=providers)
        except MemoryError as error:
            message = f"There is not enough memory to load model {name}."
            raise MemoryFault(message) from error
        except _LOAD_ERRORS as error:
            message = f"Model {name} is damaged or no ONNX model this onnxruntime can run ({_one_line(error)})."
            if "xternal" in str(error):
                message = _about_weights(name, error, sorted(external))
            elif len(providers) > 1:
                message = f"Model {name} cannot be loaded by {', '.join(short(providers))} ({_one_line(error)})."
            raise ModelFault(message) from error

    def _slim(self) -> None:
        """Give back what building took and running does not need.

        onnxruntime's Python class keeps the file's bytes, to build the session anew with other providers, which nobody
        asks of it here; and the C library keeps what parsing them took. After a run U-2-Net holds 420 MiB instead of
        695 so, IS-Net 870 instead of 1,233, in the same time; the trim takes 3 ms.
        """
        self._session.disable_fallback()
        if hasattr(self._session, "_model_bytes"):
            self._session._model_bytes = None  # noqa: SLF001 - there is no other way
        trim_memory()

    def _make_do(self, lacking: list[str], *, fallback: bool) -> None:
        """Take note of providers that onnxruntime has and did not get to work."""
        message = f"Provider {', '.join(lacking)} does not work here; onnxruntime uses {', '.join(self.providers)}"
        if not fallback:
            text = f"{message}; take it out of `providers`, or allow `provider_fallback`."
            raise ModelFault(text)
        self.notes.append(message)

    @property
    def takes_several(self) -> bool:
        """Whether the file leaves open how many pictures go through at once."""
        return not isinstance(self._input.shape[0], int)

    def run(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Run one input tensor; gives every output in the file's order. Raises ModelFault where the model fails."""
        with self._faults(tensor):
            return list(self._session.run(None, {self._input.name: tensor}))

    def run_bound(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Run one tensor, of one picture or several; gives the output the spec means. Raises as `run`.

        It alone is brought back from where the model runs: U-2-Net has six more, of the same size.
        """
        with self._faults(tensor):
            binding = self._session.io_binding()
            binding.bind_cpu_input(self._input.name, tensor)
            binding.bind_output(self._session.get_outputs()[int(self.spec.output)].name)
            self._session.run_with_iobinding(binding)
            output: NDArray[Any] = binding.get_outputs()[0].numpy()
            return output

    @contextmanager
    def _faults(self, tensor: NDArray[Any]) -> Iterator[None]:
        try:
            yield
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
        """Run a synthetic picture, hold what comes out against the spec and settle what the spec leaves open.

        Raises ModelFault on a contradiction.
        """
        output = self.run(synthetic(self.spec, self.element_type))[int(self.spec.output)]
        before, self.spec = self.spec, settled(self.spec, output, name=self._name)
        if before.activation != self.spec.activation:
            self.notes.append(f"activation {self.spec.activation}, by the values of its trial run")

    def _only_input(self) -> Any:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs) or "none"
            raise self._contradiction("one input", f"{len(inputs)} ({names})")
        return inputs[0]

    def _element_type(self, end: Any, what: str) -> str:
        found: str = end.type
        if found not in _ELEMENT_TYPES:
            raise self._contradiction(f"{what} of float32 or float16", found)
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
        output = self._output_number(spec.output)
        self._element_type(self._session.get_outputs()[output], "an output")
        layout, output_layout = spec.layout, spec.output_layout
        if layout == "file":
            layout = "NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW"
            output_layout = self._output_layout(output) if output_layout == "input" else output_layout
        spec = replace(spec, layout=layout, output_layout=output_layout, output=output)
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

    def _output_layout(self, number: int) -> OutputLayout:
        """Tell from its shape: channels are few; an output without known ones is like the input."""
        shape = list(self._session.get_outputs()[number].shape)
        first, last = (shape[-3], shape[-1]) if len(shape) in {3, 4} else (None, None)
        if isinstance(last, int) and (not isinstance(first, int) or last < first):
            return "NHWC"
        return "NCHW" if isinstance(first, int) else "input"

    def _contradiction(self, expected: str, found: str) -> ModelFault:
        return contradiction(self._name, expected, found)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # The caller's choice: one thread per lane where models are small. At 1024 pixels two take 138 ms instead of 203,
    # but a third more processor time, which another lane would use better.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # All: only that lays channels out in blocks; extended takes 1.9 times as long for bgrd-lite, 1.4 for U-2-Net-p.
    # A graph that was optimised before and kept would save 17 ms of building a light session and 0.24 s of one of
    # 176 MB, once in a lane's life and beside a trial run of 0.02 and 1.2 s: not worth a second file of each model.
    # Outputs that nobody reads stay: without them U-2-Net takes 1 % less time, IS-Net as much.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # The arena pays: without it a 1024-pixel run of bgrd-lite takes 280 ms instead of 200 and up to 360 MB.
    options.enable_cpu_mem_arena = True
    # Planning memory ahead does not: 364 MB instead of 232 at 1024 pixels (2.1 GB instead of 1.35 for IS-Net),
    # with the same time.
    options.enable_mem_pattern = False
    # Python raises what matters; the rest would land on the lane's stderr.
    options.log_severity_level = 4
    # Not changed, since they change nothing beyond 2 %: denormals as zero, dynamic blocks, threads tied to processors.
    # Nor what would save memory elsewhere: without prepacked weights, and with weights from the arena, U-2-Net holds
    # 640 MiB instead of 527; an arena that is shrunk after each run takes 3 to 10 % more time and peaks higher.
    # Threads that spin while they wait burn the core another lane could use: 1.5 times the processor time with two.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _about_weights(name: str, error: Exception, given: Sequence[str]) -> str:
    """Say what is wrong with a model's files of weights."""
    if "out of bounds" in str(error):
        return f"Model {name}: its file of weights, {', '.join(given)}, is shorter than the model says."
    found = _EXTERNAL.search(str(error))
    if found is None and given:
        return f"Model {name} cannot be run with the weights in {', '.join(given)} ({_one_line(error)})."
    missing = found[1] if found else "another file"
    rest = f"; given are {', '.join(given)}" if given else ""
    return f"Model {name} keeps its weights in {missing}, which has to be named in `data`{rest}."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
