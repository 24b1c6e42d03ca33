"""Festival: diphones of two speakers and one statistical voice, in Debian's packages."""

from __future__ import annotations

import functools
import json
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from host.dataset.synthesizers.base import Voice, decode, run, tape

_SPEAKERS = ("ked_diphone", "kal_diphone", "cmu_us_slt_arctic_hts")  # the English ones


class Festival:
    """Men ked and kal (US), woman slt (US; another recording technique than flite's slt)."""

    name = "festival"
    licence = "Festival's X11-like licence, so its voices"
    install = "apt install festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"

    def problem(self) -> str | None:
        if not shutil.which("festival"):
            return "festival is not installed"
        missing = [name for name in _SPEAKERS if name not in self._installed()]
        return f"festival has no voice {', '.join(missing)}" if missing else None

    @functools.cache  # noqa: B019 (one object for the whole run)
    def identity(self, speaker: str) -> str:
        return run(self.name, ["festival", "--version"]).decode().strip()

    @functools.cache  # noqa: B019
    def _installed(self) -> frozenset[str]:
        listed = run(self.name, ["festival", "--batch", "(print (voice.list))"]).decode()
        return frozenset(re.findall(r"[\w-]+", listed))

    def speakers(self) -> tuple[str, ...]:
        return _SPEAKERS

    def held_out(self, speaker: str) -> bool:
        return False

    def blend(self, first: str, second: str) -> str | None:
        return None

    def say(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        # The statistical voice ignores Duration_Stretch, so its speed stays as it is.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            script = Path(folder) / "say.scm"
            script.write_text(
                f"(voice_{voice.speaker})\n"
                f"(Parameter.set 'Duration_Stretch {voice.pitch / voice.speed:.4f})\n"
                f"(set! utt (Utterance Text {json.dumps(text + voice.mark)}))\n"
                f"(utt.synth utt)\n(utt.save.wave utt {json.dumps(str(path))} 'riff)\n"
            )
            run(self.name, ["festival", "--batch", str(script)])
            audio, rate = decode(self.name, path.read_bytes())
        return tape(audio, voice.pitch), rate
