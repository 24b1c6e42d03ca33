"""The native augmentation: deterministic, and each effect does what its draw says, measured apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codegen.frontend import FrontendSettings
from host import augmentation
from host.augmentation import KEYWORD, SILENCE, UNKNOWN, Augmenter, Draw, Job
from host.augmentation.layout import MADE_NOISE, NO_NOISE
from host.errors import TokayError
from host.features import Frontend
from host.specification import Augmentation
from tests.sounds import word

RATE = 8000
FRONTEND = Frontend(
    FrontendSettings(
        sample_rate_hz=RATE,
        window_size_ms=30,
        window_step_ms=20,
        filterbank_upper_band_limit=3999.0,
        noise_reduction_enable=True,
    )
)
PLAIN = Augmentation(
    shift_ms=0, unknown_shift_ms=0, speed=(1, 1), gain=(1, 1), noise_probability=0, lead_in_probability=0,
    pitch_probability=0, room_probability=0, microphone_probability=0, clipping_probability=0,
)  # fmt: skip
ALL = Augmentation(
    noise_probability=1, lead_in_probability=1, pitch_probability=1, room_probability=1,
    microphone_probability=1, clipping_probability=1,
)  # fmt: skip
FLOOR = 10  # the quiet noise under everything stays below this


def tone(hz: float, amplitude: float = 8000) -> np.ndarray:
    """With soft ends, in the middle of a second."""
    fade = np.clip(np.minimum(np.arange(8000) - 1000, 7000 - np.arange(8000)) / 200, 0, 1)
    return (fade * amplitude * np.sin(2 * np.pi * hz * np.arange(8000) / RATE)).astype(np.int16)


def strongest_hz(audio: np.ndarray) -> float:
    middle = audio[2500:5500] * np.hanning(3000)
    return float(np.argmax(np.abs(np.fft.rfft(middle, 64000))) * RATE / 64000)


RECORDING = np.random.default_rng(0).normal(0, 100, 40000).astype(np.int16)


def made(clip: np.ndarray, kind: int = KEYWORD, settings: Augmentation = PLAIN, **draw: float) -> np.ndarray:
    """The PCM of a draw that changes nothing but what is named."""
    augmenter = Augmenter(settings, FRONTEND, clip[None], [RECORDING])
    plan = Draw(speed=1, gain=1, lead_in_clip=-1, noise=NO_NOISE)
    for name, value in draw.items():
        setattr(plan, name, value)
    return augmenter.pcm(Job(0, kind), plan)


def jobs(count: int, clips: int = 4) -> np.ndarray:
    rng = np.random.default_rng(3)
    drawn = np.stack((rng.integers(0, clips, count), rng.integers(0, 3, count)), axis=1).astype(np.int32)
    drawn[drawn[:, 1] == SILENCE, 0] = -1
    return drawn


CLIPS = np.stack([word(i) for i in range(4)])


def test_examples_are_the_same_for_any_number_of_threads() -> None:
    wanted = jobs(700)
    one, three = (Augmenter(ALL, FRONTEND, CLIPS, [RECORDING], threads=n) for n in (1, 3))
    features = one.features(wanted, (1, 2, 3))
    assert features.shape == (700, 49, 32) and features.dtype == np.int8
    assert np.array_equal(features, three.features(wanted, (1, 2, 3)))
    assert not np.array_equal(features, one.features(wanted, (1, 2, 4)))


def test_an_example_depends_on_its_index_alone() -> None:
    augmenter, wanted = Augmenter(ALL, FRONTEND, CLIPS, [RECORDING]), jobs(300)
    whole = augmenter.features(wanted, (7,))
    assert np.array_equal(augmenter.features(wanted[:200], (7,)), whole[:200])
    for index in (0, 150, 299):
        job = Job(*wanted[index].tolist())
        pcm = augmenter.pcm(job, augmenter.draw(job, (7,), index))
        assert np.array_equal(FRONTEND.features(pcm)[-49:], whole[index])


def test_nothing_drawn_changes_nothing() -> None:
    augmenter = Augmenter(PLAIN, FRONTEND, CLIPS)
    for index in range(20):
        pcm = augmenter.pcm(Job(1, KEYWORD), augmenter.draw(Job(1, KEYWORD), (1,), index))
        assert np.max(np.abs(pcm.astype(int) - CLIPS[1])) <= FLOOR
    assert np.array_equal(made(word()), word())


def test_draws_stay_within_their_ranges_and_reach_both_ends() -> None:
    settings = Augmentation()
    augmenter = Augmenter(settings, FRONTEND, CLIPS, [RECORDING])
    draws = [augmenter.draw(Job(0, KEYWORD), (5,), index) for index in range(2000)]
    for name, (low, high) in {
        "speed": settings.speed, "gain": settings.gain, "noise_snr_db": settings.noise_snr_db,
    }.items():  # fmt: skip
        values = np.array([getattr(draw, name) for draw in draws])
        assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6
        assert values.min() < low + 0.02 * (high - low) and values.max() > high - 0.02 * (high - low)
    shifts = [draw.shift_samples for draw in draws]
    assert min(shifts) == -800 and max(shifts) == 800
    lead_ins = {draw.lead_in_samples for draw in draws}
    assert all(n == 0 or (2400 - 160 < n <= 12000 and n % 160 == 0) for n in lead_ins) and len(lead_ins) > 50
    for share, used in {
        settings.pitch_probability: [draw.pitch_semitones != 0 for draw in draws],
        settings.microphone_probability: [draw.highpass_hz > 0 for draw in draws],
        settings.clipping_probability: [draw.clipping_db > 0 for draw in draws],
        settings.noise_probability: [draw.noise != NO_NOISE for draw in draws],
    }.items():
        assert abs(np.mean(used) - share) < 0.05
    assert abs(np.mean([draw.room_rt60_s > 0 for draw in draws]) - settings.room_probability) < 0.05


def test_a_lead_in_has_settled_for_any_time_each_octave_as_likely() -> None:
    settings = dataclasses.replace(PLAIN, lead_in_probability=0.5, settled_ms=(500, 8000))
    augmenter = Augmenter(settings, FRONTEND, CLIPS)
    draws = [augmenter.draw(Job(0, KEYWORD), (5,), index) for index in range(2000)]
    assert all(draw.settled_ms == 0 for draw in draws if not draw.lead_in_samples)
    octaves = np.log2([draw.settled_ms / 500 for draw in draws if draw.lead_in_samples])
    assert octaves.min() >= -1e-4 and octaves.max() <= 4 + 1e-4
    counts = np.histogram(octaves, 4, (0, 4))[0]
    assert counts.sum() > 900 and np.all(abs(counts / counts.sum() - 0.25) < 0.05)


def test_other_words_have_a_shift_of_their_own() -> None:
    augmenter = Augmenter(dataclasses.replace(PLAIN, unknown_shift_ms=50), FRONTEND, CLIPS)
    shifts = {augmenter.draw(Job(0, UNKNOWN), (1,), i).shift_samples for i in range(400)}
    assert min(shifts) < -350 and max(shifts) > 350 and max(map(abs, shifts)) <= 400
    assert {augmenter.draw(Job(0, KEYWORD), (1,), i).shift_samples for i in range(50)} == {0}


@pytest.mark.parametrize("shift", [-1000, 0, 1, 999, 20000, -20000])
@pytest.mark.parametrize("speed", [1.0, 1.000001])
def test_shift_moves_and_does_not_wrap(shift: int, speed: float) -> None:
    expected = np.zeros(8000, int)
    clip = tone(700).astype(int)
    for i in range(8000):
        if 0 <= i - shift < 8000:
            expected[i] = clip[i - shift]
    result = made(tone(700), shift_samples=shift, speed=speed).astype(int)
    if speed == 1:
        assert np.array_equal(result, expected)
    else:
        assert np.linalg.norm(result - expected) <= 0.05 * np.linalg.norm(clip)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_pitch_and_length(speed: float) -> None:
    result = made(tone(500), speed=speed)
    assert abs(strongest_hz(result) - 500 * speed) < 1
    loud = np.flatnonzero(np.abs(result) > 4000)
    assert abs((loud[-1] - loud[0]) * speed - 5800) < 60
    assert abs((loud[-1] + loud[0]) / 2 - 4000) < 60  # where it was


@pytest.mark.parametrize(
    "hz, speed, semitones",
    [
        (3900, 1.25, 0.0),
        (3100, 1.5, 0.0),
        (3100, 1.0, 9.0),
        (2500, 1.0, 12.0),
        (2000, 1.5, 12.0),
        (2500, 1.5, 12.0),
    ],
)
def test_faster_does_not_fold_back(hz: float, speed: float, semitones: float) -> None:
    """Above what half the rate can hold, with room for the filter's slope."""
    assert hz * speed * 2 ** (semitones / 12) > 1.15 * RATE / 2
    result = made(tone(hz), speed=speed, pitch_semitones=semitones)
    assert np.std(result[2000:6000].astype(float)) < 0.1 * np.std(tone(hz)[2000:6000].astype(float))


