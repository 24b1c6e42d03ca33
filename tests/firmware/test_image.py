"""Board images: they build, are small, bounded in stack, the same bytes each time; errors are one line."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import errno
import inspect
import json
import multiprocessing
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from codegen.pipeline import compile_model
from codegen.plan import KERNELS
from host import board, build, cli, flash, image, model_files, model_image, places, stack, toolchain
from host.errors import TokayError
from host.flashing import images
from host.simulator.machine import Machine
from host.simulator.mvp import worst_cycles

MODEL = "keyword_spotting_on_off"
needs_compiler = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


# Flash, RAM, arena and worst-case stack in bytes, by GCC 12.2.1. Know why before changing them.
SIZES = {"none": (54_712, 33_894, 5_800, 1_272), "mvp": (49_056, 37_430, 9_288, 1_272)}


@needs_compiler
@pytest.mark.parametrize("accelerator", SIZES)
def test_sizes(built, accelerator, tmp_path):
    made = built
    if accelerator != "none":
        made = image.build(MODEL, board.load("brd2601b"), tmp_path, accelerator=accelerator)
    sizes = made.flash_bytes, made.ram_bytes, made.ram_parts["arena"], made.stack.total
    version = subprocess.run(["arm-none-eabi-gcc", "-dumpversion"], capture_output=True, text=True).stdout
    if version.strip() == "12.2.1":
        assert sizes == SIZES[accelerator]
    assert all(size <= 1.1 * pinned for size, pinned in zip(sizes, SIZES[accelerator], strict=True))
    assert sum(made.ram_parts.values()) == made.ram_bytes
    assert 0 <= made.elf.with_suffix(".bin").stat().st_size - made.flash_bytes < 8  # for alignment
    assert made.elf.with_suffix(".hex").stat().st_size > 2 * made.flash_bytes


def test_names_of_kernels_are_of_those_in_the_image(built):
    """A line of the profile for a terminal names them; a host knows them by number."""
    stored = built.elf.with_suffix(".bin").read_bytes()
    plan = compile_model(model_files.read(MODEL).tflite, name=MODEL)
    found = {name for name in KERNELS if "_" in name and f"{name}\0".encode() in stored}
    assert found == {name for name in plan.kernels if "_" in name} and len(found) >= 3


@needs_compiler
@pytest.mark.parametrize("suffix", [".elf", ".hex", ".bin"])
def test_an_image_tells_which_board_it_is_for(built, suffix):
    path = built.elf.with_suffix(suffix)
    flash._check_board(path, images.read(path), board.load("brd2601b"))
    with pytest.raises(TokayError, match="firmware for board brd2601b, not for brd2703a"):
        flash._check_board(path, images.read(path), board.load("brd2703a"))


def test_a_fault_while_the_clocks_start_lights_the_led(built):
    """The first thing that could go wrong on a board; the serial line is not there yet."""
    machine = Machine(built.elf, board="brd2601b", stop_on_fault=False)
    machine.write(machine.symbol("clocks_init") & ~1, b"\x00\xde")  # an undefined instruction
    machine.run(0.01)
    assert [fault.pc for fault in machine.faults] == [machine.symbol("clocks_init") & ~1] * 3  # then it stops
    assert machine.leds["fault"]


def test_stack_bound(built):
    bound = built.stack
    assert 800 <= bound.total <= 1_400
    assert bound.total == bound.thread + bound.interrupt
    assert bound.thread_path[:2] == ("startup_reset", "main")
    handlers = stack._handlers(built.elf)
    assert {"eusart_rx_interrupt", "eusart_tx_interrupt", "microphone_dma_interrupt"} <= handlers
    assert {"startup_reset", "fault_entry"} <= handlers and "main" not in handlers
    assert bound.interrupt_path[0] in handlers and bound.interrupt > stack.EXCEPTION_FRAME_BYTES
    # What is called through pointers must be in it, or the bound would be wrong.
    functions = stack.functions(built.elf, built.elf.parent)
    assert any(name.startswith("nn_kernel_") for name in stack.deepest("nn_run", functions)[1])
    assert stack.deepest("audio_loop_process", functions)[0] > stack.deepest("nn_run", functions)[0]


@needs_compiler
def test_same_bytes_from_another_folder_and_fast_the_second_time(built, tmp_path):
    again = image.build(MODEL, board.load("brd2601b"), tmp_path / "elsewhere")
    first = (built.elf.parent / "tokay.bin").read_bytes()
    assert (again.elf.parent / "tokay.bin").read_bytes() == first
    for path in (str(tmp_path), str(image.SOURCES)):
        assert path.encode() not in first
    before = again.elf.stat().st_mtime_ns
    image.build(MODEL, board.load("brd2601b"), tmp_path / "elsewhere")
    assert again.elf.stat().st_mtime_ns == before


def test_what_decides_between_programs_is_of_an_images_inputs():
    """Code generation takes the layers' cycles from the simulator's side."""
    files = {path for folder, pattern in image._INPUTS for path in folder.glob(pattern)}
    assert Path(inspect.getfile(worst_cycles)) in files


def test_an_image_is_another_where_a_byte_or_a_name_of_its_inputs_is(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "_INPUTS", ((tmp_path, "**/*"),))
    known: set[str] = set()

    def is_another(files: dict[str, str], model: str | None = None, options: str = "none") -> bool:
        shutil.rmtree(tmp_path)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        before = len(known)
        known.add(image._inputs(model, options))
        return len(known) > before

    files = {"a.c": "1;", "app/b.c": "2;"}
    assert is_another(files) and not is_another(dict(reversed(files.items())))
    assert is_another({**files, "a.c": "3;"}) and is_another({"c.c": "1;", "app/b.c": "2;"})
    assert is_another({"a.c": "1;2", "app/b.c": ";"}) and is_another({**files, "empty.c": ""})
    assert is_another(files, MODEL) and is_another(files, options="mvp")
    assert not is_another({**files, "app/b.pyc": "2;"})  # which Python writes when it likes


@needs_compiler
def test_sources_of_the_future_do_not_stop_a_build(built):
    """Ninja would run CMake until no source of the build's description is newer than what it made."""
    assert "RERUN_CMAKE" not in (built.elf.parent / "build.ninja").read_text()


