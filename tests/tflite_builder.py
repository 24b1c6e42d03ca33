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
    ) -> int:
        """Adds a tensor, constant if it has ``data``; ``scale`` may be one for each channel."""
        t = schema.TensorT()
        t.shape = list(shape)
        t.type = _TYPES[type]
        t.name = f"t{len(self.tensors)}".encode()
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