@pytest.mark.parametrize("speed", [0.5, 0.9, 0.99])
def test_slower_is_not_duller(speed: float) -> None:
    """Nothing can fold back, so no more is filtered out than the filter's own slope below half the rate."""
    result = made(tone(3200), speed=speed)
    level = np.std(result[3000:5000].astype(float)) / np.std(tone(3200)[3000:5000].astype(float))
    assert 0.93 < level < 1.02


@pytest.mark.parametrize("semitones", [-2.0, 2.0, 5.0])
def test_pitch_moves_the_frequency_and_not_the_length(semitones: float) -> None:
    result = made(tone(500), pitch_semitones=semitones)
    assert abs(strongest_hz(result) - 500 * 2 ** (semitones / 12)) < 12
    loud = np.flatnonzero(np.abs(result) > 4000)
    assert abs(loud[-1] - loud[0] - 5800) < 250 and abs((loud[-1] + loud[0]) / 2 - 4000) < 200
    level = np.std(result[2000:6000].astype(float)) / np.std(tone(500)[2000:6000].astype(float))
    assert 0.8 < level < 1.1  # pieces are joined in phase


@pytest.mark.parametrize("snr", [5.0, 25.0])
@pytest.mark.parametrize("source", [MADE_NOISE, 0])
def test_noise_is_at_the_drawn_ratio(snr: float, source: int) -> None:
    clip = word()
    result = made(clip, noise=source, noise_row=3, noise_start=1 << 30, noise_snr_db=snr)
    noise = result.astype(float) - clip
    measured = 20 * np.log10(np.sqrt(_loud_half(clip)) / np.sqrt(_loud_half(noise)))
    assert abs(measured - snr) < 0.1


