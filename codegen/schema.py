"""The part of the .tflite schema that code generation reads: field numbers, codes and defaults.

A contract test compares these tables with the published schema.
"""

from __future__ import annotations

# Tables: field name -> number.
MODEL = {"operator_codes": 1, "subgraphs": 2, "description": 3, "buffers": 4, "metadata": 6}
METADATA = {"name": 0, "buffer": 1}
OPERATOR_CODE = {"deprecated_builtin_code": 0, "custom_code": 1, "builtin_code": 3}
SUBGRAPH = {"tensors": 0, "inputs": 1, "outputs": 2, "operators": 3}
TENSOR = {"shape": 0, "type": 1, "buffer": 2, "name": 3, "quantization": 4, "is_variable": 5, "sparsity": 6}
QUANTIZATION = {"scale": 2, "zero_point": 3, "quantized_dimension": 6}
OPERATOR = {"opcode_index": 0, "inputs": 1, "outputs": 2, "builtin_options": 4}
BUFFER = {"data": 0, "offset": 1, "size": 2}

FILE_IDENTIFIER = b"TFL3"
CUSTOM_OPERATOR = 32

# TensorType -> (name, NumPy type); those without a NumPy type are only named in messages.
TYPES = {
    0: ("float32", "<f4"),
    1: ("float16", "<f2"),
    2: ("int32", "<i4"),
    3: ("uint8", "<u1"),
    4: ("int64", "<i8"),
    6: ("bool", "?"),
    7: ("int16", "<i2"),
    9: ("int8", "<i1"),
    10: ("float64", "<f8"),
    5: ("string", ""),
    8: ("complex64", ""),
    11: ("complex128", ""),
    12: ("uint64", ""),
    13: ("resource", ""),
    14: ("variant", ""),
    15: ("uint32", ""),
    16: ("uint16", ""),
    17: ("int4", ""),
}

PADDING = {0: "same", 1: "valid"}
ACTIVATION = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6", 4: "tanh", 5: "sign_bit"}

_CONV = {
    "padding": (0, "b", 0), "stride_width": (1, "i", 0), "stride_height": (2, "i", 0),
    "activation": (3, "b", 0), "dilation_width": (4, "i", 1), "dilation_height": (5, "i", 1),
}  # fmt: skip
_DEPTHWISE = {
    "padding": (0, "b", 0), "stride_width": (1, "i", 0), "stride_height": (2, "i", 0),
    "depth_multiplier": (3, "i", 0), "activation": (4, "b", 0),
    "dilation_width": (5, "i", 1), "dilation_height": (6, "i", 1),
}  # fmt: skip
_POOL = {
    "padding": (0, "b", 0), "stride_width": (1, "i", 0), "stride_height": (2, "i", 0),
    "filter_width": (3, "i", 0), "filter_height": (4, "i", 0), "activation": (5, "b", 0),
}  # fmt: skip
_REDUCER = {"keep_dims": (0, "?", False)}
_STRIDED_SLICE = {
    "begin_mask": (0, "i", 0), "end_mask": (1, "i", 0), "ellipsis_mask": (2, "i", 0),
    "new_axis_mask": (3, "i", 0), "shrink_axis_mask": (4, "i", 0), "offset": (5, "?", False),
}  # fmt: skip
_LSTM = {
    "cell_activation": (0, "b", 0), "cell_clip": (1, "f", 0.0), "time_major": (3, "?", False),
    "diagonal_recurrent_tensors": (5, "?", False),
}  # fmt: skip

TEXT = "text"
"""In place of a struct letter, of an option that is a string."""

# Operators that can be compiled: BuiltinOperator code -> (name, options: name -> (field, struct letter,
# default)).
OPERATORS: dict[int, tuple[str, dict[str, tuple[int, str, int | float | bool | str]]]] = {
    0: ("add", {"activation": (0, "b", 0)}),
    1: ("average_pool_2d", _POOL),
    2: ("concatenation", {"axis": (0, "i", 0), "activation": (1, "b", 0)}),
    3: ("conv_2d", _CONV),
    4: ("depthwise_conv_2d", _DEPTHWISE),
    6: ("dequantize", {}),
    9: ("fully_connected", {"activation": (0, "b", 0), "weights_format": (1, "b", 0)}),
    11: ("l2_normalization", {"activation": (0, "b", 0)}),
    14: ("logistic", {}),
    17: ("max_pool_2d", _POOL),
    18: ("mul", {"activation": (0, "b", 0)}),
    19: ("relu", {}),
    21: ("relu6", {}),
    22: ("reshape", {}),
    25: ("softmax", {"beta": (0, "f", 0.0)}),
    27: ("svdf", {"rank": (0, "i", 0), "activation": (1, "b", 0)}),
    28: ("tanh", {}),
    34: ("pad", {}),
    36: ("gather", {"axis": (0, "i", 0), "batch_dims": (1, "i", 0)}),
    39: ("transpose", {}),
    40: ("mean", _REDUCER),
    41: ("sub", {"activation": (0, "b", 0)}),
    42: ("div", {"activation": (0, "b", 0)}),
    43: ("squeeze", {}),
    44: ("unidirectional_sequence_lstm", _LSTM),
    45: ("strided_slice", _STRIDED_SLICE),
    47: ("exp", {}),
    49: ("split", {}),
    50: ("log_softmax", {}),
    54: ("prelu", {}),
    55: ("maximum", {}),
    57: ("minimum", {}),
    59: ("neg", {}),
    60: ("padv2", {}),
    65: ("slice", {}),
    69: ("tile", {}),
    70: ("expand_dims", {}),
    73: ("log", {}),
    74: ("sum", _REDUCER),
    75: ("sqrt", {}),
    76: ("rsqrt", {}),
    82: ("reduce_max", _REDUCER),
    83: ("pack", {"axis": (1, "i", 0)}),
    88: ("unpack", {"axis": (1, "i", 0)}),
    89: ("reduce_min", _REDUCER),
    92: ("square", {}),
    98: ("leaky_relu", {"alpha": (0, "f", 0.0)}),
    99: ("squared_difference", {}),
    101: ("abs", {}),
    102: ("split_v", {}),
    105: ("reverse_v2", {}),
    111: ("elu", {}),
    114: ("quantize", {}),
    117: ("hard_swish", {}),
    126: ("batch_matmul", {"adj_x": (0, "?", False), "adj_y": (1, "?", False)}),
    129: ("call_once", {"init_subgraph_index": (0, "i", 0)}),
    130: ("broadcast_to", {}),
    142: ("var_handle", {"container": (0, TEXT, ""), "shared_name": (1, TEXT, "")}),
    143: ("read_variable", {}),
    144: ("assign_variable", {}),
    150: ("gelu", {"approximate": (0, "?", False)}),
}

CODES = {name: code for code, (name, _) in OPERATORS.items()}
"""The BuiltinOperator of an operator's name."""


def shown(name: str) -> str:
    """An operator's name as messages write it: in capitals, but for what a custom one is called."""
    kind, space, own = name.partition(" ")
    return kind.upper() + space + own


def operator_name(code: int, custom: str = "") -> str:
    """The name of any builtin operator, for messages about those that cannot be lowered."""
    if code in OPERATORS:
        return OPERATORS[code][0]
    if code == CUSTOM_OPERATOR:
        return f"custom {custom!r}"
    try:
        from ai_edge_litert.schema_py_generated import BuiltinOperator
    except ImportError:
        return f"code {code}"
    names = {value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)}
    return names.get(code, f"code {code}").lower()
