"""What every command owes a user whose input is wrong: one line on stderr, exit status 2, nothing written."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codegen.parameters import read_parameters, write_parameters
from host import model_files
from host.errors import TokayError
from tests.places import MODEL, ROOT
from tests.tflite_builder import NetworkBuilder


def test_no_folder_for_temporary_files(refused, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    assert "No usable temporary directory" in refused("host.build", MODEL)


def test_parameters_that_are_not_utf8(refused, tmp_path: Path):
    copy = Path(shutil.copy(MODEL, tmp_path))
    text = os.fsdecode(b"\xf6")
    assert "does not fit its type str" in refused("host.update_params", copy, f"name={text}")
    assert "is not UTF-8" in refused("host.update_params", copy, f"{text}=1")
    assert "is not UTF-8" in refused("host.update_params", copy, "--description", text)
    assert copy.read_bytes() == MODEL.read_bytes()


def test_a_dry_run_of_a_specification_elsewhere_is_a_model(refused, tmp_path: Path):
    own = tmp_path / "own.py"
    own.write_text(MODEL.with_suffix(".py").read_text().replace(f'"{MODEL.stem}"', '"own"'))
    assert f"{tmp_path / 'own-test.tflite'}: no such" in refused("host.summarize", f"{own}-test")
    shutil.copy(MODEL, tmp_path / "own-test.tflite")
    assert model_files.read(f"{own}-test").tflite == MODEL.read_bytes()


@pytest.mark.parametrize("command", ["summarize", "compile", "build", "profile", "classify", "evaluate"])
def test_a_model_that_is_not_there(command, tmp_path, refused):
    extra = {"compile": ["-o", tmp_path / "out"], "evaluate": ["--dataset", tmp_path]}.get(command, [])
    line = refused(f"host.{command}", "no_such_model", *extra)
    assert "no_such_model" in line and "keyword_spotting_on_off" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kept", [0, 3, 100, 5000])
def test_truncated_models(kept, tmp_path, refused):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(MODEL.read_bytes()[:kept])
    assert "broken" in refused("host.compile", broken, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_model(tmp_path, refused):
    other = tmp_path / "other.tflite"
    other.write_text("all work and no play makes jack a dull boy\n" * 50)
    refused("host.summarize", other)


def test_a_model_that_cannot_be_read(tmp_path, refused):
    refused("host.compile", tmp_path, "-o", tmp_path / "out")


def what_it_hears(command: str, folder: Path) -> list[object]:
    """Arguments that give a command audio, or a folder to write to."""
    audio = ROOT / "host" / "models" / "demo" / "on_off.wav"
    (folder / "on").mkdir()
    shutil.copy(audio, folder / "on" / "a_nohash_0.wav")
    more = {"build": ["-o", folder / "image"], "evaluate": ["--dataset", folder]}
    return more.get(command, ["--audio", audio])


@pytest.mark.parametrize("end", ["input", "output"])
@pytest.mark.parametrize("command", ["classify", "compare", "evaluate", "build"])
def test_a_network_of_floats_cannot_listen(command, end, tmp_path, refused):
    n = NetworkBuilder()
    features, wide, x, scores, y = (
        n.tensor((1, 49, 32, 1), "float32") if end == "input" else -1, n.tensor((1, 49, 32, 1), scale=0.1),
        n.tensor((1, 1568), scale=0.1), n.tensor((1, 4), scale=0.1), n.tensor((1, 4), "float32"),
    )  # fmt: skip
    if end == "input":
        n.operator("QUANTIZE", [features], [wide], "QuantizeOptions")
    n.operator("RESHAPE", [wide], [x], "ReshapeOptions")
    weights = n.tensor((4, 1568), scale=0.01, data=np.ones((4, 1568)))
    n.operator("FULLY_CONNECTED", [x, weights], [scores], "FullyConnectedOptions")
    n.operator("DEQUANTIZE", [scores], [y], "DequantizeOptions")
    network = n.build([features if end == "input" else wide], [y if end == "output" else scores])
    path = tmp_path / "floats.tflite"
    path.write_bytes(write_parameters(network, read_parameters(MODEL.read_bytes())))
    line = refused(f"host.{command}", path, *what_it_hears(command, tmp_path))
    assert f"the network's {end} is float32, the keyword spotter takes int8" in line


@pytest.mark.parametrize(
    "change, said",
    [
        ({"fe.filterbank_n_channels": 20}, "makes 49 x 20 features, the network takes 1x49x32x1"),
        ({"classes": ["on\0x", "off", "a", "b"]}, "class name 'on\\x00x' has a control character"),
        ({"classes": ["on", "off", "on", "b"]}, "class 'on' is listed twice"),
        ({"classes": ["on", "of\nf", "a", "b"]}, "class name 'of\\nf' has a control character"),
        ({"classes": ["on", "off", "_unknown_"]}, "names 3 classes but its output has 4 values"),
    ],
)
@pytest.mark.parametrize("command", ["classify", "compare", "evaluate", "build"])
def test_parameters_of_another_network(command, change, said, tmp_path, refused):
    path = tmp_path / "other.tflite"
    path.write_bytes(write_parameters(MODEL.read_bytes(), read_parameters(MODEL.read_bytes()) | change))
    assert said in refused(f"host.{command}", path, *what_it_hears(command, tmp_path))


@pytest.mark.parametrize("command", ["classify", "compare", "evaluate", "build"])
def test_features_the_other_way_round(command, tmp_path, refused):
    """As many values, but of another image: bands before time."""
    n = NetworkBuilder()
    bands_first, x = n.tensor((1, 32, 49), scale=1.0), n.tensor((1, 1568), scale=1.0)
    y = n.tensor((1, 4), scale=0.1)
    n.operator("RESHAPE", [bands_first], [x], "ReshapeOptions")
    weights = n.tensor((4, 1568), scale=0.01, data=np.ones((4, 1568)))
    n.operator("FULLY_CONNECTED", [x, weights], [y], "FullyConnectedOptions")
    path = tmp_path / "bands_first.tflite"
    parameters = read_parameters(MODEL.read_bytes())
    path.write_bytes(write_parameters(n.build([bands_first], [y]), parameters))
    line = refused(f"host.{command}", path, *what_it_hears(command, tmp_path))
    assert "makes 49 x 32 features, the network takes 1x32x49 (export it with time before" in line


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, MODEL.read_bytes() if name.endswith("word.tflite") else b"something else")
    return path


def test_an_archive_of_the_vendors(tmp_path):
    """Its tool leaves the unquantized model beside the quantized one, macOS its notes beside both."""
    notes = "__MACOSX/._word.tflite"
    path = archive(tmp_path / "word.mltk.zip", "word.h5", "word.float32.tflite", "word.tflite", notes)
    read = model_files.read(str(path))
    assert (read.name, read.tflite) == ("word", MODEL.read_bytes())


def test_a_damaged_archive_is_one_line_or_read_as_it_was(tmp_path, refused):
    path, rng, refusals = tmp_path / "word.mltk.zip", np.random.default_rng(1), 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("word.tflite", MODEL.read_bytes())
    whole = path.read_bytes()
    places = [*rng.integers(0, len(whole), 300), *range(60), *range(len(whole) - 90, len(whole))]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            assert model_files.read(str(path)).tflite == MODEL.read_bytes()
        except TokayError:
            refusals += 1
    assert refusals > 300
    damaged = bytearray(whole)
    damaged[200:260] = bytes(60)
    path.write_bytes(damaged)
    assert "word.mltk.zip: not a readable archive: " in refused("host.summarize", path)
    for method in (1, 9, 12, 14):  # as the directory at the end says: no deflate
        at = whole.rindex(b"PK\1\2") + 10
        path.write_bytes(whole[:at] + bytes([method, 0]) + whole[at + 2 :])
        assert "not a readable archive" in refused("host.summarize", path)
    end = whole.rindex(b"PK\1\2")
    for method, place in ((0, 8), (0, end + 10), (len(whole), end + 20)):  # stored, past the file's end
        damaged[place : place + 4] = method.to_bytes(4, "little")
    path.write_bytes(damaged)
    line = refused("host.summarize", path)
    assert "not a readable archive: cut off" in line or "Overlapped entries" in line  # by Python's version


@pytest.mark.parametrize("names", [["word.h5", "word.float32.tflite"], ["word.tflite", "other/word.tflite"]])
def test_archives_without_one_model(names, tmp_path, refused):
    line = refused("host.summarize", archive(tmp_path / "word.mltk.zip", *names))
    assert f"{2 * (names[0] == 'word.tflite')} quantized .tflite files inside" in line


def write(path: Path, samples: np.ndarray, rate: int) -> Path:
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def test_audio_of_another_rate(tmp_path, refused):
    file = write(tmp_path / "a.wav", np.zeros(16000, np.int16), 16000)
    line = refused("host.classify", MODEL, "--audio", file)
    assert "16000 Hz" in line and "8000 Hz" in line and "--resample" in line


def test_audio_with_more_channels(tmp_path, refused):
    file = write(tmp_path / "a.wav", np.zeros((8000, 2), np.int16), 8000)
    assert "2 channels" in refused("host.classify", MODEL, "--audio", file)


def test_audio_without_samples(tmp_path, refused):
    file = write(tmp_path / "a.wav", np.zeros(0, np.int16), 8000)
    assert "no samples" in refused("host.classify", MODEL, "--audio", file)


def test_audio_that_is_no_audio(tmp_path, refused):
    file = tmp_path / "a.wav"
    file.write_bytes(b"RIFF but not really")
    assert "not readable" in refused("host.classify", MODEL, "--audio", file)
    assert "no such audio file" in refused("host.classify", MODEL, "--audio", tmp_path / "b.wav")


def test_a_missing_compiler(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = refused("host.build", MODEL, "-o", tmp_path / "out")
    assert "arm-none-eabi-gcc" in line and "apt-get install" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["host.profile"],
        ["host.profile", MODEL, "--repetitions", "0"],
        ["host.profile", MODEL, "--board", "no_such_board"],
        ["host.profile", MODEL, "--simulate", "--device"],
        ["host.classify", MODEL, "--simulate"],
        ["host.profile", MODEL, "--device", "--port", "/dev/no_such_port"],
        ["host.compile", MODEL, "-o", "/proc/no/such/place"],
        ["host", "no_such_command"],
    ],
    ids=lambda arguments: " ".join(str(a) for a in arguments if a != MODEL),
)
def test_arguments(arguments, refused):
    refused(*arguments)


@pytest.mark.parametrize("options", [("-w", 0), ("-w", 100), ("-c", 64), ("-l", 400)])
def test_options_with_which_nothing_is_ever_detected(refused, options):
    audio = ROOT / "host" / "models" / "demo" / "on_off.wav"
    line = refused("host.classify", MODEL, "--audio", audio, *options)
    assert "nothing would ever be detected" in line and "-w" in line


def test_a_demonstration_in_words_that_the_model_does_not_know(refused):
    assert "does not know the words that on_off.wav says: off, on" in refused(
        "host.demo", "keyword_spotting_yes_no"
    )


@pytest.mark.parametrize("command", ["train", "quantize"])
@pytest.mark.parametrize("name", ["m.zip", "m.keras", "m"])
def test_a_new_model_is_a_tflite(command, name, tmp_path, refused):
    """Another name is read as an archive, or is that of the weights beside the model."""
    path = tmp_path / name
    path.write_text("mine")
    line = refused(f"host.{command}", MODEL.stem, "--dataset", tmp_path, "-o", path)
    assert f"{path}: the output is a .tflite (-o NAME.tflite)" in line
    assert path.read_text() == "mine"
