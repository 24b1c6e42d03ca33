"""What cannot be compiled is refused with the operator's index and the reason."""

from __future__ import annotations

import itertools

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from codegen import variables
from codegen.check import CONSTRAINTS, rules
from codegen.errors import TokayError
from codegen.pipeline import compile_model
from codegen.schema import OPERATORS
from host.runtime import Model
from tests.tflite_builder import NetworkBuilder, single, svdf


def refused(model: bytes) -> str:
    with pytest.raises(TokayError) as caught:
        compile_model(model, name="model")
    return str(caught.value)


def conv(n: NetworkBuilder, *, source=(1, 8, 8, 4), kernel=(6, 3, 3, 4), output=(1, 8, 8, 6), scale=0.1,
         weights_zero=0, bias=None, weights=None, type="int8", **fields) -> bytes:  # fmt: skip
    x = n.tensor(source, type, scale=scale, zero_point=0)
    w = n.tensor(kernel, scale=0.01, zero_point=weights_zero,
                 data=np.ones(kernel, np.int8) if weights is None else weights)  # fmt: skip
    inputs = [x, w]
    if bias is not None:
        inputs.append(n.tensor(bias.shape, "int32", data=bias))
    y = n.tensor(output, scale=0.1)
    n.operator("CONV_2D", inputs, [y], "Conv2DOptions", **{"strideH": 1, "strideW": 1} | fields)
    return n.build([x], [y])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": (2, 8, 8, 4), "output": (2, 8, 8, 6)}, "2x8x8x4"),
        ({"kernel": (6, 3, 3, 3)}, "6 filters of 3 channels on an input of 4"),
        ({"kernel": (7, 3, 3, 2), "output": (1, 8, 8, 7)}, "7 filters of 2 channels on an input of 4"),
        ({"kernel": (5, 3, 3, 4)}, "5 filters for 6"),
        ({"output": (1, 8, 7, 6)}, "not 1x8x8"),
        ({"strideH": 0}, "stride_height is 0"),
        ({"dilationWFactor": 40000}, "dilation_width is 40000"),
        ({"padding": 2}, "padding 2"),
        ({"fusedActivationFunction": 4}, "activation tanh"),
        ({"fusedActivationFunction": 77}, "number 77"),
        ({"weights_zero": 3}, "zero point other than 0"),
        ({"scale": 0.0}, "scale 0"),
        ({"scale": float("nan")}, "scale nan"),
        ({"scale": -1.0}, "scale -1"),
        ({"scale": 1e9}, "is rescaled by"),
        pytest.param({"scale": 1e12, "weights": np.zeros((6, 3, 3, 4))}, "is rescaled by", id="zeros"),
        ({"type": "float32"}, "is float32"),
        ({"bias": np.zeros(5, np.int32)}, "the bias is int32 5"),
        ({"bias": np.full(6, -(1 << 31), np.int32)}, "can reach 2147488256"),
        ({"bias": np.full(6, (1 << 31) - 36 * 128, np.int32)}, "can reach 2147483648"),
    ],
    ids=str,
)
def test_convolutions_that_cannot_be(changes, message):
    text = refused(conv(NetworkBuilder(), **changes))
    assert "operator 0 (CONV_2D)" in text
    assert message in text


def test_a_model_of_another_type_is_refused():
    text = refused(conv(NetworkBuilder(), type="uint8"))
    assert "the model's input is uint8" in text and "quantize it to int8" in text


@pytest.mark.parametrize("data", [None, np.ones((1, 4))])
def test_a_network_that_only_makes_its_input_or_a_constant_uint8_is_refused(data):
    n = NetworkBuilder()
    x, values = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=0.1, data=data)
    y = n.tensor((1, 4), "uint8", scale=0.1, zero_point=128)
    n.operator("QUANTIZE", [values], [y], "QuantizeOptions")
    assert "the model's output is uint8" in refused(n.build([x if data is not None else values], [y]))


def test_the_base_of_these_cases_compiles():
    compile_model(conv(NetworkBuilder()), name="model")
    compile_model(conv(NetworkBuilder(), bias=np.full(6, (1 << 31) - 36 * 128 - 1, np.int32)), name="model")


@pytest.mark.parametrize("name", ["PAD", "PADV2", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "STRIDED_SLICE",
                                  "TRANSPOSE", "GATHER", "TILE", "BROADCAST_TO"])  # fmt: skip
def test_a_list_that_is_left_out_is_refused(name):
    n = NetworkBuilder()
    x, y = n.tensor((2, 4), scale=0.1), n.tensor((2, 4), scale=0.1)
    n.operator(name, [x], [y])
    assert f"operator 0 ({name}): " in (text := refused(n.build([x], [y]))) and "constant int" in text


def test_an_unsupported_operator_is_named_with_its_index():
    n = NetworkBuilder()
    x, y, z = (n.tensor((1, 4), scale=0.1) for _ in range(3))
    n.operator("RELU", [x], [y])
    n.operator("COS", [y], [z])
    assert "operator 1 (COS) is not supported" in refused(n.build([x], [z]))