@needs_compiler
def test_a_folder_that_was_moved_or_copied_is_built_in(tmp_path):
    made = image.build(None, board.load("brd2601b"), tmp_path / "before")
    first = made.elf.with_suffix(".bin").read_bytes()
    shutil.copytree(made.elf.parent, tmp_path / "copied")
    made.elf.parent.rename(tmp_path / "after")
    for name in ("after", "copied"):
        again = image.build(None, board.load("brd2601b"), tmp_path / name)
        assert again.elf.parent == tmp_path / name and again.elf.with_suffix(".bin").read_bytes() == first


@needs_compiler
def test_another_compiler_builds_anew_and_none_does_not(tmp_path, monkeypatch):
    """CMake keeps the compiler of its cache, Ninja the objects of whatever compiler made them."""
    made = image.build(None, board.load("brd2601b"), tmp_path / "image")
    compiler = tmp_path / "bin" / "arm-none-eabi-gcc"
    compiler.parent.mkdir()
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo 99.1 && exit\n'
        f'echo "$@" >>"{tmp_path}/calls"\nexec {shutil.which("arm-none-eabi-gcc")} "$@"\n'
    )
    compiler.chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{compiler.parent}{os.pathsep}{path}")
    image.build(None, board.load("brd2601b"), tmp_path / "image")
    assert "bringup.c" in (tmp_path / "calls").read_text()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert image.build(None, board.load("brd2601b"), tmp_path / "image") == made
    monkeypatch.setenv("PATH", path)


@needs_compiler
@pytest.mark.parametrize("suffix", [".elf", ".bin", ".hex"])
def test_an_image_that_was_damaged_is_built_again(tmp_path, suffix):
    made = image.build(None, board.load("brd2601b"), tmp_path)
    damaged = made.elf.with_suffix(suffix)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    assert image.build(None, board.load("brd2601b"), tmp_path) == made
    assert damaged.read_bytes() == whole
    damaged.unlink()
    image.build(None, board.load("brd2601b"), tmp_path)
    assert damaged.read_bytes() == whole


