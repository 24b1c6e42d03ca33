"""Audio to the network's features on the PC, by the firmware's own front end (bit for bit).

    frontend = Frontend({"fe.sample_rate_hz": 8000, "fe.filterbank_upper_band_limit": 3999.0, ...})
    frontend.features(audio)            # int8 [frames, channels]
    frontend.spectrogram(audio)         # uint16 [frames, channels]

Audio is int16 PCM, mono, at the settings' sample rate.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen import frontend as design
from codegen.frontend import FrontendSettings
from host import native
from host.errors import TokayError

__all__ = ["Frontend", "FrontendSettings", "Stream"]

_NUMPY = {"int16_t": np.int16, "uint16_t": np.uint16, "frontend_complex_t": np.int16}
_CLIPS_AT_ONCE = 64  # of a batch, by one thread: enough to forget the call, few enough to share out


class _Config(ctypes.Structure):
    """``frontend_config_t`` of frontend_config.h; the library says whether the sizes agree."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in design.ELEMENT),
        *(
            (name, ctypes.c_uint16)
            for name in (
                "sample_rate_hz", "window_samples", "step_samples", "fft_length", "channels", "frames",
                "first_bin", "end_bin", "tied_count", "noise_smoothing_even", "noise_smoothing_odd",
                "noise_min_signal", "dynamic_range",
            )
        ),
        *(
            (name, ctypes.c_int16)
            for name in (
                "dc_notch_coefficient", "activity_alpha_a", "activity_alpha_b", "activity_arm",
                "activity_trip",
            )
        ),
        *(
            (name, ctypes.c_uint8)
            for name in (
                "noise_reduction", "dc_notch", "activity", "noise_smoothing_bits", "activity_shift",
                "pcan_snr_shift", "log_shift",
            )
        ),
        ("correction_bits", ctypes.c_int8),
    )  # fmt: skip


@functools.cache
def _library() -> ctypes.CDLL:
    """The native library with the front end's prototypes."""
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    prototypes = {
        "frontend_config_bytes": (size, []),
        "frontend_state_bytes": (size, [pointer]),
        "frontend_init": (pointer, [pointer, pointer, size]),
        "frontend_reset": (None, [pointer]),
        "frontend_stream": (size, [pointer, pointer, size, pointer, size]),
        "frontend_clips": (None, [pointer, pointer, size, size, size, pointer, pointer]),
        "frontend_quantize_clip": (None, [pointer, pointer, size, pointer]),
        "frontend_activity": (ctypes.c_bool, [pointer]),
    }
    lib = native.declared(prototypes)
    if lib.frontend_config_bytes() != ctypes.sizeof(_Config):
        raise native.outdated()
    return lib


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(native.cores(), thread_name_prefix="features")


if hasattr(os, "register_at_fork"):  # threads do not survive in a forked child: it makes its own
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _audio(audio: Any, dimensions: int) -> npt.NDArray[np.int16]:
    """The audio as a contiguous array, or TokayError."""
    array = np.asarray(audio)
    if array.dtype != np.int16:
        raise TokayError(f"audio must be int16, not {array.dtype}", hint="scale float audio by 32767")
    if array.ndim != dimensions:
        wanted = {1: "one clip, [samples]", 2: "clips of one length, [clips, samples]"}[dimensions]
        raise TokayError(f"audio must be {wanted}, not of shape {array.shape}", hint="mix to mono first")
    return np.ascontiguousarray(array)