def test_a_dilated_convolution_of_a_free_batch_says_what_to_do():
    n = NetworkBuilder()
    x, y = n.tensor((1, 4, 4, 2), scale=0.1), n.tensor((2, 2, 4, 2), scale=0.1)
    n.operator("SPACE_TO_BATCH_ND", [x], [y])
    assert "operator 0 (SPACE_TO_BATCH_ND) is not supported (export the model with a batch of 1" in refused(
        n.build([x], [y])
    )


def test_a_mask_of_attention_says_what_to_do():
    """Its -1e9 or less goes into the scale of all scores."""
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=0.1)
    mask = n.tensor((1, 4), "int8", data=np.array([[1, 1, 0, 0]]))
    n.operator("SELECT_V2", [mask, x, x], [y])
    text = refused(n.build([x], [y]))
    assert "operator 0 (SELECT_V2) is not supported (leave out masks of attention" in text


def test_a_shape_of_a_free_batch_says_what_to_do():
    """The converter writes 1 for each dimension that it does not know."""
    n = NetworkBuilder()
    x, shape, y = n.tensor((1, 4, 2), scale=0.1), n.tensor((3,), "int32"), n.tensor((1, 1), scale=0.1)
    n.operator("SHAPE", [x], [shape])
    n.operator("RESHAPE", [x, shape], [y], "ReshapeOptions")
    text = refused(n.build([x], [y]))
    assert "operator 1 (RESHAPE): 1x4x2 to 1x1" in text and "export the model with a batch of 1" in text


def test_a_custom_operator_is_named():
    n = NetworkBuilder()
    x, y = (n.tensor((1, 4), scale=0.1) for _ in range(2))
    n.operator("CUSTOM", [x], [y])
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(n.build([x], [y])))
    model.operatorCodes[0].customCode = b"AudioSpectrogram"
    assert "operator 0 (CUSTOM 'AudioSpectrogram') is not supported" in refused(packed(model))


def test_what_nothing_uses_does_not_matter():
    """Converters leave tensors behind, weights in floats among them."""
    n = NetworkBuilder()
    x = n.tensor((1, 4), scale=0.1)
    for shape in ((1, 9 << 20), (1,) * 9, (-1, 4)):
        n.tensor(shape, "float32")
    y = n.tensor((1, 4), scale=0.1)
    plan = compile_model(single("RELU", [x], y, n), name="model")
    assert plan.memory.arena_bytes == 8


def test_a_network_of_floats_says_how_to_convert():
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), "float32"), n.tensor((1, 6), "float32")
    w = n.tensor((6, 4), scale=0.1, data=np.zeros((6, 4)))  # as dynamic-range quantization leaves it
    n.operator("FULLY_CONNECTED", [x, w], [y], "FullyConnectedOptions")
    text = refused(n.build([x], [y]))
    assert "operator 0 (FULLY_CONNECTED): tensor 0 is float32" in text and "representative dataset" in text


def test_a_float_model_says_what_to_do():
    n = NetworkBuilder()
    x, y = (n.tensor((1, 4), "float32") for _ in range(2))
    n.operator("RELU", [x], [y])
    text = refused(n.build([x], [y]))
    assert "operator 0 (RELU)" in text and "is float32, not int8" in text


def test_a_shape_computed_for_a_reshape_is_left_out():
    """What a free batch size leaves in a converted network; the reshape keeps its index."""
    n = NetworkBuilder()
    x, a, y = n.tensor((1, 2, 3), scale=0.1), n.tensor((1, 2, 3), scale=0.1), n.tensor((1, 6), scale=0.1)
    shape, first, packed = n.tensor((3,), "int32"), n.tensor((), "int32"), n.tensor((2,), "int32")
    lists = [n.tensor((1,), "int32", data=np.array([v])) for v in (0, 1, 1)]
    six = n.tensor((), "int32", data=np.array([6]))
    n.operator("RELU", [x], [a])
    n.operator("SHAPE", [a], [shape], "ShapeOptions")
    n.operator("STRIDED_SLICE", [shape, *lists], [first], "StridedSliceOptions", shrinkAxisMask=1)
    n.operator("PACK", [first, six], [packed], "PackOptions", valuesCount=2)
    n.operator("RESHAPE", [a, packed], [y])
    plan = compile_model(n.build([x], [y]), name="model")
    assert [(layer.index, layer.name) for layer in plan.layers] == [(0, "relu"), (4, "reshape")]
    assert plan.number(plan.layers[1].output) == plan.output
    Model(n.build([x], [y]), rounding="single").invoke(np.zeros((1, 2, 3), np.int8))


def test_order_and_connections():
    n = NetworkBuilder()
    x, a, y = (n.tensor((1, 4), scale=0.1) for _ in range(3))
    n.operator("RELU", [a], [y])
    n.operator("RELU", [x], [a])
    assert "reads tensor 1 before it is written" in refused(n.build([x], [y]))
    n = NetworkBuilder()
    x, y = (n.tensor((1, 4), scale=0.1) for _ in range(2))
    n.operator("RELU", [x], [y])
    assert "no operator leads to" in refused(n.build([x], [x]))
    assert "2 inputs" in refused(n.build([x, y], [y]))
    n.operator("RELU", [x], [y])
    assert "already written" in refused(n.build([x], [y]))


