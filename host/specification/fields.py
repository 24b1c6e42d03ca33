"""The model specification: one object that says everything a model is made from."""

from __future__ import annotations

import dataclasses
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from codegen.application import MAX_CLASSES, ApplicationSettings
from codegen.frontend import FrontendSettings
from host.detector import keywords_of, never_detects
from host.errors import TokayError
from host.specification import recipe
from host.specification.recipe import (
    Auxiliary,
    Distillation,
    Mixup,
    Perturbation,
    QuantizationAware,
    Recipe,
    Schedule,
    Transfer,
)
from host.specification.typed import mistyped

UNKNOWN, SILENCE = "_unknown_", "_silence_"


@dataclass(frozen=True)
class Detector:
    """How posteriors become detections on the device; written into the model's parameters."""

    average_window_duration_ms: int = 1000
    detection_threshold: int = 160  # of 255
    detection_threshold_list: tuple[int, ...] = ()  # by class, where they differ
    suppression_ms: int = 750
    minimum_count: int = 3
    volume_gain: float = 0  # 0 and 1 leave the microphone's samples as they are
    latency_ms: int = 100  # time between inferences
    verbose_model_output_logs: bool = False


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training clip, drawn anew for each copy."""

    keyword_copies: int = 24
    unknown_copies: int = 3
    silence_copies: int = 8
    background_crops: int = 600  # examples of _silence_ cut from the background noise
    shift_ms: int = 100  # either way, of keywords
    unknown_shift_ms: int = 100  # of other words
    speed: tuple[float, float] = (0.9, 1.1)  # pitch goes along, as with a tape
    gain: tuple[float, float] = (0.2, 1.0)
    noise_probability: float = 0.8
    noise_snr_db: tuple[float, float] = (5.0, 25.0)
    pitch_probability: float = 0.3  # of another pitch at the same tempo
    pitch_semitones: tuple[float, float] = (-2.0, 2.0)
    room_probability: float = 0.3  # of reflections and reverberation
    room_rt60_s: tuple[float, float] = (0.1, 0.5)  # seconds in which it falls by 60 dB
    room_direct_db: tuple[float, float] = (0.0, 15.0)  # direct sound by all that is reflected
    microphone_probability: float = 0.5  # of a frequency response that is not flat
    clipping_probability: float = 0.1  # of a level that the microphone cannot pass
    clipping_db: tuple[float, float] = (2.0, 10.0)  # how far the peak would go beyond it
    lead_in_probability: float = 0.5  # share of copies that the front end meets in mid-stream
    lead_in_ms: tuple[int, int] = (300, 1500)
    # As long as that the noise reduction takes a lead-in to have lasted; (0, 0): as long as it did.
    settled_ms: tuple[float, float] = (0.0, 0.0)
    # Voices beside the dataset, where installed: of espeak-ng, or by engine (host.dataset voices).
    synthetic_voices: int | Mapping[str, int] = 24
    synthetic_copies: int = 20  # of a keyword's clip in each of them
    synthetic_unknown_copies: int = 4  # of another word's
    synthetic_unknown_words: int = 0  # that each voice says, drawn from a list; 0 is the whole list
    synthetic_near_words: tuple[str, ...] = ()  # no keywords but like them: each voice says all of these


@dataclass(frozen=True)
class Specification:
    """Everything a model is made from. Fields that are not valid are refused with the reason."""

    name: str
    description: str
    classes: tuple[str, ...]
    frontend: FrontendSettings
    version: int = 1
    detector: Detector = field(default_factory=Detector)
    class_weights: Mapping[str, float] = field(default_factory=dict)  # 1 where not named
    augmentation: Augmentation = field(default_factory=Augmentation)
    schedule: Schedule = field(default_factory=Schedule)
    auxiliary: Auxiliary = field(default_factory=Auxiliary)
    perturbation: Perturbation = field(default_factory=Perturbation)
    mixup: Mixup = field(default_factory=Mixup)
    distillation: Distillation = field(default_factory=Distillation)
    transfer: Transfer = field(default_factory=Transfer)
    quantization_aware: QuantizationAware = field(default_factory=QuantizationAware)
    # "validation": a bias on the classes is chosen on the validation clips and put into the last layer.
    class_bias: str | None = None
    data_licence: str = ""  # of what it is trained on, for the model's card
    input_scale: float = 1.0  # the network sees int8 features times this
    test_run: bool = False  # a dry run: a few clips, an epoch, an artefact of another name

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def keywords(self) -> tuple[str, ...]:
        return keywords_of(self.classes)

    @property
    def sample_rate_hz(self) -> int:
        return self.frontend.sample_rate_hz

    @property
    def clip_samples(self) -> int:
        return self.frontend.sample_length

    @property
    def feature_shape(self) -> tuple[int, int]:
        """Frames and channels of one clip."""
        return self.frontend.frames, self.frontend.channels

    @property
    def application(self) -> ApplicationSettings:
        """What the audio loop and the detector run with, as the model's parameters will say it."""
        parameters = {**dataclasses.asdict(self.detector), "classes": list(self.classes)}
        return ApplicationSettings.from_parameters(parameters, len(self.classes))

    @property
    def recipe(self) -> Recipe:
        """How the network learns."""
        return Recipe(**{part.name: getattr(self, part.name) for part in dataclasses.fields(Recipe)})

    def class_of(self, word: str) -> int:
        """The class index of a word folder; unknown for other words; -1 where there is no such class."""
        label = word if word in self.classes else UNKNOWN
        return self.classes.index(label) if label in self.classes else -1


