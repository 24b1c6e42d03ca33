"""Training examples from the native library: clips as a microphone would hear them, as int8 features.

    augmenter = Augmenter(spec.augmentation, Frontend(spec.frontend), clips, recordings)
    augmenter.features(jobs, (seed, epoch))     # int8 [jobs, frames, channels], on all cores
    draw = augmenter.draw(job, (seed, epoch), index)   # what that does to one example
    augmenter.pcm(job, draw)                    # and what it sounds like

An example is a function of the key and its index alone, whatever the number of threads.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from host import native
from host.augmentation import layout
from host.augmentation.layout import KEYWORD, SILENCE, UNKNOWN, Draw, Job
from host.errors import TokayError
from host.features import Frontend
from host.specification import Augmentation, Perturbation

__all__ = [
    "KEYWORD", "SILENCE", "UNKNOWN", "Augmenter", "Draw", "Job", "coloured_noise", "loudness", "perturb",
]  # fmt: skip

_CHUNK = 128  # examples of one call
_CHANNELS = 4096  # that perturbing takes: as many as the front end makes
NOISE_ROWS, _NOISE_SAMPLES = 12, 1 << 17


@functools.cache
def _library() -> ctypes.CDLL:
    """The native library with this part's prototypes."""
    size, pointer, f32, u32, u64 = (
        ctypes.c_size_t, ctypes.c_void_p, ctypes.c_float, ctypes.c_uint32, ctypes.c_uint64,
    )  # fmt: skip
    prototypes = {
        "augmentation_draw": (None, [pointer, Job, u64, u64, pointer]),
        "augmentation_most_samples": (size, [pointer]),
        "augmentation_samples": (size, [pointer, pointer]),
        "augmentation_scratch_bytes": (size, [pointer]),
        "augmentation_render": (None, [pointer, Job, pointer, pointer, pointer]),
        "augmentation_examples": (None, [pointer, pointer, size, u64, u64, size, pointer, pointer]),
        "augmentation_noise": (None, [u64, f32, u32, pointer, size]),
        "augmentation_loudness": (f32, [pointer, size]),
        "augmentation_filter_values": (size, []),
        "augmentation_design_filters": (None, [pointer]),
        "augmentation_perturb": (None, [pointer, pointer, size, size, size, u64, u64, pointer]),
    }
    lib = native.declared(prototypes)
    sizes = (ctypes.c_uint32 * len(layout.STRUCTURES)).in_dll(lib, "augmentation_sizes")
    if list(sizes) != [ctypes.sizeof(structure) for structure in layout.STRUCTURES]:
        raise native.outdated()
    return lib


