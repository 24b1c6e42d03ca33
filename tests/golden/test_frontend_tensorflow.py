"""Random audio and random settings against TensorFlow's own front end operator, bit for bit.

The one file of the front end's tests that imports TensorFlow (it takes seconds).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from codegen import frontend_tables as tables
from codegen.errors import TokayError
from codegen.frontend import FrontendSettings, design
from host.features import Frontend
from tests.sounds import ROOTS, roots_of_65536

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
operator = pytest.importorskip(
    "tensorflow.lite.experimental.microfrontend.python.ops.audio_microfrontend_op",
    reason="TensorFlow is not installed",
)


def reference(s: FrontendSettings, audio: np.ndarray) -> np.ndarray:
    """The operator's result; its noise reduction cannot be switched off, but made to change nothing."""
    off = not s.noise_reduction_enable
    return operator.audio_microfrontend(
        __import__("tensorflow").constant(audio),
        sample_rate=s.sample_rate_hz,
        window_size=s.window_size_ms,
        window_step=s.window_step_ms,
        num_channels=s.filterbank_n_channels,
        upper_band_limit=s.filterbank_upper_band_limit,
        lower_band_limit=s.filterbank_lower_band_limit,
        smoothing_bits=0 if off else s.noise_reduction_smoothing_bits,
        even_smoothing=0.0 if off else s.noise_reduction_even_smoothing,
        odd_smoothing=0.0 if off else s.noise_reduction_odd_smoothing,
        min_signal_remaining=1.0 if off else s.noise_reduction_min_signal_remaining,
        enable_pcan=s.pcan_enable,
        pcan_strength=s.pcan_strength,
        pcan_offset=s.pcan_offset,
        gain_bits=s.pcan_gain_bits,
        enable_log=s.log_scale_enable,
        scale_shift=s.log_scale_shift,
    ).numpy()


