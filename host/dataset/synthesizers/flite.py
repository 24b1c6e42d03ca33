"""Flite: small voices cut from recordings of real speakers (CMU Arctic and others)."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np

from host.dataset.synthesizers.base import Voice, decode, run

# Of the voices built in, those at 16 kHz with a whole dictionary. Mean pitch: flite takes it in Hz.
_MEAN_HZ = {"kal16": 105.0, "awb": 129.0, "rms": 97.0, "slt": 172.0}


class Flite:
    """Men kal16 and rms (US), awb (Scottish); woman slt (US)."""

    name = "flite"
    licence = "Flite's BSD-like licence"
    install = "apt install flite"

    def problem(self) -> str | None:
        return None if shutil.which("flite") else "flite is not installed"

    @functools.cache  # noqa: B019 (one object for the whole run)
    def identity(self, speaker: str) -> str:
        return run(self.name, ["flite", "--version"], any_status=True).decode().split("http")[0].strip()

    def speakers(self) -> tuple[str, ...]:
        return tuple(_MEAN_HZ)

    def held_out(self, speaker: str) -> bool:
        return False

    def blend(self, first: str, second: str) -> str | None:
        return None

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        settings = {
            "duration_stretch": f"{1 / voice.speed:.4f}",
            "int_f0_target_mean": f"{_MEAN_HZ[voice.speaker] * voice.pitch:.2f}",
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            command = ["flite", "-voice", voice.speaker, "-t", text + voice.mark, "-o", str(path)]
            for key, value in settings.items():
                command += ["--setf", f"{key}={value}"]
            run(self.name, command)
            return decode(self.name, path.read_bytes())
