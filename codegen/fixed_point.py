"""The quantized arithmetic that is done when code is generated, in exact integers.

Multipliers, clamping bounds, and the tables of exponentials and of functions of an int8, all with the
roundings of TensorFlow Lite Micro's reference kernels (its fixed-point format is gemmlowp's).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

INT32_MAX = (1 << 31) - 1
INT32_MIN = -(1 << 31)
INT16_MAX = (1 << 15) - 1

Scale = tuple[float, int]
"""Scale and zero point of a tensor."""


def quantize_multiplier(real: float) -> tuple[int, int]:
    """``real`` as (multiplier, shift): multiplier in [2^30, 2^31) times 2^(shift - 31), or (0, 0)."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def round_half_away(value: float) -> int:
    """C's ``round`` of a float."""
    whole = math.trunc(value)
    return whole + (1 if value - whole >= 0.5 else -1 if value - whole <= -0.5 else 0)


def quantize(value: float, scale: float, zero_point: int) -> int:
    """``value`` at this scale, not clamped; the division is a float's, as on the device."""
    return zero_point + round_half_away(float(np.float32(value) / np.float32(scale)))


def activation_range(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """The int8 bounds that a fused activation leaves."""
    low, high = -128, 127
    if activation in ("relu", "relu6"):
        low = max(low, zero_point)
    if activation == "relu6":
        high = min(high, quantize(6.0, scale, zero_point))
    if activation == "relu_n1_to_1":
        low = max(low, quantize(-1.0, scale, zero_point))
        high = min(high, quantize(1.0, scale, zero_point))
    return low, high


def multiply_high(a: int, b: int) -> int:
    """a * b / 2^31, rounded to nearest."""
    return min((a * b + (1 << 30)) >> 31, INT32_MAX)


def round_shift(x: int, bits: int) -> int:
    """x / 2^bits, rounded to nearest, halves away from zero."""
    mask = (1 << bits) - 1
    return (x >> bits) + ((x & mask) > (mask >> 1) + (x < 0))


def requantize(x: int, multiplier: int, shift: int, rounding: str = "double") -> int:
    """x times a quantized multiplier, rounded twice or once as nn_requantize does."""
    if rounding == "single":
        return (x * multiplier + (1 << (30 - shift))) >> (31 - shift)
    return round_shift(multiply_high(x << max(shift, 0), multiplier), max(-shift, 0))


def _saturate(x: int) -> int:
    return max(INT32_MIN, min(INT32_MAX, x))


# exp(-2^k) for k = -2..4 with 31 fraction bits.
_EXP_OF_MINUS_POWER = {k: math.floor(math.exp(-(2.0**k)) * (1 << 31) + 0.5) for k in range(-2, 5)}
_EXP_OF_MINUS_EIGHTH = math.floor(math.exp(-1 / 8) * (1 << 31) + 0.5)
_THIRD = 715827883
_HALF_ROOT_OF_2 = 1518500250


def _exp_of_small(a: int) -> int:
    """exp of a in [-1/4, 0), 31 fraction bits: the fourth-order Taylor polynomial around -1/8."""
    x = a + (1 << 28)
    x2 = multiply_high(x, x)
    x3 = multiply_high(x2, x)
    x4 = multiply_high(x2, x2)
    higher = multiply_high(round_shift(x4, 2) + x3, _THIRD) + x2
    return _EXP_OF_MINUS_EIGHTH + multiply_high(_EXP_OF_MINUS_EIGHTH, x + round_shift(higher, 1))


def exp_of_negative(a: int, integer_bits: int) -> int:
    """exp(a) with 31 fraction bits, for a <= 0 with ``integer_bits`` integer bits."""
    if a == 0:
        return INT32_MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    small = (a & (quarter - 1)) - quarter
    result = _exp_of_small(_saturate(small << integer_bits))
    remainder = small - a
    for power in range(-2, integer_bits):
        if remainder >> (fraction_bits + power) & 1:
            result = multiply_high(result, _EXP_OF_MINUS_POWER[power])
    return result


def _twice_inverse_of_one_plus(a: int) -> int:
    """2 / (1 + a) with 29 fraction bits, for a in [0, 1) with 31: three Newton steps, as softmax.c's."""
    half_denominator = (a + INT32_MAX + 1) // 2
    x = 1515870810 + multiply_high(half_denominator, -1010580540)
    for _ in range(3):
        error = (1 << 29) - multiply_high(half_denominator, x)
        x += _saturate(multiply_high(x, error) << 2)
    return x


def inverses() -> np.ndarray:
    """int32[256]: 2^n / d with 31 fraction bits for d = 1, 2, ..., where 2^n is the largest power of two that
    is not above d; that of 0 is that of 1."""
    fractions = ((d << 32 - d.bit_length()) - (1 << 31) for d in (1, *range(1, 256)))
    return np.array([_saturate(_twice_inverse_of_one_plus(a) << 1) for a in fractions], np.int32)


def input_radius(integer_bits: int, left_shift: int) -> int:
    """The largest input whose scaled value still fits ``integer_bits``."""
    return math.floor(((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) / (1 << left_shift))


def softmax_multiplier(scale: float, beta: float, rounding: str = "double") -> tuple[int, int]:
    """Multiplier and shift of differences to their exponents, which have 26 fraction bits."""
    largest = INT32_MAX if rounding == "double" else INT32_MAX >> 1
    return quantize_multiplier(min(beta * scale * (1 << 26), largest))


def softmax_table(scale: float, beta: float, rounding: str = "double") -> np.ndarray:
    """exp(-d * beta * scale) for d = 0, 1, ... as far as the reference looks."""
    multiplier, left_shift = softmax_multiplier(scale, beta, rounding)
    entries = min(255, input_radius(5, left_shift)) + 1
    values = [exp_of_negative(requantize(-d, multiplier, left_shift, rounding), 5) for d in range(entries)]
    return np.array(values, np.int32)


def log_softmax_table(scale: float, rounding: str = "double") -> np.ndarray:
    """exp(-d * scale) for d = 0, 1, ... with 19 fraction bits, down to exp(-16), which is none of them."""
    multiplier = softmax_multiplier(scale, 1.0, rounding)
    table = softmax_table(scale, 1.0, rounding)
    exponents = (requantize(-d, *multiplier, rounding) for d in range(len(table)))
    shares = zip(exponents, table, strict=True)
    return np.array([round_shift(int(share), 12) for x, share in shares if x >= -16 << 26], np.int32)


def logistic_table(scale: float, zero_point: int, rounding: str = "double") -> np.ndarray:
    """The int8 outcomes (scale 1/256, zero point -128) of the 256 int8 inputs."""
    return _sigmoid_table(scale, zero_point, rounding, lambda x: round_shift(_logistic(x), 23) - 128)


def tanh_table(scale: float, zero_point: int, rounding: str = "double") -> np.ndarray:
    """The int8 outcomes (scale 1/128, zero point 0) of the 256 int8 inputs."""
    return _sigmoid_table(scale, zero_point, rounding, lambda x: round_shift(_tanh(x), 24))


def _sigmoid_table(
    scale: float, zero_point: int, rounding: str, outcome: Callable[[int], int]
) -> np.ndarray:
    """The outcomes of a function that is flat beyond +-16, of inputs with 27 fraction bits."""
    fraction, left_shift = math.frexp(scale * (1 << 27))
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    radius = input_radius(4, left_shift) if left_shift >= 0 else INT32_MAX

    def of(x: int) -> int:
        if abs(x) >= radius:
            return 127 if x > 0 else -128
        return outcome(requantize(x, multiplier, left_shift, rounding))

    return _int8(of(value - zero_point) for value in range(-128, 128))


def sigmoid_table() -> np.ndarray:
    """uint16[256]: the sigmoid of i / 24 with 16 fraction bits, between whose entries LSTMs interpolate.

    Straight lines between points of a curve that bends down lie below it, half-way by an eighth of its
    second difference. The reference's entries are raised by half of that, so that errors are as large on
    either side; the last one, which stands for all that follow, is the largest number."""
    entries = []
    for i in range(255):
        s = 1 / (1 + math.exp(-i / 24))
        bend = s * (1 - s) * (2 * s - 1) / 24**2
        entries.append(math.floor((1 << 16) * (s + bend / 16) + 0.5))
    return np.array([*entries, (1 << 16) - 1], np.uint16)


def leaky_relu_table(source: Scale, output: Scale, alpha: float, rounding: str = "double") -> np.ndarray:
    """The int8 outcomes of the 256 int8 inputs."""
    (scale, zero_point), (output_scale, output_zero_point) = source, output
    slopes = [quantize_multiplier(scale * slope / output_scale) for slope in (alpha, 1.0)]
    values = (value - zero_point for value in range(-128, 128))
    return _int8(output_zero_point + requantize(x, *slopes[x >= 0], rounding) for x in values)


def abs_table(source: Scale, output: Scale, rounding: str = "double") -> np.ndarray:
    """The int8 outcomes of the 256 int8 inputs; one scale for both leaves them as they are."""
    (scale, zero_point), (output_scale, output_zero_point) = source, output
    factor = quantize_multiplier(float(np.float32(scale) / np.float32(output_scale)))
    values = (abs(value - zero_point) for value in range(-128, 128))
    return _int8(output_zero_point + requantize(x, *factor, rounding) for x in values)


def prelu_table(
    source: Scale, slope: Scale, output: Scale, alpha: int, rounding: str = "double"
) -> np.ndarray:
    """The int8 outcomes of the 256 int8 inputs, for one int8 ``alpha``, which multiplies negative values."""
    (scale, zero_point), (output_scale, output_zero_point) = source, output
    factors = [quantize_multiplier(scale * by / output_scale) for by in (slope[0], 1.0)]
    values = (value - zero_point for value in range(-128, 128))
    return _int8(
        output_zero_point + requantize(x if x >= 0 else x * (alpha - slope[1]), *factors[x >= 0], rounding)
        for x in values
    )


def rsqrt_factor(source: float, output: float) -> float:
    """From the inverse root of an int8, less its zero point, to the output's scale."""
    return 1 / (math.sqrt(source) * output)


def rsqrt_table(source: Scale, output: Scale, rounding: str = "double") -> np.ndarray:
    """The int8 outcomes of the 256 int8 inputs. Zero gives the largest, and so do the negative values, at
    which the reference stops."""
    (scale, zero_point), (output_scale, output_zero_point) = source, output
    bits = 20  # that keep the inverse root, which is at most 1, an integer
    multiplier, shift = quantize_multiplier(rsqrt_factor(scale, output_scale))

    def outcome(x: int) -> int:
        if x <= 0:
            return 127
        root, root_shift = _inverse_root(x)
        fine = requantize(1, root, root_shift + bits, rounding)
        return output_zero_point + requantize(fine, multiplier, shift - bits, rounding)

    return _int8(outcome(value - zero_point) for value in range(-128, 128))


def _inverse_root(x: int) -> tuple[int, int]:
    """1 / sqrt(x) of 1..255 as a multiplier and a shift: five Newton steps from 1, with 3 integer bits."""
    if x == 1:
        return INT32_MAX, 0
    pairs = (31 - x.bit_length()) // 2 - 1  # of bits that x is shifted up by, to [2^27, 2^29)
    half = round_shift(x << 2 * pairs >> 1, 1)
    root = 1 << 28
    for _ in range(5):
        cube = _saturate(multiply_high(multiply_high(root, root), root) << 6)
        root = _saturate((multiply_high(3 << 27, root) - multiply_high(half, cube)) << 3)
    root = multiply_high(root, _HALF_ROOT_OF_2)
    shift = pairs - 11
    return (root << shift, 0) if shift > 0 else (root, shift)


def hard_swish_table(source: Scale, output: Scale) -> np.ndarray:
    """The int8 outcomes of the 256 int8 inputs, x times a gate that rises from 0 at -3 to 1 at 3, in 16 bits
    as the reference has them. The ratio of scales is a double, as in TensorFlow Lite Micro's build;
    TensorFlow's own has a float, which now and then is another 16-bit multiplier."""
    (scale, zero_point), (output_scale, output_zero_point) = source, output
    fine = np.float32(scale) / np.float32(128)  # of inputs shifted up by 7 bits
    to_output, shift = _multiplier_of_16_bits(float(fine) / float(np.float32(output_scale)))
    to_gate, gate_shift = _multiplier_of_16_bits(float(fine / (np.float32(3) / np.float32(32768))))

    def outcome(x: int) -> int:
        high = x << 7
        gate = _saturate_16(high << max(gate_shift - 1, 0))  # the last bit of a left shift comes later
        gate = _saturate_16(_multiply_high_16(gate, to_gate) << (gate_shift > 0))
        gate = (round_shift(gate, max(-gate_shift, 0)) + (1 << 15)) >> 1
        product = gate * _multiply_high_16(high, to_output)
        towards_zero = (abs(product) >> 15) * (-1 if product < 0 else 1)
        return output_zero_point + round_shift(towards_zero, -shift)

    return _int8(outcome(value - zero_point) for value in range(-128, 128))


def _int8(values: Iterable[int]) -> np.ndarray:
    return np.array([max(-128, min(127, value)) for value in values], np.int8)


def _multiplier_of_16_bits(real: float) -> tuple[int, int]:
    """A quantized multiplier of 16 bits and its shift."""
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, INT16_MAX), shift


def _multiply_high_16(a: int, b: int) -> int:
    """a * b / 2^15, rounded to nearest; not both -2^15."""
    return (a * b + (1 << 14)) >> 15


def _saturate_16(x: int) -> int:
    return max(-INT16_MAX - 1, min(INT16_MAX, x))


def _logistic(x: int) -> int:
    """1 / (1 + exp(-x)) with 31 fraction bits."""
    if x == 0:
        return 1 << 30
    positive = _saturate(_twice_inverse_of_one_plus(exp_of_negative(-abs(x), 4)) << 1)
    return positive if x > 0 else INT32_MAX - positive


def _tanh(x: int) -> int:
    """(1 - exp(-2 x)) / (1 + exp(-2 x)) with 31 fraction bits."""
    if x == 0:
        return 0
    positive = _saturate((_twice_inverse_of_one_plus(exp_of_negative(-abs(x), 5)) - (1 << 29)) << 2)
    return positive if x > 0 else -positive
