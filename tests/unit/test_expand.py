"""What becomes several operators gives what one does, however kernels round, and within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.pipeline import compile_model
from host.runtime import Model
from tests.tflite_builder import NetworkBuilder, single


def prelu(shape: tuple[int, ...], slopes: np.ndarray) -> bytes:
    n = NetworkBuilder()
    x = n.tensor(shape, scale=0.1, zero_point=-5)
    a = n.tensor(slopes.shape, scale=0.01, zero_point=3, data=slopes)
    y = n.tensor(shape, scale=0.07, zero_point=9)
    return single("PRELU", [x, a], y, n)


@pytest.mark.parametrize("rounding", ["double", "single"])
def test_many_slopes_give_what_tables_do(rounding):
    """Every int8 with other slopes in every column, and each column as an operator of its own."""
    slopes = np.random.default_rng(1).integers(-128, 128, (256, 3))
    every = np.arange(-128, 128).astype(np.int8)
    model = Model(prelu((256, 3), slopes), rounding=rounding)
    actual = model.invoke(np.repeat(every[:, None], 3, axis=1))
    for column in range(3):
        plan = compile_model(prelu((256, 1), slopes[:, column :][:, :1]), name="model", rounding=rounding)
        tables = plan.layers[0].options.table.reshape(256, 256)
        np.testing.assert_array_equal(actual[:, column], tables[range(256), range(256)])


@pytest.mark.parametrize("elements", [1 << 16, (1 << 16) + 2])
def test_limits_by_channel_of_much(elements):
    """A long constant is not stored as often as it is repeated."""
    n = NetworkBuilder()
    x, y = (n.tensor((elements // 2, 2), scale=0.1) for _ in range(2))
    limits = n.tensor((2,), scale=0.1, data=np.array([3, -50]))
    plan = compile_model(single("MAXIMUM", [x, limits], y, n, "MaximumMinimumOptions"), name="model")
    most = ["pack", "reduce_max"]
    assert [layer.name for layer in plan.layers] == (most if elements <= 1 << 16 else ["broadcast_to", *most])
    values = np.random.default_rng(1).integers(-128, 128, (elements // 2, 2), np.int8)
    model = Model(n.build([x], [y]))
    np.testing.assert_array_equal(model.invoke(values), np.maximum(values, np.array([3, -50])))
