"""host.features: streams of any chunks equal the whole, batches equal single clips, wrong audio."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.errors import TokayError
from host.features import Frontend, FrontendSettings

SEED = FrontendSettings(
    sample_rate_hz=8000, window_size_ms=30, window_step_ms=20, filterbank_upper_band_limit=3999.0,
    filterbank_lower_band_limit=100.0, noise_reduction_enable=True, noise_reduction_smoothing_bits=5,
)  # fmt: skip


def voice(samples: int = 8000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    level = np.interp(np.arange(samples), np.linspace(0, samples, 9), 10 ** rng.uniform(0, 4.5, 9))
    return np.clip(rng.normal(0, 1, samples) * level, -32768, 32767).astype(np.int16)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=30),
    window=st.integers(5, 60),
    step=st.integers(1, 60),
    notch=st.booleans(),
)
def test_any_chunks_give_the_whole(seed: int, sizes: list[int], window: int, step: int, notch: bool) -> None:
    frontend = Frontend(
        FrontendSettings(
            sample_rate_hz=11025, window_size_ms=window, window_step_ms=min(step, window),
            filterbank_n_channels=11, filterbank_upper_band_limit=4000.0, noise_reduction_enable=True,
            pcan_enable=True, dc_notch_filter_enable=notch,
        )
    )  # fmt: skip
    audio = voice(max(sum(sizes), frontend.settings.window_samples), seed)
    whole = frontend.spectrogram(audio)
    stream, columns, start = frontend.stream(), [], 0
    for size in [*sizes, len(audio)]:
        columns.append(stream.process(audio[start : start + size]))
        start += size
    np.testing.assert_array_equal(np.concatenate(columns), whole)
    stream.reset()
    np.testing.assert_array_equal(stream.process(audio), whole)


def test_longer_audio_only_adds_columns() -> None:
    frontend, audio = Frontend(SEED), voice(24000)
    np.testing.assert_array_equal(frontend.spectrogram(audio)[:49], frontend.spectrogram(audio[:8000]))
    assert frontend.spectrogram(audio[:240]).shape == (1, 32)


def test_no_more_columns_are_written_than_there_is_room_for() -> None:
    stream, audio = Frontend(SEED).stream(), voice(1000)
    whole = Frontend(SEED).spectrogram(audio)
    out = np.full((4, 32), 7, np.uint16)

    def process(samples: np.ndarray, room: int) -> int:
        return stream._lib.frontend_stream(
            stream._address, samples.ctypes.data, samples.size, out.ctypes.data, room
        )

    assert process(audio[:239], 4) == 0 and (out == 7).all()
    assert process(audio[239:], 2) == 2
    np.testing.assert_array_equal(out[:2], whole[:2])
    assert (out[2:] == 7).all() and len(whole) == 5


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_batch_is_its_clips(dynamic: bool) -> None:
    changes = {"quantize_dynamic_scale_enable": dynamic}
    frontend = Frontend({**SEED.to_parameters(), **{f"fe.{k}": v for k, v in changes.items()}})
    audio = np.stack([voice(seed=i) for i in range(150)])
    batch = frontend.features_batch(audio)
    assert batch.shape == (150, 49, 32) and batch.dtype == np.int8
    for i in (0, 63, 64, 149):
        np.testing.assert_array_equal(batch[i], frontend.features(audio[i]))
    np.testing.assert_array_equal(frontend.features_batch(audio[::-1])[0], batch[149])
    for clips in (1, 64, 65):
        np.testing.assert_array_equal(frontend.features_batch(audio[:clips]), batch[:clips])
    assert frontend.features_batch(audio[:0]).shape == (0, 49, 32)


def test_a_batch_after_a_fork() -> None:
    code = (
        "import os, numpy as np; from host.features import Frontend; f = Frontend({})\n"
        "a = np.ones((200, 16000), np.int16); f.features_batch(a)\n"
        "pid = os.fork()\n"
        "if pid == 0: f.features_batch(a); os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip() == "7"


def test_static_scale_is_the_formula() -> None:
    values = np.arange(65536).astype(np.uint16)
    expected = np.clip((values.astype(np.int64) * 256 + 333) // 666 - 128, -128, 127)
    np.testing.assert_array_equal(Frontend(SEED).quantize(values), expected)


@pytest.mark.parametrize("values", [[0, 0, 0], [1], [294, 293, 1, 0], [295, 294, 1, 0], [100, 0, 99, 50],
                                    [65535, 65534, 65242, 65241, 65240, 1, 0]])  # fmt: skip
def test_dynamic_scale_is_the_formula(values: list[int]) -> None:
    """From 40 dB below the maximum, or from 0, to the maximum."""
    frontend = Frontend(SEED.to_parameters() | {"fe.quantize_dynamic_scale_enable": True})
    assert frontend.settings.dynamic_range == 294  # 40 dB at 64 a neper
    low = max(0, max(values) - 294)
    span = max(1, max(values) - low)
    expected = [max(0, value - low) * 255 // span - 128 for value in values]
    assert frontend.quantize(np.array(values, np.uint16)).tolist() == expected


def test_only_spectrograms_are_quantized() -> None:
    with pytest.raises(TokayError, match="uint16, not int16"):
        Frontend(SEED).quantize(np.zeros((3, 32), np.int16))


def test_dtypes() -> None:
    frontend, audio = Frontend(SEED), voice()
    spectrogram = frontend.features(audio, dtype=np.uint16)
    assert spectrogram.dtype == np.uint16
    floats = frontend.features(audio, dtype=np.float32)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, spectrogram)
    with pytest.raises(TokayError, match="int8, uint16 or float32"):
        frontend.features(audio, dtype=np.int32)


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (np.zeros(8000, np.float32), "must be int16"),
        (np.zeros(8000, np.int32), "must be int16"),
        (np.zeros((8000, 2), np.int16), "one clip"),
        (np.zeros(0, np.int16), "empty"),
        (np.zeros(239, np.int16), "239 samples"),
        ([1, 2, 3], "must be int16"),
    ],
)
def test_wrong_audio_is_refused(audio: object, reason: str) -> None:
    with pytest.raises(TokayError, match=reason):
        Frontend(SEED).features(audio)  # type: ignore[arg-type]


def test_one_clip_is_no_batch() -> None:
    with pytest.raises(TokayError, match="clips of one length"):
        Frontend(SEED).features_batch(np.zeros(8000, np.int16))


def test_silence_is_zero() -> None:
    assert not Frontend(SEED).spectrogram(np.zeros(8000, np.int16)).any()


def test_activity_reports_once() -> None:
    on = FrontendSettings(activity_detection_enable=True)
    audio = voice(16000) // 64
    audio[4000:9000] = 0
    audio[9000:] = voice(7000, seed=1)
    stream = Frontend(on).stream()
    for begin, until, active in ((0, 9000, False), (9000, 16000, True)):  # it has grown quiet; it grows loud
        stream.process(audio[begin:until])
        assert stream.activity() == active and not stream.activity()
    quiet = Frontend(FrontendSettings()).stream()
    quiet.process(audio)
    assert not quiet.activity()


def test_sound_out_of_the_silence_at_the_start_is_no_activity() -> None:
    """Nothing had fallen below its average."""
    stream = Frontend(FrontendSettings(activity_detection_enable=True)).stream()
    stream.process(np.concatenate([np.zeros(8000, np.int16), voice(400)]))
    assert not stream.activity()


@pytest.mark.parametrize(
    ("alphas", "arm", "trip"),
    [((0.5, 0.75), 0.75, 0.8), ((0.75, 0.9375), 0.5, 1.5), ((0.0, 0.984375), 0.9, 1.1)],
)
def test_activity_is_a_fast_average_that_passes_a_slow_one(alphas, arm, trip) -> None:
    """Armed below one share of it, tripped above another, after each column; real numbers are the judge."""
    on = FrontendSettings(
        log_scale_enable=False, activity_detection_enable=True, activity_detection_alpha_a=alphas[0],
        activity_detection_alpha_b=alphas[1], activity_detection_arm_threshold=arm,
        activity_detection_trip_threshold=trip,
    )  # fmt: skip
    stream = Frontend(on).stream()
    audio = np.clip(np.concatenate([voice(6000, seed=k) for k in range(16)]), -800, 800)
    fast = slow = 0.0
    armed, found, expected = False, [], []
    for at in range(0, len(audio), on.step_samples):
        for column in stream.process(audio[at : at + on.step_samples]):
            level = column.sum(dtype=np.int64) / on.channels
            fast = alphas[0] * fast + (1 - alphas[0]) * level
            slow = alphas[1] * slow + (1 - alphas[1]) * level
            tripped = armed and fast > slow * trip
            armed = not tripped if armed else fast < slow * arm
            expected.append(tripped)
            found.append(stream.activity())
    assert found == expected and any(found)


def test_import_takes_no_tensorflow() -> None:
    code = "import sys, host.features; print('tensorflow' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
