"""Operators that become several, against TensorFlow Lite Micro's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codegen.pipeline import compile_model
from host.runtime import Model
from tests.golden.reference import SCALES, SEEDS, ZERO_POINTS, assert_exact, random_models
from tests.tflite_builder import NetworkBuilder, single

THREE_SCALES = st.tuples(SCALES, SCALES, SCALES)
THREE_ZERO_POINTS = st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS)


def prelu(shape, slopes, factors, zeros, seed) -> bytes:
    n = NetworkBuilder()
    values = np.random.default_rng(seed).integers(-128, 128, slopes)
    x = n.tensor(shape, scale=factors[0], zero_point=zeros[0])
    a = n.tensor(slopes, scale=factors[1], zero_point=zeros[1], data=values)
    y = n.tensor(shape, scale=factors[2], zero_point=zeros[2])
    return single("PRELU", [x, a], y, n)


@random_models
@given(st.sampled_from([(1, 5, 9, 6), (1, 43, 6), (1, 300), (2, 257)]), st.booleans(), THREE_SCALES,
       THREE_ZERO_POINTS, SEEDS)  # fmt: skip
def test_prelu_with_many_slopes(shape, batch, factors, zeros, seed):
    """As Keras' PReLU has them if it shares none."""
    assume(255 * 255 * factors[0] * factors[1] / factors[2] < 2**28 and 255 * factors[0] / factors[2] < 2**28)
    model = prelu(shape, shape if batch and shape[0] == 1 else shape[1:], factors, zeros, seed)
    names = [layer.name for layer in Model(model).layers]
    assert names == ["minimum", "mul", "leaky_relu", "add"]
    assert_exact(model, seed)


@pytest.mark.parametrize("rounding", ["double", "single"])
def test_many_slopes_give_what_tables_do(rounding):
    """Every int8 with other slopes in every column, and each column as an operator of its own."""
    scales, zeros = (0.1, 0.01, 0.07), (-5, 3, 9)
    model = Model(prelu((256, 3), (256, 3), scales, zeros, 1), rounding=rounding)
    slopes = model.plan.graph.tensors[model.plan.layers[1].inputs[1]].data
    every = np.arange(-128, 128).astype(np.int8)
    actual = model.invoke(np.repeat(every[:, None], 3, axis=1))
    for column in range(3):
        n = NetworkBuilder()
        x, y = (n.tensor((256, 1), scale=scales[k], zero_point=zeros[k]) for k in (0, 2))
        a = n.tensor((256, 1), scale=scales[1], zero_point=zeros[1], data=slopes[:, column])
        plan = compile_model(single("PRELU", [x, a], y, n), name="model", rounding=rounding)
        tables = plan.layers[0].options.table.reshape(256, 256)
        np.testing.assert_array_equal(actual[:, column], tables[range(256), range(256)])
