"""What is wrong with a dataset: leaks between splits, clips that cannot be used, lists that lie."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from host.dataset import folder, store
from host.dataset.reading import read_clip
from host.errors import TokayError
from tests.places import SHARED

RATE = 16000


def babble(seed: int, seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8000, 8000, int(RATE * seconds)).astype(np.int16)


def write(path: Path, audio: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate)
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Speaker a tests, b validates, c and d train."""
    root = tmp_path / "data"
    for i, word in enumerate(("on", "off")):
        for k, speaker in enumerate("abcd"):
            write(root / word / f"{speaker}_nohash_0.wav", babble(10 * i + k))
    (root / "testing_list.txt").write_text("on/a_nohash_0.wav\noff/a_nohash_0.wav\n")
    (root / "validation_list.txt").write_text("on/b_nohash_0.wav\noff/b_nohash_0.wav\n")
    return root


def load(root: Path, tmp_path: Path) -> store.Store:
    return store.load(folder.scan(root), RATE, RATE, tmp_path / "cache")


def test_a_speaker_in_two_splits_is_refused_and_both_clips_named(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dataset / "off" / "a_nohash_1.wav", babble(99))
    with pytest.raises(TokayError) as caught:
        folder.scan(dataset)
    assert "off/a_nohash_0.wav in testing" in caught.value.message
    assert "off/a_nohash_1.wav in training" in caught.value.message
    assert "TOKAY_ALLOW_LEAKS" in caught.value.hint
    monkeypatch.setenv("TOKAY_ALLOW_LEAKS", "1")
    assert any("speaker a is in two splits" in line for line in folder.scan(dataset).warnings)


def test_numbered_clips_are_no_speakers(dataset: Path) -> None:
    for word in ("on", "off"):
        write(dataset / word / "1.wav", babble(hash(word) % 1000))
    (dataset / "testing_list.txt").write_text("on/1.wav\n")
    (dataset / "validation_list.txt").write_text("off/b_nohash_0.wav\non/b_nohash_0.wav\n")
    split = {clip.name: clip.split for clip in folder.scan(dataset).clips}
    assert split["on/1.wav"] == "testing" and split["off/1.wav"] == "training"


def test_a_word_that_no_list_names_follows_its_speakers(dataset: Path) -> None:
    for speaker in "abcd":
        write(dataset / "tree" / f"{speaker}_nohash_0.wav", babble(ord(speaker)))
    split = {clip.name[5]: clip.split for clip in folder.scan(dataset).clips if clip.word == "tree"}
    assert split == {"a": "testing", "b": "validation", "c": "training", "d": "training"}


def test_an_absent_list_s_split_is_drawn_by_speaker(dataset: Path) -> None:
    (dataset / "validation_list.txt").unlink()
    for i in range(40):
        for word in ("on", "off"):
            write(dataset / word / f"{i:02}_nohash_0.wav", babble(1000 + i + 50 * (word == "on"), 0.2))
    found = folder.scan(dataset)
    assert {clip.split for clip in found.clips} == set(folder.SPLITS)
    assert {clip.name for clip in found.clips if clip.split == "testing"} == {
        "on/a_nohash_0.wav",
        "off/a_nohash_0.wav",
    }
    assert len(found.warnings) == 1 and "validation_list.txt" in found.warnings[0]


def test_one_recording_in_two_splits_counts_in_the_stronger(dataset: Path, tmp_path: Path) -> None:
    tested, validated = babble(0), babble(1)
    write(dataset / "on" / "c_nohash_1.flac", tested)  # training: as FLAC, so other bytes
    write(dataset / "on" / "d_nohash_1.wav", validated)  # training
    write(dataset / "on" / "b_nohash_1.wav", tested)  # validation
    (dataset / "validation_list.txt").write_text("on/b_nohash_0.wav\noff/b_nohash_0.wav\non/b_nohash_1.wav\n")
    loaded = load(dataset, tmp_path)
    names = [clip.name for clip in loaded.clips]
    assert len(names) == 8 and not {"on/c_nohash_1.flac", "on/d_nohash_1.wav", "on/b_nohash_1.wav"} & set(
        names
    )
    assert len(loaded.skipped) == 3
    line = next(line for line in loaded.skipped if line.startswith("on/c_nohash_1.flac"))
    assert "same recording as on/" in line
    for clip, audio in zip(loaded.clips, loaded.audio, strict=True):  # rows still belong to their clips
        assert np.array_equal(audio, soundfile.read(clip.path, dtype="int16")[0])
    assert np.array_equal(load(dataset, tmp_path).audio, loaded.audio)