@needs_compiler
def test_a_folder_that_holds_another_image_gets_this_one(tmp_path):
    said = []
    for key in ("brd2601b", "brd2703a", "brd2601b"):
        made = image.build(None, board.load(key), tmp_path)
        said.append((made, made.elf.with_suffix(".bin").read_bytes()))
        assert made.board == key and made.elf.parent == tmp_path
    assert said[0] == said[2] and said[0][1] != said[1][1]


def test_a_record_of_an_image_that_is_not_whole_counts_for_nothing(tmp_path):
    elf, record = tmp_path / "tokay.elf", tmp_path / "image.json"
    for suffix in (".elf", ".bin", ".hex"):
        elf.with_suffix(suffix).write_bytes(suffix.encode())
    whole = {"inputs": "", "files": image._digests(elf), "image": {"elf": str(elf)}}
    record.write_text(json.dumps(whole))
    assert image._record(tmp_path) == whole
    without = {"image": whole["image"]}
    for wrong in ([], {}, {"image": []}, {**whole, "files": {}}, without, {**whole, "image": {}}):
        record.write_text(json.dumps(wrong))
        assert image._record(tmp_path) is None, wrong
    for damaged in (b"", json.dumps(whole).encode()[:-1], b"\xff\xfe"):
        record.write_bytes(damaged)
        assert image._record(tmp_path) is None, damaged
    record.unlink()
    assert image._record(tmp_path) is None


