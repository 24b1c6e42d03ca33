"""Streaming figures by hand-counted detections, and streams made of known words."""

from __future__ import annotations

import numpy as np
import pytest

from host.metrics.streaming import Spoken, match
from host.metrics.streams import compose

SPOKEN = [
    Spoken("on", 1000, 2000),
    Spoken("tree", 3000, 4000),
    Spoken("off", 5000, 6000),
    Spoken("on", 8000, 9000),
]


def test_hits_misses_alarms_and_repeats() -> None:
    heard = [("on", 1800), ("on", 2700), ("off", 3900), ("on", 5900), ("on", 9750), ("on", 9751)]
    result = match(heard, SPOKEN, ("on", "off"), 3_600_000)
    assert (result.spoken, result.hits, result.false_rejects) == (3, 2, 1)
    assert result.repeats == 1  # 2700
    assert result.false_accepts == 3  # "off" in "tree", "on" in "off", and one too late
    assert result.delays_ms == (-200, 750)
    assert result.false_accepts_per_hour == 3


def test_a_word_is_not_heard_before_it_is_said() -> None:
    result = match([("on", 1000)], SPOKEN, ("on", "off"), 10_000)
    assert result.hits == 0 and result.false_accepts == 1


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
    again, _ = compose(words, 8000, 12.0, (40.0, 40.0), (), np.random.default_rng(2))
    assert np.array_equal(audio, again)


def test_too_many_words_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        compose([("on", np.ones(8000, np.float32))] * 3, 8000, 2.5, (10, 20), (), np.random.default_rng(0))
