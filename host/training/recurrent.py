"""Recurrent layers of Keras as TensorFlow's converter is to see them.

Keras runs an LSTM as a loop over its steps, and a loop in a .tflite is subgraphs that the device cannot run.
The converter has an operator for the whole layer, which it puts in place of a function that says that it
implements an LSTM (by the attribute ``api_implements``), whatever the function does. Keras 2 wrote such
functions, Keras 3 does not: here its layers do for as long as they are exported.

A layer with dropout draws what it would drop, and so counts its random numbers, in every inference: in a
.tflite that is a variable. Here nothing is dropped for as long.
"""

from __future__ import annotations

import contextlib
import types
import uuid
from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np

from codegen.lstm import HIDDEN_STATE
from codegen.schema import CODES

_DROPS = ("dropout", "recurrent_dropout")  # attributes of cells


@contextlib.contextmanager
def exportable(model: Any) -> Iterator[None]:
    """Has the LSTMs of a model, also those within bidirectional layers, export such functions where they can:
    with Keras' default activations, unrolled or not, without a mask, beginning from zeros, their last states
    not returned, of which the operator has none. Others stay what they are. No cell drops anything."""
    layers = list(model._flatten_layers())
    lstms = [layer for layer in layers if _has_an_operator(layer)]
    cells = [layer for layer in layers if all(hasattr(layer, name) for name in ("state_size", *_DROPS))]
    cells = [layer for layer in cells if not hasattr(layer, "cell")]  # whose rates a layer shows as its own
    drops = [(cell, name, getattr(cell, name)) for cell in cells for name in _DROPS]
    for layer in lstms:
        layer.inner_loop = types.MethodType(_inner_loop, layer)
    for cell, name, _ in drops:
        setattr(cell, name, 0.0)
    try:
        yield
    finally:
        for layer in lstms:
            del layer.inner_loop
        for cell, name, rate in drops:
            setattr(cell, name, rate)


def with_scales_of_outputs(tflite: bytes) -> bytes:
    """A quantized model whose LSTMs have hidden states of the scale and zero point of their outputs.

    An output is the hidden state's bytes. Where it is concatenated with others, the converter gives all of
    them what spans their ranges, and leaves the hidden state its own: read as the output is said to be, its
    values would be wrong, by ten steps and more."""
    from ai_edge_litert import schema_py_generated as schema

    model, changed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(tflite))), False
    for graph in model.subgraphs:
        for op in graph.operators:
            if model.operatorCodes[op.opcodeIndex].builtinCode != CODES["unidirectional_sequence_lstm"]:
                continue
            state, output = (graph.tensors[k].quantization for k in (op.inputs[HIDDEN_STATE], op.outputs[0]))
            if (*state.scale, *state.zeroPoint) != (*output.scale, *output.zeroPoint):
                state.scale, state.zeroPoint, changed = output.scale, output.zeroPoint, True
    if not changed:
        return tflite
    builder = flatbuffers.Builder(len(tflite))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _has_an_operator(layer: Any) -> bool:
    import keras

    if type(layer) is not keras.layers.LSTM or layer.return_state:
        return False
    activations = (keras.activations.serialize(f) for f in (layer.activation, layer.recurrent_activation))
    return tuple(activations) == ("tanh", "sigmoid")


def _inner_loop(self: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
    """In place of ``keras.layers.LSTM.inner_loop``, with its arguments and results; its last states, which
    nothing takes, are the first ones."""
    import tensorflow as tf

    if mask is not None or not all(map(_is_zero, initial_state)):
        return type(self).inner_loop(self, sequences, initial_state, mask, training=training)
    cell = self.cell
    bias = cell.bias if self.use_bias else np.zeros(4 * self.units, np.float32)
    weights = [tf.convert_to_tensor(weight) for weight in (cell.kernel, cell.recurrent_kernel, bias)]
    if self.go_backwards:
        sequences = tf.reverse(sequences, [1])
    zeros = tf.zeros((sequences.shape[0], self.units))
    outputs = _standard_lstm()(sequences, zeros, zeros, *weights)[1]
    return outputs[:, -1], outputs, initial_state


def _is_zero(state: Any) -> bool:
    import tensorflow as tf

    value = tf.get_static_value(state)
    return value is not None and not np.any(value)


def _standard_lstm() -> Any:
    """The function, with the arguments and results that the converter expects: the last output, all of them,
    the last states and an unused number. Each use is one of its own."""
    import tensorflow as tf

    def standard(sequences: Any, hidden: Any, cell: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        def step(states: Any, x: Any) -> Any:
            sums = tf.matmul(x, kernel) + tf.matmul(states[0], recurrent) + bias
            take, forget, candidate, give = tf.split(sums, 4, axis=1)
            cell = tf.sigmoid(forget) * states[1] + tf.sigmoid(take) * tf.tanh(candidate)
            return tf.sigmoid(give) * tf.tanh(cell), cell

        states = tf.scan(step, tf.transpose(sequences, (1, 0, 2)), (hidden, cell))
        outputs = tf.transpose(states[0], (1, 0, 2))
        return outputs[:, -1], outputs, states[0][-1], states[1][-1], tf.constant(0.0)

    attributes = {
        "api_implements": f"lstm_{uuid.uuid4()}", "api_preferred_device": "CPU",
        "time_major": False, "go_backwards": False,
    }  # fmt: skip
    return tf.function(standard, autograph=False, experimental_attributes=attributes)
