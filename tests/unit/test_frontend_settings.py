"""The front end's settings: what is refused and why, parameters by name, and the tables' invariants."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from codegen import frontend_tables as tables
from codegen.frontend import FrontendSettings, design, emit_c, scalars
from host.errors import TokayError
from host.features import Frontend

SEED = {
    "fe.sample_rate_hz": 8000,
    "fe.window_size_ms": 30,
    "fe.window_step_ms": 20,
    "fe.filterbank_n_channels": 32,
    "fe.filterbank_upper_band_limit": 3999.0,
    "fe.filterbank_lower_band_limit": 100.0,
    "fe.noise_reduction_enable": True,
    "fe.noise_reduction_smoothing_bits": 5,
}


def test_shape_of_the_seed() -> None:
    s = FrontendSettings.from_parameters(SEED)
    assert (s.window_samples, s.step_samples, s.fft_length, s.frames, s.channels) == (240, 160, 256, 49, 32)
    assert s.sample_length == 8000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sample_rate_hz": 7999}, "8000 to 16000"),
        ({"sample_rate_hz": 44100}, "8000 to 16000"),
        ({"window_size_ms": 0}, "less than 1 ms"),
        ({"window_step_ms": 0}, "less than 1 ms"),
        ({"window_step_ms": -20}, "less than 1 ms"),
        ({"window_step_ms": 31}, "longer than the window"),
        ({"window_size_ms": 5000, "sample_length_ms": 5000}, "at most 16384"),
        ({"sample_length_ms": 29}, "shorter than the window"),
        ({"sample_length_ms": 2_000_000_000}, "65535 frames"),
        ({"filterbank_n_channels": 0}, "filterbank_n_channels"),
        ({"filterbank_n_channels": 5000}, "filterbank_n_channels"),
        ({"filterbank_upper_band_limit": 4001.0}, "past the spectrum"),
        ({"filterbank_upper_band_limit": 7500.0}, "past the spectrum"),
        ({"filterbank_upper_band_limit": 1e9}, "past the spectrum"),
        ({"filterbank_upper_band_limit": 100.0}, "no band"),
        ({"filterbank_lower_band_limit": -1.0}, "no band"),
        ({"filterbank_lower_band_limit": 130.0, "filterbank_upper_band_limit": 140.0}, "no FFT bin"),
        ({"filterbank_lower_band_limit": 3990.0}, "no FFT bin"),  # above the middle of the last two
        ({"filterbank_lower_band_limit": 3990.0, "filterbank_upper_band_limit": 4000.0}, "no FFT bin"),
        ({"filterbank_lower_band_limit": 3999.0, "filterbank_upper_band_limit": 4010.0}, "past the spectrum"),
        ({"filterbank_lower_band_limit": 5000.0, "filterbank_upper_band_limit": 6000.0}, "past the spectrum"),
        ({"filterbank_lower_band_limit": float("nan")}, "a finite number"),
        ({"noise_reduction_enable": False, "pcan_enable": True}, "needs fe.noise_reduction_enable"),
        ({"noise_reduction_even_smoothing": 1.5}, "0 to 1"),
        ({"noise_reduction_smoothing_bits": 32}, "0 to 31"),
        ({"pcan_enable": True, "noise_reduction_smoothing_bits": 1}, "choose 2 to 31"),
        ({"pcan_enable": True, "pcan_gain_bits": 13}, "choose 14 to 31"),
        ({"pcan_enable": True, "pcan_offset": -1.0}, "negative"),
        ({"log_scale_shift": -1}, "0 to 31"),
        ({"log_scale_shift": 32}, "0 to 31"),
        ({"dc_notch_filter_enable": True, "dc_notch_filter_coefficient": 1.0}, "not stable"),
        ({"activity_detection_enable": True, "activity_detection_alpha_a": -0.1}, "coefficient"),
        ({"activity_detection_enable": True, "activity_detection_alpha_b": 1.1}, "coefficient"),
        ({"activity_detection_enable": True, "activity_detection_arm_threshold": -0.1}, "16 bits"),
        ({"activity_detection_enable": True, "activity_detection_trip_threshold": 8.0}, "16 bits"),
        ({"quantize_dynamic_scale_enable": True, "quantize_dynamic_scale_range_db": 0.0}, "range of 0"),
        ({"window_size_ms": "30"}, "a whole number"),
        ({"window_size_ms": 30.5}, "a whole number"),
        ({"window_size_ms": True}, "a whole number"),
        ({"log_scale_enable": 2}, "true or false"),
        ({"pcan_strength": "much"}, "a finite number"),
        ({"pcan_strength": 10**400}, "a finite number"),
        ({"filterbank_channels": 32}, "did you mean filterbank_n_channels"),
    ],
)
def test_refused_with_the_reason(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(TokayError) as error:
        FrontendSettings.from_parameters(SEED | {f"fe.{name}": value for name, value in changes.items()})
    assert reason in str(error.value)


DYNAMIC, ACTIVITY = {"quantize_dynamic_scale_enable": True}, {"activity_detection_enable": True}
NOTCH, PCAN = {"dc_notch_filter_enable": True}, {"pcan_enable": True}


@pytest.mark.parametrize(
    ("stage", "name", "last", "first_refused"),
    [
        ({"filterbank_upper_band_limit": 3900.0}, "sample_rate_hz", 8000, 7999),
        ({}, "sample_rate_hz", 16000, 16001),
        ({"sample_length_ms": 40}, "window_size_ms", 40, 41),
        ({"window_size_ms": 40}, "sample_length_ms", 40, 39),
        ({"window_size_ms": 30}, "window_step_ms", 30, 31),
        ({"sample_rate_hz": 16000, "sample_length_ms": 2000}, "window_size_ms", 1024, 1025),
        ({"window_step_ms": 1, "window_size_ms": 1}, "sample_length_ms", 65535, 65536),
        ({"window_step_ms": 20, "window_size_ms": 30}, "sample_length_ms", 65535 * 20 + 29, 65535 * 20 + 30),
        ({}, "filterbank_n_channels", 1, 0),
        ({}, "filterbank_n_channels", 4096, 4097),
        ({}, "filterbank_lower_band_limit", 0.0, -0.01),
        ({}, "noise_reduction_smoothing_bits", 0, -1),
        ({}, "noise_reduction_smoothing_bits", 31, 32),
        ({}, "noise_reduction_even_smoothing", 0.0, -0.01),
        ({}, "noise_reduction_odd_smoothing", 1.0, 1.01),
        ({}, "noise_reduction_min_signal_remaining", 1.0, 1.01),
        (PCAN, "pcan_gain_bits", 31, 32),
        (PCAN, "pcan_offset", 0.0, -0.01),
        (PCAN, "noise_reduction_smoothing_bits", 2, 1),
        (PCAN, "pcan_gain_bits", 14, 13),
        ({}, "log_scale_shift", 0, -1),
        ({}, "log_scale_shift", 31, 32),
        (NOTCH, "dc_notch_filter_coefficient", 0.0, -0.01),
        (NOTCH, "dc_notch_filter_coefficient", 32767 / 32768, 1.0),
        (ACTIVITY, "activity_detection_alpha_a", 0.0, -0.01),
        (ACTIVITY, "activity_detection_alpha_b", 1.0, 1.01),
        (ACTIVITY, "activity_detection_arm_threshold", 0.0, -0.01),
        (ACTIVITY, "activity_detection_trip_threshold", 7.999, 8.0),
        (DYNAMIC, "quantize_dynamic_scale_range_db", 0.14, 0.13),  # a range of 1, and of 0
        (DYNAMIC, "quantize_dynamic_scale_range_db", 8894.3, 8894.4),  # of 65535 and of 65536
    ],
)
def test_limits_are_taken(stage: dict, name: str, last: float, first_refused: float) -> None:
    """What lies on a limit works, to the end; what lies just past it is refused."""
    base = {name.removeprefix("fe."): value for name, value in SEED.items()} | stage
    frontend = Frontend(FrontendSettings(**base | {name: last}))
    s = frontend.settings
    audio = np.random.default_rng(1).normal(0, 3000, s.window_samples + 3 * s.step_samples).astype(np.int16)
    assert frontend.features(audio).shape == (4, s.channels)
    with pytest.raises(TokayError):
        FrontendSettings(**base | {name: first_refused})


def test_what_is_off_is_not_checked() -> None:
    unused = {"fe.pcan_gain_bits": 3, "fe.dc_notch_filter_coefficient": 7.0}
    s = FrontendSettings.from_parameters(SEED | unused)
    assert s.pcan_gain_bits == 3


def test_names_with_and_without_prefix() -> None:
    plain = {name.removeprefix("fe."): value for name, value in SEED.items()}
    s = FrontendSettings.from_parameters(SEED)
    assert FrontendSettings.from_parameters(plain) == s
    assert FrontendSettings.from_parameters(SEED | {"average_window_duration_ms": 1000, "hash": "x"}) == s
    assert FrontendSettings.from_parameters(s.to_parameters()) == s
    assert s.to_parameters()["fe.fft_length"] == 256
    numpy_values = {k: np.float64(v) if isinstance(v, float) else v for k, v in SEED.items()}
    assert FrontendSettings.from_parameters(numpy_values) == s


def test_upstream_window_differs_where_known() -> None:
    assert tables.window_coefficients(240) == tables.window_coefficients(240, double=True)
    ours, upstream = tables.window_coefficients(480), tables.window_coefficients(480, double=True)
    assert [i for i in range(480) if ours[i] != upstream[i]] == [17]
    s = FrontendSettings.from_parameters(SEED | {"fe.upstream_window": True})
    assert FrontendSettings.from_parameters(s.to_parameters()) == s


@pytest.mark.parametrize("rate", [8000, 11025, 16000])
@pytest.mark.parametrize("channels", [1, 7, 40, 90])
def test_filterbank_covers_its_bins_once(rate: int, channels: int) -> None:
    s = FrontendSettings(
        sample_rate_hz=rate, filterbank_n_channels=channels, filterbank_upper_band_limit=3800.0
    )
    table, values = design(s), scalars(s)
    assert len(table.edge_widths) == channels + 1
    assert values["first_bin"] + sum(table.edge_widths) == values["end_bin"] <= s.fft_length // 2
    assert len(table.weights) == values["end_bin"] - values["first_bin"]
    assert all(0 <= weight <= 4096 for weight in table.weights)


@pytest.mark.parametrize(("rate", "window", "channels"), [(8000, 30, 32), (11025, 25, 40), (16000, 20, 70)])
def test_a_band_up_to_half_the_rate(rate: int, window: int, channels: int) -> None:
    """As the vendor's models have it: the last bin of the spectrum adds nothing and is left out."""
    shape = {"sample_rate_hz": rate, "window_size_ms": window, "filterbank_n_channels": channels}
    s = FrontendSettings(**shape, filterbank_upper_band_limit=rate / 2)
    below = FrontendSettings(**shape, filterbank_upper_band_limit=rate / 2 - 0.1)
    table, values = design(s), scalars(s)
    assert values["first_bin"] + sum(table.edge_widths) == values["end_bin"] == s.fft_length // 2
    assert len(table.weights) == values["end_bin"] - values["first_bin"]
    assert np.abs(np.subtract(table.weights, design(below).weights, dtype=np.int64)).max() <= 2
    with pytest.raises(TokayError, match="past the spectrum"):
        FrontendSettings(**shape, filterbank_upper_band_limit=rate / 2 + 1)


