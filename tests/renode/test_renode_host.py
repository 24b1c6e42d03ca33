"""Renode as a target: found, started, talked to and stopped. A stand-in for its program runs our own
simulator, so nothing here says how an image runs in Renode: tests/renode/*.robot do."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from host import classify, cli, compare, profile, renode
from host.audio import read_audio
from host.device.transport import TransportClosed
from host.media import wav
from tests.places import ROOT

MODEL = "keyword_spotting_on_off"
RATE = 8000
CLIP = ROOT / "host" / "models" / "demo" / "on_off.wav"
needs_compiler = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


def program(folder: Path, text: str) -> Path:
    path = folder / "renode"
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """The program's folder; beside it a file with the process's number."""
    fake = Path(__file__).parent / "fake_renode.py"
    program(tmp_path, f'#!/bin/sh\necho $$ >{tmp_path}/pid\n"{sys.executable}" "{fake}" "$@"\nexit 3\n')
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RENODE", str(tmp_path))
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    return tmp_path


def is_alive(folder: Path) -> bool:
    """Whether anything that it started runs on, a moment later."""
    group = int((folder / "pid").read_text())
    end = time.monotonic() + 2.0
    while running := [pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and _group(pid) == group]:
        if time.monotonic() > end:
            return bool(running)
        time.sleep(0.05)
    return False


def _group(pid: Path) -> int | None:
    """A process's group; none of one that is gone or waits to be buried."""
    try:
        state, _, group = (pid / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return None
    return None if state == "Z" else int(group)


def test_found_where_people_put_it(tmp_path, monkeypatch):
    monkeypatch.delenv("RENODE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(renode.sys, "platform", "linux")
    elsewhere = tmp_path / "renode_1.16.1-dotnet_portable"
    elsewhere.mkdir()
    expected = program(elsewhere, "")
    assert renode.find() == expected
    assert renode.find() == expected
    on_path = program(tmp_path, "")
    assert renode.find() == on_path
    monkeypatch.setenv("RENODE", str(elsewhere))
    assert renode.find() == expected
    monkeypatch.setenv("RENODE", str(expected))
    assert renode.find() == expected


def test_the_newest_release_is_taken_that_can_be_run(tmp_path, monkeypatch):
    monkeypatch.delenv("RENODE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(renode.sys, "platform", "linux")
    found = {}
    for release in ("1.9.0", "1.16.1-dotnet", "1.2.0", "1.17.0"):
        folder = tmp_path / ".local" / f"renode_{release}_portable"
        folder.mkdir(parents=True)
        found[release] = program(folder, "")
    found["1.17.0"].chmod(0o644)
    assert renode.find() == found["1.16.1-dotnet"]
    monkeypatch.setenv("RENODE", "~/.local/renode_1.2.0_portable")
    assert renode.find() == found["1.2.0"]
    for wrong in (found["1.17.0"], tmp_path / "bin"):
        monkeypatch.setenv("RENODE", str(wrong))
        with pytest.raises(renode.TokayError, match="is no program"):
            renode.find()


@pytest.mark.parametrize("command", [profile.main, classify.main, compare.main])
def test_without_it_one_line_says_how_to_get_it(command, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("RENODE", raising=False)
    monkeypatch.setattr(renode, "_usual_places", list)
    monkeypatch.setattr(renode.shutil, "which", lambda name: None)
    monkeypatch.setattr("host.target.build_image", lambda *a, **k: tmp_path)
    monkeypatch.setattr("host.profile._built", lambda *_: ({"sha256": "", "layers": []}, tmp_path))
    heard = [] if command is profile.main else ["--audio", str(CLIP)]
    assert cli.run(command, [MODEL, "--renode", *heard]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Renode was not found" in error and "1.16.1" in error and "RENODE" in error


def test_a_wrong_path_is_said_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RENODE", str(tmp_path / "nothing"))
    with pytest.raises(renode.TokayError, match="is no program"):
        renode.find()


@needs_compiler
def test_a_board_of_ones_own_may_be_anywhere(stand_in, capsys):
    own = stand_in / "a b" / "own"
    shutil.copytree(ROOT / "boards" / "brd2703a", own)
    status = cli.run(profile.main, [MODEL, "--renode", "--board", str(own), "-n", "1"])
    assert status == 0, capsys.readouterr().err


def test_a_board_without_a_platform_for_it_is_said_so(tmp_path, monkeypatch):
    program(tmp_path, "")
    monkeypatch.setenv("RENODE", str(tmp_path))
    own = tmp_path / "own"
    shutil.copytree(ROOT / "boards" / "brd2601b", own)
    (own / "renode.repl").unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(renode.TokayError, match=r"own has no platform for Renode \(choose another --board\)"):
        renode.Renode(CLIP, str(own))
    assert not list(tmp_path.glob("tokay-*"))


def test_its_end_is_shown_with_its_log(tmp_path, monkeypatch):
    program(tmp_path, '#!/bin/sh\necho "12:00 [INFO] one"\necho "12:01 [ERROR] no such peripheral"\nexit 7\n')
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("RENODE", tmp_path.name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = r"ended with status 7; its log says: 12:01 \[ERROR\] no such peripheral$"
    with pytest.raises(renode.TokayError, match=said):
        renode.Renode(CLIP, "brd2601b")
    assert not list(tmp_path.glob("tokay-*")), "its files are left behind"


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (r"one\ntwo\nthree\nfour\n(monitor) \n", r"; its log says: two \| three \| four$"),
        (r"\377\n", r"; its log says: \ufffd$"),
        ("", r"ended with status 1 \(this was written for Renode 1\.16\.1\)$"),
    ],
)
def test_the_end_of_a_log_without_an_error_is_shown(says, told, tmp_path, monkeypatch):
    program(tmp_path, f"#!/bin/sh\nprintf '{says}'\nexit 1\n")
    monkeypatch.setenv("RENODE", str(tmp_path))
    with pytest.raises(renode.TokayError, match=told):
        renode.Renode(CLIP, "brd2601b")


def test_a_script_it_does_not_take_is_said_at_once(tmp_path, monkeypatch):
    said = "(monitor) i @run.resc\\nThere was an error executing command '\\''go'\\''\\nno way\\n(tokay) "
    program(tmp_path, f"#!/bin/sh\necho $$ >{tmp_path}/pid\nprintf '{said}'\ncat\n")
    monkeypatch.setenv("RENODE", str(tmp_path))
    with pytest.raises(renode.TokayError, match=r"its log says: There was.*'go' \| no way \(.*1\.16\.1"):
        renode.Renode(CLIP, "brd2601b")
    assert not is_alive(tmp_path)


def test_its_end_while_it_runs_is_shown_with_its_log(tmp_path, monkeypatch):
    listen = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept()"
    program(
        tmp_path,
        "#!/bin/sh\nport=$(sed -n 's/.*SocketTerminal \\([0-9]*\\) .*/\\1/p' run.resc)\n"
        f'"{sys.executable}" -c "{listen}" $port\necho "[ERROR] out of memory"\nexit 9\n',
    )
    monkeypatch.setenv("RENODE", str(tmp_path))
    running = renode.Renode(CLIP, "brd2601b")
    try:
        with pytest.raises(TransportClosed, match=r"ended with status 9.*out of memory"):
            running.transport.read(5.0)
    finally:
        running.close()


def test_it_does_not_outlive_its_command(tmp_path, monkeypatch):
    """Its input ends with the command, however that ends; its temporary files are in the command's folder."""
    program(tmp_path, f'#!/bin/sh\necho $$ >{tmp_path}/pid\necho "$TMPDIR" >{tmp_path}/folder\ncat\n')
    monkeypatch.setenv("RENODE", str(tmp_path))
    code = (
        f"from pathlib import Path; from host.renode import Renode; Renode(Path({str(CLIP)!r}), 'brd2601b')"
    )
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    end = time.monotonic() + 30.0
    while not (tmp_path / "folder").exists() or not (tmp_path / "folder").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert is_alive(tmp_path)
    command.kill()
    command.wait()
    folder = Path((tmp_path / "folder").read_text().strip())
    try:
        assert (folder / "run.resc").is_file()
        assert not is_alive(tmp_path)
    finally:
        shutil.rmtree(folder)


def test_one_that_does_not_start_is_stopped(tmp_path, monkeypatch):
    program(tmp_path, f"#!/bin/sh\necho $$ >{tmp_path}/pid\nsleep 60\n")
    monkeypatch.setenv("RENODE", str(tmp_path))
    begin = time.monotonic()
    with pytest.raises(renode.TokayError, match="did not start within 1 s"):
        renode.Renode(CLIP, "brd2601b", start_s=1.0)
    assert time.monotonic() - begin < 10
    assert not is_alive(tmp_path)


def test_no_shell_or_space_in_a_path_matters(tmp_path):
    script = renode._script(tmp_path / "a b.elf", tmp_path, tmp_path, tmp_path, "shared", 1234)
    assert f"$elf=@{tmp_path}/a\\ b.elf\n" in script
    assert "$timing=1\n" in script
    with pytest.raises(renode.TokayError, match="semicolon"):
        renode._script(tmp_path / "a;b", tmp_path, tmp_path, tmp_path, "ports", 1234)


@needs_compiler
def test_profile(stand_in, tmp_path):
    out = tmp_path / "profile.json"
    assert cli.run(profile.main, [MODEL, "-a", "mvp", "--renode", "-n", "1", "--json", str(out)]) == 0
    value = json.loads(out.read_text())
    assert value["target"] == "renode" and value["estimate"] and value["timing"] == "ports"
    assert value["programs"] == 63
    assert not is_alive(stand_in)


@needs_compiler
def test_classify(stand_in, tmp_path):
    out = tmp_path / "heard.json"
    arguments = [MODEL, "--audio", str(CLIP), "--json"]
    assert cli.run(classify.main, [*arguments, str(out), "--renode"]) == 0
    heard = json.loads(out.read_text())["files"][0]
    assert cli.run(classify.main, [*arguments, str(out)]) == 0
    expected = json.loads(out.read_text())["files"][0]
    assert heard["detections"] == expected["detections"] != []
    assert not is_alive(stand_in)


@needs_compiler
def test_compare(stand_in, tmp_path):
    """Audio goes in and columns come out over the link, then the layers one by one."""
    clip, out = tmp_path / "short.wav", tmp_path / "compared.json"
    clip.write_bytes(wav(read_audio(CLIP, RATE)[: 3 * RATE], RATE))
    arguments = [MODEL, "-a", "mvp", "--audio", str(clip), "--renode", "--json", str(out)]
    assert cli.run(compare.main, arguments) == 0
    value = json.loads(out.read_text())
    assert value["same"] and value["target"] == "renode"
    compared = {stage["name"]: stage["compared"] for stage in value["stages"]}
    assert compared["layers"] > 1 and compared["decisions"] >= 1
    assert compared["spectrogram"] == compared["features"] > 100 and compared["scores"] > 10
    assert not is_alive(stand_in)
    # Against another arithmetic than that of its layers, it says where they begin to differ.
    assert cli.run(compare.main, [*arguments, "--reference", "none"]) == 1
    assert json.loads(out.read_text())["first"]["stage"] == "layers"
    assert not is_alive(stand_in)
