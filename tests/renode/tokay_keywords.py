"""Keywords of the robot tests. They run in Renode's Python, which has none of this project's packages: what
needs those is asked of tests/renode/reference.py in the project's own (``TOKAY_PYTHON``, else ``.venv``)."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROBOT_LIBRARY_SCOPE = "GLOBAL"


def _ask(*arguments):
    python = os.environ.get("TOKAY_PYTHON") or str(ROOT / ".venv" / "bin" / "python")
    if not os.path.isfile(python):
        raise AssertionError(f"{python} is missing: make setup, or set TOKAY_PYTHON")
    command = [python, "-m", "tests.renode.reference", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def monitor_path(path):
    """A path as Renode's monitor reads it."""
    if ";" in str(path):
        raise AssertionError(f"{path}: Renode cannot read a path with a semicolon")
    return "@" + str(path).replace(" ", "\\ ")


def project_path(*parts):
    """A path of the project, as Renode's monitor reads it."""
    return monitor_path(ROOT.joinpath(*parts))


def native_library():
    """The path of the C models' library, as Renode's monitor reads it."""
    path = Path(os.environ.get("TOKAY_NATIVE") or ROOT / "build/native/libtokay_native.so").resolve()
    if not path.is_file():
        raise AssertionError(f"{path} is missing: make setup builds it")
    return monitor_path(path)


def build_image(model, accelerator, *changes, board="brd2601b"):
    """Builds an image and returns the path of its ELF."""
    return _ask("image", board, model, accelerator, *changes)


def build_swappable_image(model, accelerator):
    """Builds an image that takes models from flash and returns the path of its ELF."""
    return _ask("swappable", model, accelerator)


def make_slot(slot, model, accelerator, *changes):
    """Makes the bytes of a slot; returns their file and the address where they belong."""
    folder = ROOT / "build" / "renode"
    folder.mkdir(parents=True, exist_ok=True)
    made = _ask("slot", slot, folder / f"slot_{slot}.bin", model, accelerator, *changes)
    return project_path("build", "renode", f"slot_{slot}.bin"), f"0x{made['address']:08x}"


def make_audio(kind):
    """Makes noise, silence or a long clip and returns the file's path."""
    folder = ROOT / "build" / "renode"
    folder.mkdir(parents=True, exist_ok=True)
    return _ask("audio", kind, folder / f"{kind}.wav")


def clip():
    """The path of the clip that comes with the project."""
    return str(ROOT / "host" / "models" / "demo" / "on_off.wav")


def simulated_lines(elf, audio, seconds, *commands, board="brd2601b"):
    """What the image says in the project's simulator."""
    found = _ask("lines", board, elf, audio, seconds, *commands)
    if not found:
        raise AssertionError("the simulator's image said nothing")
    return found


def lines_with(lines, text):
    """Those that hold a text; at least one must."""
    found = [line for line in lines if text in line]
    if not found:
        raise AssertionError(f"no line with {text!r} in {lines}")
    return found


def lines_without(lines, text):
    """Fails if a line holds the text."""
    found = [line for line in lines if text in line]
    if found:
        raise AssertionError(f"unexpected: {found}")


def accelerator_pattern(line):
    """A layer's line: what the core took may differ, the accelerator's work may not."""
    kept = re.match(r"(Layer \d+: opcode=\d+ kernel=\w+) ", line).group(1)
    for name in ("programs", "accelerator_cycles", "stalls"):
        value = re.search(rf" {name}=\d+", line)
        kept += f" .*{value.group(0).strip()}\\b" if value else ""
    return kept


def most_cycles_should_not_exceed(line, simulated):
    """A layer's longest run: with a cycle for an instruction it is shorter than the simulator's, but for the
    steps of half a microsecond in which Renode tells the time."""
    most, bound = (int(re.search(r" most=(\d+)", text).group(1)) for text in (line, simulated))
    if most > bound + 2 * 39:
        raise AssertionError(f"{most} cycles, the simulator's take {bound}: {line}")


def detections_should_be_words(lines):
    """Every word of the clip is detected once, in its window, and nothing else is."""
    words = _ask("words")["keywords"]
    found = [re.search(r"label=(\w+) score=\d+ @(\d+)ms", line).groups() for line in lines]
    if len(found) != len(words):
        raise AssertionError(f"{len(words)} words, {len(found)} detections: {found}")
    for number, word in enumerate(words):
        label, time_ms = found[number]
        begin, end = word["start_ms"], word["end_ms"] + 1500
        if label != word["word"] or not begin <= int(time_ms) <= end:
            raise AssertionError(f"{word} was heard as {label} at {time_ms} ms")


def free_port():
    """A TCP port nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def link_parameters(port):
    """Changes a parameter of the running image over the link, and back."""
    answer = _ask("parameters", port)
    if not (answer["set"] == answer["read"] == 1700 and answer["restored"] == answer["before"] != 1700):
        raise AssertionError(str(answer))


def link_layers(port, model, accelerator):
    """Every layer's output is the PC's, bit for bit."""
    answer = _ask("layers", port, model, accelerator)
    if not (answer["layers"] and all(answer["layers"]) and answer["output"]):
        raise AssertionError(str(answer))