def test_one_recording_as_two_words_is_not_learnt(dataset: Path, tmp_path: Path) -> None:
    write(dataset / "on" / "c_nohash_1.wav", babble(500))
    write(dataset / "off" / "c_nohash_1.wav", babble(500))
    write(dataset / "on" / "c_nohash_2.wav", babble(600))
    write(dataset / "on" / "c_nohash_3.wav", babble(600))  # twice in one split: harmless
    loaded = load(dataset, tmp_path)
    assert sorted(line.split(":")[0] for line in loaded.skipped) == [
        "off/c_nohash_1.wav",
        "on/c_nohash_1.wav",
    ]
    assert all("another word" in line for line in loaded.skipped)
    assert len(loaded.clips) == 10


def test_other_lists_give_another_cache(dataset: Path, tmp_path: Path) -> None:
    first = load(dataset, tmp_path)
    lists = [dataset / "testing_list.txt", dataset / "validation_list.txt"]
    texts = [path.read_text() for path in lists]
    for path, text in zip(lists, reversed(texts), strict=True):
        path.write_text(text)
    assert load(dataset, tmp_path).key != first.key


def _wav(path: Path, audio: np.ndarray, keep: float = 1.0, promise: int | None = None) -> Path:
    write(path, audio)
    data = bytearray(path.read_bytes())
    if promise is not None:
        data[40:44] = promise.to_bytes(4, "little")
    path.write_bytes(data[: int(keep * len(data))])
    return path


