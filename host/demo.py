"""The main job from the .tflite to a heard keyword: compile, build, boot in the simulator, listen, profile.

``python -m host.demo [MODEL] [--accelerator none|mvp]``   (`make demo`)
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host import board as boards
from host import cli, hearing, listening, profile, target
from host import image as images
from host.audio import read_audio
from host.errors import TokayError
from host.pipeline import Pipeline
from host.tables import text_table

DEMO = Path(__file__).resolve().parent / "models" / "demo" / "on_off"
_LATE_MS = 1500  # how long after a word's end its detection may come: the averaging window and a latency


def main(argv: Sequence[str]) -> int:
    """The command. Exit status 1 if the image missed a keyword or heard one that was not there."""
    p = cli.parser("demo", __doc__.splitlines()[0])
    p.add_argument("model", metavar="MODEL", nargs="?", default="keyword_spotting_on_off")
    cli.add_accelerator(p)
    boards.add_option(p)
    args = p.parse_args(argv)
    quiet = args.json == "-"
    say = (lambda *_: None) if quiet else print

    expected = json.loads(DEMO.with_suffix(".json").read_text())
    pipeline = Pipeline(args.model, accelerator=args.accelerator)
    unknown = sorted({word["word"] for word in expected["keywords"]} - set(pipeline.labels))
    if unknown:
        raise TokayError(
            f"{args.model} does not know the words that {DEMO.name}.wav says: {', '.join(unknown)}",
            hint="host.classify MODEL --simulate --audio FILE hears another recording",
        )
    samples = read_audio(DEMO.with_suffix(".wav"), pipeline.sample_rate_hz, resample=True)

    say("1. Compile the model and build the image\n")
    board = boards.load(args.board)
    image = images.build(args.model, board, accelerator=args.accelerator)
    say(images.describe(image))

    say(f"\n2. Boot it in the simulator and play {DEMO.name}.wav to its microphone\n")
    started = time.perf_counter()
    frontend, labels = pipeline.frontend, pipeline.labels
    heard = hearing.hear_simulated(image.elf, args.board, samples, frontend, say, labels=labels)
    wall = time.perf_counter() - started
    rows, wrong = compare(expected["keywords"], heard["detections"])
    say("\n" + text_table(("word", "said at ms", "heard at ms", "label", "score", ""), rows))
    on_pc = hearing.collect(listening.on_pc(pipeline, samples), lambda _: None)
    same = on_pc["detections"] == heard["detections"] and on_pc["inferences"] == heard["inferences"]
    counts, simulator = heard["statistics"], heard["simulator"]
    say(
        f"\n{len(expected['keywords'])} keywords said, {len(heard['detections'])} heard; "
        f"{len(heard['inferences'])} inferences with {'the same' if same else 'OTHER'} scores as on the PC; "
        f"overruns {counts['overruns']}; CPU load {counts['cpu_load_permille'] / 10:.1f} %; "
        f"{simulator['seconds'] / wall:.0f} times real time"
    )

    say("\n3. Profile the same image\n")
    profiled = _profile(args.model, args.board, args.accelerator, args.verbose)
    say(profile.table(profiled))
    accelerated = None
    if args.accelerator == "none" and board.accelerator != "none":
        say(f"\n4. The same model with its layers on the {board.accelerator.upper()}\n")
        accelerated = _profile(args.model, args.board, board.accelerator, args.verbose)
        say(profile.table(accelerated))
    cli.emit_json(
        args.json,
        {
            "image": image.as_json(),
            "heard": heard,
            "same_as_pc": same,
            "profile": profiled,
            "accelerated_profile": accelerated,
        },
    )
    if wrong or not same:
        print("error: the image did not hear exactly what was said", file=sys.stderr)
        return 1
    return 0


def _profile(model: str, board: str, accelerator: str, verbose: bool) -> dict[str, Any]:
    """One run of each layer in the simulator, as host.profile gives it."""
    chosen = target.Options("simulator", accelerator, board)
    return profile.profile(model, chosen, repetitions=1, verbose=verbose)


def compare(expected: Sequence[dict[str, Any]], heard: Sequence[dict[str, Any]]) -> tuple[list[tuple], int]:
    """Rows of a table that lays detections beside the words said, and how many of them disagree.

    A word is heard by the first detection of its label between its start and 1.5 s after its end.
    """
    rows, wrong, left = [], 0, list(heard)
    for word in expected:
        hits = [
            d
            for d in left
            if d["label"] == word["word"] and word["start_ms"] <= d["time_ms"] <= word["end_ms"] + _LATE_MS
        ]
        said = f"{word['start_ms']}..{word['end_ms']}"
        if hits:
            left.remove(hits[0])
            rows.append((word["word"], said, hits[0]["time_ms"], hits[0]["label"], hits[0]["score"], "heard"))
        else:
            wrong += 1
            rows.append((word["word"], said, "", "", "", "MISSED"))
    for d in left:
        wrong += 1
        rows.append(("", "", d["time_ms"], d["label"], d["score"], "NOT SAID"))
    return rows, wrong


if __name__ == "__main__":
    sys.exit(cli.run(main))