@pytest.mark.parametrize(
    ("name", "source", "target", "message"),
    [
        ("SOFTMAX", (0.1, 0), (1 / 128, -128), "scale 0.0078125"),
        ("SOFTMAX", (0.1, 0), (1 / 256, 0), "zero point 0"),
        ("LOG_SOFTMAX", (0.1, 0), (1 / 256, 127), "the output has scale 0.00390625 and zero point 127"),
        ("LOG_SOFTMAX", (0.1, 0), (1 / 16, 0), "the output has scale 0.0625 and zero point 0"),
        ("LOG_SOFTMAX", (2.0**-26, 0), (1 / 16, 127), "the input's scale is 1.49012e-08"),
        ("L2_NORMALIZATION", (0.1, 0), (1 / 64, 0), "the output has scale 0.015625 and zero point 0"),
        ("L2_NORMALIZATION", (0.1, 0), (1 / 128, 3), "the output has scale 0.0078125 and zero point 3"),
        ("LOGISTIC", (0.1, 0), (1 / 128, -128), "scale 0.0078125"),
        ("RELU6", (0.1, 0), (0.2, 0), "the output 0.2"),
        ("LEAKY_RELU", (1e9, 0), (1e-9, 0), "rescaled"),
        ("LEAKY_RELU", (1e3, 0), (1e-2, 0), "alpha 300 rescales values by 3e+07"),
        ("TANH", (0.1, 0), (1 / 256, -128), "the output has scale 0.00390625 and zero point -128"),
        ("HARD_SWISH", (1e-7, 0), (1e-7, 0), "the input's scale is 1e-07"),
        ("HARD_SWISH", (0.1, 0), (0.1 / 128, 0), "scale 0.1 to 0.00078125"),
        ("HARD_SWISH", (0.1, 0), (52, 0), "scale 0.1 to 52"),
        ("QUANTIZE", (1e9, 0), (1e-9, 0), "rescaled"),
        ("RELU", (0.1, 300), (0.1, 0), "zero point 300"),
    ],
)
def test_scales_that_cannot_be(name, source, target, message):
    n = NetworkBuilder()
    x = n.tensor((1, 4), scale=source[0], zero_point=source[1])
    y = n.tensor((1, 4), scale=target[0], zero_point=target[1])
    options, alpha = {"SOFTMAX": "SoftmaxOptions", "LEAKY_RELU": "LeakyReluOptions"}.get(name), {}
    if name == "LEAKY_RELU":
        alpha = {"alpha": 300}
    n.operator(name, [x], [y], options, **alpha)
    text = refused(n.build([x], [y]))
    assert f"operator 0 ({name})" in text and message in text


@pytest.mark.parametrize(
    ("slopes", "scale", "message"),
    [
        (None, 0.1, "the slopes are not constant int8"),
        (np.ones((3, 1)), 0.1, "slopes of 3x1 for 1x3x100"),
        (np.ones((4, 100)), 0.1, "slopes of 4x100 for 1x3x100"),
        (np.ones(100), 0.0, "tensor 1 has the scale 0"),
        (np.ones(100), 1e6, "negative values are rescaled by 1e+06"),
    ],
)
def test_slopes_by_channel_that_cannot_be(slopes, scale, message):
    n = NetworkBuilder()
    x = n.tensor((1, 3, 100), scale=0.1)
    a = n.tensor((100,) if slopes is None else slopes.shape, scale=scale, data=slopes)
    y = n.tensor((1, 3, 100), scale=0.1)
    assert message in refused(single("PRELU", [x, a], y, n))


def test_many_slopes_leave_the_shape():
    n = NetworkBuilder()
    x, y = n.tensor((1, 3, 100), scale=0.1), n.tensor((1, 300), scale=0.1)
    a = n.tensor((3, 100), scale=0.1, data=np.ones((3, 100)))
    assert "300 slopes from 1x3x100 to 1x300 (The slopes are" in refused(single("PRELU", [x, a], y, n))


@pytest.mark.parametrize("name", ["NEG", "SQUARE"])
def test_functions_without_an_int8_kernel_need_floats_around_them(name):
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=0.1)
    text = refused(single(name, [x], y, n))
    assert f"operator 0 ({name}): it has no int8 kernel" in text and "comes from a dequantize" in text


@pytest.mark.parametrize("other", ["output", "operator"])
def test_floats_that_are_used_otherwise_are_refused(other):
    """Only what a quantize alone takes is a function of int8."""
    n = NetworkBuilder()
    x, q = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=0.1)
    a, b, y = (n.tensor((1, 4), "float32") for _ in range(3))
    n.operator("DEQUANTIZE", [x], [a])
    n.operator("ELU", [a], [b])
    if other == "output":
        assert "operator 1 (ELU): tensor 2 is float32, not int8" in refused(n.build([x], [b]))
        return
    n.operator("QUANTIZE", [b], [q])
    n.operator("DEQUANTIZE", [q], [y])
    sums = n.tensor((1, 4), "float32")
    n.operator("ADD", [y, b], [sums], "AddOptions")
    assert "operator 1 (ELU): tensor 2 is float32, not int8" in refused(n.build([x], [sums]))