@needs_compiler
def test_bringup_image(tmp_path, capsys):
    assert cli.run(build.main, ["--bringup", "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "flash" in out and "stack" in out


def run_with_error(arguments, capsys) -> str:
    assert cli.run(build.main, arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_missing_compiler(monkeypatch, capsys, tmp_path):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if "arm-" in name else which(name))
    assert "apt-get install gcc-arm-none-eabi" in run_with_error([MODEL, "-o", str(tmp_path)], capsys)


@needs_compiler
def test_a_compiler_without_its_c_library(monkeypatch, capsys, tmp_path):
    compiler = tmp_path / "arm-none-eabi-gcc"
    compiler.write_text('#!/bin/sh\necho "${1#*=}"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert cli.run(build.main, [MODEL, "-o", str(tmp_path / "image")]) == 2
    error = capsys.readouterr().err
    assert "has no nano.specs" in error and "libnewlib-arm-none-eabi" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing_like_it"], "no model named"),
        ([MODEL, "--board", "brd0000"], "boards: brd2601b"),
        ([], "give a MODEL"),
        ([MODEL, "--bringup"], "give a MODEL"),
        ([MODEL, "--board", "brd2601b", "--accelerator", "gpu"], "invalid choice"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys):
    assert message in run_with_error(arguments, capsys)


@needs_compiler
def test_an_image_that_does_not_fit(capsys, tmp_path):
    text = (board.BOARDS / "brd2601b" / "board.toml").read_text()
    place = tmp_path / "mine"
    place.mkdir()
    (place / "board.toml").write_text(text.replace("stack_bytes = 4096", "stack_bytes = 250000"))
    line = run_with_error([MODEL, "--board", str(place), "-o", str(tmp_path / "out")], capsys)
    assert "bytes more of RAM than the chip has" in line


@needs_compiler
@pytest.mark.parametrize("name", ["model (1)", "a&b; 'c', [50 %] | d"])
def test_models_that_are_called_something_odd(name, tmp_path):
    path = tmp_path / f"{name}.tflite"
    shutil.copy(model_files.read(MODEL).path, path)
    made = image.build(str(path), board.load("brd2601b"))
    try:
        assert made.elf.parent.parent == places.builds() / "brd2601b" and made.model == name
    finally:
        shutil.rmtree(made.elf.parent)


@needs_compiler
def test_a_folder_that_the_build_tools_cannot_name(tmp_path, capsys):
    line = run_with_error([MODEL, "-o", str(tmp_path / "a;b")], capsys)
    assert "';' in a path" in line and not (tmp_path / "a;b").exists()


def test_a_command_for_one_kind_of_image_leaves_those_of_another(monkeypatch):
    """Each has a folder of its own, so neither is built again and again."""
    folders = []

    def enter(folder: Path) -> None:
        folders.append(folder.relative_to(places.builds()).as_posix())
        raise InterruptedError

    monkeypatch.setattr(image, "alone_in", enter)
    mvp = {"accelerator": "mvp"}
    for key, options in (
        ("brd2601b", {}), ("brd2703a", {}), ("brd2601b", mvp), ("brd2601b", {**mvp, "mvp_weights": "flash"}),
        ("brd2601b", {"swappable": True}),
    ):  # fmt: skip
        with pytest.raises(InterruptedError):
            image.build(MODEL, board.load(key), **options)
    mine, other, *kinds = folders
    assert (mine, other) == (f"brd2601b/{MODEL}", f"brd2703a/{MODEL}")
    assert kinds == [mine + kind for kind in ("-mvp", "-mvp-flash", "-swappable")]


@pytest.mark.parametrize("what", [image, model_image])
def test_an_accelerator_that_the_board_lacks_is_refused(what, tmp_path):
    without = dataclasses.replace(board.load("brd2601b"), accelerator="none")
    with pytest.raises(TokayError, match=r"has no mvp \(use --accelerator none\)"):
        what.build(MODEL, without, tmp_path / "image", accelerator="mvp")
    assert not (tmp_path / "image").exists()


NODE = 'node: {{ title: "{0}" label: "{0}\\nx.c:1:1\\n{1} bytes ({2})" }}\n'
EDGE = 'edge: {{ sourcename: "{}" targetname: "{}" label: "x" }}\n'


def described(tmp_path: Path, *lines: str, linked: set[str]) -> dict[str, stack.Function]:
    (tmp_path / "x.c.ci").write_text("".join(lines))
    subprocess.run(["cc", "-c", "-x", "c", "/dev/null", "-o", tmp_path / "x.c.obj"], check=True)
    (tmp_path / "gone.c.ci").write_text("".join(lines).replace(" bytes", "000 bytes"))  # no object
    return stack._from_compiler(tmp_path, linked)


def test_stack_adds_up_along_the_deepest_path(tmp_path):
    graph = described(
        tmp_path,
        NODE.format("main", 16, "static"),
        NODE.format("x.c:a", 100, "static"),
        NODE.format("b", 40, "dynamic,bounded"),
        NODE.format("c", 70, "static"),
        EDGE.format("main", "x.c:a"),
        EDGE.format("main", "b"),
        EDGE.format("b", "c"),
        linked={"main", "a", "b", "c"},
    )
    assert stack.deepest("main", graph) == (126, ("main", "b", "c"))


@pytest.mark.parametrize(
    ("edge", "frame", "message"),
    [("main", "static", "recursion"), ("__indirect_call", "static", "pointer"), ("a", "dynamic", "no bound")],
)
def test_stack_without_a_bound_is_an_error(tmp_path, edge, frame, message):
    lines = [NODE.format("main", 8, frame), NODE.format("a", 8, "static"), EDGE.format("main", edge)]
    with pytest.raises(TokayError, match=message):
        stack.deepest("main", described(tmp_path, *lines, linked={"main", "a"}))


def test_frames_of_library_functions_come_from_their_instructions():
    listing = (
        "08000000 <f>:\n 8000000:\tpush\t{r4, r5, r6, lr}\n 8000002:\tsub\tsp, #24\n"
        " 8000004:\tvpush\t{d8-d9}\n 8000006:\tstrd\tip, lr, [sp, #-16]!\n"
        " 8000008:\tstmdb\tsp!, {r0-r3}\n 800000a:\tbl\t8000010 <g>\n 800000e:\tbne.n\t8000000 <f+0x2>\n"
    )
    assert stack._from_instructions(listing)["f"] == stack.Function(16 + 24 + 16 + 16 + 16, frozenset({"g"}))


@pytest.mark.parametrize(
    ("instruction", "taken"),
    [
        ("push\t{lr}", 4), ("push\t{r4-r7, lr}", 20), ("stmdb\tsp!, {r4, r5, sl, lr}", 16),
        ("stmdb\tr0!, {r4, r5}", 0), ("vpush\t{s16-s18}", 12), ("vpush\t{d8, d9}", 16),
        ("sub.w\tsp, sp, #256", 256), ("sub\tr3, #24", 0), ("add\tsp, #24", 0), ("str.w\tlr, [sp, #-4]!", 4),
        ("ldr.w\tlr, [sp, #-4]!", 0), ("str\tr0, [sp, #8]", 0), ("ldmia.w\tsp!, {r4, r5, r6, pc}", 0),
    ],
)  # fmt: skip
def test_what_an_instruction_takes_of_the_stack(instruction, taken):
    function = stack._from_instructions(f"08000000 <f>:\n 8000000:\t{instruction}\n 8000004:\tbx\tlr\n")["f"]
    assert function == stack.Function(taken, frozenset())


@pytest.mark.parametrize(("instruction", "calls"), [("bl", {"f"}), ("b.n", set()), ("bne.n", set())])
def test_a_function_that_calls_itself_is_no_loop(instruction, calls):
    listing = f"08000000 <f>:\n 8000000:\tpush\t{{lr}}\n 8000002:\t{instruction}\t8000000 <f>\n"
    graph = stack._from_instructions(listing)
    assert graph["f"] == stack.Function(4, frozenset(calls))
    if calls:
        with pytest.raises(TokayError, match="recursion f > f"):
            stack.deepest("f", graph)


@pytest.mark.parametrize("instruction", ["blx\tr3", "bx\tr3", "bx\tip"])
def test_a_library_function_that_goes_on_through_a_pointer_has_no_bound(instruction):
    listing = f"08000000 <f>:\n 8000000:\t{instruction}\n"
    with pytest.raises(TokayError, match="f calls through a pointer"):
        stack.deepest("f", stack._from_instructions(listing))


@pytest.mark.parametrize(
    "instruction", ["sub\tsp, sp, r3", "sub.w\tsp, sp, r3, lsl #2", "add\tsp, r4", "mov\tsp, r3"]
)
def test_a_library_function_that_takes_as_much_stack_as_a_register_says_has_no_bound(instruction):
    listing = f"08000000 <f>:\n 0:\tpush\t{{r7, lr}}\n 2:\t{instruction}\n 6:\tmov\tsp, r7\n"
    graph = stack._from_instructions(listing)
    with pytest.raises(TokayError, match=r"the stack of f has no bound \((sub|add|mov)"):
        stack.deepest("f", graph)
    assert stack.deepest("f", stack._from_instructions(listing.replace(instruction, "nop"))) == (8, ("f",))


def test_the_runner_calls_kernels_and_nothing_else_through_its_table():
    runner = stack.Function(10, frozenset({"__indirect_call", "small"}), frozenset({"other"}))
    graph = {name: stack.Function(size, frozenset()) for name, size in (("small", 4), ("other", 500))}
    graph |= {"nn_run": runner, "nn_kernel_add": graph["small"], "nn_kernel_mul.part.0": graph["other"]}
    assert stack.deepest("nn_run", graph) == (510, ("nn_run", "nn_kernel_mul.part.0"))
    del graph["nn_kernel_mul.part.0"]
    assert stack.deepest("nn_run", graph) == (14, ("nn_run", "nn_kernel_add"))


def test_a_fault_and_interrupts_count_on_top_of_the_deepest_thread(tmp_path, monkeypatch):
    graph = {
        "startup_reset": stack.Function(8, frozenset({"main"})), "main": stack.Function(100, frozenset()),
        "uart": stack.Function(24, frozenset()), "timer": stack.Function(16, frozenset({"tick"})),
        "tick": stack.Function(12, frozenset()), "fault_entry": stack.Function(4096, frozenset()),
        "fault_report": stack.Function(stack.FAULT_ROOM_BYTES, frozenset()),
    }  # fmt: skip
    monkeypatch.setattr(stack, "functions", lambda elf, objects: graph)
    handlers = {"uart", "timer", "fault_entry", "startup_reset"}
    monkeypatch.setattr(stack, "_handlers", lambda elf: handlers)
    bound = stack.bound(tmp_path, tmp_path)
    assert (bound.thread, bound.thread_path) == (108, ("startup_reset", "main"))
    assert (bound.interrupt, bound.interrupt_path) == (28 + 36, ("timer", "tick"))  # 8 words and alignment
    assert bound.total == 108 + 28 + 36
    handlers -= {"uart", "timer"}
    assert stack.bound(tmp_path, tmp_path) == stack.StackBound(108, 108, 0, ("startup_reset", "main"), ())
    graph["fault_report"] = stack.Function(stack.FAULT_ROOM_BYTES + 1, frozenset())
    with pytest.raises(TokayError, match="a fault's report takes more than 640 bytes"):
        stack.bound(tmp_path, tmp_path)


def test_of_two_static_functions_of_one_name_the_larger_counts_with_the_calls_of_both(tmp_path):
    graph = described(
        tmp_path,
        NODE.format("a.c:f", 40, "static"), NODE.format("b.c:f", 24, "static"),
        NODE.format("g", 8, "static"), NODE.format("h", 16, "static"),
        EDGE.format("a.c:f", "g"), EDGE.format("b.c:f", "h"),
        linked={"f", "g", "h"},
    )  # fmt: skip
    assert graph["f"] == stack.Function(40, frozenset({"g", "h"}))


def test_pins():
    assert board.pin("PA5") == (0, 5) and board.pin("PD5") == (3, 5)
    for wrong in ("PE1", "PA16", "PD15", "A5", ""):
        with pytest.raises(TokayError):
            board.pin(wrong)


@needs_compiler
def test_calls_through_pointers_reach_every_function_whose_address_is_taken(tmp_path):
    (tmp_path / "x.c").write_text(
        "static __attribute__((noinline)) int small(int x) { return x * 3; }\n"
        "static __attribute__((noinline)) int large(int x) {\n"
        "  volatile int a[50]; a[x] = x; return a[x / 2]; }\n"
        "static __attribute__((noinline)) int other(int x) { volatile int a[90]; a[x] = x; return a[0]; }\n"
        "static int (*const table[])(int) = {small, large};\n"
        "int run(int x) { return table[x & 1](x) + 1; }\n"
        "int direct(int x) { return other(x) + 1; }\n"
    )
    flags = ["-mcpu=cortex-m33", "-mthumb", "-O2", "-ffunction-sections", "-fcallgraph-info=su", "-c"]
    command = ["arm-none-eabi-gcc", *flags, "-o", str(tmp_path / "x.c.obj"), str(tmp_path / "x.c")]
    subprocess.run(command, check=True)
    graph = stack._from_compiler(tmp_path, {"run", "direct", "small", "large", "other"})
    assert graph["run"].pointers == {"small", "large"}
    assert stack.deepest("run", graph) == (graph["run"].frame + graph["large"].frame, ("run", "large"))


@needs_compiler
def test_verbose_leaves_stdout_to_json(tmp_path, capsys):
    assert cli.run(build.main, [MODEL, "-o", str(tmp_path), "--verbose", "--json", "-"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["flash_bytes"] and "C compiler" in said.err


@needs_compiler
def test_a_folder_that_is_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert cli.run(build.main, [MODEL, "-o", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert "cannot build in" in error and error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"


@needs_compiler
def test_build_tools_that_fail_without_a_word_or_for_want_of_space(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(toolchain, "_tool", lambda name: "/bin/false")
    assert cli.run(build.main, ["--bringup", "-o", str(tmp_path / "image")]) == 2
    message = "error: the image did not build: /bin/false ended with status 1"
    assert capsys.readouterr().err.startswith(message)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    assert cli.run(build.main, ["--bringup", "-o", str(tmp_path / "image")]) == 2
    message = f"error: cannot build in {tmp_path / 'image'}: No space left on device\n"
    assert capsys.readouterr().err == message


@needs_compiler
@pytest.mark.parametrize(
    "reason", ["/bin/sh: 1: arm-none-eabi-objcopy: not found", "ld: /tmp/x: No space left on device"]
)
def test_the_reason_stands_in_the_line(reason, tmp_path, monkeypatch, capsys):
    script = tmp_path / "tool"
    output = f"CMake Warning:\nFAILED: tokay.elf\n  {reason}\nninja: build stopped: subcommand failed."
    script.write_text(f"#!/bin/sh\necho '{output}'\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(toolchain, "_tool", lambda name: str(script))
    assert cli.run(build.main, ["--bringup", "-o", str(tmp_path / "image")]) == 2
    assert capsys.readouterr().err.startswith(f"error: the image did not build: {reason} (")


@needs_compiler
def test_a_folder_that_is_removed_meanwhile(tmp_path, monkeypatch, capsys):
    folder, script = tmp_path / "image", tmp_path / "remove"
    script.write_text(f"#!/bin/sh\nrm -rf '{folder}'\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(toolchain, "_tool", lambda name: str(script))
    assert cli.run(build.main, ["--bringup", "-o", str(folder)]) == 2
    assert "did not build" in capsys.readouterr().err


@needs_compiler
def test_without_a_path_variable(tmp_path, monkeypatch, capsys):
    """The compiler is then looked for where the system keeps programs."""
    monkeypatch.delenv("PATH")
    found = shutil.which("arm-none-eabi-gcc") is not None
    assert cli.run(build.main, ["--bringup", "-o", str(tmp_path)]) == (0 if found else 2)
    assert capsys.readouterr().err.count("\n") == (0 if found else 1)


@needs_compiler
@pytest.mark.parametrize(
    "variables",
    [{"CFLAGS": "-march=nocona -fstack-protector-strong", "CPPFLAGS": "-march=x86-64"},
     {"CFLAGS": "-funsigned-char -mno-unaligned-access", "LDFLAGS": "-Wl,-pie", "ASMFLAGS": "-march=nocona"},
     {"CPATH": "/usr/include", "C_INCLUDE_PATH": "/usr/include/x86_64-linux-gnu", "LIBRARY_PATH": "/usr/lib"},
     {"COMPILER_PATH": "/usr/bin", "GCC_EXEC_PREFIX": "/usr/lib/gcc/"}],
    ids=["conda", "packager", "includes", "programs"],
)  # fmt: skip
def test_flags_for_the_pcs_compiler_are_not_the_boards(built, tmp_path, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = image.build(MODEL, board.load("brd2601b"), tmp_path)
    assert made.elf.with_suffix(".bin").read_bytes() == built.elf.with_suffix(".bin").read_bytes()


def test_a_place_for_temporary_files_without_locks(tmp_path, monkeypatch, capsys):
    def refuse(path: Path) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(image, "locked", refuse)
    line = run_with_error(["--bringup", "-o", str(tmp_path / "image")], capsys)
    assert re.search(r"cannot lock .*tokay-.*\.lock: No locks available \(TMPDIR names", line)


def _takes_turns(folder: Path, together: Path, times: int) -> int:
    """Enters the folder so often; how often another process was in it as well."""
    met = 0
    for _ in range(times):
        with image.alone_in(folder):
            try:
                together.touch(exist_ok=False)
            except FileExistsError:
                met += 1
                continue
            together.unlink()
    return met


def test_one_command_at_a_time_builds_in_a_folder_and_no_lock_stays(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    with concurrent.futures.ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(_takes_turns, tmp_path / "new", tmp_path / "together", 300) for _ in range(4)]
        assert [job.result() for job in jobs] == [0, 0, 0, 0]
    assert not list((tmp_path / "temporary").glob("tokay-*"))
    assert not (tmp_path / "new").exists()
