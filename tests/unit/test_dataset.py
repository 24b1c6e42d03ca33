"""Datasets on disk: splits by list and by speaker, bad clips, the cache, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from host.dataset import download, examine, find, folder, store
from host.errors import TokayError


def tone(rate: int, seconds: float, hertz: float = 440.0, amplitude: float = 8000.0) -> np.ndarray:
    phase = 2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate
    return np.rint(amplitude * np.sin(phase)).astype(np.int16)


def write(path: Path, audio: np.ndarray, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three words and silence, at several rates and lengths, with lists and two bad clips."""
    root, rng = tmp_path / "data", np.random.default_rng(1)
    for word in ("on", "off", "tree"):
        for speaker in ("aa", "bb", "cc"):
            hertz = 440.0 if (word, speaker) == ("on", "aa") else float(rng.integers(300, 3000))
            write(root / word / f"{speaker}_nohash_0.wav", tone(16000, 1.0, hertz), 16000)
    write(root / "on" / "dd_nohash_0.flac", tone(8000, 0.5), 8000)
    write(root / "on" / "ee_nohash_0.wav", tone(16000, 2.5), 16000)
    write(root / "tree" / "ff_nohash_0.wav", np.zeros(16000, np.int16), 16000)
    write(root / "tree" / "gg_nohash_0.wav", tone(16000, 0.05), 16000)
    (root / "tree" / "hh_nohash_0.wav").write_bytes(b"RIFF but not really")
    (root / "tree" / "notes.txt").write_text("not audio")
    for i in range(30):
        write(root / "_silence_" / f"{i}.wav", tone(16000, 1.0, 100 + i, amplitude=3), 16000)
    write(root / "_background_noise_" / "hum.wav", tone(16000, 3.0, 50), 16000)
    (root / "testing_list.txt").write_text("on/aa_nohash_0.wav\noff/aa_nohash_0.wav\ntree/aa_nohash_0.wav\n")
    validation = "on/dd_nohash_0.wav\noff/bb_nohash_0.wav\non/bb_nohash_0.wav\ntree/bb_nohash_0.wav\n"
    validation += "on/gone_nohash_0.wav\n"
    (root / "validation_list.txt").write_text(validation)
    return root


def test_splits_follow_the_lists(dataset: Path) -> None:
    found = folder.scan(dataset)
    split = {clip.name: clip.split for clip in found.clips}
    assert split["on/aa_nohash_0.wav"] == "testing"
    assert split["on/dd_nohash_0.flac"] == "validation"  # listed as .wav
    assert split["tree/cc_nohash_0.wav"] == "training"
    assert any("1 of 8 listed clips" in warning for warning in found.warnings)
    assert [path.name for path in found.background] == ["hum.wav"]


def test_words_that_no_list_names_are_split_by_speaker(dataset: Path) -> None:
    silence = [clip for clip in folder.scan(dataset).clips if clip.word == "_silence_"]
    assert {clip.split for clip in silence} == {"training", "validation", "testing"}
    assert all(clip.split == folder.split_of_speaker(clip.path.stem) for clip in silence)


def test_without_lists_a_speaker_is_in_one_split(dataset: Path) -> None:
    (dataset / "testing_list.txt").unlink()
    (dataset / "validation_list.txt").unlink()
    found = folder.scan(dataset)
    splits: dict[str, set[str]] = {}
    for clip in found.clips:
        splits.setdefault(folder.speaker_of(clip.name), set()).add(clip.split)
    assert all(len(kinds) == 1 for kinds in splits.values())
    assert len(found.warnings) == 2


def test_names_are_the_same_in_either_unicode_form(dataset: Path) -> None:
    """As macOS writes a folder, and lists that were written elsewhere."""
    (dataset / "tree").rename(dataset / "o\u0308l")
    for file in ("testing_list.txt", "validation_list.txt"):
        text = (dataset / file).read_text().replace("tree/", "\u00f6l/")
        (dataset / file).write_text(text, encoding="utf-8")
    found = folder.scan(dataset)
    split = {clip.name: clip.split for clip in found.clips if clip.word == "\u00f6l"}
    assert (split["\u00f6l/aa_nohash_0.wav"], split["\u00f6l/bb_nohash_0.wav"]) == ("testing", "validation")
    assert all(clip.path.is_file() for clip in found.clips)
    assert not any("no folder" in warning for warning in found.warnings)
    write(dataset / "\u00f6l" / "aa_nohash_0.wav", tone(16000, 1.0), 16000)
    if len(list(dataset.glob("*l"))) == 2:  # a file system that takes them for one has one file
        with pytest.raises(TokayError, match="two clips are called \u00f6l/aa_nohash_0"):
            folder.scan(dataset)