@pytest.mark.parametrize(
    ("name", "scales", "message"),
    [
        ("ABS", (1e9, 1e-9), "rescaled by 1e+18"),
        ("ELU", (1e9, 1e-9), "rescaled by 1e+18"),
        ("GELU", (1e9, 1e-9), "rescaled by 1e+18"),
        ("LOG", (1, 1e-45), "scale 1 to 1.4013e-45"),
        ("RSQRT", (1, 1e-9), "scale 1 to 1e-09"),
        ("RSQRT", (1, 5000), "scale 1 to 5000"),
    ],
)
def test_scales_of_functions_that_cannot_be(name, scales, message):
    n = NetworkBuilder()
    x, y = (n.tensor((1, 4), scale=scale, zero_point=-3) for scale in scales)
    options = {"GELU": "GeluOptions", "EXP": "ExpOptions", "ABS": "AbsOptions"}.get(name)
    text = refused(single(name, [x], y, n, options))
    assert f"operator 0 ({name})" in text and message in text


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_slopes_that_cannot_be(alpha):
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=0.1)
    assert "alpha" in refused(single("LEAKY_RELU", [x], y, n, "LeakyReluOptions", alpha=alpha))


@pytest.mark.parametrize(
    ("constant", "scale", "message"),
    [
        (np.array([1, 2, 3, 4]), 0.2, "tensor 1 has scale 0.2"),
        (None, 0.2, "tensor 1 has scale 0.2"),
        (np.array([[1], [1]]), 0.1, "the output is 1x4"),
        (np.array(1), 0.2, "tensor 1 has scale 0.2"),
    ],
)
def test_limits_that_cannot_be(constant, scale, message):
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=0.1)
    if constant is None:
        limit = n.tensor((1, 4), scale=scale)
        n.operator("RELU", [x], [limit])
    else:
        limit = n.tensor(constant.shape, scale=scale, data=constant)
    n.operator("MINIMUM", [x, limit], [y], "MaximumMinimumOptions")
    message = message.replace("tensor 1", f"tensor {limit}")
    assert "(MINIMUM)" in (text := refused(n.build([x], [y]))) and message in text


@pytest.mark.parametrize(
    ("scale", "zero_point", "message"),
    [
        (0.1, 3, "the padding value has scale 0.1 and zero point 3, the output 0.1 and 5"),
        (0.2, 5, "the padding value has scale 0.2 and zero point 5, the output 0.1 and 5"),
        (None, 0, "the padding value has no scale, the output 0.1 and 5"),
    ],
)
def test_a_padding_value_in_another_scale_is_refused(scale, zero_point, message):
    """As the reference does, which would have to convert it."""
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1, zero_point=5), n.tensor((1, 6), scale=0.1, zero_point=5)
    pairs = n.tensor((2, 2), "int32", data=np.array([[0, 0], [1, 1]]))
    value = n.tensor((), scale=scale, zero_point=zero_point, data=np.array(7))
    text = refused(single("PADV2", [x, pairs, value], y, n, "PadV2Options"))
    assert f"operator 0 (PADV2): {message}" in text


def test_norms_that_cannot_be():
    n = NetworkBuilder()
    x, y = n.tensor((1, 32769), scale=0.1), n.tensor((1, 32769), scale=1 / 128)
    assert "the input is 1x32769" in refused(single("L2_NORMALIZATION", [x], y, n, "L2NormOptions"))
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1), n.tensor((1, 4), scale=1 / 128)
    text = refused(single("L2_NORMALIZATION", [x], y, n, "L2NormOptions", fusedActivationFunction=1))
    assert "the fused activation relu is not supported" in text


def changed_svdf(tensor: int, state: str = "int8", **changes) -> bytes:
    """An SVDF of 4 inputs, 3 units of rank 2 and 5 values, with something of one tensor, in the order of its
    operands, as it should not be."""
    built = svdf(state, 4, 3, 2, 5, rng=np.random.default_rng(0))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(built))
    graph = model.subgraphs[0]
    operands = [*graph.operators[0].inputs, *graph.operators[0].outputs]
    quantized = {key: changes.pop(key) for key in ("scale", "zeroPoint") if key in changes}
    for key, value in changes.items():
        setattr(graph.tensors[operands[tensor]], key, value)
    for key, value in quantized.items():
        setattr(graph.tensors[operands[tensor]].quantization, key, value)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def svdf_of_zeros() -> bytes:
    """Whose features are nothing, whatever their scale."""
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=1e12), n.tensor((1, 2), scale=0.1)
    features = n.tensor((2, 4), scale=0.1, data=np.zeros((2, 4)))
    times = n.tensor((2, 1), scale=0.1, data=np.ones((2, 1)))
    state = n.tensor((1, 2), scale=0.1, variable=True)
    return single("SVDF", [x, features, times, -1, state], y, n, "SVDFOptions", rank=1)


