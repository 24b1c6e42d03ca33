"""First pass: the bytes of a .tflite to a :class:`~codegen.graph.Graph`.

Whatever the bytes are, the result is a graph whose indices, shapes and constants fit together, or a
TokayError: later passes index and slice without looking back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from codegen import schema
from codegen.errors import TokayError
from codegen.flatbuffer import FlatBufferError, Table
from codegen.graph import Graph, Operator, Quantization, Tensor

# Far above any network for this chip; they bound the work that a hostile file can cause, and with 2^23
# int8 values no sum or index of a kernel leaves 32 bits.
MAX_SUBGRAPHS = 8
MAX_OPERATORS = 1024
MAX_TENSORS = 16384
MAX_RANK = 8
MAX_OPERANDS = 256
MAX_TENSOR_BYTES = 1 << 23


def read_model(tflite: bytes) -> Graph:
    """Reads a model; TokayError if the file is not a .tflite or is damaged."""
    if tflite[4:8] != schema.FILE_IDENTIFIER:
        raise TokayError("not a .tflite file", hint="the bytes 4 to 8 of one are TFL3")
    try:
        return _read(Table.root(tflite))
    except FlatBufferError as error:
        raise TokayError(f"the .tflite is damaged: {error}", hint="fetch or train it again") from error


def _read(model: Table) -> Graph:
    """The first subgraph, and those that it calls once."""
    count = model.count(schema.MODEL["subgraphs"])
    _check_subgraphs(count, 1 <= count <= MAX_SUBGRAPHS)
    subgraphs = model.tables(schema.MODEL["subgraphs"], MAX_SUBGRAPHS)
    code_tables = _tables(model, schema.MODEL["operator_codes"], MAX_OPERATORS, "kinds of operators")
    codes = [_operator_code(code) for code in code_tables]
    buffers = _tables(model, schema.MODEL["buffers"], MAX_TENSORS, "buffers")
    graph = _graph(model, subgraphs[0], codes, buffers)
    calls = {int(op.options["init_subgraph_index"]): op for op in graph.operators if op.name == "call_once"}
    _check_subgraphs(count, all(number in calls for number in range(1, count)))
    for number, op in calls.items():
        if not 0 < number < count:
            raise FlatBufferError(f"{op} calls subgraph {number}, of {count} with the network's own")
    initializers = {number: _graph(model, subgraphs[number], codes, buffers) for number in calls}
    return replace(graph, initializers=initializers)


def _check_subgraphs(count: int, supported: bool) -> None:
    if not supported:
        raise TokayError(
            f"the model has {count} subgraphs",
            hint="networks of one are supported; loops make more, as of a GRU without unroll=True, or of an "
            "LSTM that Keras 3 exported by itself (host.train and Keras 2 make one operator of it)",
        )


def _graph(model: Table, subgraph: Table, codes: list[tuple[int, str]], buffers: list[Table]) -> Graph:
    tensor_tables = _tables(subgraph, schema.SUBGRAPH["tensors"], MAX_TENSORS, "tensors")
    operator_tables = _tables(
        subgraph, schema.SUBGRAPH["operators"], MAX_OPERATORS, "operators",
        "; an unrolled loop, as of a GRU, makes some at each of its steps: give it fewer (strides or pooling "
        "before it), or use an LSTM that is one operator (host.train and Keras 2 make it)",
    )  # fmt: skip
    count = len(tensor_tables)
    operators = tuple(_operator(index, table, codes, count) for index, table in enumerate(operator_tables))
    inputs = _indices(subgraph, schema.SUBGRAPH["inputs"], count, "the model's inputs")
    outputs = _indices(subgraph, schema.SUBGRAPH["outputs"], count, "the model's outputs")
    used = {*inputs, *outputs}.union(*((*op.inputs, *op.outputs) for op in operators))
    return Graph(
        description=model.text(schema.MODEL["description"]),
        tensors=tuple(
            _tensor(index, table, buffers) if index in used else _unused(index, table)
            for index, table in enumerate(tensor_tables)
        ),
        operators=operators,
        inputs=inputs,
        outputs=outputs,
    )


def _tables(parent: Table, field: int, limit: int, what: str, advice: str = "") -> list[Table]:
    """A list of the model; a file may be whole and yet hold more than is supported. ``advice`` ends the
    hint."""
    count = parent.count(field)
    if count > limit:
        hint = f"at most {limit:,} are supported{advice}"
        raise TokayError(f"the model has {count:,} {what}", hint=hint)
    return parent.tables(field, limit)


def _operator_code(table: Table) -> tuple[int, str]:
    old = table.scalar(schema.OPERATOR_CODE["deprecated_builtin_code"], "b")
    new = table.scalar(schema.OPERATOR_CODE["builtin_code"], "i")
    return max(old, new), table.text(schema.OPERATOR_CODE["custom_code"])


def _tensor(index: int, table: Table, buffers: list[Table]) -> Tensor:
    where = f"tensor {index}"
    code = table.scalar(schema.TENSOR["type"], "b")
    shape = table.numbers(schema.TENSOR["shape"], "<i4")
    if len(shape) > MAX_RANK:
        raise TokayError(f"{where} has {len(shape)} dimensions", hint=f"at most {MAX_RANK} are supported")
    if (shape < 0).any():
        raise TokayError(
            f"{where} has the shape {'x'.join(map(str, shape.tolist()))}, with an unknown dimension",
            hint="export the model with an input of a fixed shape and a batch of 1",
        )
    name, dtype = schema.TYPES.get(code, (f"type {code}", ""))
    item_bytes = np.dtype(dtype).itemsize if dtype else 1
    size = item_bytes
    for dimension in shape.tolist():
        size *= dimension
        if size > MAX_TENSOR_BYTES:
            raise TokayError(
                f"{where} is larger than {MAX_TENSOR_BYTES >> 20} MiB",
                hint="no network with a tensor of that size fits the chip",
            )
    return Tensor(
        index=index,
        name=table.text(schema.TENSOR["name"]),
        shape=tuple(shape.tolist()),
        type=name,
        item_bytes=item_bytes,
        quantization=_quantization(where, table.table(schema.TENSOR["quantization"])),
        data=_constant(where, table, buffers, tuple(shape.tolist()), dtype, size),
        variable=bool(table.scalar(schema.TENSOR["is_variable"], "?")),
    )


def _unused(index: int, table: Table) -> Tensor:
    """A tensor that a converter has left behind: it keeps its number, and whatever it is does not matter."""
    return Tensor(index, table.text(schema.TENSOR["name"]), (0,), "int8", 1, None, None)


def _quantization(where: str, table: Table | None) -> Quantization | None:
    if table is None:
        return None
    scales = table.numbers(schema.QUANTIZATION["scale"], "<f4")
    zero_points = table.numbers(schema.QUANTIZATION["zero_point"], "<i8")
    if len(scales) == 0:
        return None
    if len(zero_points) == 0:
        zero_points = np.zeros(len(scales), np.int64)
    if len(scales) != len(zero_points):
        raise FlatBufferError(f"{where} has {len(scales)} scales and {len(zero_points)} zero points")
    dimension = table.scalar(schema.QUANTIZATION["quantized_dimension"], "i")
    return Quantization(scales, zero_points, int(dimension))


def _constant(
    where: str, table: Table, buffers: list[Table], shape: tuple[int, ...], dtype: str, size: int
) -> np.ndarray | None:
    number = table.scalar(schema.TENSOR["buffer"], "I")
    if number >= len(buffers):
        raise FlatBufferError(f"{where} names buffer {number} of {len(buffers)}")
    buffer = buffers[number]
    if buffer.scalar(schema.BUFFER["size"], "Q") > 1:
        raise TokayError(f"{where} keeps its data outside of the FlatBuffer", hint="convert the model again")
    data = buffer.numbers(schema.BUFFER["data"], "<u1")
    if len(data) == 0:
        return None
    if table.table(schema.TENSOR["sparsity"]) is not None:
        raise TokayError(f"{where} is sparse", hint="convert the model without sparsity")
    if not dtype:
        return data
    if len(data) != size:
        raise FlatBufferError(f"{where} of {size} bytes has {len(data)} bytes of data")
    return data.view(dtype).reshape(shape)


def _operator(index: int, table: Table, codes: list[tuple[int, str]], tensor_count: int) -> Operator:
    where = f"operator {index}"
    code_index = table.scalar(schema.OPERATOR["opcode_index"], "I")
    if code_index >= len(codes):
        raise FlatBufferError(f"{where} names operator code {code_index} of {len(codes)}")
    code, custom = codes[code_index]
    name = schema.operator_name(code, custom)
    where = f"{where} ({schema.shown(name)})"
    options = table.table(schema.OPERATOR["builtin_options"])
    fields = schema.OPERATORS[code][1] if code in schema.OPERATORS else {}
    return Operator(
        index=index,
        opcode=code,
        name=name,
        inputs=_indices(table, schema.OPERATOR["inputs"], tensor_count, where, optional=True),
        outputs=_indices(table, schema.OPERATOR["outputs"], tensor_count, where),
        options={
            option: default if options is None else _option(options, field, form, default)
            for option, (field, form, default) in fields.items()
        },
    )


def _option(options: Table, field: int, form: str, default: int | float | bool | str) -> Any:
    return options.text(field) if form == schema.TEXT else options.scalar(field, form, default)


def _indices(table: Table, field: int, count: int, where: str, *, optional: bool = False) -> tuple[int, ...]:
    """A list of tensor indices, each in range; -1 is allowed where inputs may be left out."""
    numbers = table.numbers(field, "<i4")
    if len(numbers) > MAX_OPERANDS:
        raise TokayError(
            f"{where}: a list of {len(numbers):,} tensors", hint=f"at most {MAX_OPERANDS} are supported"
        )
    for number in numbers.tolist():
        if not (0 <= number < count or (optional and number == -1)):
            raise FlatBufferError(f"{where}: tensor {number} of {count}")
    return tuple(numbers.tolist())