def audio_of(kind: str, samples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "noise":
        wave = rng.normal(0, 10 ** rng.uniform(0, 4.6), samples)
    elif kind == "bursts":
        wave = rng.normal(0, 1, samples) * 10 ** np.interp(
            np.arange(samples), np.linspace(0, samples, 12), rng.uniform(-1, 4.6, 12)
        )
    elif kind == "square":
        wave = 40000 * np.sign(np.sin(np.arange(samples) * rng.uniform(0.01, 3)))
    elif kind == "tone":
        wave = 10 ** rng.uniform(0, 4.6) * np.sin(np.arange(samples) * rng.uniform(0.01, 3))
    elif kind == "impulses":
        wave = np.where(rng.random(samples) < 0.003, -32768, 0)
    else:
        wave = rng.choice([-32768, 32767], samples)
    return np.clip(np.round(wave), -32768, 32767).astype(np.int16)


KINDS = ["noise", "bursts", "square", "tone", "impulses", "extremes"]
COMMON: dict[str, Any] = {"upstream_window": True}


@st.composite
def frontends(draw: st.DrawFn) -> FrontendSettings:
    rate = draw(st.one_of(st.sampled_from([8000, 11025, 12000, 16000]), st.integers(8000, 16000)))
    window = draw(st.integers(2, 64))
    lower = draw(st.floats(0, 1500))
    reduce = draw(st.booleans())
    try:
        return FrontendSettings(
            sample_rate_hz=rate,
            window_size_ms=window,
            window_step_ms=draw(st.integers(1, window)),
            filterbank_n_channels=draw(st.integers(1, 128)),
            filterbank_lower_band_limit=lower,
            filterbank_upper_band_limit=draw(st.floats(lower + 50, rate / 2 - 0.1)),
            noise_reduction_enable=reduce,
            noise_reduction_smoothing_bits=draw(st.integers(0, 16)),
            noise_reduction_even_smoothing=draw(st.floats(0, 1)),
            noise_reduction_odd_smoothing=draw(st.floats(0, 1)),
            noise_reduction_min_signal_remaining=draw(st.floats(0, 1)),
            pcan_enable=reduce and draw(st.booleans()),
            pcan_strength=draw(st.floats(0, 2)),
            pcan_offset=draw(st.floats(0, 1000)),
            pcan_gain_bits=draw(st.integers(16, 28)),
            log_scale_enable=draw(st.booleans()),
            log_scale_shift=draw(st.integers(0, 10)),
            **COMMON,
        )
    except TokayError:
        assume(False)
        raise


def check(s: FrontendSettings, kind: str, seed: int, windows: int = 6) -> None:
    audio = audio_of(kind, s.window_samples + (windows - 1) * s.step_samples + seed % 7, seed)
    np.testing.assert_array_equal(Frontend(s).spectrogram(audio), reference(s, audio))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(s=frontends(), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_random_settings(s: FrontendSettings, kind: str, seed: int) -> None:
    check(s, kind, seed)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(s=frontends(), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_random_settings_many(s: FrontendSettings, kind: str, seed: int) -> None:
    check(s, kind, seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_seed_settings(rate: int, kind: str) -> None:
    s = FrontendSettings(
        sample_rate_hz=rate, window_size_ms=30, window_step_ms=20, filterbank_upper_band_limit=3999.0,
        filterbank_lower_band_limit=100.0, noise_reduction_enable=True, noise_reduction_smoothing_bits=5,
        noise_reduction_even_smoothing=0.004, noise_reduction_odd_smoothing=0.004, **COMMON,
    )  # fmt: skip
    for seed in range(5):
        check(s, kind, seed, windows=100)


@pytest.mark.parametrize("kind", ["bursts", "extremes"])
@pytest.mark.parametrize("bits", range(3, 15))
def test_every_length_of_the_fft(bits: int, kind: str) -> None:
    """Each has stages and shifts of its own, which random settings meet now and then."""
    length = 1 << bits
    rate, window = (8000, 1) if length == 8 else (16000, length // 16)
    shape = {"sample_rate_hz": rate, "window_size_ms": window, "sample_length_ms": window}
    for size in {window, max(1, window - window // 3)}:  # full, and partly of zeros
        s = FrontendSettings(
            **shape | {"window_size_ms": size}, window_step_ms=max(1, size // 3), filterbank_n_channels=5,
            filterbank_lower_band_limit=0.0, filterbank_upper_band_limit=3900.0, noise_reduction_enable=True,
            noise_reduction_smoothing_bits=12, pcan_enable=True, pcan_gain_bits=24, **COMMON,
        )  # fmt: skip
        assert s.fft_length == length
        check(s, kind, bits)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_where_the_fft_overflows(rate: int) -> None:
    """Even and odd samples that turn like a square's corner, so loud at the window's ends that the
    window flattens them: the sums of the FFT pass 16 bits, and wrap as the operator's do."""
    shape = {"sample_rate_hz": rate, "window_size_ms": 32, "window_step_ms": 32}
    s = FrontendSettings(**shape, filterbank_upper_band_limit=3900.0, **COMMON)
    window = np.array(tables.window_coefficients(s.window_samples, double=True))
    pairs, most = np.arange(s.window_samples // 2), 0.0
    for cycles in range(1, len(pairs), 7):
        angle = 2 * np.pi * cycles * pairs / len(pairs) + 0.1
        wave = np.sign(np.stack([np.cos(angle), np.sin(angle)], axis=1)).reshape(-1) * 1020
        audio = np.clip(wave * 4096 / np.maximum(window, 1), -32768, 32767).astype(np.int16)
        windowed = audio * window / 4096 * 32
        spectrum = np.fft.fft(windowed[::2] + 1j * windowed[1::2]) / len(pairs)
        most = max(most, np.abs(spectrum.real).max(), np.abs(spectrum.imag).max())
        np.testing.assert_array_equal(Frontend(s).spectrogram(audio), reference(s, audio))
    assert most > 32768


def test_roots_that_round_to_17_bits() -> None:
    s, audio = FrontendSettings(**ROOTS, **COMMON), roots_of_65536()
    np.testing.assert_array_equal(Frontend(s).spectrogram(audio), reference(s, audio))


def test_a_bin_whose_shares_add_to_4097() -> None:
    """Loud enough in both of its channels for the part in 4096 to be seen."""
    s = FrontendSettings(
        sample_rate_hz=8000, filterbank_n_channels=28, filterbank_upper_band_limit=3400.0,
        log_scale_enable=False, **COMMON,
    )  # fmt: skip
    (tied,) = design(s).tied_bins
    phase = 2 * np.pi * tied / s.fft_length * np.arange(3 * s.window_samples)
    for amplitude in range(1000, 20000, 1000):
        audio = np.round(amplitude * np.sin(phase)).astype(np.int16)
        np.testing.assert_array_equal(Frontend(s).spectrogram(audio), reference(s, audio))


@pytest.mark.parametrize("window", [129, 257, 513])
def test_where_the_logarithms_argument_fills_32_bits(window: int) -> None:
    """The gain's parabola undershoots, and what is divided by a negative gain lies just below 2^32."""
    s = FrontendSettings(
        window_size_ms=window, window_step_ms=window, sample_length_ms=window, noise_reduction_enable=True,
        noise_reduction_smoothing_bits=31, noise_reduction_even_smoothing=0.1, pcan_enable=True,
        pcan_strength=2.0, pcan_offset=0.001, **COMMON,
    )  # fmt: skip
    for seed in range(3):
        check(s, "extremes", seed)


def test_a_band_that_touches_the_spectrums_end() -> None:
    """Refused exactly where the operator fails, but for half the rate, which the vendor's build takes."""
    for upper in (*np.arange(3960.0, 4000.0, 1.0), 3999.9, *np.arange(4001.0, 4010.0, 1.0)):
        values = {"sample_rate_hz": 8000, "window_size_ms": 30, "filterbank_upper_band_limit": float(upper)}
        audio = audio_of("noise", 240, 1)
        try:
            s = FrontendSettings(**values, **COMMON)
        except TokayError:
            s = FrontendSettings(**(values | {"filterbank_upper_band_limit": 3900.0}), **COMMON)
            object.__setattr__(s, "filterbank_upper_band_limit", float(upper))
            with pytest.raises(Exception, match="failed to populate"):
                reference(s, audio)
        else:
            np.testing.assert_array_equal(Frontend(s).spectrogram(audio), reference(s, audio))
