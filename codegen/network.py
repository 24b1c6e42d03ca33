"""From a .tflite to the network that is checked and compiled: the passes before the second."""

from __future__ import annotations

from codegen.external import with_external_states
from codegen.fold import fold
from codegen.graph import Graph
from codegen.prune import prune
from codegen.read import read_model
from codegen.separate import separate
from codegen.signed import signed
from codegen.states import with_states
from codegen.variables import resolve


def read_network(tflite: bytes) -> Graph:
    """The network of a .tflite, not checked yet; TokayError if the file is damaged."""
    return prune(fold(separate(signed(with_external_states(with_states(resolve(read_model(tflite))))))))
