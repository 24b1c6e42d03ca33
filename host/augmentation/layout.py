"""The structures of augmentation.h, field by field; the library says whether the sizes agree."""

from __future__ import annotations

import ctypes
import dataclasses

from host import specification
from host.specification import Augmentation

KEYWORD, UNKNOWN, SILENCE = range(3)
NO_NOISE, MADE_NOISE = -2, -1
_f32, _i32, _u32 = ctypes.c_float, ctypes.c_int32, ctypes.c_uint32
_size, _pointer, _range = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_float * 2


class Settings(ctypes.Structure):
    """``augmentation_settings_t``"""

    _fields_ = (
        ("speed", _range), ("gain", _range),
        ("pitch_probability", _f32), ("pitch_semitones", _range),
        ("noise_probability", _f32), ("noise_snr_db", _range),
        ("lead_in_probability", _f32), ("lead_in_ms", _range), ("settled_ms", _range),
        ("room_probability", _f32), ("room_rt60_s", _range), ("room_direct_db", _range),
        ("microphone_probability", _f32),
        ("clipping_probability", _f32), ("clipping_db", _range),
        ("shift_ms", _f32), ("unknown_shift_ms", _f32),
        ("sample_rate_hz", _u32),
    )  # fmt: skip


class Job(ctypes.Structure):
    """``augmentation_job_t``: a clip, or -1 for noise alone, and KEYWORD, UNKNOWN or SILENCE."""

    clip: int
    kind: int
    _fields_ = (("clip", _i32), ("kind", _i32))


class Draw(ctypes.Structure):
    """``augmentation_draw_t``: what is done to one example."""

    _fields_ = (
        ("speed", _f32), ("pitch_semitones", _f32), ("shift_samples", _i32), ("lead_in_samples", _i32),
        ("lead_in_clip", _i32), ("lead_in_level", _f32), ("settled_ms", _f32), ("room_rt60_s", _f32),
        ("room_direct_db", _f32), ("room_seed", _u32), ("noise", _i32), ("noise_row", _i32),
        ("noise_start", _u32), ("noise_snr_db", _f32), ("noise_loudness", _f32), ("highpass_hz", _f32),
        ("shelf_hz", _f32), ("shelf_db", _f32), ("peak_hz", _f32), ("peak_db", _f32), ("peak_q", _f32),
        ("clipping_db", _f32), ("clipping_soft", _i32), ("gain", _f32), ("floor_rms", _f32),
        ("floor_start", _u32),
    )  # fmt: skip


class Source(ctypes.Structure):
    """``augmentation_source_t``"""

    _fields_ = (
        ("settings", Settings), ("clip_samples", _u32), ("frontend", _pointer), ("clips", _pointer),
        ("clip_count", _size), ("recordings", _pointer), ("recording_samples", _pointer),
        ("recording_count", _size), ("noises", _pointer), ("noise_rows", _size), ("noise_samples", _size),
        ("filters", _pointer),
    )  # fmt: skip


class Perturbation(ctypes.Structure):
    """``augmentation_perturbation_t``"""

    _fields_ = (
        ("warp", _f32), ("level", _f32), ("shift_frames", _i32), ("mask_channels", _i32),
        ("mask_frames", _i32),
    )  # fmt: skip


STRUCTURES = (Settings, Job, Draw, Source, Perturbation)


def perturbation(wanted: specification.Perturbation) -> Perturbation:
    """The same as the library takes it."""
    return Perturbation(**dataclasses.asdict(wanted))


def settings(augmentation: Augmentation, rate: int) -> Settings:
    """The settings as the library takes them."""
    values: dict[str, object] = {"sample_rate_hz": rate}
    for name, kind in Settings._fields_[:-1]:
        value = getattr(augmentation, name)
        values[name] = _range(*value) if kind is _range else value
    return Settings(**values)
