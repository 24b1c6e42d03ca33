"""host.compile and host.summarize: whole directories, the same bytes, C that runs as the PC does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen import application
from codegen.application import ApplicationSettings
from host import generation
from host.cli import run
from host.compile import main as compile_main
from host.runtime import Model
from host.summarize import main as summarize_main
from tests.places import ROOT, SHARED
from tests.tflite_builder import NetworkBuilder

NN = ROOT / "firmware" / "nn"
SHIPPED = sorted((ROOT / "host" / "models").glob("*.tflite"))
GIVEN = sorted((SHARED / "models").glob("*.tflite"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path):
    for name, seed in (("a", "0"), ("b", "4711")):
        command = [sys.executable, "-m", "host.compile", str(SHIPPED[0]), "-o", str(tmp_path / name)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert set(files(tmp_path / "a")) == set(generation.FILES)


def test_json_says_what_was_written(tmp_path: Path, capsys):
    assert run(compile_main, [str(SHIPPED[0]), "-o", str(tmp_path / "out"), "--json", "-"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["files"] == sorted(generation.FILES)
    assert value["arena_bytes"] == value["arena_bound_bytes"] > 0
    assert value["layers"][0].keys() >= {"index", "opcode", "kernel", "macs", "ops", "input_shape", "options"}
    header = (tmp_path / "out" / "model_plan.h").read_text()
    assert f"#define MODEL_ARENA_BYTES {value['arena_bytes']}u" in header
    assert value["sha256"] in header


def test_a_second_compile_touches_nothing_and_removes_what_is_stale(tmp_path: Path):
    generated = generation.generate(str(SHIPPED[0]))
    generation.write(generated.files, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    generation.write(generated.files, tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    generation.write({"model_plan.h": "x", "model_plan.c": "y"}, tmp_path)
    assert files(tmp_path) == {"model_plan.h": b"x", "model_plan.c": b"y"}


def test_a_file_that_is_no_text_is_replaced(tmp_path: Path):
    (tmp_path / "model_plan.h").write_bytes(b"\xff\xfe")
    generated = generation.generate(str(SHIPPED[0]))
    generation.write(generated.files, tmp_path)
    assert (tmp_path / "model_plan.h").read_text() == generated.files["model_plan.h"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODEL is missing"),
        (["no_such_model"], "no model named 'no_such_model'"),
        (["/no/such.tflite"], "no such"),
    ],
)
def test_wrong_arguments_end_in_one_line(arguments, message, capsys):
    assert run(compile_main, arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_file_of_another_kind_is_one_line(tmp_path: Path, capsys):
    (tmp_path / "audio.tflite").write_bytes(b"RIFF" * 100)
    assert run(compile_main, [str(tmp_path / "audio.tflite")]) == 2
    assert "not a .tflite" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    assert run(compile_main, [str(SHIPPED[0]), "-o", str(tmp_path / "file" / "x")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_operators_are_listed(capsys):
    assert run(compile_main, ["--operators"]) == 0
    text = capsys.readouterr().out
    assert "conv_2d:" in text and "Every operator:" in text


def test_operators_are_listed_as_json(tmp_path: Path, capsys):
    assert run(compile_main, ["--operators", "--json", "-"]) == 0
    every = json.loads(capsys.readouterr().out)
    assert every["*"] and every["conv_2d"]
    assert run(compile_main, ["--operators", "--json", str(tmp_path / "operators.json")]) == 0
    assert json.loads((tmp_path / "operators.json").read_text()) == every
    assert "conv_2d:" in capsys.readouterr().out


def test_summarize(capsys):
    assert run(summarize_main, [str(SHIPPED[0])]) == 0
    text = capsys.readouterr().out
    assert "conv_2d" in text and "bytes of arena" in text and "detection_threshold" in text


def test_operators_that_are_tables_are_not_called_by_each_others_names(tmp_path: Path, capsys):
    n = NetworkBuilder()
    x, h, l = (n.tensor((1, 4), scale=0.1) for _ in range(3))
    y = n.tensor((1, 4), scale=1 / 256, zero_point=-128)
    n.operator("HARD_SWISH", [x], [h])
    n.operator("LEAKY_RELU", [h], [l], "LeakyReluOptions", alpha=0.1)
    n.operator("LOGISTIC", [l], [y])
    path = tmp_path / "tables.tflite"
    path.write_bytes(n.build([x], [y]))
    assert run(summarize_main, [str(path), "--json", "-"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["opcode"] for layer in layers] == ["hard_swish", "leaky_relu", "logistic"]
    assert {layer["kernel"] for layer in layers} == {"table"}


def test_summarize_does_not_load_tensorflow():
    code = (
        "import sys, host.summarize as s; s.main([sys.argv[1], '--json', '-']);"
        "sys.exit(3 if {'tensorflow', 'ai_edge_litert', 'jinja2'} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(SHIPPED[0])], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"]


MAIN = """
#include <stdio.h>
#include "model_plan.h"
static _Alignas(NN_ARENA_ALIGNMENT) uint8_t arena[MODEL_ARENA_BYTES];
int main(void) {
    nn_t nn;
    if (nn_init(&nn, &model_plan, model_kernels, arena, sizeof arena, NULL) != NN_OK) return 1;
    const nn_tensor_t *in = &model_plan.tensors[model_plan.input];
    const nn_tensor_t *out = &model_plan.tensors[model_plan.output];
    if (fread(nn_input(&nn), 1, in->bytes, stdin) != in->bytes || nn_run(&nn) != NN_OK) return 1;
    return fwrite(nn_output(&nn), 1, out->bytes, stdout) == out->bytes ? 0 : 1;
}
"""


def every_constant_network() -> bytes:
    """Options with floats, negative strides, int32 tables and constant inputs: all that C has to spell."""
    n = NetworkBuilder()
    rng = np.random.default_rng(5)
    x = n.tensor((1, 3, 4), "float32")
    q, s, a, m, c, l = (n.tensor((1, 3, 4), scale=v) for v in (0.1, 0.1, 0.3, 0.2, 0.2, 1 / 256))
    n.tensors[l].quantization.zeroPoint = np.array([-128], np.int64)
    lists = [n.tensor((3,), "int32", data=np.array(v)) for v in ([0, -1, 0], [1, 0, 4], [1, -1, 1])]
    constant = n.tensor((3, 1), scale=0.05, data=rng.integers(-128, 128, (3, 1)))
    two = n.tensor((2, 3, 4), scale=0.2)
    y = n.tensor((2, 3, 4), "float32")
    n.operator("QUANTIZE", [x], [q])
    n.operator("STRIDED_SLICE", [q, *lists], [s], "StridedSliceOptions", endMask=2)
    n.operator("ADD", [s, constant], [a], "AddOptions")
    n.operator("MUL", [a, constant], [m], "MulOptions", fusedActivationFunction=1)
    n.operator("LOGISTIC", [m], [l])
    n.operator("QUANTIZE", [l], [c])
    n.operator("CONCATENATION", [m, c], [two], "ConcatenationOptions", axis=0)
    n.operator("DEQUANTIZE", [two], [y])
    return n.build([x], [y])


FLAGS = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", f"-I{NN}"]  # fmt: skip


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> list[str]:
    """The runner and the kernels with sanitizers, as object files."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("runner")
    sources = [NN / "nn.c", *sorted((NN / "kernels" / "portable").glob("*.c"))]
    subprocess.run(["cc", *FLAGS, "-c", *map(str, sources)], check=True, cwd=folder)
    return [str(path) for path in sorted(folder.glob("*.o"))]