INT16, NO_BUFFER = schema.TensorType.INT16, 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (changed_svdf(1, buffer=NO_BUFFER), "input 1, the feature weights, is int8 6x4, not constant"),
        (changed_svdf(1, zeroPoint=[3]), "input 1, the feature weights, has the zero point 3"),
        (changed_svdf(1, scale=[-1.0]), "input 1, the feature weights, has the scale -1"),
        (changed_svdf(2, quantization=None), "input 2, the time weights, has no scale"),
        (changed_svdf(2, buffer=NO_BUFFER, type=INT16), "the time weights, is int16 6x5, not constant"),
        (changed_svdf(4, type=INT16), "int8 6x5, constant; it has to be constant int16"),
        (changed_svdf(4, "int16", zeroPoint=[1]), "the state, tensor 4, has the zero point 1"),
        (changed_svdf(4, "int16", scale=[0.0]), "the state, tensor 4, has the scale 0"),
        (changed_svdf(4, zeroPoint=[128]), "tensor 4 has the zero point 128"),
        (changed_svdf(4, isVariable=False), "its state, tensor 4, is not a variable tensor"),
        (changed_svdf(3, buffer=NO_BUFFER), "the bias is int32 3, not constant"),
        (changed_svdf(0, shape=[1, 5]), "1x5, 6x4, 6x5, 1x30, 1x3, rank 2"),
        (changed_svdf(0, shape=[4]), "4, 6x4, 6x5, 1x30, 1x3, rank 2"),
        (changed_svdf(4, shape=[1, 29]), "1x4, 6x4, 6x5, 1x29, 1x3, rank 2"),
        (changed_svdf(5, shape=[1, 6]), "1x4, 6x4, 6x5, 1x30, 1x6, rank 2"),
        (changed_svdf(0, scale=[1e9]), "are rescaled by"),
        (changed_svdf(5, scale=[1e-9]), "sums over the state of up to"),
        (svdf_of_zeros(), "sums of up to 1 are rescaled by"),
        (changed_svdf(5, "int16", scale=[1e-9]), "sums over the state are rescaled by"),
        (svdf("int8", 4, 3, 2, 5, rng=np.random.default_rng(0), activation=1),
         "the fused activation is relu, the output's zero point 0"),
        (svdf("int8", 4, 3, 2, 5, rng=np.random.default_rng(0), output_zero_point=-128, activation=3),
         "the fused activation is relu6, the output's zero point -128"),
    ],
)  # fmt: skip
def test_states_that_do_not_fit_their_operator(model, message):
    text = refused(model)
    assert "operator 0 (SVDF): " in text and message in text


def test_a_states_input_is_int8():
    n = NetworkBuilder()
    x, wide = n.tensor((1, 2), scale=0.1), n.tensor((1, 2), "int16", scale=0.1)
    kept, y = n.tensor((1, 4), "int16", scale=0.1, variable=True), n.tensor((1, 2), scale=0.1)
    weights = n.tensor((2, 2), scale=0.1, data=np.ones((2, 2)))
    n.operator("QUANTIZE", [x], [wide])
    n.operator("SVDF", [wide, weights, weights, -1, kept], [y], "SVDFOptions", rank=1)
    assert "operator 0 (QUANTIZE): tensor 1 is int16, not int8" in refused(n.build([x], [y]))


def test_a_state_belongs_to_its_operator_alone():
    n, names = NetworkBuilder(), ("x", "y", "z")
    x, y, z = (n.tensor((1, 2), scale=0.1) for _ in names)
    features = n.tensor((2, 2), scale=0.1, data=np.ones((2, 2)))
    state = n.tensor((1, 4), scale=0.1, variable=True)
    for source, output in ((x, y), (y, z)):
        n.operator("SVDF", [source, features, features, -1, state], [output], "SVDFOptions", rank=1)
    assert "operator 0 (SVDF): its state, tensor 4, is used by others too" in refused(n.build([x], [z]))
    assert "is used by others too" in refused(n.build([x], [state]))


@pytest.mark.parametrize("name", ["MINIMUM", "REDUCE_MIN"])
def test_values_that_cannot_be_negated(name):
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=1e31), n.tensor((1, 4), scale=1e31)
    if name == "MINIMUM":
        model = single(name, [x, x], y, n, "MaximumMinimumOptions")
    else:
        axes = n.tensor((1,), "int32", data=np.array([0]))
        model = single(name, [x, axes], y, n, "ReducerOptions", keepDims=True)
    assert f"operator 0 ({name}): the scale is 1e+31" in refused(model)


def test_limits_that_are_repeated_too_often():
    n = NetworkBuilder()
    five, some = (2, 3, 2, 3, 2), (2, 1, 2, 1, 2)
    x, y = (n.tensor(shape, scale=0.1) for shape in (some, five))
    limits = n.tensor(five, scale=0.1, data=np.arange(72))
    text = refused(single("MINIMUM", [x, limits], y, n, "MaximumMinimumOptions"))
    assert "operator 0 (MINIMUM): 5 dimensions are left of 2x1x2x1x2" in text


@pytest.mark.parametrize(
    ("indices", "output", "fields", "message"),
    [
        ([0, 4], (2, 3), {}, "indices from 0 to 4 along dimension 0 of 4x3"),
        ([-1], (1, 3), {}, "indices from -1 to -1"),
        ([0], (1, 3), {"axis": 2}, "axis 2 of 4x3"),
        ([0, 1], (2, 3), {"batchDims": 1}, "or there are batch dimensions"),
        ([0] * 65, (65, 3), {}, "not at most 64 constant int32"),
        ([0, 2], (4, 3), {}, "the output is 4x3, not (2, 3)"),
        ([[0], [2]], (2, 3), {}, "not (2, 1, 3)"),
    ],
    ids=str,
)
def test_indices_that_cannot_be(indices, output, fields, message):
    n = NetworkBuilder()
    x, y = n.tensor((4, 3), scale=0.1), n.tensor(output, scale=0.1)
    at = n.tensor(np.shape(indices), "int32", data=np.array(indices))
    text = refused(single("GATHER", [x, at], y, n, "GatherOptions", **fields))
    assert "operator 0 (GATHER)" in text and message in text


