"""What a layer would cost the Cortex-M33: an estimate, to decide who runs it.

The figures are fitted to the kernels of firmware/nn/kernels/cortex_m33 (portable ones where there is no
other), run in the simulator on the layers of five keyword models: cycles for each MAC (or operation of a
layer without), for each output and for each layer; depthwise convolutions also for each channel. They
are within 10 % on half of those layers and within a factor of two on all, which is enough: the
accelerator takes less than half the time wherever a layer has more than a few hundred MACs.
"""

from __future__ import annotations

from codegen.layers import Layer
from codegen.options import MeanOptions

_BY_KERNEL = {
    "conv_2d": (1.03, 13.0, 850),
    "fully_connected": (1.57, 80.6, 180),
    "max_pool_2d": (2.78, 4.0, 300),
    "average_pool_2d": (2.6, 0.0, 300),
    "add": (0.0, 21.0, 270),
    "sub": (0.0, 105.0, 270),
    "mul": (0.0, 17.0, 270),
    "depthwise_conv_2d": (0.0, 27.0, 300),
}
_DEPTHWISE_CHANNEL = 480
_REPEATED = {"add": 110.0, "sub": 110.0, "mul": 24.0}  # for each output, where an input is repeated
_MEAN = (2.7, 23.0)  # for each input value: where channels are kept, and where they are summed too


def cortex_m33_cycles(layer: Layer, inputs: int, outputs: int, channels: int) -> int | None:
    """Estimated cycles of a layer with so many values in its first input, and output values in so many
    channels; None if unknown."""
    if isinstance(layer.options, MeanOptions):
        return round(_MEAN[layer.options.reduced_shape[3] > 1] * inputs + 20 * outputs + 300)
    if layer.kernel not in _BY_KERNEL:
        return None
    per_mac, per_output, fixed = _BY_KERNEL[layer.kernel]
    if getattr(layer.options, "broadcast", 0):
        per_output = _REPEATED[layer.kernel]
    extra = _DEPTHWISE_CHANNEL * channels if layer.kernel == "depthwise_conv_2d" else 0
    return round(per_mac * (layer.macs or layer.ops) + per_output * outputs + fixed + extra)