@pytest.mark.parametrize("path", [None, *SHIPPED, *GIVEN], ids=lambda p: p.stem if p else "constants")
def test_the_generated_c_gives_what_the_runtime_gives(path: Path | None, tmp_path: Path, runner):
    """Two emitters, one plan: compiled with warnings as errors and sanitizers, run on random input."""
    if path is None:
        path = tmp_path / "constants.tflite"
        path.write_bytes(every_constant_network())
    generation.write(generation.generate(str(path)).files, tmp_path / "c")
    (tmp_path / "main.c").write_text(MAIN)
    sources = [str(tmp_path / "main.c"), str(tmp_path / "c" / "model_plan.c")]
    command = ["cc", *FLAGS, f"-I{tmp_path / 'c'}", *sources, *runner, "-o", str(tmp_path / "run")]
    subprocess.run(command, check=True)
    model = Model(path)
    rng = np.random.default_rng(3)
    for _ in range(2):
        x = (
            rng.normal(0, 5, model.input.shape).astype(np.float32)
            if model.input.dtype == np.float32
            else rng.integers(-128, 128, model.input.shape, np.int8)
        )
        done = subprocess.run([str(tmp_path / "run")], input=x.tobytes(), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == model.invoke(x).tobytes()


def test_generated_names_and_comments_cannot_break_out_of_their_place(tmp_path: Path):
    odd = tmp_path / 'x*\\/"\n.tflite'.replace("/", "")
    odd.write_bytes(SHIPPED[0].read_bytes())
    text = generation.generate(str(odd)).files["model_plan.c"]
    banner = text[: text.index("#include")]
    assert banner.count("*/") == 1 and not re.search(r"^(?![ /]\*|#|$)", banner, re.M)


def test_names_reach_the_device_as_they_are(tmp_path: Path):
    """Of the model and its classes: quotes, escapes, what C takes for trigraphs, and other scripts."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    name = 'say "a\\b" 100%??/'
    labels = ["it's", '"on"', "C:\\new", "what??!", "weiß", "はい", "1\x7f2", "\u00e97", ""]
    settings = ApplicationSettings(tuple(labels), tuple(range(len(labels))))
    for file, text in application.emit_c(settings, name).items():
        (tmp_path / file).write_text(text)
    main = """
    #include <stdio.h>
    #include "model_parameters.h"
    int main(void) {
        const detector_settings_t *const s = &model_detector_settings;
        printf("%s%c", model_name, 0);
        for (unsigned k = 0; k < s->class_count; k++) { printf("%s%c", s->labels[k], 0); }
        return 0;
    }
    """
    (tmp_path / "main.c").write_text(main)
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'firmware' / 'detector'}"]
    subprocess.run([*command, "main.c", "model_parameters.c", "-o", "run"], cwd=tmp_path, check=True)
    done = subprocess.run([str(tmp_path / "run")], capture_output=True, check=True)
    assert done.stdout.decode().split("\0") == [name, *labels, ""]


@pytest.mark.parametrize("path", [*SHIPPED, *GIVEN], ids=lambda p: p.stem)
def test_flash_is_what_the_chips_compiler_makes_of_it(path: Path, tmp_path: Path):
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("no arm-none-eabi-gcc")
    generated = generation.generate(str(path))
    generation.write(generated.files, tmp_path)
    flags = ["-mcpu=cortex-m33", "-mthumb", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", f"-I{NN}"]
    subprocess.run([compiler, *flags, "-c", "model_plan.c", "-o", "model_plan.o"], cwd=tmp_path, check=True)
    size = subprocess.run(
        ["arm-none-eabi-size", "model_plan.o"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.splitlines()[1]
    text, data, bss = map(int, size.split()[:3])
    assert data == bss == 0
    assert 0 <= text - generated.plan.flash_bytes <= 8 * len(generated.plan.layers)


def test_a_model_s_name_is_no_folder(tmp_path: Path, capsys):
    place = tmp_path / "out.tflite"
    assert run(compile_main, [str(SHIPPED[0]), "-o", str(place)]) == 2
    assert "names a folder for C files" in capsys.readouterr().err and not place.exists()
