"""Python's view of the plan's structures is the C compiler's, and its tables are the schema's."""

from __future__ import annotations

import ctypes
import inspect
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from codegen import emit_memory, options, plan, schema
from host import model_layout
from tests.places import ROOT

NN = ROOT / "firmware" / "nn"
CLASSES = [
    c for _, c in inspect.getmembers(options, inspect.isclass)
    if issubclass(c, options.Options) and c is not options.Options
]  # fmt: skip
CONTAINERS = {
    "nn_tensor_t": emit_memory.NnTensor,
    "nn_layer_t": emit_memory.NnLayer,
    "nn_plan_t": emit_memory.NnPlan,
    "nn_t": emit_memory.Nn,
}


def compiled_layout(folder: Path, structures: dict[str, list[str]], compiler: str) -> dict[str, list[int]]:
    """Size and offsets of each structure's fields, from assembler that the compiler writes."""
    lines = ["#include <stddef.h>", '#include "nn_kernels.h"']
    for name, names in structures.items():
        values = ", ".join([f"sizeof({name})", *(f"offsetof({name}, {field})" for field in names)])
        lines.append(f"const unsigned layout_{name}[] = {{{values}}};")
    source = folder / "layout.c"
    source.write_text("\n".join(lines))
    command = [compiler, "-std=c11", "-Wall", "-Werror", "-S", "-I", str(NN), "-o", "-", str(source)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {}
    for name in structures:
        block = re.search(rf"^layout_{name}:\n((?:\s+\.(?:long|word|zero|space)\s.*\n)+)", text, re.M).group(
            1
        )
        values = []
        for word, value in re.findall(r"\.(long|word|zero|space)\s+(\d+)", block):
            values += [int(value)] if word in ("long", "word") else [0] * (int(value) // 4)
        found[name] = values
    return found


def python_layout(structure: type[ctypes.Structure]) -> list[int]:
    return [ctypes.sizeof(structure), *(getattr(structure, f[0]).offset for f in structure._fields_)]


def test_structures_agree_with_the_compiler(tmp_path: Path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    structures = {c.c_type: emit_memory.structure(c) for c in CLASSES} | CONTAINERS
    names = {name: [f[0] for f in s._fields_] for name, s in structures.items()}
    found = compiled_layout(tmp_path, names, "cc")
    for name, structure in structures.items():
        assert found[name] == python_layout(structure), name


def test_sizes_on_the_chip_agree_with_its_compiler(tmp_path: Path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc")
    expected = {c.c_type: emit_memory.options_bytes(c, pointer=4) for c in CLASSES} | {
        "nn_tensor_t": plan._TENSOR_BYTES, "nn_layer_t": plan._LAYER_BYTES, "nn_plan_t": plan._PLAN_BYTES,
    }  # fmt: skip
    found = compiled_layout(tmp_path, {name: [] for name in expected}, "arm-none-eabi-gcc")
    assert found == {name: [size] for name, size in expected.items()}


def test_every_options_structure_of_the_header_is_mirrored_in_order():
    header = (NN / "nn_kernels.h").read_text()
    mirrored = {c.c_type: [f.name for f in fields(c)] for c in CLASSES}
    found = re.findall(r"typedef struct \w+_options \{(.*?)\} (nn_\w+_options_t);", header, re.S)
    assert {name for _, name in found} == set(mirrored)
    for body, name in found:
        plain = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
        declared = [
            re.sub(r"\[\d+\]", "", part).split()[-1].lstrip("*")
            for statement in plain.split(";") for part in statement.split(",") if part.strip()
        ]  # fmt: skip
        assert mirrored[name] == declared, name


def test_kernel_numbers_are_those_of_the_firmware():
    names = re.findall(r"^NN_KERNEL\((\w+)\)", (NN / "nn_kernels.def").read_text(), re.M)
    assert tuple(names) == plan.KERNELS
    version = re.search(r"#define NN_PLAN_VERSION (\d+)", (NN / "nn.h").read_text()).group(1)
    assert int(version) == plan.VERSION


def test_numbers_of_model_images_are_those_of_the_firmware():
    header = (ROOT / "firmware" / "app" / "model_slots.h").read_text()
    numbers = dict(re.findall(r"#define MODEL_(\w+) (\w+)u\b", header))
    assert int(numbers["MAGIC"], 16) == model_layout.MAGIC
    assert int(numbers["WORD_BLANK"], 16) == model_layout.BLANK
    assert int(numbers["PROOF_INFERENCES"]) == model_layout.PROOF_INFERENCES


def test_a_model_images_layout_is_the_declarations_and_not_the_comments(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "firmware", tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(model_layout, "_FIRMWARE", tmp_path)
    header, number = tmp_path / "app" / "model.h", model_layout.layout()
    text = header.read_text()

    def of(changed: str) -> int:
        header.write_text(changed)
        return model_layout.layout.__wrapped__()

    assert of(text) == number
    assert of(f"/* Of one\nand another */\n{text.replace(' ', '  ')}\n// and more") == number
    assert of(text + "typedef int more_t;\n") != number


def test_schema_tables_are_the_published_schema():
    published = pytest.importorskip("ai_edge_litert.schema_py_generated")
    codes = vars(published.BuiltinOperator)
    for code, (name, _) in schema.OPERATORS.items():
        assert codes[name.upper()] == code
    assert {v for k, v in vars(published.Padding).items() if k.isupper()} == set(schema.PADDING)
    for code, name in schema.ACTIVATION.items():
        assert getattr(published.ActivationFunctionType, name.upper()) == code
    for code, (name, _) in schema.TYPES.items():
        assert getattr(published.TensorType, name.upper()) == code
    tables = {
        "Model": schema.MODEL, "OperatorCode": schema.OPERATOR_CODE, "SubGraph": schema.SUBGRAPH,
        "Tensor": schema.TENSOR, "QuantizationParameters": schema.QUANTIZATION,
        "Operator": schema.OPERATOR, "Buffer": schema.BUFFER, "Metadata": schema.METADATA,
    }  # fmt: skip
    for name, numbers in tables.items():
        for field, number in numbers.items():
            assert field_number(getattr(published, name), field) == number, (name, field)


OPTION_TABLES = {
    "conv_2d": "Conv2DOptions", "depthwise_conv_2d": "DepthwiseConv2DOptions", "max_pool_2d": "Pool2DOptions",
    "average_pool_2d": "Pool2DOptions", "fully_connected": "FullyConnectedOptions", "add": "AddOptions",
    "sub": "SubOptions", "mul": "MulOptions", "div": "DivOptions", "softmax": "SoftmaxOptions",
    "concatenation": "ConcatenationOptions", "mean": "ReducerOptions", "reduce_max": "ReducerOptions",
    "batch_matmul": "BatchMatMulOptions", "sum": "ReducerOptions", "leaky_relu": "LeakyReluOptions",
    "strided_slice": "StridedSliceOptions", "gelu": "GeluOptions", "pack": "PackOptions",
    "unpack": "UnpackOptions", "reduce_min": "ReducerOptions", "gather": "GatherOptions",
    "l2_normalization": "L2NormOptions", "svdf": "SVDFOptions", "call_once": "CallOnceOptions",
    "var_handle": "VarHandleOptions", "unidirectional_sequence_lstm": "UnidirectionalSequenceLSTMOptions",
}  # fmt: skip
ALIASES = {
    "stride_width": "stride_w", "stride_height": "stride_h", "activation": "fused_activation_function",
    "cell_activation": "fused_activation_function",
    "dilation_width": "dilation_w_factor", "dilation_height": "dilation_h_factor",
}  # fmt: skip


def test_operator_options_are_the_published_schema():
    published = pytest.importorskip("ai_edge_litert.schema_py_generated")
    for _code, (name, numbers) in schema.OPERATORS.items():
        for field, (number, form, default) in numbers.items():
            table = getattr(published, OPTION_TABLES[name])
            assert field_number(table, ALIASES.get(field, field)) == number, (name, field)
            empty = getattr(published, f"{OPTION_TABLES[name]}T")()
            if form == schema.TEXT:  # none is an empty one
                assert default == ""
                default = None
            assert getattr(empty, camel(ALIASES.get(field, field), first=False)) == default, (name, field)


def camel(name: str, *, first: bool) -> str:
    words = name.split("_")
    return "".join(word.title() if first or i else word for i, word in enumerate(words))


def field_number(table: type, field: str) -> int:
    """The number of a field, from the vtable offset in the generated accessor."""
    name = camel(field, first=True)
    accessor = getattr(table, f"{name}AsNumpy", None) or getattr(table, name)
    offset = re.search(r"_tab\.Offset\((\d+)\)", inspect.getsource(accessor)).group(1)
    return (int(offset) - 4) // 2
