"""Reading audio files as the int16 mono PCM that the front end takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from host.errors import TokayError


def read_audio(path: Path | str, sample_rate_hz: int, *, resample: bool = False) -> np.ndarray:
    """Reads a WAV or FLAC file.

    Returns int16[n] mono at ``sample_rate_hz``. With ``resample`` a file at another rate is converted
    (soxr, HQ) and several channels are averaged; without it both are refused, since a detector that
    was tuned on other audio than it hears gives unexplained numbers.

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
    if samples.dtype == np.int16 and samples.shape[1] == 1 and rate == sample_rate_hz:
        return np.ascontiguousarray(samples[:, 0])
    mono = samples.astype(np.float64).mean(axis=1)
    if rate != sample_rate_hz:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate_hz, quality="HQ")
        if mono.shape[0] == 0:
            raise TokayError(f"{path}: too short to resample to {sample_rate_hz} Hz")
    return np.clip(np.rint(mono), -32768, 32767).astype(np.int16)


def _stored(path: Path) -> tuple[np.ndarray, int]:
    """A file's samples in the scale of int16, [samples, channels], and its rate."""
    import soundfile

    if not path.is_file():
        raise TokayError(f"{path}: no such audio file")
    try:
        with soundfile.SoundFile(str(path)) as file:
            if file.subtype not in ("FLOAT", "DOUBLE"):
                return file.read(dtype="int16", always_2d=True), file.samplerate
            # Asked for integers, libsndfile cuts floating-point samples of -1 to 1 down to 0.
            samples, rate = file.read(dtype="float64", always_2d=True), file.samplerate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise TokayError(f"{path}: not readable as audio", hint="WAV and FLAC are read") from error
    if not np.isfinite(samples).all():
        raise TokayError(f"{path}: some samples are no numbers", hint="write the file anew, without NaN")
    return samples * 32768, rate