def test_indices_that_make_too_many_steps():
    n = NetworkBuilder()
    x = n.tensor((1, 64), scale=0.1)
    at = n.tensor((64,), "int32", data=np.zeros(64))
    y = x
    for _ in range(16):
        y = n.tensor((1, 64), scale=0.1)
        n.operator("GATHER", [x, at], [y], "GatherOptions", axis=1)
        x = y
    text = refused(n.build([0], [y]))
    assert "operator 15 (GATHER): with it the operators have 1,040 steps (at most 1,024" in text


def pair(name: str, scales: tuple[float, float, float]) -> bytes:
    """An operator of two tensors in these scales, the second computed, to an output in the third."""
    n = NetworkBuilder()
    x, other, y = (n.tensor((1, 4), scale=scale) for scale in scales)
    n.operator("QUANTIZE", [x], [other])
    n.operator(name, [x, other], [y])
    return n.build([x], [y])


@pytest.mark.parametrize(
    ("name", "scales", "message"),
    [
        ("SQUARED_DIFFERENCE", (0.1, 2.0, 1e-4), "squares are rescaled by 40000"),
        ("SQUARED_DIFFERENCE", (1.0, 0.1, 1 / 2065), "squares are rescaled by 2065"),
        ("DIV", (0.5, 0.0625, 2.0**-20), "quotients are rescaled by 8.38861e+06"),
    ],
)
def test_scales_of_pairs_that_cannot_be(name, scales, message):
    text = refused(pair(name, scales))
    assert f"operator 1 ({name})" in text and message in text


def test_products_of_matrices_that_leave_their_range():
    def of(taps: int, scale: float) -> str:
        n = NetworkBuilder()
        x, y = n.tensor((1, taps), scale=1.0), n.tensor((1, 1), scale=scale)
        n.operator("BATCH_MATMUL", [x, x], [y], "BatchMatMulOptions", adjY=True)
        return refused(n.build([x], [y]))

    assert "operator 0 (BATCH_MATMUL): sums can reach 1073757825" in of(16513, 1.0)
    assert "sums of up to 650250 are rescaled by 1000" in of(10, 1e-3)


def test_sums_that_leave_their_range():
    for factor in (1053, 10000):
        n = NetworkBuilder()
        x, y = n.tensor((1, 4000), scale=1.0), n.tensor((1, 1), scale=1 / factor)
        axis = n.tensor((1,), "int32", data=np.array([1]))
        n.operator("SUM", [x, axis], [y], "ReducerOptions", keepDims=True)
        expected = f"operator 0 (SUM): sums of 4000 values are rescaled by {factor}"
        assert expected in refused(n.build([x], [y]))


