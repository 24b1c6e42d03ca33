"""Builds small .tflite files for tests, with the published schema's own writer."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "resource": schema.TensorType.RESOURCE,
}
_NUMPY = {"float32": np.float32, "int32": np.int32, "int8": np.int8, "uint8": np.uint8, "int16": np.int16}


class NetworkBuilder:
    """Collects tensors and operators; ``build`` packs them."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[int] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.subgraphs: list[Any] = []

    def tensor(
        self,
        shape: tuple[int, ...],
        type: str = "int8",
        *,
        scale: float | np.ndarray | None = None,
        zero_point: int = 0,
        dimension: int = 0,
        data: np.ndarray | None = None,
        variable: bool = False,
    ) -> int:
        """Adds a tensor, constant if it has ``data``; ``scale`` may be one for each channel. ``variable``
        marks it as one that an operator writes to."""
        t = schema.TensorT()
        t.shape = list(shape)
        t.type = _TYPES[type]
        t.name = f"t{len(self.tensors)}".encode()
        t.isVariable = variable
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            q = schema.QuantizationParametersT()
            q.scale = scales
            q.zeroPoint = np.full(len(scales), zero_point, np.int64)
            q.quantizedDimension = dimension
            t.quantization = q
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.ascontiguousarray(data, _NUMPY[type]).reshape(-1).view(np.uint8)
            t.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(t)
        return len(self.tensors) - 1

    def operator(
        self, name: str, inputs: list[int], outputs: list[int], options: str | None = None, **fields: Any
    ) -> None:
        """Adds an operator, ``name`` as in BuiltinOperator, ``options`` the table's name."""
        code = getattr(schema.BuiltinOperator, name)
        op = schema.OperatorT()
        if code not in self.codes:
            self.codes.append(code)
        op.opcodeIndex = self.codes.index(code)
        op.inputs, op.outputs = list(inputs), list(outputs)
        if options:
            op.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            op.builtinOptions = getattr(schema, f"{options}T")()
            for field, value in fields.items():
                assert hasattr(op.builtinOptions, field), field
                setattr(op.builtinOptions, field, value)
        self.operators.append(op)

    def subgraph(self) -> NetworkBuilder:
        """Another subgraph of the same model, for operators that name it by its ``number``."""
        other = NetworkBuilder()
        other.codes, other.buffers = self.codes, self.buffers
        self.subgraphs.append(other)
        other.number = len(self.subgraphs)
        return other

    def handle(self, name: str) -> int:
        """A handle of the variable of this name."""
        handle = self.tensor((), "resource")
        self.operator("VAR_HANDLE", [], [handle], "VarHandleOptions", sharedName=name)
        return handle

    def initialized(self, **values: dict[str, Any]) -> None:
        """CALL_ONCE with the variables' initial values, each as the arguments of :meth:`tensor` for it."""
        once = self.subgraph()
        for name, value in values.items():
            once.operator("ASSIGN_VARIABLE", [once.handle(name), once.tensor(**value)], [])
        self.operator("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=once.number)

    def _graph(self, inputs: list[int], outputs: list[int]) -> Any:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        return graph

    def build(self, inputs: list[int], outputs: list[int]) -> bytes:
        model = schema.ModelT()
        model.version = 3
        model.description = b"test"
        model.subgraphs = [self._graph(inputs, outputs), *(other._graph([], []) for other in self.subgraphs)]
        model.buffers = self.buffers
        model.operatorCodes = []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = code
            entry.deprecatedBuiltinCode = min(code, 127)
            entry.version = 1
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def single(
    name: str,
    inputs: list[int],
    output: int,
    network: NetworkBuilder,
    options: str | None = None,
    **fields: Any,
) -> bytes:
    """One operator whose first input is the network's."""
    network.operator(name, inputs, [output], options, **fields)
    return network.build(inputs[:1], [output])


def svdf(
    state: str, inputs: int, units: int, rank: int, memory: int, *, rng: np.random.Generator,
    zero_point: int = 0, state_zero_point: int = 0, output_zero_point: int = 0, fill: float = 1.0,
    gain: float = 1.0, extreme: bool = False, bias: str = "random", activation: int = 0,
) -> bytes:  # fmt: skip
    """One SVDF of random weights (at their bounds if ``extreme``); ``state`` is the type of its state and
    weights of time. ``fill`` and ``gain`` are about how much of its type's range a state and of int8's an
    output has. ``bias`` is "random", "zero" or "none"."""
    n, filters, largest = NetworkBuilder(), units * rank, np.iinfo(_NUMPY[state]).max

    def weights(shape: tuple[int, int], bound: int) -> np.ndarray:
        return rng.choice([-bound, bound], shape) if extreme else rng.integers(-bound, bound + 1, shape)

    source_scale = feature_scale = 0.05
    state_scale = source_scale * feature_scale * 74 * 74 * inputs**0.5 / (fill * largest / 2)
    time_scale = 1 / largest
    output_scale = state_scale * fill * largest * (memory * rank) ** 0.5 / 3 / (64 * gain)
    x = n.tensor((1, inputs), scale=source_scale, zero_point=zero_point)
    features = n.tensor((filters, inputs), scale=feature_scale, data=weights((filters, inputs), 127))
    times = n.tensor((filters, memory), state, scale=time_scale, data=weights((filters, memory), largest))
    most = min(output_scale / (state_scale * time_scale) * 64, 2.0**30)
    values = rng.uniform(-most, most, units) if bias == "random" else np.zeros(units)
    sums = n.tensor((units,), "int32", scale=state_scale * time_scale, data=values)
    kept = n.tensor(
        (1, filters * memory), state, scale=state_scale, zero_point=state_zero_point, variable=True
    )
    y = n.tensor((1, units), scale=output_scale, zero_point=output_zero_point)
    operands = [x, features, times, -1 if bias == "none" else sums, kept]
    return single("SVDF", operands, y, n, "SVDFOptions", rank=rank, fusedActivationFunction=activation)
