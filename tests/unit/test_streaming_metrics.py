"""Streaming figures by hand-counted detections, and streams made of known words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from host.dataset.folder import Clip
from host.dataset.store import Store
from host.errors import TokayError
from host.metrics import streams, trials
from host.metrics.scoring import Scored, feature_stream
from host.metrics.streaming import Spoken, StreamResult, count, judge
from host.metrics.streams import KeywordStream, compose
from host.specification import SILENCE
from tests import tone_words

SPOKEN = [
    Spoken("on", 1000, 2000),
    Spoken("tree", 3000, 4000),
    Spoken("off", 5000, 6000),
    Spoken("on", 8000, 9000, voice_end_ms=8600),
]
KEYWORDS = ("on", "off")


def figures(detections: list[tuple[str, int]], duration_ms: int) -> StreamResult:
    return count(judge(detections, SPOKEN, KEYWORDS), SPOKEN, KEYWORDS, duration_ms)


def test_hits_misses_alarms_and_repeats() -> None:
    heard = [("on", 1800), ("on", 2700), ("off", 3900), ("on", 5900), ("on", 9750), ("on", 9751)]
    result = figures(heard, 3_600_000)
    assert (result.spoken, result.hits, result.false_rejects) == (3, 2, 1)
    assert result.repeats == 1  # 2700
    assert result.false_accepts == 3  # "off" in "tree", "on" in "off", and one too late
    assert result.delays_ms == (-200, 1150)  # from the clip's end, and from the voice's where it is known
    assert result.false_accepts_per_hour == 3
    assert result.by_label == {"on": (2, 2, 2), "off": (1, 0, 1)}


def test_a_word_is_not_heard_before_it_is_said() -> None:
    result = figures([("on", 1000)], 10_000)
    assert result.hits == 0 and result.false_accepts == 1


def test_two_words_close_together_are_two_words() -> None:
    spoken = [Spoken("on", 0, 1000), Spoken("on", 1000, 2000), Spoken("on", 1500, 1600)]
    assert [v.word for v in judge([("on", 900), ("on", 1700)], spoken, KEYWORDS)] == [0, 1]
    assert [(v.verdict, v.word) for v in judge([("on", 1650)] * 4, spoken, KEYWORDS)] == [
        ("hit", 0), ("hit", 1), ("hit", 2), ("repeat", 0),
    ]  # fmt: skip
    around = [Spoken("on", 0, 5000), Spoken("on", 1000, 1500)]  # too late for the word within the other
    assert [v.verdict for v in judge([("on", 2251), ("on", 2252)], around, KEYWORDS)] == ["hit", "repeat"]
    # Too late for the first word (1000 + 750), in time for those after it.
    assert [v.word for v in judge([("on", 1800), ("on", 2300)], spoken, KEYWORDS)] == [1, 2]


def test_results_add_up() -> None:
    one = figures([("on", 1800), ("on", 1900)], 3_600_000)
    two = figures([("off", 100), ("on", 8900), ("on", 9000), ("on", 9100)], 1_800_000)
    both = StreamResult() + one + two
    assert (both.spoken, both.hits, both.false_accepts, both.hours) == (6, 2, 1, 1.5)
    assert (both.false_rejects, both.repeats, both.delays_ms) == (4, 3, (-200, 300))
    assert both.by_label == {"on": (4, 2, 0), "off": (2, 0, 1)}
    value = both.as_json()
    assert list(value["by_label"]) == ["off", "on"]
    assert value["miss_rate"] == 4 / 6 and value["delay_ms"]["median"] == 300
    assert value["false_accepts_per_hour_interval"][0] < 1 / 1.5 < value["false_accepts_per_hour_interval"][1]
    assert StreamResult().as_json()["false_accepts_per_hour_interval"] == [0.0, None]


def test_delays_are_told_by_rank_whatever_their_order() -> None:
    delays = tuple(100 * k for k in (19, 3, 7, *range(8, 19), 0, 1, 2, 4, 5, 6))
    assert StreamResult(delays_ms=delays).as_json()["delay_ms"] == {
        "median": 1000, "p90": 1800, "maximum": 1900,
    }  # fmt: skip
    one = StreamResult(delays_ms=(70,)).as_json()["delay_ms"]
    assert one == {"median": 70, "p90": 70, "maximum": 70}
    assert StreamResult().as_json()["delay_ms"] is None


def test_where_nothing_was_listened_to_no_rate_is_made_up() -> None:
    nothing = StreamResult()
    assert (nothing.miss_rate, nothing.false_accepts_per_hour) == (0.0, 0.0)
    assert nothing.as_json()["miss_rate"] is None  # which is not "none was missed"
    assert nothing.as_json()["miss_rate_interval"] == [0.0, 1.0]


def test_composed_words_are_where_the_list_says() -> None:
    clip = np.zeros(8000, np.float32)
    clip[3000:5000] = 4000 * np.sin(np.arange(2000))
    words = [("on", clip), ("off", clip * 5), ("tree", clip)]
    audio, spoken = compose(words, 8000, 12.0, (40.0, 40.0), (), np.random.default_rng(2))
    assert len(audio) == 96000 and [word.label for word in spoken] == ["on", "off", "tree"]
    for word in spoken:
        assert word.end_ms - word.start_ms == 1000
        begin = word.start_ms * 8
        said, before = audio[begin + 3000 : begin + 5000], audio[begin + 500 : begin + 2500]
        # Half of the louder half of the clip is speech, so the speech is 2000 * sqrt(2); noise 40 dB below.
        assert abs(np.std(said) - 2828) < 60 and np.std(before) < 40
        assert word.voice_end_ms is not None and abs(word.voice_end_ms - (word.start_ms + 625)) <= 20
    again, _ = compose(words, 8000, 12.0, (40.0, 40.0), (), np.random.default_rng(2))
    assert np.array_equal(audio, again)


def test_one_minute_of_noise_fades_into_the_next() -> None:
    """Two noises that have nothing in common, mixed from one to the other: two thirds of the power."""
    rate, power = 1000, []
    for seed in range(60):
        audio, _ = compose([], rate, 121.0, (10.0, 10.0), (), np.random.default_rng(seed))
        noise = audio.astype(float) / (2000 * 10 ** (-10 / 20))
        places = (0, 30_000, 59_800, 60_000, 60_200, 120_000)
        power.append([np.mean(noise[at : at + 200] ** 2) for at in places])
    first, amid, before, mixed, after, second = np.mean(power, axis=0)
    for whole in (first, amid, before, after):
        assert 0.8 < whole < 1.2
    assert 0.5 < mixed < 0.85 and 0.5 < second < 0.85


def test_a_voice_ends_where_it_stays_20_db_below_its_loudest() -> None:
    tone = np.sin(np.arange(8000))
    for share, end in ((1.0, 8000), (0.13, 8000), (0.08, 3200), (0.0, 3200)):
        clip = np.rint(10_000 * tone * np.where(np.arange(8000) < 3200, 1, share)).astype(np.int16)
        assert streams.voice_end(clip, 8000) == end
    assert streams.voice_end(np.zeros(8000, np.int16), 8000) == 8000  # and of nothing at the end
    whole_blocks = {8050: 8000, 100: 100}  # or, without a single one, all of it
    for length, end in whole_blocks.items():
        assert streams.voice_end(np.full(length, 1000, np.int16), 8000) == end


def test_too_many_words_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        compose([("on", np.ones(8000, np.float32))] * 3, 8000, 2.5, (10, 20), (), np.random.default_rng(0))


@pytest.fixture(scope="module")
def store() -> Store:
    rng = np.random.default_rng(3)
    words = [word for word in tone_words.HERTZ for _ in range(6)]
    clips = tuple(
        Clip(Path(f"{word}/{i}.wav"), f"{word}/{i}.wav", word, "testing" if i % 2 else "training")
        for i, word in enumerate(words)
    )
    audio = np.stack([tone_words.say(word, rng) for word in words])
    return Store(clips, audio, (rng.normal(0, 100, 30_000).astype(np.int16),), (), "key")


def test_a_stream_with_keywords(store: Store) -> None:
    source = streams.material(store, "testing", KEYWORDS, tone_words.RATE)
    clips = zip(store.clips, store.audio, strict=True)
    kept = [(clip.word, audio) for clip, audio in clips if clip.split == "testing"]
    for word, found in {**source.keywords, "tree": source.others, SILENCE: source.quiet}.items():
        assert np.array_equal(found, [audio for name, audio in kept if name == word])
    assert set(source.keywords) == set(KEYWORDS) and source.other_words == ("tree",) * 3
    settings = KeywordStream(minutes=1, keywords=7, others=6, snr_db=(10, 20))
    stream = streams.keyword_stream(source, 5, settings)
    said = [word.label for word in stream.spoken]
    assert len(stream.audio) == 60 * tone_words.RATE
    assert (said.count("on"), said.count("off"), said.count("tree")) == (4, 3, 6)
    assert list(stream.spoken) == sorted(stream.spoken, key=lambda word: word.start_ms)
    again, other = (streams.keyword_stream(source, seed, settings) for seed in (5, 6))
    assert np.array_equal(stream.audio, again.audio) and stream.spoken == again.spoken
    assert not np.array_equal(stream.audio, other.audio)
    shorter = streams.cut(stream, 20, tone_words.RATE)
    assert len(shorter.audio) == 20 * tone_words.RATE and shorter.spoken == tuple(
        word for word in stream.spoken if word.end_ms <= 20_000
    )


def test_the_noise_is_as_far_below_as_asked(store: Store) -> None:
    source = streams.material(store, "testing", KEYWORDS, tone_words.RATE)
    for snr in (10.0, 20.0):
        settings = KeywordStream(minutes=1, keywords=4, others=0, snr_db=(snr, snr))
        stream = streams.keyword_stream(source, 1, settings)
        speech, noise = [], []
        taken = np.zeros(len(stream.audio), bool)
        for word in stream.spoken:
            begin = word.start_ms * 8
            taken[begin : begin + 8000] = True
            speech.append(np.mean(stream.audio[begin + 2600 : begin + 5400].astype(float) ** 2))
        noise = np.mean(stream.audio[~taken].astype(float) ** 2)
        # The level is of the louder half of a clip; a tone of half a second fills nearly all of it.
        assert abs(10 * np.log10((np.mean(speech) - noise) / noise) - snr) < 1.5


def test_hours_without_a_keyword(store: Store) -> None:
    source = streams.material(store, "testing", KEYWORDS, tone_words.RATE)
    stream = streams.background_stream(source, 4, minutes=6.5)
    assert len(stream.audio) == round(6.5 * 60) * tone_words.RATE
    assert {word.label for word in stream.spoken} == {"tree", streams.BABBLE}
    babble = [word for word in stream.spoken if word.label == streams.BABBLE]
    assert all((word.start_ms % 60_000, word.end_ms - word.start_ms) == (0, 60_000) for word in babble)
    minutes = stream.audio[: 6 * 60 * 8000].reshape(6, -1).astype(float).std(axis=1)
    assert minutes.max() > 3 * minutes.min()  # as loud as rooms differ
    assert np.array_equal(stream.audio, streams.background_stream(source, 4, minutes=6.5).audio)
    # Without other words and recordings there is still noise.
    bare = replace(source, others=source.others[:0], other_words=(), quiet=source.quiet[:0], recordings=())
    noise = streams.background_stream(bare, 2, minutes=12)
    assert not noise.spoken and len(noise.audio) == 12 * 60 * 8000
    assert all(np.std(minute) > 5 for minute in noise.audio.reshape(12, -1).astype(float))


def test_other_words_without_a_keyword_are_5_to_30_db_above_the_noise(store: Store) -> None:
    source = streams.material(store, "testing", KEYWORDS, tone_words.RATE)
    source = replace(source, quiet=source.quiet[:0], recordings=())
    stream, ratios = streams.background_stream(source, 3, minutes=20), []
    audio = stream.audio.astype(float)
    talk = [word for word in stream.spoken if word.label == "tree"]
    for minute in {word.start_ms // 60_000 for word in talk}:
        words = [word for word in talk if word.start_ms // 60_000 == minute]
        said = np.zeros(60 * 8000, bool)
        for word in words:
            said[8 * (word.start_ms - 60_000 * minute) : 8 * (word.end_ms - 60_000 * minute)] = True
        piece = audio[minute * 480_000 :][:480_000]
        noise = np.mean(piece[~said] ** 2)
        # Half of a clip is the word.
        ratios.append(10 * np.log10(max(2 * (np.mean(piece[said] ** 2) - noise), 1) / noise))
    assert len(ratios) > 5 and min(ratios) > 3.5 and max(ratios) < 31.5
    assert max(ratios) - min(ratios) > 12


def test_a_clip_of_nothing_is_not_made_loud() -> None:
    words = [("on", np.zeros(8000, np.int16)), ("off", np.ones(8000, np.int16))]
    audio, spoken = compose(words, 8000, 4.0, (20.0, 20.0), (), np.random.default_rng(1))
    begin = 8 * spoken[0].start_ms
    assert 100 < np.std(audio[begin : begin + 8000].astype(float)) < 400  # noise, 20 dB below words of 2000


def test_hours_without_a_keyword_have_words_of_any_length(store: Store) -> None:
    """One follows the other, also where clips are longer than the two seconds that a word has elsewhere."""
    source = streams.material(store, "testing", KEYWORDS, tone_words.RATE)
    for seconds, words in ((1, 30), (3, 20)):
        longer = replace(source, others=np.tile(source.others, (1, seconds)))
        stream = streams.background_stream(longer, 4, minutes=6)
        said = [word for word in stream.spoken if word.label == "tree"]
        by_minute = np.bincount([word.start_ms // 60_000 for word in said], minlength=6)
        assert set(by_minute) == {0, words}
        assert {word.end_ms - word.start_ms for word in said} == {1000 * seconds}


def test_the_rest_of_a_minute_may_have_no_room_for_a_word(store: Store) -> None:
    source = streams.material(store, "testing", KEYWORDS, tone_words.RATE)
    for seed in range(8):  # talk and noise
        stream = streams.background_stream(source, seed, minutes=1.5 / 60)
        assert len(stream.audio) == 12_000 and not [w for w in stream.spoken if w.label != streams.BABBLE]


def test_a_false_accept_is_named_by_what_was_still_in_the_window() -> None:
    spoken = (Spoken("tree", 1000, 2000), Spoken(streams.BABBLE, 8000, 68_000), Spoken("cat", 69_000, 70_000))
    stream = Scored("", np.zeros((0, 3), np.uint8), np.zeros(0, np.int64), spoken, 80_000)
    times = (1000, 1500, 3500, 3501, 30_000, 69_000, 69_200)
    said = trials.confusions([trials.judged(stream, [("on", time) for time in times], KEYWORDS)])
    assert {c["said"]: c["times"] for c in said} == {"tree": 2, None: 2, streams.BABBLE: 2, "cat": 1}


def test_a_stream_is_told_in_full() -> None:
    """Each detection with what it was, and each keyword that was missed; other words cannot be missed."""
    stream = Scored("one", np.zeros((0, 3), np.uint8), np.zeros(0, np.int64), tuple(SPOKEN), 60_000)
    told = trials.judged(stream, [("on", 1800), ("on", 2100), ("off", 3900)], KEYWORDS)
    assert (told["name"], told["spoken"], told["hits"]) == ("one", 3, 1)
    assert [tuple(d.values()) for d in told["detections"]] == [
        ("on", 1800, "hit", "on"), ("on", 2100, "repeat", "on"), ("off", 3900, "false accept", "tree"),
    ]  # fmt: skip
    assert [tuple(word.values()) for word in told["missed"]] == [("off", 5000, 6000), ("on", 8000, 9000)]
    assert trials.confusions([told, told]) == [{"said": "tree", "heard": "off", "times": 2}]


def test_a_split_without_a_keyword_is_refused(store: Store) -> None:
    from codegen.application import ApplicationSettings

    settings = ApplicationSettings(tone_words.CLASSES, (150,) * 4)
    only = replace(store, clips=tuple(replace(clip, split="training") for clip in store.clips))
    with pytest.raises(TokayError, match="no clip of on, off"):
        trials.prepare(only, "testing", tone_words.CLASSES, tone_words.FRONTEND, settings)
    keywords = tuple(replace(c, split="training") if c.word == "tree" else c for c in store.clips)
    alone = replace(store, clips=keywords)
    plan = trials.Plan((1,), 0.0, KeywordStream(minutes=1, keywords=8, others=4))
    with pytest.raises(TokayError, match="no clip of other words"):
        trials.prepare(alone, "testing", tone_words.CLASSES, tone_words.FRONTEND, settings, plan)
    plan = replace(plan, keyword_stream=replace(plan.keyword_stream, others=0))
    [made] = trials.prepare(
        alone, "testing", tone_words.CLASSES, tone_words.FRONTEND, settings, plan
    ).with_keywords
    assert [word.label for word in made.spoken].count("on") == 4 == len(made.spoken) / 2
    with pytest.raises(TokayError, match="do not fit"):
        trials.prepare(
            store, "testing", tone_words.CLASSES, tone_words.FRONTEND, settings,
            trials.Plan((1,), 0.0, KeywordStream(minutes=0.5, keywords=16, others=15)),
        )  # fmt: skip
    full = trials.Plan((1,), 0.0, KeywordStream(minutes=0.5, keywords=15, others=15))
    made = trials.prepare(store, "testing", tone_words.CLASSES, tone_words.FRONTEND, settings, full)
    spoken = made.with_keywords[0].spoken  # one right after the other
    assert [(word.start_ms, word.end_ms) for word in spoken] == [
        (1000 * k, 1000 * k + 1000) for k in range(30)
    ]


def test_voices_in_babble_are_alike_loud_and_a_recording_goes_on_without_a_seam() -> None:
    t, rng = np.arange(8000) / 8000, np.random.default_rng(1)
    voices = np.stack([level * np.sin(2 * np.pi * f * t) for f, level in ((500, 100), (700, 10_000))])
    nothing = np.zeros((0, 8000), np.int16)
    source = streams.Material(8000, {}, voices.astype(np.int16), ("quiet", "loud"), nothing, ())
    spectrum = np.abs(np.fft.rfft(streams._babble(80_000, rng, source)))
    assert 0.5 < spectrum[5000] / spectrum[7000] < 2  # a bin is a tenth of a Hertz
    ramp = np.arange(-500, 501, dtype=np.int16)  # from whose end to its start is a thousand steps
    steps = np.abs(np.diff(streams._looped(ramp, 5000, rng)))
    assert steps.max() < 1.5 * np.median(steps)


def test_trials_are_as_long_as_planned_and_counted_to_their_end(store: Store, monkeypatch) -> None:
    from codegen.application import ApplicationSettings

    settings = ApplicationSettings(tone_words.CLASSES, (150,) * 4)
    monkeypatch.setattr(trials, "_BACKGROUND_MINUTES", 0.5)  # of one stream
    plan = trials.Plan((3, 4), 1.25 / 60, KeywordStream(minutes=0.5, keywords=4, others=4))
    told: list[tuple[int, int]] = []
    made = trials.prepare(
        store, "testing", tone_words.CLASSES, tone_words.FRONTEND, settings, plan,
        lambda done, of: told.append((done, of)),
    )  # fmt: skip
    assert [stream.duration_ms for stream in made.with_keywords] == [30_000, 30_000]
    assert [stream.duration_ms for stream in made.without] == [30_000, 30_000, 15_000]
    assert told == [(k, 5) for k in range(1, 6)]
    source = trials.material(store, "testing", tone_words.CLASSES, tone_words.RATE, plan.keyword_stream)
    for number, (stream, seconds) in enumerate(zip(made.without, (30, 30, 15), strict=True)):
        # The seeds are those of published figures.
        same = streams.background_stream(source, 3000 + number, seconds / 60)
        columns = feature_stream(same, tone_words.FRONTEND, settings).columns
        assert np.array_equal(stream.columns, columns)


def drawn(*hertz: int) -> np.ndarray:
    """Tones of a second that swell and fade, int16[n, 8000]."""
    t = np.arange(8000) / 8000
    swell = np.clip(1.2 - 3 * np.abs(t - 0.4), 0, 1)
    return np.stack([(6000 * np.sin(2 * np.pi * f * t) * swell).astype(np.int16) for f in hertz])


def test_streams_stay_what_published_figures_were_made_on() -> None:
    """Of one seed and the same clips: the words, how loud each half minute is, and how much of it is high.
    What moves here, however good, moves every figure in the README and in the cards."""
    source = streams.Material(
        8000, {"on": drawn(300, 310), "off": drawn(400, 410, 420)}, drawn(500, 600, 700, 800), tuple("abcd"),
        drawn(50, 60) // 20, (drawn(1000)[0],),
    )  # fmt: skip
    words = streams.keyword_stream(source, 1, KeywordStream(minutes=2, keywords=10, others=20))
    hours = streams.background_stream(source, 1006, 6.5)

    def told(audio: np.ndarray) -> list[list[float]]:
        parts = audio.astype(np.float64).reshape(-1, 30 * 8000)
        return [np.sqrt((x**2).mean(axis=1)).tolist() for x in (parts, np.diff(parts))]

    said = "".join(word.label[:2] + " " for word in words.spoken)
    assert said == "b a a on on b c of c a b b on of a d c on d of on c of b d a d c of d "
    assert words.spoken[0] == Spoken("b", 2161, 3161, 2921)
    assert words.spoken[-1] == Spoken("d", 116449, 117449, 117209)
    loud, high = told(words.audio)
    assert loud == pytest.approx([1105.2, 1045.8, 1096.6, 1053.4], rel=3e-3)
    assert high == pytest.approx([525.48, 519.48, 644.74, 663.25], rel=3e-3)
    babble = [word for word in hours.spoken if word.label == streams.BABBLE]
    assert babble == [Spoken(streams.BABBLE, at, at + 60_000) for at in (180_000, 240_000)]
    assert len(hours.spoken) == 47
    assert hours.spoken[0] == Spoken("b", 60091, 61091, 60851)
    assert hours.spoken[-1] == Spoken("d", 388067, 389067, 388827)
    loud, high = told(hours.audio)
    assert loud == pytest.approx(
        [554.5, 554.5, 637.0, 637.0, 1012.4, 1012.4, 43.1, 41.4, 19.2, 19.6, 400.7, 403.9, 316.2], rel=3e-3
    )
    assert high == pytest.approx(
        [21.84, 21.84, 315.64, 328.52, 39.86, 39.86, 21.85, 21.46, 9.74, 9.88, 69.48, 69.65, 162.09], rel=3e-3
    )