def test_bad_clips_and_their_reasons(tmp_path: Path) -> None:
    loud = np.where(babble(1) > 0, 32767, -32768).astype(np.int16)
    flac = write(tmp_path / "cut.flac", babble(3))
    flac.write_bytes(flac.read_bytes()[:9000])
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    cases = {
        "digital silence": write(tmp_path / "zero.wav", np.zeros(RATE, np.int16)),
        "a constant": write(tmp_path / "dc.wav", np.full(RATE, 500, np.int16)),
        "nearly silent": write(tmp_path / "faint.wav", babble(2) // 1000),
        "only 50 ms": write(tmp_path / "short.wav", babble(2, 0.05)),
        "clipped: 100 %": write(tmp_path / "loud.wav", loud),
        "truncated: ": _wav(tmp_path / "cut.wav", babble(4), keep=0.6),
        "recorded at 2000 Hz": write(tmp_path / "slow.wav", babble(5), 2000),
        "not readable": flac,
        "not readable ": empty,
    }
    for reason, path in cases.items():
        found = read_clip(path, RATE)
        assert isinstance(found, str) and reason.strip() in found, (path, found)
        assert str(tmp_path) not in found
    assert isinstance(read_clip(tmp_path / "faint.wav", RATE, speech=False), np.ndarray)


def test_clips_at_the_limits_of_what_can_be_used(tmp_path: Path) -> None:
    half_scale = np.tile(np.array([100, -100], np.int16), RATE // 2)
    quarter = half_scale.copy()
    quarter[: RATE // 4 : 2], quarter[1 : RATE // 4 : 2] = 32767, -32768
    faint = np.tile(np.array([32, -32], np.int16), RATE // 2)
    for good in (half_scale[: RATE // 10], quarter, faint + np.arange(RATE, dtype=np.int16) % 2 * -1):
        assert isinstance(read_clip(write(tmp_path / "good.wav", good), RATE), np.ndarray)
    more = quarter.copy()
    more[RATE // 4] = 32767
    for bad, reason in (
        (half_scale[: RATE // 10 - 1], "only 99 ms long"),
        (more, "clipped: 25 % of its samples are at full scale"),
        (faint, "nearly silent: its swing is 64 of 65536"),
    ):
        assert read_clip(write(tmp_path / "bad.wav", bad), RATE) == reason
    low = write(tmp_path / "low.wav", half_scale, 4000)
    assert isinstance(read_clip(low, 8000), np.ndarray)  # half of the model's rate is enough
    assert read_clip(low, 8001) == "recorded at 4000 Hz, too low for a model that listens at 8001 Hz"


def test_good_clips_of_every_kind(tmp_path: Path) -> None:
    stereo = np.stack((babble(1), babble(2)), axis=1)
    for name, audio, rate in (
        ("a.wav", stereo, 44100),
        ("b.flac", babble(3), 8000),
        ("c.wav", babble(4), 48000),
    ):
        read = read_clip(write(tmp_path / name, audio, rate), RATE)
        assert isinstance(read, np.ndarray) and read.dtype == np.int16 and read.ndim == 1
        assert abs(len(read) - RATE * len(audio) / rate) <= 2
    for promise in (0xFFFFFFFF, 0x7FFFFFFF):  # a program that wrote to a pipe
        assert isinstance(
            read_clip(_wav(tmp_path / "pipe.wav", babble(5), promise=promise), RATE), np.ndarray
        )


def test_lists_with_a_byte_order_mark(dataset: Path) -> None:
    lists = dataset / "testing_list.txt"
    lists.write_text("\ufeff" + lists.read_text(), encoding="utf-8")
    found = folder.scan(dataset)
    assert not found.warnings
    assert [clip.split for clip in found.clips if clip.name == "on/a_nohash_0.wav"] == ["testing"]


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_clips_of_floats(tmp_path: Path, subtype: str) -> None:
    path, audio = tmp_path / "a.wav", babble(6)
    soundfile.write(path, audio / 32768, RATE, subtype=subtype)
    assert np.array_equal(read_clip(path, RATE), audio)
    soundfile.write(path, 3 * audio / 32768, RATE, subtype=subtype)
    assert np.array_equal(read_clip(path, RATE), np.clip(3 * audio.astype(int), -32768, 32767))
    soundfile.write(path, np.where(np.arange(RATE) == 9, np.nan, 0.1), RATE, subtype=subtype)
    assert read_clip(path, RATE) == "some samples are no numbers"


def test_lists_that_name_what_is_not_there(dataset: Path) -> None:
    with open(dataset / "testing_list.txt", "a") as stream:
        stream.write("./on\\zz_nohash_0.wav\nbanana/a_nohash_0.wav\nnonsense\n../secret/x.wav\n")
    warnings = "\n".join(folder.scan(dataset).warnings)
    assert "2 of 6 listed clips are not there, such as banana/a_nohash_0" in warnings
    assert "words that have no folder: banana" in warnings
    assert "testing_list.txt:5: 'nonsense' is not WORD/FILE" in warnings
    assert "'../secret/x.wav' is not WORD/FILE" in warnings


def test_background_folders_and_other_files(dataset: Path, tmp_path: Path) -> None:
    write(dataset / "_background_noise_" / "hum.wav", babble(1, 3))
    write(dataset / "_background_kitchen_" / "pots.flac", babble(2, 3))
    (dataset / "on" / "x.mp3").write_bytes(b"ID3")
    found = folder.scan(dataset)
    assert [path.name for path in found.background] == ["pots.flac", "hum.wav"]
    assert found.words == ("off", "on")
    assert any("neither WAV nor FLAC" in line and "x.mp3" in line for line in found.warnings)
    assert len(store.load(found, RATE, RATE, tmp_path / "cache").background) == 2


def test_recordings_that_a_scan_does_not_reach_are_told(dataset: Path) -> None:
    """Those in a folder for each speaker within a word's, and where nothing else is there, other formats."""
    assert not any("left out" in line for line in folder.scan(dataset).warnings)
    write(dataset / "on" / "alice" / "1.wav", babble(3, 1))
    write(dataset / "on" / "bob" / "1.wav", babble(4, 1))
    found = folder.scan(dataset)
    assert not any("alice" in clip.name for clip in found.clips)
    assert f"{dataset}: 2 folders within words' folders are left out, such as on/alice" in found.warnings
    for path in dataset.rglob("*.wav"):
        path.unlink()
    (dataset / "on" / "1.ogg").touch()
    with pytest.raises(TokayError, match="folder of a word") as caught:
        folder.scan(dataset)
    assert "such as 1.ogg; 2 folders within words' folders" in str(caught.value)


def _load_and_report(root: Path, cache: Path, queue: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    loaded = store.load(folder.scan(root), RATE, RATE, cache)
    queue.put((len(loaded.clips), int(np.sum(loaded.audio, dtype=np.int64))))


def test_processes_at_once_share_one_decoding(dataset: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    jobs = [
        context.Process(target=_load_and_report, args=(dataset, tmp_path / "cache", queue)) for _ in range(3)
    ]
    for job in jobs:
        job.start()
    results = {queue.get(timeout=60) for _ in jobs}
    for job in jobs:
        job.join(60)
        assert job.exitcode == 0
    assert len(results) == 1
    assert not list((tmp_path / "cache" / "audio").glob(".building*"))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a disk, as root")
def test_a_full_disk_is_one_line_and_leaves_nothing(dataset: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tokay-test", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        with pytest.raises(TokayError, match=r"cannot write the cache .*No space left"):
            store.load(folder.scan(dataset), RATE, RATE, disk)
        left = [path for path in disk.rglob("*") if path.is_file()]
        assert all(path.suffix == ".lock" for path in left)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(not (SHARED / "data" / "speech_commands").is_dir(), reason="no shared recordings here")
def test_the_shared_recordings_have_no_leaks() -> None:
    found = folder.scan(SHARED / "data" / "speech_commands")
    assert len(found.clips) > 6000 and not found.warnings
