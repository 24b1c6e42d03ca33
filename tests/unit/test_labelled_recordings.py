"""Label files of recordings: what is read, and what is refused with the line that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from host.errors import TokayError
from host.metrics import recordings
from tests.places import ROOT


def labels(tmp_path: Path, text: str, name: str = "labels.txt") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_lines_in_any_order_with_comments(tmp_path: Path) -> None:
    text = "# a take of the kitchen\n3.5\t4.0\toff\n\n1.25 1.75 on  # soft\n6 7 turn it on\n"
    *words, long = recordings.read_labels(labels(tmp_path, text))
    assert long.label == "turn it on"
    assert [(w.label, w.start_ms, w.voice_end_ms) for w in words] == [("on", 1250, 1750), ("off", 3500, 4000)]
    assert words[0].end_ms == 2000  # a clip goes on for a quarter of a second after its word


def test_times_are_rounded_to_milliseconds(tmp_path: Path) -> None:
    text = "0.5006 1.001 on\n2 3.0014 on\n"  # 1000 * 1.001 is below 1001
    word, other = recordings.read_labels(labels(tmp_path, text))
    assert (word.start_ms, word.voice_end_ms, word.end_ms) == (501, 1001, 1251)
    assert (other.voice_end_ms, other.end_ms) == (3001, 3251)


def test_frequencies_that_audacity_exports_are_passed_over(tmp_path: Path) -> None:
    text = "1.250000\t1.750000\ton\n\\\t120.000000\t3400.000000\n3.500000\t4.000000\toff\n"
    assert [word.label for word in recordings.read_labels(labels(tmp_path, text))] == ["on", "off"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("l.txt", "1.25 1.75 on"), ("l.json", '[{"word": "on", "start_ms": 1250, "end_ms": 1750}]')],
)
def test_a_byte_order_mark_is_no_text(tmp_path: Path, name: str, text: str) -> None:
    (word,) = recordings.read_labels(labels(tmp_path, f"\ufeff{text}", name))
    assert (word.label, word.start_ms) == ("on", 1250)


def test_json_as_the_demonstration_has_it() -> None:
    words = recordings.read_labels(ROOT / "host" / "models" / "demo" / "on_off.json")
    assert [w.label for w in words] == ["on", "off"] * 3 and words[0].start_ms == 1500


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1.0 2.0 on\n1.0 on\n", "labels.txt:2: '1.0 on' is not a label"),
        ("one two on\n", "labels.txt:1: 'one two' are not times"),
        ("2.0 1.0 on\n", "labels.txt:1: 'on' from 2 to 1 s"),
        ("2.0 2.0 on\n", "'on' from 2 to 2 s, which is not a span"),
        ("\n-1 1.0 on\n", "labels.txt:2"),
        ("nan 1.0 on\n", "labels.txt:1"),
        ("0 inf on\n", "labels.txt:1"),
    ],
)
def test_bad_lines(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(TokayError) as error:
        recordings.read_labels(labels(tmp_path, text))
    assert what in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["{", "3", "{}", '{"keywords": 1}', '{"keywords": [{"word": "on"}]}',
     '[{"word": "on", "start_ms": "x", "end_ms": 3}]', '[{"word": "on", "start_ms": 5, "end_ms": 3}]',
     '["on"]', r'[{"word": "o\ud800n", "start_ms": 0, "end_ms": 3}]',
     f'[{{"word": "on", "start_ms": {"9" * 400}, "end_ms": 3}}]', "[" * 100_000],
)  # fmt: skip
def test_bad_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(TokayError, match=r"labels\.json"):
        recordings.read_labels(labels(tmp_path, text, "labels.json"))


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(TokayError, match="cannot read"):
        recordings.read_labels(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    with pytest.raises(TokayError, match="cannot read"):
        recordings.read_labels(tmp_path / "binary.txt")


def test_labels_of_another_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(16000, np.int16), 8000)
    path = labels(tmp_path, json.dumps([{"word": "on", "start_ms": 2500, "end_ms": 2900}]), "a.json")
    with pytest.raises(TokayError, match=r"'on' from 2\.5 to 2\.9 s, .*a\.wav ends at 2 s"):
        recordings.load(tmp_path / "a.wav", path, 8000)
    with pytest.raises(TokayError, match=r"'on' from 1\.5 to 60 s, .*a\.wav ends at 2 s"):
        recordings.load(tmp_path / "a.wav", labels(tmp_path, "1.5 60 on\n"), 8000)
    # A word that was cut off may have been labelled to where it would have ended, a second later at most.
    assert recordings.load(tmp_path / "a.wav", labels(tmp_path, "1.999 3 on\n"), 8000).spoken
    for text, span in (("1.5 3.001 on\n", r"from 1\.5 to 3\.001 s"), ("2 2.5 on\n", r"from 2 to 2\.5 s")):
        with pytest.raises(TokayError, match=span):
            recordings.load(tmp_path / "a.wav", labels(tmp_path, text), 8000)
    assert recordings.load(tmp_path / "a.wav", None, 8000).spoken == ()


def test_keywords_in_other_letters_are_refused(tmp_path: Path) -> None:
    """Else none of them would count as said, and each detection as a false accept."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8000, np.int16), 8000)
    written = labels(tmp_path, "0.1 0.3 tree\n0.5 0.9 ON\n")
    with pytest.raises(TokayError, match=r"'ON' at 0\.5 s, the model says 'on'"):
        recordings.load(tmp_path / "a.wav", written, 8000, keywords=("off", "on"))
    assert len(recordings.load(tmp_path / "a.wav", written, 8000, keywords=("off",)).spoken) == 2
    both = recordings.load(tmp_path / "a.wav", written, 8000, keywords=("ON", "on"))
    assert [word.label for word in both.spoken] == ["tree", "ON"]


def test_a_decomposed_word_is_the_keyword(tmp_path: Path) -> None:
    """As macOS writes names: "o" and a combining diaeresis."""
    [word] = recordings.read_labels(labels(tmp_path, "0.1 0.3 gro\u0308\u00dfe\n"))
    assert word.label == "gr\u00f6\u00dfe"


def test_a_recording_of_another_rate_is_taken_where_it_may_be_converted(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(32_000, np.int16), 16_000)
    given = labels(tmp_path, "1.25 1.75 on")
    stream = recordings.load(path, given, 8000, resample=True, keywords=("on",))
    assert len(stream.audio) == 16_000 and stream.spoken == recordings.read_labels(given)
    with pytest.raises(TokayError, match="16000 Hz"):
        recordings.load(path, given, 8000)
