"""Designs the constant tables of the audio front end from its settings.

The C code in ``firmware/frontend`` only reads these tables, so they decide whether it is bit-exact
to the TensorFlow Lite Micro front end (the vendor's fork of it, or upstream: the window differs).
That one computes its tables in C with a mixture of ``float`` and ``double``; each function here says
which steps are rounded to ``float``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WINDOW_BITS = 12
FILTERBANK_BITS = 12
NOISE_REDUCTION_BITS = 14
PCAN_SNR_BITS = 12
LOG_SEGMENTS = 128
INT16_MAX = 32767

f32 = np.float32


def fft_length(window_samples: int) -> int:
    """The FFT is as long as the next power of two that holds the window."""
    return 1 << max(0, (window_samples - 1).bit_length())


def window_coefficients(samples: int, double: bool = False) -> list[int]:
    """Hann window in Q12, sampled at half steps. The angle step and each value are floats.

    The vendor's front end takes the cosine in float, upstream TensorFlow in double: for one window
    size in 25 (480 samples among them) single coefficients differ by 1.
    """
    step = float(f32(math.pi * 2.0 / float(f32(samples))))
    result = []
    for i in range(samples):
        angle = step * (i + 0.5)
        cosine = math.cos(angle) if double else float(f32(math.cos(float(f32(angle)))))
        result.append(math.floor(float(f32(0.5 - 0.5 * cosine) * f32(1 << WINDOW_BITS)) + 0.5))
    return result


def _twiddle(phase: float) -> tuple[int, int]:
    return (
        math.floor(0.5 + INT16_MAX * math.cos(phase)),
        math.floor(0.5 + INT16_MAX * math.sin(phase)),
    )


def fft_radices(points: int) -> list[int]:
    """Radix of each stage of the complex FFT in the order they run: radix 4, and one radix 2 first
    where the power of two is odd."""
    bits = points.bit_length() - 1
    return [2] * (bits % 2) + [4] * (bits // 2)


def fft_order(points: int) -> list[int]:
    """Where the first stages put the block of inputs b, b + blocks, b + 2 blocks, ...: the block number
    is b with its base-4 digits reversed. Blocks hold 4 points, or 8 where there is a radix 2."""
    digits = len(fft_radices(points)) - (1 if fft_radices(points)[0] == 4 else 2)
    order = []
    for b in range(4**digits):
        reversed_b = 0
        for _ in range(digits):
            reversed_b = reversed_b * 4 + b % 4
            b //= 4
        order.append(reversed_b)
    return order


def fft_twiddles(points: int) -> list[tuple[int, int]]:
    """Twiddle factors as the radix-4 stages read them: for each stage and each j from 1 to m-1 the
    j-th, 2j-th and 3j-th. Those of j = 0 are one, and Q15 one times a scaled input changes nothing."""
    table = [_twiddle(-2 * math.pi * i / points) for i in range(points)]
    result = []
    radices = fft_radices(points)
    m = radices[0]
    for _ in radices[1:]:
        stride = points // (4 * m)
        for j in range(1, m):
            result += [table[j * stride * k] for k in (1, 2, 3)]
        m *= 4
    return result


def real_twiddles(points: int) -> list[tuple[int, int]]:
    """Factors that turn the complex FFT of even and odd samples into the real one, for bins 1..points/2."""
    return [_twiddle(-math.pi * ((i + 1) / points + 0.5)) for i in range(points // 2)]


@dataclass(frozen=True)
class Filterbank:
    """Triangular mel filters. Each bin belongs to one rising edge: it adds weight/4096 of its energy to
    the channel of that edge and the rest to the channel before.

    ``edge_widths[c]`` is the number of bins on edge ``c`` (there are channels + 1 edges). A bin listed
    in ``tied_bins`` adds 4097 - weight to the channel before, all others 4096 - weight: both parts
    are rounded up where the weight lies exactly between two integers.
    """

    first_bin: int
    end_bin: int
    edge_widths: tuple[int, ...]
    weights: tuple[int, ...]
    tied_bins: tuple[int, ...]


def _mel(hz: np.float32) -> np.float32:
    return f32(1127.0 * math.log1p(float(hz) / 700.0))


def filterbank(channels: int, lower_hz: float, upper_hz: float, rate_hz: int, bins: int) -> Filterbank | None:
    """Mel filterbank over ``bins`` spectrum bins, the last one left out. None if the bank needs that one, or
    bins past the spectrum.

    A band that ends at half the rate reaches the last bin with the weight 0, which TensorFlow refuses and the
    vendor's build does not. Mel values, their spacing and the weights before quantizing are floats; their
    quantization is in double.
    """
    low = _mel(f32(lower_hz))
    spacing = f32(_mel(f32(upper_hz)) - low) / f32(channels + 1)
    centers = [f32(low + f32(spacing * f32(i + 1))) for i in range(channels + 1)]
    hz_per_bin = f32(0.5 * rate_hz / float(f32(bins) - f32(1)))
    bin_mels = [_mel(f32(f32(i) * hz_per_bin)) for i in range(bins + 1)]
    first = int(1.5 + float(f32(lower_hz) / hz_per_bin))

    widths: list[int] = []
    weights: list[int] = []
    tied: list[int] = []
    index = first
    below = low
    for center in centers:
        start = index
        while index < len(bin_mels) and bin_mels[index] <= center:
            weight = f32(f32(center - bin_mels[index]) / f32(center - below))
            quantized = math.floor(float(weight * f32(1 << FILTERBANK_BITS)) + 0.5)
            complement = math.floor((1.0 - float(weight)) * (1 << FILTERBANK_BITS) + 0.5)
            if quantized + complement != 1 << FILTERBANK_BITS:
                tied.append(index)
            weights.append(quantized)
            index += 1
        widths.append(index - start)
        below = center
    if index == bins and widths[-1] > 0 and weights[-1] == 0:
        index, widths[-1] = index - 1, widths[-1] - 1
        weights.pop()
        tied = [place for place in tied if place < index]
    if index >= bins and (weights or upper_hz > rate_hz / 2):  # else: a band within the last bin, without any
        return None
    return Filterbank(first, index, tuple(widths), tuple(weights), tuple(tied))


def q(value: float, bits: int) -> int:
    """A float setting in fixed point: rounded to float, scaled, truncated towards zero."""
    return int(f32(value) * f32(1 << bits))


def _pcan_gain(x: int, input_bits: int, strength: float, offset: float, gain_bits: int) -> int:
    """Gain at noise estimate x. The power is a float result of float arguments."""
    base = f32(f32(x) / f32(1 << input_bits)) + f32(offset)
    exponent = -float(f32(strength))
    if base == 0 and exponent < 0:
        return INT16_MAX
    try:
        power = f32(min(math.pow(float(base), exponent), 1e30))
    except OverflowError:
        return INT16_MAX
    gain = f32(f32(1 << gain_bits) * power)
    if gain > INT16_MAX:
        return INT16_MAX
    return int(f32(gain + f32(0.5)))


def _int16(value: int) -> int:
    return (value + 0x8000) % 0x10000 - 0x8000


def pcan_gains(input_bits: int, strength: float, offset: float, gain_bits: int) -> list[int]:
    """The PCAN gain as 32 parabolas, one an octave of the noise estimate: entries 0 and 1, then for
    octave n from 2 the start, slope and curvature at 4n-6 (and one unused entry)."""

    def gain(x: int) -> int:
        return _pcan_gain(x, input_bits, strength, offset, gain_bits)

    table = [gain(0), gain(1)]
    for octave in range(2, 33):
        x0 = 1 << (octave - 1)
        x2 = 2 * x0 if octave < 32 else 2 * x0 - 1
        y0, y1, y2 = gain(x0), gain(x0 + x0 // 2), gain(x2)
        slope = 4 * (y1 - y0) - (y2 - y0)
        table += [y0, _int16(slope), _int16(y2 - y0 - slope), 0]
    return table[:-1]


def log_table() -> list[int]:
    """log2(1 + x) - x in Q16 at the ends of 128 segments of x from 0 to 1."""
    steps = (i / LOG_SEGMENTS for i in range(LOG_SEGMENTS + 1))
    return [round(65536 * (math.log2(1 + x) - x)) for x in steps]
