"""Networks as ONNX graphs that refer to the safetensors files they were loaded from: each weight is there once.

    network --TorchScript exporter--> graph, weights --by name--> graph of some 100 kB + the file of weights

A graph converts half precision to single once, when a session is opened; that is what `from_pretrained` does, too.
Constants that the tracer computes, such as frequencies of time steps, may have another last bit on another processor,
and the graph another digest; digests of weights are the same everywhere.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, cast, final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError, import_extra
from gainnet.core.files import write_whole
from gainnet.models.runtime.manifest import ExportedPart, sha256_of

OPSET: Final = 17
"""LayerNormalization is one node from 17 on; onnxruntime-web 1.30 and onnxruntime from 1.14 run it."""
_EXPORT_BATCH: Final = 2
"""The tracer takes a batch of 1 for a shape that never changes."""


class Traced(NamedTuple):
    """A network as it is exported.

    Args:
        network: from input tensors to one tensor or several, the batch first.
        inputs: name -> example of one item, without batch.
        outputs: names of the outputs.
        names: of parameters in the file of weights, from their names in the network.
    """

    network: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    names: Callable[[str], str]


@final
class Calling(nn.Module):
    """A module that calls a function of a network and of tensors [batch, ...], since the exporter takes modules."""

    def __init__(self, network: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.network = network
        self.call = call

    def forward(self, *inputs: Tensor) -> Any:
        """The outputs of the function."""
        return self.call(self.network, *inputs)


def write_graph(traced: Traced, folder: Path, graph: str, weights: str) -> ExportedPart:
    """Writes a network as a graph beside the file of its weights.

    Args:
        traced: the network.
        folder: that holds both.
        graph: path of the graph inside the folder.
        weights: path of the safetensors file inside the folder, in the same folder as the graph.

    Raises:
        ModelError: the network has a part that the exporter does not know.
        MissingExtraError: onnx is not installed.
    """
    onnx = import_extra("onnx", "onnx", "export")
    model = onnx.load_from_string(_trace(traced))
    stored = _entries(folder / weights)
    for initialiser in list(model.graph.initializer):
        _refer(onnx, model.graph, initialiser, traced.names(initialiser.name), stored, Path(weights).name)
    _shorten_names(model.graph)
    write_whole(folder / graph, model.SerializeToString(deterministic=True))
    shapes = {name: list(example.shape) for name, example in traced.inputs.items()}
    digests = sha256_of(folder / graph), sha256_of(folder / weights)
    return ExportedPart(graph, digests[0], weights, digests[1], shapes, list(traced.outputs))


def _trace(traced: Traced) -> bytes:
    examples = tuple(torch.stack([example] * _EXPORT_BATCH) for example in traced.inputs.values())
    names, file = (*traced.inputs, *traced.outputs), io.BytesIO()
    # The exporter warns of its age and of every shape that it takes for constant; the tests compare what comes out.
    with warnings.catch_warnings(), torch.no_grad(), _with_rms_norm():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                traced.network.eval(), examples, cast(Any, file), input_names=list(traced.inputs),
                output_names=list(traced.outputs), dynamic_axes={name: {0: "batch"} for name in names},
                # Folding would transpose weights, and they would be found in no file.
                opset_version=OPSET, do_constant_folding=False, dynamo=False,
            )  # fmt: skip
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ModelError(f"export: the network cannot be written as ONNX ({reason})") from error
    return file.getvalue()


@contextmanager
def _with_rms_norm() -> Iterator[None]:
    r"""The exporter with a form of `rms_norm`, which it does not know: $x / \sqrt{\overline{x^2} + \epsilon}$."""

    def symbolic(graph: Any, x: Any, shape: Any, weight: Any, epsilon: Any) -> Any:
        # Over the last dimension, which is all that the networks here ask for; `value` reads the constant.
        power = graph.op("ReduceMean", graph.op("Mul", x, x), axes_i=[-1], keepdims_i=1)
        small = graph.op("Constant", value_t=torch.tensor(float(epsilon.node().t("value")), dtype=torch.float32))
        return graph.op("Div", x, graph.op("Sqrt", graph.op("Add", power, small)))

    exporter: Any = torch.onnx
    exporter.register_custom_op_symbolic("aten::rms_norm", symbolic, OPSET)
    try:
        yield
    finally:
        exporter.unregister_custom_op_symbolic("aten::rms_norm", OPSET)


class Entry(NamedTuple):
    """A tensor of a safetensors file: its type there, its shape, and where its bytes are."""

    kind: str
    shape: tuple[int, ...]
    offset: int
    num_bytes: int


_TYPES: Final = {"F16": "FLOAT16", "F32": "FLOAT", "I8": "INT8"}
"""Types of the file that a graph reads, as ONNX calls them."""


def _entries(path: Path) -> dict[str, Entry]:
    """Every tensor of a safetensors file by name."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return {
        name: Entry(entry["dtype"], tuple(entry["shape"]), 8 + length + begin, end - begin)
        for name, entry in header.items()
        if name != "__metadata__"
        for begin, end in [entry["data_offsets"]]
    }


def _refer(onnx: Any, graph: Any, initialiser: Any, name: str, stored: Mapping[str, Entry], file: str) -> None:
    """Replaces the values of an initialiser by a place in a file; one that is in none keeps its values.

    half precision --> Cast --> single;  8 bits --> Cast --> x scale of the row --> single

    Args:
        onnx: the module.
        graph: that has the initialiser.
        initialiser: whose values were single precision.
        name: of its tensor in the file.
        stored: tensors of the file.
        file: name of the file.
    """
    entry, scale = stored.get(name), stored.get(f"{name}.scale")
    if entry is None or entry.shape != tuple(initialiser.dims) or entry.kind not in _TYPES:
        return
    wanted, single = initialiser.name, onnx.TensorProto.FLOAT
    nodes = []
    if entry.kind == "I8":
        if scale is None or scale.kind != "F32":
            return
        _place(onnx, graph.initializer.add(), f"{wanted}.scale", scale, file)
        nodes = [
            onnx.helper.make_node("Cast", [f"{wanted}.stored"], [f"{wanted}.whole"], to=single),
            onnx.helper.make_node("Mul", [f"{wanted}.whole", f"{wanted}.scale"], [wanted]),
        ]
    elif entry.kind == "F16":
        nodes = [onnx.helper.make_node("Cast", [f"{wanted}.stored"], [wanted], to=single)]
    _place(onnx, initialiser, f"{wanted}.stored" if nodes else wanted, entry, file)
    # At the front, as nodes stand in the order in which they run.
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _place(onnx: Any, initialiser: Any, name: str, entry: Entry, file: str) -> None:
    """Makes an initialiser refer to a tensor of a file."""
    initialiser.Clear()
    initialiser.name, initialiser.data_type = name, getattr(onnx.TensorProto, _TYPES[entry.kind])
    initialiser.dims.extend(entry.shape)
    initialiser.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", str(entry.offset)), ("length", str(entry.num_bytes))):
        initialiser.external_data.add(key=key, value=value)


def _shorten_names(graph: Any) -> None:
    """Numbers for the names of nodes and of what flows between them: long paths of modules are most of a graph."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    numbers: dict[str, str] = {"": ""} | {name: name for name in kept}

    def number(name: str) -> str:
        return numbers.setdefault(name, f"t{len(numbers)}")

    for initialiser in graph.initializer:
        initialiser.name = number(initialiser.name)
    for node in graph.node:
        node.name, node.doc_string = "", ""
        node.input[:], node.output[:] = [number(each) for each in node.input], [number(each) for each in node.output]
    del graph.value_info[:]