def test_names_are_utf_8_in_every_locale(dataset: Path) -> None:
    (dataset / "tree").rename(dataset / "grün")
    for name in folder.LISTS.values():
        path = dataset / name
        path.write_text(path.read_text().replace("tree", "grün"), encoding="utf-8")
    program = (
        "import json, sys; from host.dataset import folder; "
        "print(json.dumps([[clip.name, clip.split] for clip in folder.scan(sys.argv[1]).clips]))"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command, env = [sys.executable, "-c", program, dataset], {**os.environ, **locale}
    told = subprocess.run(command, env=env, check=True, capture_output=True)
    assert json.loads(told.stdout) == [[clip.name, clip.split] for clip in folder.scan(dataset).clips]


def test_a_clip_in_both_lists_is_refused(dataset: Path) -> None:
    (dataset / "validation_list.txt").write_text("on/bb_nohash_0.wav\non/aa_nohash_0.wav\n")
    with pytest.raises(TokayError, match="aa_nohash_0"):
        folder.scan(dataset)


def test_decoding(dataset: Path, tmp_path: Path) -> None:
    loaded = store.load(folder.scan(dataset), 8000, 8000, tmp_path / "cache")
    names = [clip.name for clip in loaded.clips]
    assert loaded.audio.shape == (len(names), 8000) and loaded.audio.dtype == np.int16
    assert len(loaded.skipped) == 3
    for reason in ("digital silence", "50 ms", "not readable"):
        assert any(reason in line for line in loaded.skipped)
    assert not any("ff_nohash" in name for name in names)
    # 440 Hz stays 440 Hz at half the rate, as loud as it was.
    clip = loaded.audio[names.index("on/aa_nohash_0.wav")].astype(float)
    spectrum = np.abs(np.fft.rfft(clip))
    assert np.argmax(spectrum) == 440
    assert abs(np.sqrt(np.mean(clip[1000:-1000] ** 2)) - 8000 / np.sqrt(2)) < 40
    short = loaded.audio[names.index("on/dd_nohash_0.flac")]
    assert not np.any(short[:2000]) and not np.any(short[6000:]) and np.any(short[2000:6000])
    assert [len(noise) for noise in loaded.background] == [24000]


def test_the_check_finds_what_training_finds(dataset: Path, tmp_path: Path) -> None:
    """Silence may be faint, in words it is a fault; a copy of a tested clip counts for testing alone."""
    write(dataset / "tree" / "kk_nohash_0.wav", tone(16000, 1.0, amplitude=3), 16000)
    write(dataset / "on" / "kk_nohash_0.wav", tone(16000, 1.0, 440), 16000)  # on/aa_nohash_0
    write(dataset / "_background_noise_" / "faint.wav", tone(16000, 2.5, 50, amplitude=3), 16000)
    write(dataset / "_background_noise_" / "nothing.wav", np.zeros(48000, np.int16), 16000)
    found = folder.scan(dataset)
    loaded = store.load(found, 8000, 8000, tmp_path / "cache")
    read: list[tuple[int, int]] = []
    report = examine.examine(found, 8000, lambda done, of: read.append((done, of)))
    assert report.bad == loaded.skipped and len(report.bad) == 6
    counts = Counter((clip.word, clip.split) for clip in loaded.clips)
    assert report.words == {
        word: {split: counts[word, split] for split in folder.SPLITS} for word in found.words
    }
    assert report.background_s == sum(map(len, loaded.background)) / 8000 == 5.5
    assert report.speakers == {"training": 2, "validation": 2, "testing": 1}  # cc and ee, bb and dd, aa
    assert examine.examine(found, None, lambda done, of: None).background_s == 5.5  # at its own rate
    assert read == [(i + 1, len(found.clips)) for i in range(len(found.clips))]


def test_noise_is_as_long_as_a_clip_at_least(dataset: Path, tmp_path: Path) -> None:
    for name, samples in (("whole", 8000), ("short", 7999)):
        write(dataset / "_background_noise_" / f"{name}.wav", tone(8000, 1.0, 60)[:samples], 8000)
    loaded = store.load(folder.scan(dataset), 8000, 8000, tmp_path / "cache")
    assert sorted(map(len, loaded.background)) == [8000, 24000]
    assert "_background_noise_/short.wav: shorter than a clip of 1000 ms" in loaded.skipped


def test_the_cache_is_used_and_follows_the_contents(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = store.load(folder.scan(dataset), 8000, 8000, cache)
    with monkeypatch.context() as patch:
        patch.setattr(store, "read_clip", lambda *_, **__: pytest.fail("decoded again"))
        again = store.load(folder.scan(dataset), 8000, 8000, cache)
    assert again.key == first.key and np.array_equal(again.audio, first.audio)
    write(dataset / "on" / "aa_nohash_0.wav", tone(16000, 1.0, 880), 16000)
    changed = store.load(folder.scan(dataset), 8000, 8000, cache)
    assert changed.key != first.key and not np.array_equal(changed.audio, first.audio)
    assert not [path for path in (cache / "audio").iterdir() if path.name.startswith(".building")]


def _cut(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[:-2])


def _flip(place: Path) -> None:
    data = bytearray((place / "clips.i16").read_bytes())
    data[len(data) // 2] ^= 4
    (place / "clips.i16").write_bytes(data)


def _index(**changes: object) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        path = place / "index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _swap_names(place: Path) -> None:
    path = place / "index.json"
    index = json.loads(path.read_text())
    index["names"] = index["names"][::-1]
    path.write_text(json.dumps(index))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated clips": _cut("clips.i16"),
    "truncated noise": _cut("background.i16"),
    "truncated index": _cut("index.json"),
    "a flipped bit": _flip,
    "another clip's name": _index(names=["on/nobody.wav"]),
    "names of other clips": _swap_names,
    "another size": _index(samples=4000),
    "a wrong length": _index(background=[12000, 12001]),
    "an index of another kind": lambda place: (place / "index.json").write_text("[]"),
    "no clips": lambda place: (place / "clips.i16").unlink(),
    "an empty folder": lambda place: [path.unlink() for path in place.iterdir()] and None,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_cache_is_made_again(
    dataset: Path, tmp_path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    loaded = store.load(folder.scan(dataset), 8000, 8000, cache)
    place = cache / "audio" / loaded.key
    wanted = np.array(loaded.audio)  # the map shows the damage too
    damage(place)
    capsys.readouterr()
    again = store.load(folder.scan(dataset), 8000, 8000, cache)
    assert np.array_equal(again.audio, wanted) and again.clips == loaded.clips
    assert len(again.background) == 1 and again.skipped == loaded.skipped
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "damaged" in lines[0]
    store.load(folder.scan(dataset), 8000, 8000, cache)
    assert not capsys.readouterr().err


def test_an_unwritable_cache_is_reported(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokayError, match="cannot write the cache"):
        store.load(folder.scan(dataset), 8000, 8000, tmp_path / "file")


def test_failure_leaves_nothing_behind(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_decode_into", full)
    with pytest.raises(TokayError, match="No space left"):
        store.load(folder.scan(dataset), 8000, 8000, tmp_path / "cache")
    left = list((tmp_path / "cache" / "audio").iterdir())
    assert all(path.name.endswith(".lock") for path in left)


@pytest.mark.parametrize("what", ["missing", "file", "empty", "no_audio"])
def test_no_dataset(tmp_path: Path, what: str) -> None:
    path = tmp_path / "data"
    if what == "file":
        path.write_text("x")
    elif what != "missing":
        path.mkdir()
    if what == "no_audio":
        (path / "on").mkdir()
        (path / "on" / "x.txt").write_text("x")
    with pytest.raises(TokayError):
        folder.scan(path)


def test_the_cached_dataset_is_the_default(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "tokay")
    with pytest.raises(TokayError, match="speech_commands"):
        find.find(None)
    (tmp_path / "tokay").mkdir()
    dataset.rename(tmp_path / "tokay" / "speech_commands")
    assert find.find(None).words == ("_silence_", "off", "on", "tree")


@pytest.mark.parametrize(("length", "loud_at"), [(20000, 15000), (8000, 0), (4000, 0), (1, 0)])
def test_fit_length(length: int, loud_at: int) -> None:
    audio = np.ones(length, np.int16)
    audio[loud_at : loud_at + 100] = 1000
    fitted = store.fit_length(audio, 8000)
    assert len(fitted) == 8000
    assert np.count_nonzero(fitted == 1000) == min(100, length)