def test_shapes_that_cannot_be():
    def of(name, shapes, options=None, extra=(), **fields):
        n = NetworkBuilder()
        tensors = [n.tensor(shape, scale=0.1) for shape in shapes]
        more = [n.tensor(np.shape(v), "int32", data=np.array(v)) for v in extra]
        n.operator(name, [*tensors[:-1], *more], tensors[-1:], options, **fields)
        return refused(n.build(tensors[:1], tensors[-1:]))

    assert "do not fit" in of("ADD", [(1, 3), (1, 4), (1, 4)], "AddOptions")
    five, some = (2, 3, 2, 3, 2), (2, 1, 2, 1, 2)
    assert "5 dimensions are left of 2x3x2x3x2" in of("ADD", [five, some, five], "AddOptions")
    assert "5 dimensions are left of 2x3x2x3x2" in of("MEAN", [five, (3, 3)], "ReducerOptions", [[0, 2, 4]])
    assert "1x4 to 1x5" in of("RESHAPE", [(1, 4), (1, 5)])
    assert "sizes add up to 6" in of(
        "CONCATENATION", [(1, 2), (1, 4), (1, 7)], "ConcatenationOptions", axis=1
    )
    for shapes in (
        [(1, 3, 4), (1, 3, 5), (1, 3, 5)],
        [(1, 3, 4), (1, 4, 5), (1, 4, 5)],
        [(1, 3, 4), (4,), (1, 3, 1)],
        [(2, 3, 4), (3, 4, 5), (3, 3, 5)],
    ):
        first, second, output = ("x".join(map(str, shape)) for shape in shapes)
        text = of("BATCH_MATMUL", shapes, "BatchMatMulOptions")
        assert f"{first} times {second} into {output} (The last two dimensions are matrices" in text
    assert "tensor 0 has the shape 1x1x1x2x2" in of(
        "BATCH_MATMUL", [(1, 1, 1, 2, 2)] * 3, "BatchMatMulOptions"
    )
    assert "axis 5" in of("CONCATENATION", [(1, 2), (1, 4), (1, 6)], "ConcatenationOptions", axis=5)
    assert "negative" in of("PAD", [(1, 4), (1, 3)], "PadOptions", [[[0, 0], [0, -1]]])
    assert "axes [7]" in of("MEAN", [(1, 4), (1, 4)], "ReducerOptions", [[7]])
    assert "axes [2]" in of("SUM", [(1, 4), (1, 4)], "ReducerOptions", [[2]])
    assert "axes [2]" in of("REDUCE_MAX", [(1, 4), (1, 4)], "ReducerOptions", [[2]])
    assert "the output is 1x4, not (1, 1)" in of(
        "REDUCE_MAX", [(1, 4), (1, 4)], "ReducerOptions", [[1]], keepDims=True
    )
    assert "stride is 0" in of("STRIDED_SLICE", [(4,), (4,)], "StridedSliceOptions", [[0], [4], [0]])
    assert "ellipsis" in of(
        "STRIDED_SLICE", [(4,), (4,)], "StridedSliceOptions", [[0], [4], [1]], ellipsisMask=1
    )
    assert "the order [0, 0] of 1x4" in of("TRANSPOSE", [(1, 4), (1, 4)], "TransposeOptions", [[0, 0]])
    assert "the order [1, 2] of 1x4" in of("TRANSPOSE", [(1, 4), (4, 1)], "TransposeOptions", [[1, 2]])
    assert "the output is 1x4, not (4, 1)" in of(
        "TRANSPOSE", [(1, 4), (1, 4)], "TransposeOptions", [[1, 0]]
    )
    assert "5 dimensions are left of 2x2x2x2x2" in of(
        "TRANSPOSE", [(2,) * 5, (2,) * 5], "TransposeOptions", [[4, 3, 2, 1, 0]]
    )
    assert "for each dimension" in of("TILE", [(1, 4), (1, 4)], "TileOptions", [[1]])
    assert "the output is 1x4, not (1, 8)" in of("TILE", [(1, 4), (1, 4)], "TileOptions", [[1, 2]])
    assert "6 dimensions are left of 2x2x2" in of("TILE", [(2,) * 3, (4,) * 3], "TileOptions", [[2, 2, 2]])
    assert "the shape [1, 8] of 1x4" in of("BROADCAST_TO", [(1, 1), (1, 4)], "BroadcastToOptions", [[1, 8]])
    assert "2x2 to 2x4" in of("BROADCAST_TO", [(2, 2), (2, 4)], "BroadcastToOptions", [[2, 4]])
    assert "axes [2]" in of("REDUCE_MIN", [(1, 4), (1, 4)], "ReducerOptions", [[2]])
    assert "1x0" in of("RELU", [(1, 0), (1, 0)])
    assert "the slice of 4 is (3,), the output 4" in of("SLICE", [(4,), (4,)], "SliceOptions", [[1], [-1]])
    assert "the slice of 4 is (4,)" in of("SLICE", [(4,), (4,)], "SliceOptions", [[1], [4]])
    assert "for each dimension" in of("SLICE", [(1, 4), (1, 4)], "SliceOptions", [[0], [4]])
    assert "axis 3" in of("PACK", [(4,), (4,), (2, 4)], "PackOptions", axis=3)
    assert "input 1 of 5" in of("PACK", [(4,), (5,), (2, 4)], "PackOptions")
    assert "2 inputs for 3x4" in of("PACK", [(4,), (4,), (3, 4)], "PackOptions")


@pytest.mark.parametrize(
    ("name", "before", "after", "outputs", "message"),
    [
        ("SPLIT", [1], [], [(1, 3), (1, 3)], None),
        ("SPLIT", [2], [], [(1, 3), (1, 3)], "none of 1x6"),
        ("SPLIT", [0], [], [(1, 3), (1, 3)], "2 outputs of sizes [0, 0] along dimension 0 of 1x6"),
        ("SPLIT", [1], [], [(1, 4), (1, 2)], "the slice of 1x6 is (1, 3), the output 1x2"),
        ("SPLIT", [1], [], [(1, 1)] * 4, "4 outputs of sizes [1, 1, 1, 1]"),
        ("SPLIT", [], [], [(1, 6)], "input 1 is missing"),
        ("SPLIT_V", [], [[4, 2], 1], [(1, 4), (1, 2)], None),
        ("SPLIT_V", [], [[4, -1], 1], [(1, 4), (1, 2)], None),
        ("SPLIT_V", [], [[7, -1], 1], [(1, 7), (1, 1)], "sizes [7, -1] along dimension 1"),
        ("SPLIT_V", [], [[4, 2], 1], [(1, 4)], "1 outputs of sizes [4, 2]"),
        ("SPLIT_V", [], [[4, 2]], [(1, 4), (1, 2)], "the dimension is not constant"),
        ("UNPACK", [], [], [(6,)], None),
        ("UNPACK", [], [], [(6,), (6,)], "2 outputs of sizes [1, 1] along dimension 0 of 1x6"),
        ("UNPACK", [], [], [(1, 6)], "the slice of 1x6 is (6,), the output 1x6"),
    ],
)
def test_divisions(name, before, after, outputs, message):
    """The last output is the network's."""
    n = NetworkBuilder()
    x = n.tensor((1, 6), scale=0.1)
    constants = [n.tensor(np.shape(v), "int32", data=np.array(v)) for v in (*before, *after)]
    made = [n.tensor(shape, scale=0.1) for shape in outputs]
    inputs = [*constants[: len(before)], x, *constants[len(before) :]]
    n.operator(name, inputs, made)
    model = n.build([x], made[-1:])
    if message is None:
        assert len(compile_model(model, name="model").layers) == 1
    else:
        text = refused(model)
        assert f"operator 0 ({name})" in text and message in text