def _loud_half(signal: np.ndarray) -> float:
    blocks = (signal.astype(float).reshape(20, -1) ** 2).mean(axis=1)
    return float(np.sort(blocks)[10:].mean())


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_noise_has_its_colour(slope: float) -> None:
    noise = augmentation.coloured_noise(1 << 17, 5, slope, RATE)
    assert abs(np.std(noise) - 1) < 0.01
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.arange(len(power)) * RATE / len(noise)
    octaves = [np.mean(power[(hz >= low) & (hz < 2 * low)]) for low in (40, 80, 160, 320, 640, 1280)]
    fall = 10 * np.diff(np.log10(octaves))
    assert abs(fall.mean() + 6 * slope) < 0.4 and np.all(np.abs(fall + 6 * slope) < 1.6)


def test_noise_is_not_the_same_twice() -> None:
    one, two = (augmentation.coloured_noise(8000, seed, 0.0, RATE) for seed in (1, 2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05
    assert abs(np.mean(one**4) - 3) < 0.6  # nearly normal: 2.7 for a sum of four


def impulse_response(rt60_s: float, seed: int, direct_db: float = 0.0) -> np.ndarray:
    clip = np.zeros(8000, np.int16)
    clip[100] = 30000
    return (
        made(clip, room_rt60_s=rt60_s, room_direct_db=direct_db, room_seed=seed).astype(float)[100:] / 30000
    )


@pytest.mark.parametrize("rt60_s", [0.15, 0.3, 0.5])
def test_reverberation_falls_by_60_db_in_its_time(rt60_s: float) -> None:
    slopes = []
    for seed in range(6):
        after = impulse_response(rt60_s, seed)[1:]
        remaining = np.cumsum(after[::-1] ** 2)[::-1]  # Schroeder's integral
        decay = 10 * np.log10(remaining / remaining[0] + 1e-12)
        used = (decay < -5) & (decay > -30)
        slopes.append(np.polyfit(np.flatnonzero(used) / RATE, decay[used], 1)[0])
    assert abs(-60 / np.mean(slopes) - rt60_s) < 0.12 * rt60_s


@pytest.mark.parametrize("direct_db", [0.0, 10.0])
def test_direct_sound_is_above_the_reverberation_by_the_drawn_ratio(direct_db: float) -> None:
    for seed in range(5):
        response = impulse_response(0.3, seed, direct_db)
        assert abs(response[0] - 1) < 1e-3
        assert abs(-10 * np.log10(np.sum(response[1:] ** 2)) - direct_db) < 0.3


def test_microphone_has_the_response_of_its_filters() -> None:
    drawn = {"highpass_hz": 200, "shelf_hz": 1500, "shelf_db": 6, "peak_hz": 800, "peak_db": -6, "peak_q": 2}

    def gain_db(hz: float) -> float:
        result, plain = made(tone(hz, 3000), **drawn), tone(hz, 3000)
        return float(20 * np.log10(np.std(result[2000:6000] * 1.0) / np.std(plain[2000:6000] * 1.0)))

    assert gain_db(50) < -20  # two octaves below the high-pass, 12 dB each
    assert abs(gain_db(800) + 6) < 1.5
    assert abs(gain_db(3500) - 6) < 0.7


@pytest.mark.parametrize("db", [-6.0, 6.0])
def test_a_microphone_s_shelf_and_peak_are_where_they_are_drawn(db: float) -> None:
    """A shelf is half way up where it begins and flat on both sides; a peak has fallen to half, in decibels,
    at the ends of its band, which are a width of its quality apart."""

    def gain_db(hz: float, **drawn: float) -> float:
        result, plain = made(tone(hz, 3000), highpass_hz=20, **drawn), tone(hz, 3000)
        return float(20 * np.log10(np.std(result[2000:6000] * 1.0) / np.std(plain[2000:6000] * 1.0)))

    shelf = {"shelf_hz": 1200, "shelf_db": db, "peak_hz": 500, "peak_db": 0, "peak_q": 1}
    for hz, share in ((150, 0), (1200, 0.5), (3600, 1)):
        assert abs(gain_db(hz, **shelf) - share * db) < 0.25, hz
    peak = {"shelf_hz": 1200, "shelf_db": 0, "peak_hz": 500, "peak_db": db, "peak_q": 2}
    lower = 500 * ((1 + 1 / 16) ** 0.5 - 1 / 4)
    for hz, share in ((60, 0), (lower, 0.5), (500, 1), (lower + 250, 0.5), (3500, 0)):
        assert abs(gain_db(hz, **peak) - share * db) < 0.35, hz


@pytest.mark.parametrize("soft", [0, 1])
def test_clipping_limits_below_the_peak(soft: int) -> None:
    clip = tone(300)
    result = made(clip, clipping_db=6.0, clipping_soft=soft).astype(float)
    limit = 8000 * 10 ** (-6 / 20)
    assert abs(np.max(np.abs(result)) - limit) < 0.01 * limit
    at_limit = np.mean(np.abs(result[2000:6000]) > 0.99 * limit)
    assert at_limit > (0.2 if soft else 0.6)
    quiet = np.abs(clip) < 0.1 * limit
    assert np.max(np.abs(result[quiet] - clip[quiet])) <= 2 + 0.002 * limit


def test_lead_in_comes_before_the_clip() -> None:
    settings = dataclasses.replace(PLAIN, lead_in_probability=1.0)
    lead_in = 160 * 20
    result = made(word(), settings=settings, lead_in_samples=lead_in)
    assert len(result) == lead_in + 8000
    assert np.array_equal(result[lead_in:], word()) and not np.any(result[:lead_in])
    said = made(word(), settings=settings, lead_in_samples=lead_in, lead_in_clip=0, lead_in_level=1.0)
    assert np.array_equal(said[lead_in:], word())
    tail = word()[-lead_in:].astype(float)
    assert np.corrcoef(said[:lead_in], tail)[0, 1] > 0.999


def test_a_lead_in_is_what_a_stream_would_have_heard() -> None:
    settings = dataclasses.replace(PLAIN, lead_in_probability=1.0, noise_probability=1.0)
    augmenter = Augmenter(settings, FRONTEND, CLIPS, [RECORDING])
    features = augmenter.features(np.array([[2, KEYWORD]], np.int32), (4,))
    pcm = augmenter.pcm(Job(2, KEYWORD), augmenter.draw(Job(2, KEYWORD), (4,), 0))
    stream = FRONTEND.stream()
    columns = np.concatenate([stream.process(pcm[i : i + 333]) for i in range(0, len(pcm), 333)])
    assert np.array_equal(FRONTEND.quantize(columns[-49:]), features[0])


def _steady(lead_in_ms: int, settled_ms: float) -> np.ndarray:
    """Features of a steady noise, int8[examples, 49, 32], heard that long before them, or as if it were."""
    noise = np.random.default_rng(5).normal(0, 1000, (1, 8000)).astype(np.int16)
    times = {"lead_in_ms": (lead_in_ms, lead_in_ms), "settled_ms": (settled_ms, settled_ms)}
    settings = dataclasses.replace(PLAIN, lead_in_probability=1.0, **times)
    plan = np.array([[0, SILENCE]] * 64, np.int32)
    slow = dataclasses.replace(
        FRONTEND.settings, noise_reduction_even_smoothing=0.004, noise_reduction_odd_smoothing=0.002
    )
    return Augmenter(settings, Frontend(slow), noise).features(plan, (1,)).astype(float)


def test_a_settled_lead_in_stands_for_a_longer_one() -> None:
    long, short, settled = _steady(8000, 0), _steady(1000, 0), _steady(1000, 8000)
    for parity in (0, 1):  # the smoothings differ
        means = [float(np.mean(features[..., parity::2])) for features in (long, short, settled)]
        assert means[1] - means[0] > 15  # what is to be made up for
        assert abs(means[2] - means[0]) < 3, (parity, means)
    same = _steady(1000, 980)  # 49 columns: those that a lead-in of 1000 ms completes
    assert np.max(np.abs(same - short)) <= 1


def test_nothing_settles_without_a_lead_in() -> None:
    plan, key = jobs(100), (3,)
    never = dataclasses.replace(ALL, lead_in_probability=0.0)
    plain = Augmenter(never, FRONTEND, CLIPS, [RECORDING]).features(plan, key)
    settings = dataclasses.replace(never, settled_ms=(500.0, 20000.0))
    assert np.array_equal(Augmenter(settings, FRONTEND, CLIPS, [RECORDING]).features(plan, key), plain)


def test_loud_examples_saturate() -> None:
    assert np.all(made(np.full(8000, 30000, np.int16), gain=2.0) == 32767)
    assert np.all(made(np.full(8000, -30000, np.int16), gain=2.0) == -32768)


def test_silence_is_a_recording_or_noise_of_any_loudness() -> None:
    quiet = np.random.default_rng(1).normal(0, 20, (1, 8000)).astype(np.int16)
    augmenter = Augmenter(PLAIN, FRONTEND, quiet, [RECORDING])
    job = Job(0, SILENCE)
    levels = [np.std(augmenter.pcm(job, augmenter.draw(job, (1,), i)) / 20.0) for i in range(200)]
    assert 0.15 < min(levels) < 0.3 and 2 < max(levels) < 3.3  # a fifth to three times
    job = Job(-1, SILENCE)
    levels = [np.std(augmenter.pcm(job, augmenter.draw(job, (1,), i)) * 1.0) for i in range(300)]
    assert min(levels) < 3 and max(levels) > 2500


def test_a_recorded_silence_is_repeated_without_a_jump() -> None:
    ramp = np.arange(8000, dtype=np.int16)[None]
    settings = dataclasses.replace(PLAIN, lead_in_probability=1.0)
    augmenter = Augmenter(settings, FRONTEND, ramp)
    draw = Draw(
        speed=1, gain=1, noise=NO_NOISE, noise_loudness=1.0, noise_start=1 << 31, lead_in_samples=8000
    )
    pcm = augmenter.pcm(Job(0, SILENCE), draw).astype(int)
    assert pcm[0] == 4000 and np.max(np.abs(np.diff(pcm))) == 1 and pcm.max() == 7999 and pcm.min() == 0


def test_a_recording_shorter_than_an_example_is_heard_too() -> None:
    """Forwards and backwards, for as long as the example lasts; one without samples never."""
    settings = dataclasses.replace(PLAIN, noise_probability=1.0, lead_in_probability=1.0)
    ramp = np.arange(1, 9001, dtype=np.int16)
    augmenter = Augmenter(settings, FRONTEND, CLIPS, [ramp, ramp[:0]])
    draws = [augmenter.draw(Job(0, KEYWORD), (1,), index) for index in range(400)]
    shares = [np.mean([draw.noise == noise for draw in draws]) for noise in (0, 1)]
    assert 0.2 < shares[0] < 0.3 and shares[1] == 0
    draw = Draw(speed=1, gain=1, lead_in_clip=-1, lead_in_samples=12000, noise_loudness=1000.0)
    pcm = augmenter.pcm(Job(-1, SILENCE), draw).astype(int)
    assert len(pcm) == 20000 and np.ptp(pcm) > 1000 and np.max(np.abs(np.diff(pcm))) <= 1
    assert np.argmax(pcm) in range(8990, 9000) and abs(pcm[17999] - pcm[0]) <= 1


def test_loudness_is_that_of_the_louder_half() -> None:
    assert abs(augmentation.loudness(word()) / np.sqrt(_loud_half(word())) - 1) < 1e-5
    assert augmentation.loudness(np.zeros(8000)) == 0 and augmentation.loudness(np.ones(5)) == 0


def test_wrong_input_is_refused() -> None:
    with pytest.raises(TokayError, match="int16"):
        Augmenter(PLAIN, FRONTEND, CLIPS.astype(np.float32))
    with pytest.raises(TokayError, match="background"):
        Augmenter(PLAIN, FRONTEND, CLIPS, [CLIPS])
    with pytest.raises(TokayError, match="window"):
        Augmenter(PLAIN, FRONTEND, CLIPS[:, :100])
    augmenter = Augmenter(PLAIN, FRONTEND, CLIPS)
    for clip, kind in ((4, KEYWORD), (-1, KEYWORD), (-2, SILENCE), (0, 3), (0, -1)):
        with pytest.raises(TokayError, match="example"):
            augmenter.features(np.array([[clip, kind]], np.int32), (1,))
    with pytest.raises(TokayError, match="slope"):
        augmentation.coloured_noise(100, 1, 1.5, RATE)


def test_other_rates_and_clip_lengths() -> None:
    settings = FrontendSettings(
        sample_rate_hz=16000, window_size_ms=25, window_step_ms=10, filterbank_n_channels=40
    )
    frontend = Frontend(settings)
    clips = np.random.default_rng(0).normal(0, 500, (2, 12345)).astype(np.int16)
    features = Augmenter(ALL, frontend, clips).features(jobs(60, 2), (1,))
    assert features.shape == (60, frontend.frames(12345), 40)
    assert np.std(features.astype(float)) > 5
