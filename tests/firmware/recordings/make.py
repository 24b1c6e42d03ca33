"""Makes the recorded conversations of this folder anew, with the image in the simulator:

    python -m tests.firmware.recordings.make

``model.tflite`` is what the recorded image was built of. It stays as it is when the shipped model changes,
so that the recordings stay good until the protocol or what the tools ask changes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from host import classify, cli, demo, profile
from host.audio import read_audio
from host.media import wav

HERE = Path(__file__).resolve().parent
SECONDS, RATE = 6, 8000


def main() -> None:
    model = str(HERE / "model.tflite")
    common = [model, "--simulate", "--json", "-"]
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "speech.wav"
        audio.write_bytes(wav(read_audio(demo.DEMO.with_suffix(".wav"), RATE)[: SECONDS * RATE], RATE))
        recording = str(HERE / "classify.jsonl")
        cli.run(classify.main, [*common, "--audio", str(audio), "-s", "500", "--record", recording])
    cli.run(profile.main, [*common, "-n", "3", "--record", str(HERE / "profile.jsonl")])


if __name__ == "__main__":
    sys.exit(main())