def test_a_weight_between_two_integers_is_listed() -> None:
    s = FrontendSettings(sample_rate_hz=8000, filterbank_n_channels=28, filterbank_upper_band_limit=3400.0)
    assert design(s).tied_bins == (9,)


@pytest.mark.parametrize("points", [4, 8, 32, 128, 256, 1024, 8192])
def test_fft_tables_have_the_sizes_the_stages_read(points: int) -> None:
    radices = tables.fft_radices(points)
    assert np.prod(radices) == points
    assert sorted(tables.fft_order(points)) == list(range(points // (4 if radices[0] == 4 else 8)))
    expected, m = 0, radices[0]
    for _ in radices[1:]:
        expected, m = expected + 3 * (m - 1), 4 * m
    assert len(tables.fft_twiddles(points)) == expected
    assert len(tables.real_twiddles(points)) == points // 2


def test_state_bytes_are_those_of_the_c_code() -> None:
    odd = {"window_size_ms": 31, "filterbank_n_channels": 13}
    for changes in ({}, {"noise_reduction_enable": True}, odd):
        frontend = Frontend(FrontendSettings(**changes))
        address = ctypes.addressof(frontend._config)
        assert frontend._lib.frontend_state_bytes(address) == frontend.settings.state_bytes


def test_emitted_c_is_reproducible_and_complete() -> None:
    s = FrontendSettings.from_parameters(SEED)
    files = emit_c(s)
    assert files == emit_c(FrontendSettings.from_parameters(SEED))
    assert set(files) == {"frontend_settings.h", "frontend_settings.c"}
    for constant in ("CHANNELS 32", "FRAMES 49", "STEP_SAMPLES 160", "WINDOW_SAMPLES 240",
                     "SAMPLE_RATE_HZ 8000", f"STATE_BYTES {s.state_bytes}"):  # fmt: skip
        assert f"#define FRONTEND_{constant}\n" in files["frontend_settings.h"]
    assert emit_c(FrontendSettings())["frontend_settings.c"] != files["frontend_settings.c"]


def test_gains_by_hand() -> None:
    """64 times the square root of 2^17 over the noise, at 0 as much as fits; without a power all alike."""
    entries = tables.pcan_gains(17, 0.5, 0.0, 6)
    assert entries[:3] == [32767, 23170, 16384] and len(entries) == 2 + 4 * 31 - 1
    middle = 13377  # of the octave from 2 to 4, 64 * sqrt(2^17 / 3)
    slope = 4 * (middle - 16384) - (11585 - 16384)
    assert entries[3:7] == [slope, 11585 - 16384 - slope, 0, 11585]
    flat = tables.pcan_gains(17, 0.0, 0.0, 10)
    assert flat[:2] == [1024, 1024] and flat[2:] == [*[1024, 0, 0, 0] * 30, 1024, 0, 0]
