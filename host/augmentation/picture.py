"""Pictures of audio as arrays of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PIXELS_A_SECOND = 400
_WAVE_HEIGHT, _SPECTRUM_HEIGHT, _CHANNEL_HEIGHT = 90, 128, 3
_INK, _FAINT, _PAPER = (32, 74, 135), (176, 176, 176), (255, 255, 255)
# Dark blue over red to pale yellow: brighter is louder, also in print.
_RAMP = np.array([(0, 0, 20), (60, 15, 110), (180, 45, 90), (245, 135, 40), (252, 250, 190)], float)

# Three by five pixels a character, a row in each octal digit.
_FONT = {
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553",
    "H": "55755", "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555",
    "O": "25552", "P": "65644", "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557",
    "V": "55552", "W": "55775", "X": "55255", "Y": "55222", "Z": "71247", "0": "75557", "1": "26227",
    "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757", "7": "71122", "8": "75757",
    "9": "75717", ".": "00002", "-": "00700", "+": "02720", ",": "00024", ":": "02020", "/": "11244",
    "_": "00007",
}  # fmt: skip


def text(line: str, scale: int = 2) -> np.ndarray:
    """A line in capitals, uint8 [height, width, 3]; a character that the font lacks is a gap."""
    line = line.upper()  # which may be longer: of one "ß" two letters
    bits = np.zeros((7, 4 * max(len(line), 1)), bool)
    for place, character in enumerate(line):
        for row, digit in enumerate(_FONT.get(character, "00000"), 1):
            for column in range(3):
                bits[row, 4 * place + column] = int(digit, 8) >> (2 - column) & 1
    bits = np.kron(bits, np.ones((scale, scale), bool))
    return np.where(bits[..., None], np.uint8(40), np.uint8(255)) * np.ones(3, np.uint8)


def waveform(pcm: np.ndarray, rate: int, lead_in: int = 0) -> np.ndarray:
    """Least to largest sample of each column, full scale from edge to edge; the lead-in is faint."""
    columns = _columns(len(pcm), rate)
    edges = np.linspace(0, len(pcm), columns + 1).astype(int)
    picture = np.full((_WAVE_HEIGHT, columns, 3), _PAPER, np.uint8)
    middle = _WAVE_HEIGHT // 2
    for x in range(columns):
        part = pcm[edges[x] : max(edges[x + 1], edges[x] + 1)].astype(int)
        top, bottom = (middle - int(value) * middle // 32768 for value in (part.max(), part.min()))
        picture[max(top, 0) : bottom + 1, x] = _FAINT if edges[x] < lead_in else _INK
    return picture


def spectrogram(pcm: np.ndarray, rate: int) -> np.ndarray:
    """Up to half the rate, 80 dB from the brightest colour to the darkest."""
    # 25 ms, but no more than the transform takes: a window cut off would smear each tone over all rows.
    window = min(rate // 40, 2 * _SPECTRUM_HEIGHT)
    padded = np.pad(pcm.astype(float), (window // 2, window))
    columns = _columns(len(pcm), rate)
    starts = np.linspace(0, len(pcm), columns, endpoint=False).astype(int)
    pieces = padded[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(pieces, 2 * _SPECTRUM_HEIGHT, axis=1))[:, 1:]
    full = window / 4 * 32768
    loud = 1 + 20 * np.log10(np.maximum(power / full, 1e-9)) / 80
    return _coloured(loud.T[::-1])


def features(values: np.ndarray, step_ms: float) -> np.ndarray:
    """What the network sees, int8 [frames, channels] a step apart: low channels below, wide as the audio."""
    edges = np.rint(np.arange(len(values) + 1) * (PIXELS_A_SECOND * step_ms / 1000)).astype(int)
    coloured = _coloured((values.T[::-1] + 128.0) / 255)
    return coloured.repeat(_CHANNEL_HEIGHT, axis=0).repeat(np.diff(edges), axis=1)


def stack(pictures: Sequence[np.ndarray], gap: int = 6) -> np.ndarray:
    """One above the other, flush right: an example ends where its clip ends."""
    width = max(picture.shape[1] for picture in pictures)
    rows = []
    for picture in pictures:
        height, own, _ = picture.shape
        row = np.full((height + gap, width, 3), _PAPER, np.uint8)
        row[:height, width - own :] = picture
        rows.append(row)
    return np.concatenate(rows)


def _columns(samples: int, rate: int) -> int:
    return max(samples * PIXELS_A_SECOND // rate, 1)


def _coloured(share: np.ndarray) -> np.ndarray:
    place = np.clip(share, 0, 1) * (len(_RAMP) - 1)
    left = np.minimum(place.astype(int), len(_RAMP) - 2)
    part = (place - left)[..., None]
    return np.rint(_RAMP[left] * (1 - part) + _RAMP[left + 1] * part).astype(np.uint8)