def test_a_scalar_is_told_as_one():
    """As the axis of a split is, or what is left of a vector."""
    n = NetworkBuilder()
    x, y, z = (n.tensor(shape, scale=0.1) for shape in ((1, 6), (1, 3), (1, 3)))
    n.operator("SPLIT", [n.tensor((), "int32", data=np.array(1)), x], [y, z], "SplitOptions", numSplits=2)
    flat, out = n.tensor((3,), scale=0.1), n.tensor((), scale=0.1)
    n.operator("RESHAPE", [z], [flat], "ReshapeOptions")
    n.operator("MEAN", [flat, n.tensor((1,), "int32", data=np.array([0]))], [out], "ReducerOptions")
    layers = compile_model(n.build([x], [out]), name="model").layers
    told = [(layer.input_shape, layer.output_shape) for layer in layers]
    assert told == [("scalar,1x6", "1x3"), ("1x3", "3"), ("3,1", "scalar")]


def test_an_output_that_is_made_twice():
    n = NetworkBuilder()
    x, y = n.tensor((2, 6), scale=0.1), n.tensor((6,), scale=0.1)
    n.operator("UNPACK", [x], [y, y], "UnpackOptions", num=2)
    assert "operator 0 (UNPACK) writes tensor 1, which is" in refused(n.build([x], [y]))


def relus(shape: tuple[int, ...], count: int = 1) -> bytes:
    """So many operators in a row on tensors of a shape."""
    n = NetworkBuilder()
    tensors = [n.tensor(shape, scale=0.1) for _ in range(count + 1)]
    for a, b in itertools.pairwise(tensors):
        n.operator("RELU", [a], [b])
    return n.build(tensors[:1], tensors[-1:])


def several_subgraphs() -> bytes:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(relus((1, 4))))
    model.subgraphs *= 70
    return packed(model)


def packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def divisions(count: int) -> bytes:
    """So many operators of 200 outputs each."""
    n = NetworkBuilder()
    x, y = n.tensor((200, 1), scale=0.1), n.tensor((1,), scale=0.1)
    for _ in range(count):
        n.operator("UNPACK", [x], [y] * 200, "UnpackOptions", num=200)
    return n.build([x], [y])


def many_groups() -> bytes:
    """Three convolutions of 200 groups."""
    n = NetworkBuilder()
    images = [n.tensor((1, 1, 1, 400), scale=0.1) for _ in range(4)]
    weights = n.tensor((400, 1, 1, 2), scale=0.1, data=np.ones((400, 1, 1, 2)))
    for x, y in itertools.pairwise(images):
        n.operator("CONV_2D", [x, weights], [y], "Conv2DOptions", strideH=1, strideW=1)
    return n.build(images[:1], images[-1:])


def concatenation_of(count: int) -> bytes:
    n = NetworkBuilder()
    x, y = n.tensor((1, 2), scale=0.1), n.tensor((1, 2 * count), scale=0.1)
    n.operator("CONCATENATION", [x] * count, [y], "ConcatenationOptions", axis=1)
    return n.build([x], [y])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            relus((1, 4), 1100),
            "the model has 1,100 operators (at most 1,024 are supported; an unrolled loop, as of a GRU,",
        ),
        (relus((-1, 4)), "tensor 0 has the shape -1x4, with an unknown dimension (export"),
        (relus((1,) * 9), "tensor 0 has 9 dimensions (at most 8"),
        (relus((1, 9 << 20)), "tensor 0 is larger than 8 MiB (no network"),
        (concatenation_of(300), "operator 0 (CONCATENATION): a list of 300 tensors (at most 256"),
        (divisions(9), "operator 5 (UNPACK): with it the operators have 1,200 outputs (at most 1,024"),
        (many_groups(), "operator 2 (CONV_2D): with it the operators have 1,203 steps (at most 1,024"),
        (several_subgraphs(), "the model has 70 subgraphs (networks of one are supported; loops make more"),
    ],
)
def test_what_is_too_much_is_not_called_damaged(model, message):
    text = refused(model)
    assert message in text and "damaged" not in text


def test_types_that_are_not_supported_are_named():
    n = NetworkBuilder()
    x, y = n.tensor((1, 4), scale=0.1), n.tensor((1, 6), scale=0.1)
    w = n.tensor((6, 4), scale=0.1, data=np.zeros((6, 4)))
    n.tensors[w].type = schema.TensorType.INT4
    n.buffers[-1].data = np.zeros(12, np.uint8)
    n.operator("FULLY_CONNECTED", [x, w], [y], "FullyConnectedOptions")
    assert "operator 0 (FULLY_CONNECTED): the weights are int4" in refused(n.build([x], [y]))


def test_every_lowered_operator_has_rules_and_every_rule_a_sentence():
    assert {*CONSTRAINTS, *variables.RULES} == {name for name, _ in OPERATORS.values()}
    for name, sentences in rules().items():
        assert sentences, name
        for sentence in sentences:
            assert sentence.endswith(".") and sentence[0].isupper(), (name, sentence)


def test_accelerators():
    model = conv(NetworkBuilder())
    with pytest.raises(TokayError, match="no accelerator named 'gpu'"):
        compile_model(model, name="model", accelerator="gpu")
