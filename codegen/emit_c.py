"""Last pass: a plan as C, ``model_plan.h`` and ``model_plan.c``. The same plan gives the same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import jinja2
import numpy as np

from codegen import c_text
from codegen.layers import Layer
from codegen.options import Options
from codegen.plan import Plan

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_INDENT = 4
_C_TYPES = {
    "Int8Array": "int8_t",
    "Int32Array": "int32_t",
    "WordArray": "uint32_t",
    "HalfArray": "uint16_t",
    "ChannelArray": "nn_channel_t",
}


@dataclass(frozen=True)
class _Array:
    """A constant array of the generated file."""

    c_type: str
    name: str
    count: int
    rows: str
    comment: str = ""


def emit_c(plan: Plan) -> dict[str, str]:
    """The generated files by name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    context = {
        "name": c_text.quoted(plan.name),
        "sha256": plan.sha256,
        "accelerator": plan.accelerator,
        "arena_bytes": plan.memory.arena_bytes,
        "bound_bytes": plan.memory.bound_bytes,
        "macs": sum(layer.macs for layer in plan.layers),
        "arrays": list(_arrays(plan)),
        "layers": [_layer(plan, layer, _layer_name(layer)) for layer in plan.layers],
        "resets": [_layer(plan, layer, f"reset_{k}") for k, layer in enumerate(plan.resets)],
        "tensors": [_tensor(plan, index) for index in plan.tensors],
        "kernels": plan.kernels,
        "input": plan.input,
        "output": plan.output,
        "hash_bytes": ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(plan.sha256)[:16]),
    }
    return {
        name: environment.get_template(f"{name}.jinja").render(context)
        for name in ("model_plan.h", "model_plan.c")
    }


def _arrays(plan: Plan) -> Iterator[_Array]:
    for index in plan.tensors:
        tensor = plan.graph.tensors[index]
        if tensor.constant:
            data = tensor.data.reshape(-1).view(np.int8)
            rows = c_text.rows(map(str, data.tolist()), _INDENT)
            yield _Array("int8_t", _tensor_name(index), data.size, rows)
    for layer in plan.layers:  # those of a reset have none
        for field in fields(layer.options):
            value = getattr(layer.options, field.name)
            if isinstance(value, np.ndarray) and value.size:
                yield _array(layer, field.name, field.type, value)


def _array(layer: Layer, field: str, kind: str, value: np.ndarray) -> _Array:
    if kind == "ChannelArray":
        words = (f"{{{_int32(b)}, {_int32(m)}, {s}}}" for b, m, s in value.tolist())
    elif kind == "WordArray":
        words = (f"0x{word:08x}" for word in value.tolist())
    else:
        words = map(_int32, value.tolist())
    commented = field.endswith("weights") or field in ("table", "programs")
    comment = f"{layer.index} {layer.name} {layer.output_shape}" if commented else ""
    return _Array(_C_TYPES[kind], _array_name(layer, field), len(value), c_text.rows(words, _INDENT), comment)


def _layer(plan: Plan, layer: Layer, symbol: str) -> dict[str, object]:
    return {
        "index": layer.index,
        "symbol": symbol,
        "name": layer.name,
        "shapes": f"{layer.input_shape} -> {layer.output_shape}",
        "kernel": layer.kernel,
        "opcode": layer.opcode,
        "output": plan.number(layer.output),
        "inputs": [plan.number(tensor) for tensor in layer.inputs],
        "options_type": layer.options.c_type,
        "options": _options(layer, layer.options),
        "scratch_offset": plan.memory.scratch.get(layer.output, 0),
        "scratch_bytes": layer.scratch_bytes,
    }


def _options(layer: Layer, options: Options) -> str:
    """The fields of a designated initializer, several a line."""
    words = []
    for field in fields(options):
        value = getattr(options, field.name)
        if isinstance(value, np.ndarray):
            text = _array_name(layer, field.name) if value.size else "NULL"
        elif field.type == "Quad":
            text = f"{{{', '.join(map(str, value))}}}"
        elif field.type == "float":
            text = f"{float(np.float32(value)).hex()}f"
        else:
            text = _int32(value)
        words.append(f".{field.name} = {text},")
    return textwrap.fill(" ".join(words), 98, initial_indent="    ", subsequent_indent="    ",
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


def _tensor(plan: Plan, index: int) -> str:
    tensor = plan.graph.tensors[index]
    if tensor.constant:
        return f"{{.constant = {_tensor_name(index)}, .bytes = {tensor.bytes}}}"
    return f"{{.offset = {plan.memory.offsets[index]}, .bytes = {tensor.bytes}}}"


def _tensor_name(index: int) -> str:
    return f"tensor_{index}"


def _array_name(layer: Layer, field: str) -> str:
    return f"{_layer_name(layer)}_{field}"


def _layer_name(layer: Layer) -> str:
    return f"layer_{layer.index}" if layer.part is None else f"layer_{layer.index}_{layer.part.number}"


def _int32(value: int) -> str:
    """A C constant; the most negative number has no literal of its own."""
    return "INT32_MIN" if value == -(1 << 31) else str(int(value))