class Augmenter:
    """Makes examples of the clips it is given. Safe to use from several threads."""

    def __init__(
        self, settings: Augmentation, frontend: Frontend, clips: np.ndarray,
        recordings: Sequence[np.ndarray] = (), threads: int | None = None,
    ) -> None:  # fmt: skip
        """``clips``: int16 [n, samples]; ``recordings`` of background noise: int16 [m] each."""
        self._lib, self._frontend = _library(), frontend
        self._threads = threads or native.cores()
        self._clips = _samples(clips, 2, "clips")
        if len(self._clips) == 0 or self._clips.shape[1] < frontend.settings.window_samples:
            raise TokayError(f"clips of shape {clips.shape} fill no window of the front end")
        self._recordings = [_samples(recording, 1, "a background recording") for recording in recordings]
        self._pointers = (ctypes.c_void_p * len(self._recordings))(*(r.ctypes.data for r in self._recordings))
        self._lengths = (ctypes.c_size_t * len(self._recordings))(*map(len, self._recordings))
        self._filters = _filters()
        rate = frontend.settings.sample_rate_hz
        self._source = layout.Source(
            settings=layout.settings(settings, rate),
            clip_samples=self._clips.shape[1],
            frontend=frontend.config_address,
            clips=self._clips.ctypes.data,
            clip_count=len(self._clips),
            recordings=ctypes.addressof(self._pointers),
            recording_samples=ctypes.addressof(self._lengths),
            recording_count=len(self._recordings),
            filters=self._filters.ctypes.data,
        )
        self._address = ctypes.addressof(self._source)
        longest = self._lib.augmentation_most_samples(self._address)
        self._noises = _noises(rate, max(_NOISE_SAMPLES, 1 << (2 * longest).bit_length()))
        self._source.noises = self._noises.ctypes.data
        self._source.noise_rows, self._source.noise_samples = self._noises.shape
        self._scratch_bytes = self._lib.augmentation_scratch_bytes(self._address)

    def features(self, jobs: np.ndarray, key: Sequence[int]) -> np.ndarray:
        """int8 [jobs, frames, channels]. ``jobs``: int32 [n, 2], a clip's index (or -1: noise alone) and
        KEYWORD, UNKNOWN or SILENCE."""
        jobs = self._checked(jobs)
        frames = self._frontend.frames(self._clips.shape[1])
        out = np.empty((len(jobs), frames, self._frontend.settings.channels), np.int8)
        number = _key(key)

        def make(start: int) -> None:
            part = jobs[start : start + _CHUNK]
            scratch = self._scratch()
            self._lib.augmentation_examples(
                self._address, part.ctypes.data, len(part), number, start, frames, scratch.ctypes.data,
                out[start:].ctypes.data,
            )  # fmt: skip

        with ThreadPoolExecutor(self._threads, thread_name_prefix="augmentation") as pool:
            list(pool.map(make, range(0, len(jobs), _CHUNK)))  # raises what a thread did
        return out

    def draw(self, job: Job, key: Sequence[int], index: int) -> Draw:
        """What is done to example ``index`` of the key."""
        self._checked(np.array([[job.clip, job.kind]], np.int32))
        draw = Draw()
        self._lib.augmentation_draw(self._address, job, _key(key), index, ctypes.addressof(draw))
        return draw

    def pcm(self, job: Job, draw: Draw) -> np.ndarray:
        """The int16 samples of a draw, lead-in included."""
        self._checked(np.array([[job.clip, job.kind]], np.int32))
        address, scratch = ctypes.addressof(draw), self._scratch()
        out = np.empty(self._lib.augmentation_samples(self._address, address), np.int16)
        self._lib.augmentation_render(self._address, job, address, scratch.ctypes.data, out.ctypes.data)
        return out

    def _scratch(self) -> np.ndarray:
        return np.empty((self._scratch_bytes + 15) // 16, np.complex128)  # 16 bytes each, so aligned

    def _checked(self, jobs: np.ndarray) -> np.ndarray:
        jobs = np.ascontiguousarray(jobs, np.int32).reshape(-1, 2)
        clips, kinds = jobs[:, 0], jobs[:, 1]
        noise = (clips == -1) & (kinds == SILENCE)
        if not np.all(noise | ((clips >= 0) & (clips < len(self._clips)))):
            raise TokayError(f"an example names a clip that is not among the {len(self._clips)}")
        if not np.all((kinds >= KEYWORD) & (kinds <= SILENCE)):
            raise TokayError("an example is neither keyword nor other word nor silence")
        return jobs


def coloured_noise(samples: int, seed: int, slope: float, rate: int) -> np.ndarray:
    """float32 noise that falls by ``slope`` (0..1) times 6 dB an octave from 10 Hz up."""
    if not 0 <= slope <= 1 or samples < 0 or rate < 100:
        raise TokayError(f"no noise of slope {slope}, {samples} samples at {rate} Hz")
    out = np.empty(samples, np.float32)
    _library().augmentation_noise(seed & (1 << 64) - 1, slope, rate, out.ctypes.data, samples)
    return out


def loudness(signal: np.ndarray) -> float:
    """Root mean square of the louder half, in 20 blocks, so that a short word is not diluted."""
    array = np.ascontiguousarray(signal, np.float32)
    return float(_library().augmentation_loudness(array.ctypes.data, array.size))


def perturb(features: np.ndarray, settings: Perturbation, key: int) -> np.ndarray:
    """float32 of the shape of ``features``, int8 [n, frames, channels], perturbed on all cores."""
    features = np.ascontiguousarray(features)
    if features.dtype != np.int8 or features.ndim != 3 or not (
        features.shape[1] and 0 < features.shape[2] <= _CHANNELS
    ):
        what = f"{features.dtype} {features.shape}"
        raise TokayError(
            f"features must be int8 [n, frames, channels] of at most {_CHANNELS} channels, not {what}"
        )
    count, frames, channels = features.shape
    out, lib, chunk = np.empty(features.shape, np.float32), _library(), 1024
    wanted = layout.perturbation(settings)

    def work(start: int) -> None:
        lib.augmentation_perturb(
            ctypes.addressof(wanted), features[start:].ctypes.data, min(chunk, count - start), frames,
            channels, key, start, out[start:].ctypes.data,
        )  # fmt: skip

    with ThreadPoolExecutor(native.cores()) as pool:
        list(pool.map(work, range(0, count, chunk)))
    return out


def _samples(audio: np.ndarray, dimensions: int, what: str) -> np.ndarray:
    array = np.ascontiguousarray(audio)
    if array.dtype != np.int16 or array.ndim != dimensions:
        raise TokayError(f"{what} must be int16 of {dimensions} dimensions, not {array.dtype} {array.shape}")
    return array


def _key(numbers: Sequence[int]) -> int:
    """One number of 64 bits from several, none of which may be negative."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0])


@functools.cache
def _noises(rate: int, samples: int) -> np.ndarray:
    """Noises to cut from, float32 [slopes, samples]: making noise takes longer than an example."""
    slopes = np.linspace(0, 1, NOISE_ROWS)
    rows = [coloured_noise(samples, 0xC01 + i, slope, rate) for i, slope in enumerate(slopes)]
    return np.stack(rows)


@functools.cache
def _filters() -> np.ndarray:
    filters = np.empty(_library().augmentation_filter_values(), np.float32)
    _library().augmentation_design_filters(filters.ctypes.data)
    return filters
