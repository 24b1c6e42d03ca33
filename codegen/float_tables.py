"""Functions of an int8 that the reference computes in single precision, once for each of the 256 inputs.

Exponentials and their kind are rounded from double precision here. The reference takes its C library's,
which may be some units of the last place off: enough to round to the other side where a result lies half-way
between two outputs, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from codegen.fixed_point import Scale, round_half_away

Options = Mapping[str, Any]
Function = Callable[[np.float32, Options], float]

FOLDED = "folded"
"""The option of an operator whose input is dequantized and output quantized by others
(:mod:`codegen.fold`)."""

BEFORE = "before"
"""The option of such an operator that has the functions in floats between the dequantize and it, in their
order: names and options."""


def _elu(x: np.float32, _: Options) -> float:
    return math.expm1(x) if x < 0 else x


def _exp(x: np.float32, _: Options) -> float:
    return math.exp(min(x, np.float32(700)))  # more is infinite in single precision anyway


def _log(x: np.float32, _: Options) -> float:
    return math.log(x) if x > 0 else -math.inf


def _gelu(x: np.float32, options: Options) -> np.float32:
    half = np.float32(0.5) * x
    if not options["approximate"]:
        return half * np.float32(math.erfc(x * np.float32(-math.sqrt(0.5))))
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return half * (np.float32(1) + np.float32(math.tanh(inner)))


FUNCTIONS: dict[str, Function] = {
    "elu": _elu,
    "exp": _exp,
    "gelu": _gelu,
    "log": _log,
    "neg": lambda x, _: -x,
    "sqrt": lambda x, _: math.sqrt(max(x, 0)),
    "square": lambda x, _: x * x,
}


def steps_from_zero(name: str, source: Scale, output: Scale, options: Options) -> list[float]:
    """What the 256 inputs give, in units of the output's scale: multiplied by its inverse as the reference's
    int8 kernels do, or divided by it as its kernel for roots does, and, where it is folded, as it quantizes.
    """
    divided = options.get(FOLDED) or name == "sqrt"
    functions = (*options.get(BEFORE, ()), (name, options))
    (scale, zero_point), output_scale = source, np.float32(output[0])

    def steps(value: int) -> float:
        result = np.float32(scale) * np.float32(value - zero_point)
        for function, own in functions:
            result = np.float32(FUNCTIONS[function](result, own))
        return float(result / output_scale if divided else result * inverse)

    with np.errstate(over="ignore", invalid="ignore"):
        inverse = np.float32(1) / output_scale
        return [steps(value) for value in range(-128, 128)]


def float_table(name: str, source: Scale, output: Scale, options: Options) -> np.ndarray:
    """int8[256]: the outcomes of the 256 int8 inputs. The reference's kernel for roots drops fractions (and
    stops at negative inputs, which have the root 0 here)."""
    whole = math.trunc if name == "sqrt" and not options.get(FOLDED) else round_half_away
    bounded = (max(-512.0, min(512.0, steps)) for steps in steps_from_zero(name, source, output, options))
    values = [output[1] + whole(steps) for steps in bounded]
    return np.clip(values, -128, 127).astype(np.int8)
