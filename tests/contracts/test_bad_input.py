"""What every command owes a user whose input is wrong: one line on stderr, exit status 2, nothing written."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codegen.parameters import read_parameters, write_parameters
from host import board, classify, cli, image, model_files, vendor_options
from host.errors import TokayError
from host.pipeline import Event
from tests.places import ROOT
from tests.tflite_builder import NetworkBuilder

MODEL = ROOT / "host" / "models" / "keyword_spotting_on_off.tflite"


@pytest.fixture
def refused(capsys, monkeypatch):
    """Runs a command that must fail; its one line of complaint."""
    monkeypatch.chdir(ROOT)

    def call(name: str, *arguments: object) -> str:
        module = importlib.import_module("host.__main__" if name == "host" else name)
        assert cli.run(module.main, [str(a) for a in arguments]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), lines
        return lines[0]

    return call


def test_the_version(capsys):
    assert importlib.import_module("host.__main__").main(["--version"]) == 0
    assert capsys.readouterr().out == f"tokay {importlib.metadata.version('tokay')}\n"


def test_the_status_is_the_process_s_own():
    done = subprocess.run(
        [sys.executable, "-m", "host.summarize", "no_such_model"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_ctrl_c_while_the_demonstration_listens_is_no_word_missed():
    def cut_off():
        yield Event(100, (1, 2, 3, 4), None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify.collect(cut_off(), lambda text: None)


@pytest.mark.parametrize("command", [["host.doctor"], ["host", "--version"]])
def test_a_checkout_that_was_never_installed_has_a_version_too(command):
    """On PYTHONPATH, say: there is no package whose version could be asked for."""
    run = (
        "import importlib.metadata as m, runpy, sys\n"
        "def version(name): raise m.PackageNotFoundError(name)\n"
        f"m.version, sys.argv = version, {['-m', *command[1:]]}\n"
        f"runpy.run_module({command[0]!r}, run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True)
    assert "tokay development" in done.stdout and "Traceback" not in done.stderr


def test_what_this_machine_lacks_is_said_with_what_to_do(monkeypatch, tmp_path: Path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("RENODE", str(tmp_path / "renode"))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    target = tmp_path / "found.json"
    assert cli.run(importlib.import_module("host.doctor").main, ["--json", str(target)]) == 1
    found = {f["what"]: f for f in json.loads(target.read_text())["findings"]}
    assert found["library of the firmware's C for this PC"]["found"]
    assert found["cache folder"]["found"] == str(tmp_path / "tokay")
    for what, hint in (
        ("compiler and C library for the chip", "apt-get install gcc-arm-none-eabi"),
        ("dataset", "host.dataset download"),
        ("microphone", "tokay[mic]"),
        ("Renode", "is no program"),
    ):
        assert not found[what]["found"] and hint in found[what]["missing"]
    assert "MISSING: " in capsys.readouterr().out


def test_no_folder_for_temporary_files(refused, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    assert "No usable temporary directory" in refused("host.build", MODEL)


@pytest.mark.parametrize(("level", "status"), [("1", 0), ("2", 2)])
def test_an_interpreter_that_takes_the_docstrings_away_is_one_line(level, status):
    done = subprocess.run(
        [sys.executable, "-m", "host.summarize", MODEL], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONOPTIMIZE": level, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == status and done.stderr.count("\n") == (1 if status else 0), done.stderr


def test_labels_that_the_terminal_does_not_have_are_printed(tmp_path: Path):
    model = tmp_path / "a.tflite"
    params = read_parameters(MODEL.read_bytes())
    params["classes"] = ["on", "はい", "_unknown_", "_silence_"]
    model.write_bytes(write_parameters(MODEL.read_bytes(), params))
    done = subprocess.run(
        [sys.executable, "-m", "host.summarize", model], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert done.returncode == 0 and r"'\u306f\u3044'" in done.stdout and not done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_names_of_files_that_are_not_utf8(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/t\xf6"))
    (folder / "on").mkdir(parents=True)
    model, audio = (Path(os.fsdecode(os.fsencode(folder) + b"/m\xf6" + end)) for end in (b".tflite", b".wav"))
    shutil.copy(MODEL, model)
    shutil.copy(MODEL.parent / "demo" / "on_off.wav", audio)
    shutil.copy(audio, folder / "on" / audio.name)
    for command in (
        ["classify", model, "--audio", audio, "--dump-audio", folder / "dump", "--json", folder / "a.json"],
        ["dataset", "check", folder, "--json", folder / "check.json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", f"host.{command[0]}", *command[1:]], cwd=ROOT, capture_output=True
        )
        assert done.returncode == 0, done.stderr
    assert json.loads((folder / "a.json").read_text())["files"][0]["detections"]
    assert "on" in json.loads((folder / "check.json").read_text())["words"]
    with image.alone_in(folder):  # to which the name of a model belongs that is built
        assert "\udcf6" not in str(image.build_folder(None, board.load("brd2601b"), model.stem))
    cli.write_atomic(folder / "names.csv", f"{audio.name}\n")
    assert (folder / "names.csv").read_bytes() == b"m\xf6.wav\n"


def test_parameters_that_are_not_utf8(refused, tmp_path: Path):
    copy = Path(shutil.copy(MODEL, tmp_path))
    text = os.fsdecode(b"\xf6")
    assert "does not fit its type str" in refused("host.update_params", copy, f"name={text}")
    assert "is not UTF-8" in refused("host.update_params", copy, f"{text}=1")
    assert "is not UTF-8" in refused("host.update_params", copy, "--description", text)
    assert copy.read_bytes() == MODEL.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_to_a_full_disk(unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "host.summarize", MODEL], cwd=ROOT, stdout=full, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2, "error: cannot write the output: No space left on device\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "arguments", "instead"),
    [
        ("train", ["keyword_spotting_on_off-test", "--clean"], "(--clean: use --fresh)"),
        ("train", ["keyword_spotting_on_off", "--resume", "--show"], "; --show: use --tensorboard DIR)"),
        ("evaluate", [MODEL, "--count", "5"], "(--count: use --limit N"),
        ("evaluate", [MODEL, "--weights=x.h5"], "(--weights: give the .keras file"),
        ("summarize", [MODEL, "-o", "x.txt"], "(-o: use --json FILE"),
        ("profile", [MODEL, "--full-summary"], "host.view MODEL --mvp"),
        ("classify", [MODEL, "-x"], "(-x: use --dump-audio DIR)"),
        ("update_params", [MODEL, "a=1", "--device"], "--model-only"),
        ("view", [MODEL, "--mvp", "--host", "a", "-p", "80"], "(--host, -p: python -m host.summarize"),
        ("view", [MODEL], "host.summarize"),
        ("profile", [MODEL, "--nonsense"], "(see python -m host.profile --help)"),
    ],
)
def test_an_option_of_the_vendor_is_answered_with_ours(command, arguments, instead, refused):
    assert instead in refused(f"host.{command}", *arguments)


def test_what_stands_for_the_vendor_s_options_exists(capsys):
    for command, table in vendor_options.INSTEAD.items():
        with pytest.raises(SystemExit):
            importlib.import_module(f"host.{command}").main(["--help"])
        known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
        assert "--json" in known
        for options, text in table.items():
            assert not known & set(options), (command, options)
            if text.startswith("use "):
                assert text.split()[1].rstrip(",") in known, (command, text)


def test_an_option_is_not_taken_for_one_that_begins_so(refused):
    assert "--model: give MODEL instead" in refused("host.flash", MODEL, "--model", "x")  # no --model-only
    assert "unrecognized arguments: --acc" in refused("host.profile", MODEL, "--acc", "mvp")


def test_the_vendor_s_spellings_of_a_model_are_answered(refused, tmp_path: Path):
    assert "is called keyword_spotting_on_off)" in refused("host.summarize", f"{MODEL.stem}.mltk.zip")
    shutil.copy(MODEL, tmp_path / "a.tflite")  # which is none of those in host/models
    assert "is called" not in refused("host.summarize", tmp_path / "a.mltk.zip")
    archive = tmp_path / "a.mltk.zip"
    assert f"{archive} is no model specification" in refused("host.quantize", archive)


def test_a_dry_run_of_a_specification_elsewhere_is_a_model(refused, tmp_path: Path):
    own = tmp_path / "own.py"
    own.write_text(MODEL.with_suffix(".py").read_text().replace(f'"{MODEL.stem}"', '"own"'))
    assert f"{tmp_path / 'own-test.tflite'}: no such" in refused("host.summarize", f"{own}-test")
    shutil.copy(MODEL, tmp_path / "own-test.tflite")
    assert model_files.read(f"{own}-test").tflite == MODEL.read_bytes()


def test_a_specification_of_the_vendor_is_told_apart(refused, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mltk", None)  # not installed, also where it is
    own = tmp_path / "own.py"
    own.write_text("import mltk.core as mltk_core\n")
    line = refused("host.train", own)
    assert f"{own}:1: a specification of the vendor's toolkit" in line and "into a copy of" in line


@pytest.mark.parametrize("command", ["summarize", "compile", "profile", "evaluate", "flash"])
def test_the_accelerator_may_be_in_capitals_as_the_vendor_has_it(command, refused):
    """So that the next thing that is wrong is what is told."""
    assert "no model named 'no_model'" in refused(f"host.{command}", "no_model", "--accelerator", "MVP")


def test_output_to_a_closed_pipe():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "host.summarize", MODEL], cwd=ROOT, stdout=write, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "reason"), [("", "Is a directory"), ("file/a.json", "Not a directory"), ("new/a.json", None)]
)
def test_a_result_that_cannot_be_written_is_told_before_the_work(name, reason, tmp_path, refused):
    (tmp_path / "file").write_text("kept")
    target = f"{tmp_path}/{name}"
    # The model is wrong too, and is what is told where the result could be written.
    line = refused("host.profile", "no_such_model", "--json", target)
    if reason:
        assert line.startswith(f"error: cannot write {target.rstrip('/')}: {reason}")
    else:
        assert "no_such_model" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    cli.write_atomic(pipe, "result")
    assert os.read(reader, 100) == b"result" and pipe.is_fifo()
    os.close(reader)
    (tmp_path / "file").write_text("old")
    link.symlink_to("file")
    cli.write_atomic(link, "new")
    assert link.is_symlink() and (tmp_path / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]


def test_interrupted_while_it_loads(tmp_path):
    """Ctrl-C in an import, before the command's main has begun."""
    (tmp_path / "numpy.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "host.classify", "--help"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stderr == "interrupted\n" and done.returncode in (130, -signal.SIGINT)


def test_the_script_is_interrupted_while_it_loads(tmp_path):
    """As pip makes it; in the imports of the commands' common parts."""
    script = tmp_path / "tokay"
    script.write_text("from host.__main__ import entry\nentry()\n")
    (tmp_path / "argparse.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == "interrupted\n" and done.returncode in (130, -signal.SIGINT)


ENDED = """
import os, signal, sys
from host import cli
def main(argv):
    try:
        os.kill(os.getpid(), int(argv[0]))
        print("goes on")
    finally:
        os.kill(os.getpid(), int(argv[0]))  # once more, as when a terminal closes
        print("cleaned up", flush=True)
sys.exit(cli.run(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_cleans_up(number):
    heeding = f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n{ENDED}"  # under nohup too
    done = subprocess.run(
        [sys.executable, "-c", heeding, str(int(number))], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaned up\n", "interrupted\n")


def test_a_command_under_nohup_outlives_its_terminal():
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{ENDED}"
    done = subprocess.run(
        [sys.executable, "-c", ignoring, str(int(signal.SIGHUP))], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "goes on\ncleaned up\n")


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


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("classify_audio", "tokay classify?"), ("program_app", "tokay flash?"), ("sumarize", "tokay summarize?"),
     ("tensorboard", "tokay train --tensorboard DIR?"), ("zzz", "tokay --help")],
)  # fmt: skip
def test_a_command_by_another_name_is_told_ours(typed, meant, refused):
    assert meant in refused("host", typed, "keyword_spotting_on_off")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("options", ["", "--json -"])
def test_closed_outputs(closed, options):
    """As a shell's ``>&-`` leaves them; what is for stderr must not end on stdout."""
    audio = ROOT / "host" / "models" / "demo" / "on_off.wav"
    command = f"'{sys.executable}' -m host.classify '{MODEL}' --audio '{audio}' {options} {closed}"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed == "2>&-")
    command = f"'{sys.executable}' -m host.summarize no_such_model {closed}"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and bool(done.stderr) == (closed == ">&-")
