"""A small network of attention, put together by hand."""

from __future__ import annotations

import numpy as np

from tests.tflite_builder import NetworkBuilder

TOKENS, WIDTH, HEADS, CLASSES = 7, 10, 2, 4


class _Layers:
    """Adds operators in a row; each method returns its output."""

    def __init__(self) -> None:
        self.network = NetworkBuilder()
        self._rng = np.random.default_rng(1)

    def ints(self, *values: int) -> int:
        return self.network.tensor((len(values),), "int32", data=np.array(values))

    def int8(self, values: np.ndarray, scale: float) -> int:
        return self.network.tensor(np.shape(values), scale=scale, data=np.asarray(values))

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(self.network.tensors[tensor].shape)

    def add(self, name: str, inputs: list[int], shape: tuple[int, ...], scale: float | tuple[float, int],
            options: str | None = None, **fields: object) -> int:  # fmt: skip
        """``scale`` may have a zero point."""
        scale, zero_point = scale if isinstance(scale, tuple) else (scale, -3)
        output = self.network.tensor(shape, scale=scale, zero_point=zero_point)
        self.network.operator(name, inputs, [output], options, **fields)
        return output

    def same(self, name: str, x: int, shape: tuple[int, ...], *lists: int) -> int:
        """What moves values, in the scale that they have."""
        q = self.network.tensors[x].quantization
        return self.add(name, [x, *lists], shape, (float(q.scale[0]), int(q.zeroPoint[0])))

    def dense(self, x: int, width: int, scale: float) -> int:
        *lead, taps = self.shape(x)
        weights = self.int8(self._rng.integers(-127, 128, (width, taps)), 0.003)
        return self.add("FULLY_CONNECTED", [x, weights, -1], (*lead, width), scale, "FullyConnectedOptions")

    def heads(self, x: int) -> int:
        split = self.same("RESHAPE", x, (1, TOKENS, HEADS, WIDTH // HEADS))
        return self.same("TRANSPOSE", split, (1, HEADS, TOKENS, WIDTH // HEADS), self.ints(0, 2, 1, 3))

    def attend(self, x: int) -> int:
        query, key, value = (self.heads(self.dense(x, WIDTH, 0.06)) for _ in range(3))
        square = (1, HEADS, TOKENS, TOKENS)
        scores = self.add("BATCH_MATMUL", [query, key], square, 0.3, "BatchMatMulOptions", adjY=True)
        half = self.int8(np.array(127), 0.5 / 127)
        scaled = self.add("MUL", [scores, half], square, 0.15, "MulOptions")
        weights = self.add("SOFTMAX", [scaled], square, (1 / 256, -128), "SoftmaxOptions", beta=1.0)
        mixed = self.add("BATCH_MATMUL", [weights, value], self.shape(value), 0.03, "BatchMatMulOptions")
        turned = self.same("TRANSPOSE", mixed, (1, TOKENS, HEADS, WIDTH // HEADS), self.ints(0, 2, 1, 3))
        return self.dense(self.same("RESHAPE", turned, (1, TOKENS, WIDTH)), WIDTH, 0.03)

    def normalize(self, x: int, divides: bool) -> int:
        """By the inverse root of the variance, or divided by its root."""
        last, one = self.ints(2), (1, TOKENS, 1)
        mean = self.add("MEAN", [x, last], one, 0.02, "ReducerOptions", keepDims=True)
        squares = self.add("SQUARED_DIFFERENCE", [x, mean], self.shape(x), (0.2, -128))
        variance = self.add("MEAN", [squares, last], one, (0.1, -128), "ReducerOptions", keepDims=True)
        above = self.add("SUB", [x, mean], self.shape(x), 0.06, "SubOptions")
        if divides:
            root = self.add("SQRT", [variance], one, (0.02, -128))
            return self.add("DIV", [above, root], self.shape(x), 0.02, "DivOptions")
        root = self.add("RSQRT", [variance], one, (0.01, -128))
        return self.add("MUL", [above, root], self.shape(x), 0.02, "MulOptions")


def attention(*, divides: bool) -> bytes:
    """A block of a transformer with a layer normalization (that ``divides``, with SQRT and DIV), a sum of the
    tokens and a classifier."""
    n = _Layers()
    x = n.network.tensor((1, TOKENS, WIDTH), scale=0.05, zero_point=5)
    both = n.add("ADD", [x, n.attend(x)], n.shape(x), 0.06, "AddOptions")
    normal = n.normalize(both, divides)
    pooled = n.add("SUM", [normal, n.ints(1)], (1, WIDTH), 0.08, "ReducerOptions")
    classes = n.dense(pooled, CLASSES, 0.05)
    y = n.add("SOFTMAX", [classes], (1, CLASSES), (1 / 256, -128), "SoftmaxOptions", beta=1.0)
    return n.network.build([x], [y])
