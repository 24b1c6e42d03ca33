"""Reading audio files as the int16 mono PCM that the front end takes."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np

from host.errors import TokayError

_UNKNOWN_LENGTH = 0x7FFFF000  # what programs that write to a pipe put for it: this or more, or 0
_FLOATING = ("FLOAT", "DOUBLE", "VORBIS", "OPUS")  # kinds of samples
_LOUDEST = 16.0  # of floating-point samples, 24 dB above full scale


def read_audio(path: Path | str, sample_rate_hz: int, *, resample: bool = False) -> np.ndarray:
    """Reads a WAV or FLAC file.

    Returns int16[n] mono at ``sample_rate_hz``. With ``resample`` a file at another rate is converted
    (soxr, HQ) and several channels are averaged; without it both are refused, since a detector that
    was tuned on other audio than it hears gives unexplained numbers. A WAV file that was cut off is read as
    far as it goes, with a warning on stderr.

    Raises TokayError for a missing, unreadable or empty file, another rate or more channels.
    """
    path = Path(path)
    samples, rate = _stored(path)
    if samples.shape[0] == 0:
        raise TokayError(f"{path}: the file has no samples")
    if samples.shape[1] != 1 and not resample:
        raise TokayError(
            f"{path}: {samples.shape[1]} channels, the microphone has one",
            hint="--resample mixes them and converts the rate",
        )
    if rate != sample_rate_hz and not resample:
        raise TokayError(
            f"{path}: {rate} Hz, the model listens at {sample_rate_hz} Hz", hint="--resample converts it"
        )
    if (missing := missing_bytes(path)) > 0:
        print(f"warning: {path}: cut off, {missing} bytes fewer than its header says", file=sys.stderr)
    if samples.dtype == np.int16 and samples.shape[1] == 1 and rate == sample_rate_hz:
        return np.ascontiguousarray(samples[:, 0])
    mono = samples.astype(np.float64).mean(axis=1)
    if rate != sample_rate_hz:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate_hz, quality="HQ")
        if mono.shape[0] == 0:
            raise TokayError(f"{path}: too short to resample to {sample_rate_hz} Hz")
    return to_int16(mono)


def to_int16(signal: np.ndarray) -> np.ndarray:
    """Rounded and saturated, as a microphone's converter does."""
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)


def _stored(path: Path) -> tuple[np.ndarray, int]:
    """A file's samples in the scale of int16, [samples, channels], and its rate."""
    import soundfile

    if not path.is_file():
        raise TokayError(f"{path}: no such audio file")
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            if file.subtype not in _FLOATING:
                return file.read(dtype="int16", always_2d=True), file.samplerate
            # Asked for integers, libsndfile cuts floating-point samples of -1 to 1 down to 0, and wraps
            # around what it decodes of the others and is louder than full scale.
            samples, rate = file.read(dtype="float64", always_2d=True), file.samplerate
    except MemoryError as error:  # a FLAC header can promise days
        hint = "is its header damaged? Else cut it into pieces"
        raise TokayError(f"{path}: more samples than fit into memory", hint=hint) from error
    # The last two: what soundfile says of NAME.raw, and of a compression that it cannot seek in.
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
        raise TokayError(f"{path}: not readable as audio", hint="WAV and FLAC are read") from error
    if not np.isfinite(samples).all():
        raise TokayError(f"{path}: some samples are no numbers", hint="write the file anew, without NaN")
    if (peak := np.abs(samples).max(initial=0.0)) > _LOUDEST:  # else a loud one, clipped as a microphone's is
        raise TokayError(
            f"{path}: floating-point samples of up to {peak:g}, where 1 is full scale",
            hint="divide them by 32768 if they were meant as 16 bits, or write integers",
        )
    return samples * 32768, rate


def missing_bytes(path: Path) -> int:
    """How much of a WAV file's samples its header promises and the file does not have; 0 for others.

    libsndfile gives what is there without a word; of a FLAC file that is cut off it gives an error.
    OSError for a file that cannot be read.
    """
    with open(path, "rb") as stream:
        head = stream.read(12)
        if head[:4] not in (b"RIFF", b"RIFX") or head[8:] != b"WAVE":
            return 0
        integer = "<I" if head[:4] == b"RIFF" else ">I"
        size = path.stat().st_size
        while len(chunk := stream.read(8)) == 8:
            name, length = chunk[:4], struct.unpack(integer, chunk[4:])[0]
            if name == b"data":
                known = 0 < length < _UNKNOWN_LENGTH
                return max(0, stream.tell() + length - size) if known else 0
            stream.seek(length + length % 2, 1)
    return 0
