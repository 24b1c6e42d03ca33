"""Sizes and cycles of every board's image, and what a change does to them.

``measure.py measure OUT.json``           builds and profiles, in the tree where it is run
``measure.py compare NEW.json [OLD.json]`` prints a table in Markdown
``measure.py same-accelerator A B``       fails unless two results of host.profile agree about the accelerator
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MODEL = "keyword_spotting_on_off"
# Name, unit, where host.build's or host.profile's JSON has it.
SIZES = {"flash": "flash_bytes", "RAM": "ram_bytes"}
CYCLES = {"accelerator": "accelerator_cycles", "CPU": "cpu_cycles"}


def run(*arguments: str) -> dict:
    """A command of the tree in the current folder, with its JSON result."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--json", "-"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def measure(out: str) -> None:
    figures: dict[str, int] = {}
    for folder in sorted(Path("boards").glob("*/board.toml")):
        board = folder.parent.name
        for accelerator in ("none", "mvp"):
            options = (MODEL, "--board", board, "--accelerator", accelerator)
            built, profiled = run("host.build", *options), run("host.profile", *options)
            for name, key in SIZES.items():
                figures[f"{board} {accelerator}: {name}, bytes"] = built[key]
            for name, key in CYCLES.items():
                figures[f"{board} {accelerator}: {name} cycles an inference (estimate)"] = profiled[key]
            step = profiled["frontend"]["cpu_cycles_per_step"]
            figures[f"{board} {accelerator}: front end, CPU cycles a step (estimate)"] = step
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(figures, indent=2) + "\n")


def compare(new: str, old: str | None = None) -> None:
    now = json.loads(Path(new).read_text())
    before = json.loads(Path(old).read_text()) if old and Path(old).is_file() else {}
    print("| figure | main | this change | difference |\n| --- | ---: | ---: | ---: |")
    for name, value in now.items():
        was = before.get(name)
        if was is None:
            print(f"| {name} | | {value:,} | |")
        else:
            change = f"{value - was:+,} ({(value - was) / was:+.1%})" if was and value != was else "same"
            print(f"| {name} | {was:,} | {value:,} | {change} |")


def same_accelerator(first: str, second: str) -> None:
    keys = ("opcode", "accelerator_cycles", "stall_cycles", "programs")
    a, b = (
        [{key: layer[key] for key in keys} for layer in json.loads(Path(path).read_text())["layers"]]
        for path in (first, second)
    )
    if a != b or not any(layer["accelerator_cycles"] for layer in a):
        sys.exit(f"{first} and {second} differ:\n{a}\n{b}")


if __name__ == "__main__":
    {"measure": measure, "compare": compare, "same-accelerator": same_accelerator}[sys.argv[1]](*sys.argv[2:])
