"""What every command owes its user as a process: a status, whole output, whole files, an end in time."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from codegen.parameters import read_parameters, write_parameters
from host import board, hearing, image
from host.errors import TokayError
from host.files import write_all, write_atomic, write_changed
from host.pipeline import Event
from tests.places import MODEL, ROOT


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
        hearing.collect(cut_off(), lambda text: None)


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


@pytest.mark.parametrize(("level", "status"), [("1", 0), ("2", 2)])
def test_an_interpreter_that_takes_the_docstrings_away_is_one_line(level, status):
    done = subprocess.run(
        [sys.executable, "-m", "host.summarize", MODEL], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONOPTIMIZE": level, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == status and done.stderr.count("\n") == (1 if status else 0), done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:surrogateescape"])  # the latter is the locale C's
def test_labels_that_the_terminal_does_not_have_are_printed(tmp_path: Path, encoding: str):
    model = tmp_path / "a.tflite"
    params = read_parameters(MODEL.read_bytes())
    params["classes"] = ["on", "はい", "_unknown_", "_silence_"]
    model.write_bytes(write_parameters(MODEL.read_bytes(), params))
    done = subprocess.run(
        [sys.executable, "-m", "host.summarize", model], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
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
    write_atomic(folder / "names.csv", f"{audio.name}\n")
    assert (folder / "names.csv").read_bytes() == b"m\xf6.wav\n"


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
    ("name", "reason"),
    [
        ("", "Is a directory"), ("file/a.json", "Not a directory"), ("new/a.json", None),
        ("n" * 300, "File name too long"),
    ],
)  # fmt: skip
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
    write_atomic(pipe, "result")
    assert os.read(reader, 100) == b"result" and pipe.is_fifo()
    os.close(reader)
    (tmp_path / "file").write_text("old")
    link.symlink_to("file")
    write_atomic(link, "new")
    assert link.is_symlink() and (tmp_path / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]


def test_a_full_disk_leaves_nothing(tmp_path, refused, monkeypatch):
    def full(dir, **_):
        if Path(dir).name == "c":  # the second folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return mkstemp(dir=dir)

    mkstemp = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", full)
    with pytest.raises(TokayError, match=r"cannot write .*/a/c/y: No space left"):
        write_all({tmp_path / "a" / "b" / "x": "1", tmp_path / "a" / "c" / "y": "2"})
    assert "No space left" in refused("host.compile", MODEL, "-o", tmp_path / "new" / "c")
    assert not list(tmp_path.iterdir())
    (tmp_path / "c").mkdir()
    assert "No space left" in refused("host.compile", MODEL, "-o", tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_folder_in_the_place_of_one_of_several_files_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(TokayError, match=r"cannot write .*/taken: Is a directory"):
        write_all({tmp_path / "new" / "x": "1", tmp_path / "taken": "2"})
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_that_would_not_change_keeps_its_time_and_damage_is_mended(tmp_path):
    same, damaged = tmp_path / "same.h", tmp_path / "damaged.h"
    same.write_text("text")
    damaged.write_bytes(b"\xff\xfe")
    before = same.stat()
    write_changed({same: "text", damaged: "text"})
    assert (same.stat().st_mtime_ns, same.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert damaged.read_text() == "text"


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