class Frontend:
    """The audio front end for one set of settings. Safe to use from several threads."""

    def __init__(self, settings: FrontendSettings | Mapping[str, Any]) -> None:
        """``settings``: FrontendSettings, or values by ``fe.*`` name with or without the prefix;
        what is not named has the vendor's default. TokayError if they cannot work."""
        if not isinstance(settings, FrontendSettings):
            settings = FrontendSettings.from_parameters(settings)
        self.settings = settings
        self._lib = _library()
        self._config = _Config(**design.scalars(settings))
        self._tables: list[npt.NDArray[Any]] = []  # keeps what the config points to
        for name, values in vars(design.design(settings)).items():
            if values:
                table = np.array(values, dtype=_NUMPY[design.ELEMENT[name]])
                self._tables.append(table)
                setattr(self._config, name, table.ctypes.data)
        self.config_address = ctypes.addressof(self._config)  # for C; good while this lives

    def frames(self, samples: int) -> int:
        """Spectrogram columns that ``samples`` samples from silence make; 0 if they fill no window."""
        s = self.settings
        return 0 if samples < s.window_samples else (samples - s.window_samples) // s.step_samples + 1

    def stream(self) -> Stream:
        """A new stream of audio that begins with the next sample it is given."""
        return Stream(self)

    def spectrogram(self, audio: npt.NDArray[np.int16]) -> npt.NDArray[np.uint16]:
        """The clip's spectrogram before quantizing: uint16 [frames, channels].

        ``audio``: int16 [samples], any length of at least one window.
        """
        array = self._clip(audio, 1)
        return self.stream().process(array)

    def features(self, audio: npt.NDArray[np.int16], dtype: Any = np.int8) -> npt.NDArray[Any]:
        """The network's input for a clip: [frames, channels] of ``dtype``.

        int8: quantized as the vendor does, by the static or the dynamic scale of the settings.
        uint16: the spectrogram. float32: the spectrogram's values as floats.
        """
        kind = np.dtype(dtype)
        if kind == np.int8:
            return self.quantize(self.spectrogram(audio))
        if kind in (np.dtype(np.uint16), np.dtype(np.float32)):
            return self.spectrogram(audio).astype(kind, copy=False)
        raise TokayError(f"features cannot be {kind}", hint="choose int8, uint16 or float32")

    def features_batch(self, audio: npt.NDArray[np.int16]) -> npt.NDArray[np.int8]:
        """Features of many clips on all cores: int16 [clips, samples] -> int8 [clips, frames, channels].

        Each clip starts from silence. No clips give an empty array.
        """
        array = self._clip(audio, 2)
        clips, samples = array.shape
        frames, channels = self.frames(samples), self.settings.channels
        out = np.empty((clips, frames, channels), np.int8)

        def work(start: int) -> None:
            stop = min(start + _CLIPS_AT_ONCE, clips)
            stream = self.stream()
            scratch = np.empty(frames * channels, np.uint16)
            self._lib.frontend_clips(
                stream._address,
                array[start:stop].ctypes.data,
                stop - start,
                samples,
                frames,
                scratch.ctypes.data,
                out[start:stop].ctypes.data,
            )

        starts = range(0, clips, _CLIPS_AT_ONCE)
        if len(starts) < 2:
            for start in starts:
                work(start)
        else:
            list(_pool().map(work, starts))
        return out

    def quantize(self, spectrogram: npt.NDArray[np.uint16]) -> npt.NDArray[np.int8]:
        """int8 features of a spectrogram, uint16 of any shape; the dynamic scale is taken from all of it."""
        array = np.ascontiguousarray(spectrogram)
        if array.dtype != np.uint16:
            raise TokayError(f"a spectrogram must be uint16, not {array.dtype}")
        out = np.empty(array.shape, np.int8)
        self._lib.frontend_quantize_clip(self.config_address, array.ctypes.data, array.size, out.ctypes.data)
        return out

    def _clip(self, audio: Any, dimensions: int) -> npt.NDArray[np.int16]:
        array = _audio(audio, dimensions)
        samples, s = array.shape[-1], self.settings
        if samples < s.window_samples:
            what = f"{samples} samples" if samples else "empty"
            raise TokayError(
                f"audio is {what}, less than one window",
                hint=f"it needs {s.window_samples} samples: {s.window_size_ms} ms at {s.sample_rate_hz} Hz",
            )
        return array


class Stream:
    """One stream of audio through a front end: chunks in, columns out, of any sizes.

    The columns are those of the whole audio at once. For one thread at a time.
    """

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend
        self._lib = frontend._lib
        size = self._lib.frontend_state_bytes(frontend.config_address)
        self._memory = np.zeros(size // 8, np.uint64)
        self._address = self._memory.ctypes.data
        self._pending = 0  # samples that no column has been made of yet, with what windows share
        self._lib.frontend_init(frontend.config_address, self._address, size)

    def process(self, chunk: npt.NDArray[np.int16]) -> npt.NDArray[np.uint16]:
        """Takes the next samples, int16 [n] (n may be 0); returns the columns that they complete,
        uint16 [columns, channels], oldest first."""
        array = _audio(chunk, 1)
        settings = self._frontend.settings
        columns = self._frontend.frames(self._pending + array.size)
        out = np.empty((columns, settings.channels), np.uint16)
        self._lib.frontend_stream(self._address, array.ctypes.data, array.size, out.ctypes.data, columns)
        self._pending += array.size - columns * settings.step_samples
        return out

    def activity(self) -> bool:
        """Whether activity was detected since the last call; always False where the setting is off."""
        return bool(self._lib.frontend_activity(self._address))

    def reset(self) -> None:
        """Back to silence: empty window, noise estimate zero."""
        self._lib.frontend_reset(self._address)
        self._pending = 0