def _validate(spec: Specification) -> None:
    def require(condition: bool, what: str) -> None:
        if not condition:
            raise TokayError(f"specification {spec.name!r}: {what}")

    wrong = mistyped(spec)
    require(not wrong, str(wrong))
    require(bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", spec.name)), "a name is letters, digits, _ and -")
    possible = f"between 2 and {MAX_CLASSES} are possible"
    require(2 <= len(spec.classes) <= MAX_CLASSES, f"{len(spec.classes)} classes, {possible}")
    require(bool(spec.keywords), "no class is a keyword (labels that start with _ are never detected)")
    for label in spec.classes:
        require(bool(label) and label == label.strip(), f"class {label!r} cannot be the name of a folder")
        composed = unicodedata.is_normalized("NFC", label)  # as the names of a dataset's folders are taken
        require(composed, f"class {label!a} is not in Unicode's composed form, NFC")
        require(not label.startswith("_") or label in (UNKNOWN, SILENCE), f"class {label!r} is not known")
    for label, weight in spec.class_weights.items():
        require(label in spec.classes, f"class_weights names {label!r}, which is not a class")
        require(weight >= 0, f"the weight of {label!r} is negative")
    require(spec.input_scale > 0, "input_scale must be positive")
    _validate_detector(spec, require)
    _validate_augmentation(spec.augmentation, require)
    recipe.validate(spec.recipe, require)


def _validate_detector(spec: Specification, require: Callable[[bool, str], None]) -> None:
    detector = spec.detector
    require(0 <= detector.detection_threshold <= 255, "detection_threshold is outside 0..255")
    require(detector.minimum_count >= 1, "minimum_count must be at least 1")
    require(detector.latency_ms >= 1, "latency_ms must be at least 1")
    try:  # what the device takes, and what a model is refused for that says otherwise
        reason = never_detects(spec.application, spec.frontend)
    except TokayError as error:
        reason = error.message
    require(not reason, str(reason))


def _validate_augmentation(augmentation: Augmentation, require: Callable[[bool, str], None]) -> None:
    for name in (
        "speed", "gain", "noise_snr_db", "lead_in_ms", "pitch_semitones", "room_rt60_s", "room_direct_db",
        "clipping_db", "settled_ms",
    ):  # fmt: skip
        low, high = getattr(augmentation, name)
        require(math.isfinite(low) and math.isfinite(high), f"augmentation.{name} must be finite")
        require(low <= high, f"augmentation.{name}: {low} is above {high}")
    least, most = augmentation.speed
    require(least > 0, "augmentation.speed must be positive")
    require(least >= 0.5 and most <= 1.5, "augmentation.speed is outside 0.5..1.5")
    require(augmentation.gain[0] > 0, "augmentation.gain must be positive")
    require(augmentation.lead_in_ms[0] >= 0, "augmentation.lead_in_ms is negative")
    least, most = augmentation.settled_ms
    require(least > 0 or least == most == 0, "augmentation.settled_ms must be positive, or (0, 0) for none")
    require(augmentation.lead_in_ms[1] <= 10000, "augmentation.lead_in_ms is above 10000")
    for name in ("shift_ms", "unknown_shift_ms"):
        require(0 <= getattr(augmentation, name) <= 10000, f"augmentation.{name} is outside 0..10000")
    least, most = augmentation.pitch_semitones
    require(least >= -12 and most <= 12, "augmentation.pitch_semitones is outside -12..12")
    least, most = augmentation.room_rt60_s
    require(least >= 0.05 and most <= 3, "augmentation.room_rt60_s is outside 0.05..3 seconds")
    require(augmentation.clipping_db[0] >= 0, "augmentation.clipping_db is negative")
    for name in ("noise", "lead_in", "pitch", "room", "microphone", "clipping"):
        name = f"{name}_probability"
        require(0 <= getattr(augmentation, name) <= 1, f"augmentation.{name} is outside 0..1")
    require(augmentation.synthetic_unknown_words >= 0, "augmentation.synthetic_unknown_words is negative")
    for name in ("background_crops", "synthetic_copies", "synthetic_unknown_copies"):
        require(getattr(augmentation, name) >= 0, f"augmentation.{name} is negative")
    voices = augmentation.synthetic_voices
    counts = [voices] if isinstance(voices, int) else voices.values()
    require(all(count >= 0 for count in counts), "augmentation.synthetic_voices is negative")
    for name in ("keyword_copies", "unknown_copies", "silence_copies"):
        require(getattr(augmentation, name) >= 1, f"augmentation.{name} must be at least 1")
