"""The audio front end's settings: the ``fe.*`` parameters of a model, checked, with the tables that
``firmware/frontend`` reads, and the C that holds them.

The same tables go into a board's image (:func:`emit_c`) and into the PC's native library
(:mod:`host.features`): one implementation of the front end, one of its tables.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from codegen import c_text
from codegen import frontend_tables as tables
from codegen.errors import TokayError

STATE_HEADER_BYTES = 32  # FRONTEND_STATE_HEADER_BYTES of frontend_config.h
_LN10_DIV_20 = 0.11512925465


@dataclass(frozen=True)
class FrontendSettings:
    """Every setting of the front end, by the vendor's names (without ``fe.``) and defaults.

    Making one checks it: settings that cannot work raise TokayError with the reason. Units are in the
    names; band limits are in Hz, smoothing, alphas and min_signal_remaining fractions of 1, shifts
    and bits powers of two. A stage's settings are not looked at where its ``_enable`` is off.
    """

    sample_rate_hz: int = 16000
    sample_length_ms: int = 1000
    window_size_ms: int = 25
    window_step_ms: int = 10
    filterbank_n_channels: int = 32
    filterbank_upper_band_limit: float = 7500.0
    filterbank_lower_band_limit: float = 125.0
    noise_reduction_enable: bool = False
    noise_reduction_smoothing_bits: int = 10
    noise_reduction_even_smoothing: float = 0.025
    noise_reduction_odd_smoothing: float = 0.06
    noise_reduction_min_signal_remaining: float = 0.05
    pcan_enable: bool = False
    pcan_strength: float = 0.95
    pcan_offset: float = 80.0
    pcan_gain_bits: int = 21
    log_scale_enable: bool = True
    log_scale_shift: int = 6
    activity_detection_enable: bool = False
    activity_detection_alpha_a: float = 0.5
    activity_detection_alpha_b: float = 0.8
    activity_detection_arm_threshold: float = 0.75
    activity_detection_trip_threshold: float = 0.8
    dc_notch_filter_enable: bool = False
    dc_notch_filter_coefficient: float = 0.95
    quantize_dynamic_scale_enable: bool = False
    quantize_dynamic_scale_range_db: float = 40.0
    upstream_window: bool = False
    """Ours, not the vendor's: the window as upstream TensorFlow rounds it (frontend_tables)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = _typed(field.name, getattr(self, field.name), type(field.default))
            object.__setattr__(self, field.name, value)
        _check(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> FrontendSettings:
        """From a mapping of names to values, with or without ``fe.`` before the names.

        Where any name has the prefix, names without it are other parameters of the model and are
        left alone. ``fft_length`` follows from the window; a value recorded beside the settings
        says nothing of its own and is not read, as in the vendor's tools.
        """
        prefixed = has_frontend(parameters)
        known = {field.name for field in fields(cls)}
        chosen = {}
        for name, value in parameters.items():
            if prefixed and not name.startswith("fe."):
                continue
            short = name.removeprefix("fe.")
            if short == "fft_length":
                continue
            if short not in known:
                close = difflib.get_close_matches(short, known, n=1)
                hint = f"did you mean {close[0]}?" if close else "see codegen.frontend.FrontendSettings"
                raise TokayError(f"front-end setting {name!r} is not known", hint=hint)
            chosen[short] = value
        return cls(**chosen)

    def to_parameters(self) -> dict[str, int | float | bool]:
        """The settings by their ``fe.*`` names, with the FFT length that follows from them. Our own
        ones are left out where they have their default."""
        values = asdict(self)
        if not self.upstream_window:
            del values["upstream_window"]
        return {f"fe.{name}": value for name, value in values.items()} | {"fe.fft_length": self.fft_length}

    @property
    def window_samples(self) -> int:
        return self.window_size_ms * self.sample_rate_hz // 1000

    @property
    def step_samples(self) -> int:
        return self.window_step_ms * self.sample_rate_hz // 1000

    @property
    def sample_length(self) -> int:
        """Samples in the clip that the network classifies."""
        return self.sample_length_ms * self.sample_rate_hz // 1000

    @property
    def fft_length(self) -> int:
        return tables.fft_length(self.window_samples)

    @property
    def channels(self) -> int:
        return self.filterbank_n_channels

    @property
    def frames(self) -> int:
        """Columns of the spectrogram that the network classifies."""
        return (self.sample_length - self.window_samples) // self.step_samples + 1

    @property
    def correction_bits(self) -> int:
        """Shift that undoes the FFT's scaling, less that of the filterbank's weights."""
        return self.fft_length.bit_length() - 1 - tables.FILTERBANK_BITS // 2

    @property
    def dynamic_range(self) -> int:
        """Dynamic quantization's range in units of the log scale; 0 where quantization is static."""
        if not self.quantize_dynamic_scale_enable:
            return 0
        scaled = np.float32(self.quantize_dynamic_scale_range_db) * np.float32(1 << self.log_scale_shift)
        return int(float(scaled) * _LN10_DIV_20)

    @property
    def state_bytes(self) -> int:
        """Memory of one audio stream: see frontend_state_bytes in frontend.c."""
        buffers = [2 * self.window_samples, 2 * self.fft_length, 2 * self.fft_length, 4 * self.channels]
        if self.noise_reduction_enable:
            buffers.append(4 * self.channels)
        return STATE_HEADER_BYTES + sum((size + 7) // 8 * 8 for size in buffers)


def has_frontend(parameters: Mapping[str, Any]) -> bool:
    """Whether a model's parameters say what front end feeds it."""
    return any(name.startswith("fe.") for name in parameters)


def _typed(name: str, value: Any, kind: type) -> Any:
    """The value as the setting's type; refuses what would change by the conversion."""
    try:
        if kind is bool:
            if value in (0, 1):
                return bool(value)
        elif kind is int:
            if isinstance(value, (float, np.floating)) and float(value).is_integer():
                return int(value)
            if not isinstance(value, (bool, np.bool_)):
                return operator.index(value)
        elif not isinstance(value, (str, bytes, bool)) and math.isfinite(value):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    wanted = {bool: "true or false", int: "a whole number", float: "a finite number"}[kind]
    raise TokayError(f"fe.{name} must be {wanted}, not {value!r}")


def _within(s: FrontendSettings, name: str, low: float, high: float, why: str = "") -> None:
    value = getattr(s, name)
    if not low <= value <= high:
        raise TokayError(f"fe.{name} = {value} is outside {low:g} to {high:g}{why and ': ' + why}")


def _check(s: FrontendSettings) -> None:
    _within(s, "sample_rate_hz", 8000, 16000, "the front end is made for speech at 8 to 16 kHz")
    _check_window(s)
    _check_filterbank(s)
    if s.noise_reduction_enable or s.pcan_enable:
        _check_noise_reduction(s)
    if s.log_scale_enable or s.quantize_dynamic_scale_enable:
        _within(s, "log_scale_shift", 0, 31)
    if s.activity_detection_enable:
        for name in ("activity_detection_alpha_a", "activity_detection_alpha_b"):
            _within(s, name, 0, 1, "it is a filter's coefficient")
        for name in ("activity_detection_arm_threshold", "activity_detection_trip_threshold"):
            _within(s, name, 0, 7.999, "it is held in 16 bits, 12 of them after the point")
    if s.dc_notch_filter_enable:
        _within(s, "dc_notch_filter_coefficient", 0, 32767 / 32768, "at 1 and above the filter is not stable")
    if s.quantize_dynamic_scale_enable and not 0 < s.dynamic_range <= 65535:
        raise TokayError(
            f"fe.quantize_dynamic_scale_range_db = {s.quantize_dynamic_scale_range_db:g} is a range of "
            f"{s.dynamic_range} units of the spectrogram",
            hint="40 is usual; the range must be 1 to 65535 units",
        )


def _check_window(s: FrontendSettings) -> None:
    for name in ("window_size_ms", "window_step_ms", "sample_length_ms"):
        if getattr(s, name) < 1:
            raise TokayError(f"fe.{name} = {getattr(s, name)} is less than 1 ms")
    if s.window_step_ms > s.window_size_ms:
        raise TokayError(
            f"fe.window_step_ms = {s.window_step_ms} is longer than the window of {s.window_size_ms} ms",
            hint="samples between two windows would be lost; make the step at most the window",
        )
    if s.window_samples > 16384:
        raise TokayError(
            f"fe.window_size_ms = {s.window_size_ms} at {s.sample_rate_hz} Hz is {s.window_samples} samples",
            hint="windows of at most 16384 samples are supported; 20 to 40 ms is usual",
        )
    if s.sample_length < s.window_samples:
        raise TokayError(
            f"fe.sample_length_ms = {s.sample_length_ms} is shorter than the window of {s.window_size_ms} ms",
            hint="a clip must hold at least one window",
        )
    if s.frames > 0xFFFF:
        raise TokayError(f"fe.sample_length_ms = {s.sample_length_ms} makes more than 65535 frames")


def _check_filterbank(s: FrontendSettings) -> None:
    lower, upper = s.filterbank_lower_band_limit, s.filterbank_upper_band_limit
    _within(s, "filterbank_n_channels", 1, 4096)
    if lower < 0 or np.float32(upper) <= np.float32(lower):
        raise TokayError(
            f"fe.filterbank_lower_band_limit = {lower:g} and upper_band_limit = {upper:g} span no band",
            hint="0 <= lower < upper, in Hz",
        )
    # A limit far past the spectrum would be walked to bin by bin.
    bank = None if upper > s.sample_rate_hz else _filterbank(s)
    if bank is None:
        raise TokayError(
            f"fe.filterbank_upper_band_limit = {upper:g} reaches past the spectrum at {s.sample_rate_hz} Hz",
            hint=f"choose {s.sample_rate_hz / 2:g} at most",
        )
    if bank.first_bin >= bank.end_bin:
        raise TokayError(
            f"no FFT bin lies between fe.filterbank_lower_band_limit = {lower:g} and upper_band_limit = "
            f"{upper:g} Hz",
            hint=f"bins are {s.sample_rate_hz / s.fft_length:g} Hz apart: widen the band or the window",
        )


def _check_noise_reduction(s: FrontendSettings) -> None:
    if s.pcan_enable and not s.noise_reduction_enable:
        raise TokayError(
            "fe.pcan_enable needs fe.noise_reduction_enable: its gain follows the noise estimate",
            hint="enable noise reduction or disable PCAN",
        )
    for name in ("even_smoothing", "odd_smoothing", "min_signal_remaining"):
        _within(s, f"noise_reduction_{name}", 0, 1, "it is a fraction")
    _within(s, "noise_reduction_smoothing_bits", 0, 31)
    if not s.pcan_enable:
        return
    _within(s, "pcan_gain_bits", 0, 31)
    if s.pcan_offset < 0:
        raise TokayError(f"fe.pcan_offset = {s.pcan_offset:g} is negative: PCAN takes a power of its sum")
    if not 0 <= s.noise_reduction_smoothing_bits - s.correction_bits <= 31:
        raise TokayError(
            f"fe.noise_reduction_smoothing_bits = {s.noise_reduction_smoothing_bits} does not go with PCAN "
            f"and an FFT of {s.fft_length}",
            hint=f"choose {max(0, s.correction_bits)} to {min(31, 31 + s.correction_bits)}",
        )
    least = s.correction_bits + tables.PCAN_SNR_BITS
    if s.pcan_gain_bits < least:
        raise TokayError(
            f"fe.pcan_gain_bits = {s.pcan_gain_bits} is too few for an FFT of {s.fft_length}",
            hint=f"choose {least} to 31",
        )


@dataclass(frozen=True)
class FrontendTables:
    """What ``frontend_config_t`` points to, in its order and formats. Complex values are (re, im)."""

    window: tuple[int, ...]
    fft_order: tuple[int, ...]
    fft_twiddles: tuple[tuple[int, int], ...]
    real_twiddles: tuple[tuple[int, int], ...]
    edge_widths: tuple[int, ...]
    weights: tuple[int, ...]
    tied_bins: tuple[int, ...]
    pcan_gains: tuple[int, ...]
    log_table: tuple[int, ...]


ELEMENT = {  # of each table: the C type
    "window": "int16_t",
    "fft_order": "uint16_t",
    "fft_twiddles": "frontend_complex_t",
    "real_twiddles": "frontend_complex_t",
    "edge_widths": "uint16_t",
    "weights": "uint16_t",
    "tied_bins": "uint16_t",
    "pcan_gains": "int16_t",
    "log_table": "uint16_t",
}


@functools.lru_cache(maxsize=32)
def design(s: FrontendSettings) -> FrontendTables:
    """All tables for these settings; an empty one is not used by them."""
    points = s.fft_length // 2
    bank = _checked_filterbank(s)
    gains: list[int] = []
    if s.pcan_enable:
        input_bits = s.noise_reduction_smoothing_bits - s.correction_bits
        gains = tables.pcan_gains(input_bits, s.pcan_strength, s.pcan_offset, s.pcan_gain_bits)
    window = tables.window_coefficients(s.window_samples, s.upstream_window)
    return FrontendTables(
        window=tuple(window + [0] * (len(window) % 2)),
        fft_order=tuple(tables.fft_order(points)),
        fft_twiddles=tuple(tables.fft_twiddles(points)),
        real_twiddles=tuple(tables.real_twiddles(points)),
        edge_widths=bank.edge_widths,
        weights=bank.weights,
        tied_bins=bank.tied_bins,
        pcan_gains=tuple(gains),
        log_table=tuple(tables.log_table()) if s.log_scale_enable else (),
    )


def _filterbank(s: FrontendSettings) -> tables.Filterbank | None:
    lower, upper = s.filterbank_lower_band_limit, s.filterbank_upper_band_limit
    return tables.filterbank(s.channels, lower, upper, s.sample_rate_hz, s.fft_length // 2 + 1)


def _checked_filterbank(s: FrontendSettings) -> tables.Filterbank:
    bank = _filterbank(s)
    assert bank is not None, "checked when the settings were made"
    return bank


def scalars(s: FrontendSettings) -> dict[str, int]:
    """The fields of ``frontend_config_t`` that are no pointers, by name."""
    q = tables.q
    bits = tables.NOISE_REDUCTION_BITS
    bank = _checked_filterbank(s)
    values = {
        "sample_rate_hz": s.sample_rate_hz,
        "window_samples": s.window_samples,
        "step_samples": s.step_samples,
        "fft_length": s.fft_length,
        "channels": s.channels,
        "frames": s.frames,
        "first_bin": bank.first_bin,
        "end_bin": bank.end_bin,
        "tied_count": len(bank.tied_bins),
        "correction_bits": s.correction_bits,
        "log_shift": s.log_scale_shift if s.log_scale_enable else 0,
        "dynamic_range": s.dynamic_range,
    }
    if s.noise_reduction_enable:
        values |= {
            "noise_reduction": 1,
            "noise_smoothing_bits": s.noise_reduction_smoothing_bits,
            "noise_smoothing_even": q(s.noise_reduction_even_smoothing, bits),
            "noise_smoothing_odd": q(s.noise_reduction_odd_smoothing, bits),
            "noise_min_signal": q(s.noise_reduction_min_signal_remaining, bits),
        }
    if s.pcan_enable:
        values["pcan_snr_shift"] = s.pcan_gain_bits - s.correction_bits - tables.PCAN_SNR_BITS
    if s.dc_notch_filter_enable:
        values |= {"dc_notch": 1, "dc_notch_coefficient": q(s.dc_notch_filter_coefficient, 15)}
    if s.activity_detection_enable:
        values |= {
            "activity": 1,
            "activity_shift": max(0, (s.channels - 1).bit_length()),
            "activity_alpha_a": q(s.activity_detection_alpha_a, 8),
            "activity_alpha_b": q(s.activity_detection_alpha_b, 8),
            "activity_arm": q(s.activity_detection_arm_threshold, 12),
            "activity_trip": q(s.activity_detection_trip_threshold, 12),
        }
    return values


def _elements(values: Iterable[Any]) -> Iterator[str]:
    """A table's values as C initializers; a pair is the union frontend_complex_t."""
    return (f"{{{{{x[0]}, {x[1]}}}}}" if isinstance(x, tuple) else str(x) for x in values)


def emit_c(s: FrontendSettings) -> dict[str, str]:
    """``frontend_settings.h`` and ``.c``: constants and ``model_frontend_config`` of these settings."""
    digest = hashlib.sha256(json.dumps(s.to_parameters(), sort_keys=True).encode()).hexdigest()[:16]
    banner = f"/* Generated by codegen.frontend from the model's fe.* settings ({digest}). Do not edit. */\n"
    constants = {
        "SAMPLE_RATE_HZ": s.sample_rate_hz,
        "WINDOW_SAMPLES": s.window_samples,
        "STEP_SAMPLES": s.step_samples,
        "CHANNELS": s.channels,
        "FRAMES": s.frames,
        "FEATURES": s.frames * s.channels,
        "STATE_BYTES": s.state_bytes,
        "DYNAMIC": int(s.dynamic_range != 0),
    }
    defines = "".join(f"#define FRONTEND_{name} {value}\n" for name, value in constants.items())
    header = (
        f"{banner}#ifndef FRONTEND_SETTINGS_H\n#define FRONTEND_SETTINGS_H\n\n"
        f'#include "frontend_config.h"\n\n{defines}\n'
        "extern const frontend_config_t model_frontend_config;\n\n#endif\n"
    )
    arrays, initializers = [], []
    for name, values in vars(design(s)).items():
        if not values:
            continue
        rows = c_text.rows(_elements(values), 2)
        arrays.append(f"_Alignas(4) static const {ELEMENT[name]} {name}[{len(values)}] = {{\n{rows}\n}};\n")
        initializers.append(f"  .{name} = {name},\n")
    initializers += [f"  .{name} = {value},\n" for name, value in scalars(s).items()]
    source = (
        f'{banner}#include "frontend_settings.h"\n\n' + "\n".join(arrays) + "\n"
        "const frontend_config_t model_frontend_config = {\n" + "".join(initializers) + "};\n"
    )
    return {"frontend_settings.h": header, "frontend_settings.c": source}
