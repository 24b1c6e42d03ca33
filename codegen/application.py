"""How the device uses a model: the parameters of the detector and the audio loop, checked, and the C that
holds them (`model_parameters.h` and `.c`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any

from codegen import c_text
from codegen.errors import TokayError
from codegen.frontend import FrontendSettings
from codegen.graph import Graph, Tensor

MAX_CLASSES = 32  # DETECTOR_MAX_CLASSES of detector.h
MAX_SAMPLES = 64  # DETECTOR_MAX_SAMPLES
MAX_MS, MAX_REAL = 1_000_000, 256  # of parameters, as firmware/app/parameters.c takes them
_GAIN_ONE = 256


@dataclass(frozen=True)
class ApplicationSettings:
    """The parameters by the vendor's names; what a model does not say has the value here."""

    labels: tuple[str, ...]
    thresholds: tuple[int, ...]  # 0..255, one a class
    average_window_ms: int = 1000
    suppression_ms: int = 1500
    minimum_count: int = 3
    latency_ms: int = 100
    volume_gain_q8: int = _GAIN_ONE  # 1/256
    sensitivity_q8: int = _GAIN_ONE // 2  # of the activity LED: change of a score in a millisecond, 1/256
    verbose: bool = False
    each_column_once: bool = False  # whatever latency_ms is: of a network that keeps state

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], class_count: int) -> ApplicationSettings:
        """From a model's parameters; `class_count` is the size of its output."""
        named = _list(parameters, "classes", str)
        labels = tuple(named or (f"class_{i}" for i in range(class_count)))
        if len(labels) != class_count:
            raise TokayError(
                f"the model names {len(labels)} classes but its output has {class_count} values",
                hint="update_params MODEL classes=...",
            )
        # Labels go to the device as C strings and from it in lines of text.
        unprintable = next((label for label in labels if any(ord(c) < 32 for c in label)), None)
        if unprintable is not None:
            raise TokayError(
                f"class name {unprintable!r} has a control character", hint="update_params MODEL classes=..."
            )
        # Evaluation looks a class up by its name, and a detection says no more than that.
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise TokayError(f"class {twice!r} is listed twice", hint="update_params MODEL classes=...")
        if not 1 <= class_count <= MAX_CLASSES:
            raise TokayError(f"the model has {class_count} classes, the detector takes 1 to {MAX_CLASSES}")
        return cls(
            labels=labels,
            thresholds=_thresholds(parameters, class_count),
            average_window_ms=_integer(parameters, "average_window_duration_ms", cls.average_window_ms),
            suppression_ms=_integer(parameters, "suppression_ms", cls.suppression_ms),
            minimum_count=_integer(parameters, "minimum_count", cls.minimum_count, MAX_SAMPLES),
            latency_ms=_integer(parameters, "latency_ms", cls.latency_ms),
            volume_gain_q8=_gain_q8(parameters),
            sensitivity_q8=_q8(parameters, "sensitivity", 0.5),
            verbose=bool(parameters.get("verbose_model_output_logs", False)),
        )


def frontend_parameters(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The `fe.*` parameters of the model called `name`; TokayError if it has none."""
    found = {key: value for key, value in parameters.items() if key.startswith("fe.")}
    if not found:
        raise TokayError(
            f"{name} does not say what features it takes: it has no fe.* parameters",
            hint="set them with update_params",
        )
    return found


def check_types(graph: Graph, name: str) -> None:
    """Raises TokayError unless the network called `name` takes features and gives scores as they are."""
    for what, number in (("input", graph.inputs[0]), ("output", graph.outputs[0])):
        kind = graph.tensors[number].type
        if kind != "int8":
            raise TokayError(
                f"{name}: the network's {what} is {kind}, the keyword spotter takes int8",
                hint="convert it with inference_input_type and inference_output_type int8",
            )


def scores_misfit(graph: Graph) -> str | None:
    """Why the outputs of a network that `check_types` takes are no probabilities to the detector; None where
    they are, as softmax and sigmoid give them."""
    q = graph.tensors[graph.outputs[0]].q
    if (q.scale, q.zero_point) == (1 / 256, -128):
        return None
    kind = f"int8 of scale {q.scale:g} and zero point {q.zero_point}"
    return f"the network's outputs are no scores from 0 to 1, but {kind}"


def check_features(graph: Graph, settings: FrontendSettings, parameters: Mapping[str, Any]) -> None:
    """Raises TokayError unless the network takes the features that the front end makes, as they are."""
    source = graph.tensors[graph.inputs[0]]
    _check_normalization(source, parameters)
    takes = (
        f"the front end makes {settings.frames} x {settings.channels} features, the network takes "
        f"{source.dimensions}"
    )
    if settings.frames * settings.channels != source.elements:
        raise TokayError(takes, hint="the fe.* parameters are not those that the model was trained with")
    # Ones are how exporters write the same order of values; the other order is another image.
    sizes = [size for size in source.shape if size != 1]
    if sizes == [settings.channels, settings.frames] and settings.channels != settings.frames:
        raise TokayError(takes, hint="export it with time before the channels, and transpose inside it")


def _check_normalization(source: Tensor, parameters: Mapping[str, Any]) -> None:
    """Refuses what the vendor's training can do to a window's features and no front end does: the network
    would be given other values than it learnt. A factor alone is harmless where it is the input's scale."""
    hint = "train it on the features as they are"
    if parameters.get("samplewise_norm.mean_and_std", False):
        raise TokayError(
            "samplewise_norm.mean_and_std: the network wants each window's features less their mean by their "
            "deviation, which the front end does not do",
            hint=hint,
        )
    factor = parameters.get("samplewise_norm.rescale", 0)
    if not isinstance(factor, int | float):
        raise TokayError(f"parameter samplewise_norm.rescale={factor!r} is not a number")
    if factor in (0, 1):
        return
    q = source.quantization
    # So close that 128 times the difference rounds away.
    if q is None or q.zero_point != 0 or not abs(factor / q.scale - 1) < 1 / 256:
        raise TokayError(
            f"samplewise_norm.rescale={factor:g}: the network wants features times this, which the front end "
            "does not do",
            hint=hint,
        )


def settings_of(
    graph: Graph, parameters: Mapping[str, Any]
) -> tuple[FrontendSettings, ApplicationSettings]:
    """The front end's and the detector's settings of a model; TokayError unless they fit its network."""
    settings = FrontendSettings.from_parameters(parameters)
    check_features(graph, settings, parameters)
    classes = graph.tensors[graph.outputs[0]].elements
    application = ApplicationSettings.from_parameters(parameters, classes)
    if graph.variables:
        application = _in_step(application, settings, parameters)
    return settings, application


def _in_step(
    application: ApplicationSettings, settings: FrontendSettings, parameters: Mapping[str, Any]
) -> ApplicationSettings:
    """The settings of a network that keeps state, which is to hear each column once; TokayError where the
    model says another time between inferences."""
    needed = settings.frames * settings.window_step_ms
    if "latency_ms" in parameters and application.latency_ms != needed:
        raise TokayError(
            f"latency_ms={application.latency_ms}: the network keeps state and takes {settings.frames} new "
            f"columns of {settings.window_step_ms} ms an inference, so that is {needed}",
            hint=f"latency_ms={needed}, or none",
        )
    return replace(application, latency_ms=needed, each_column_once=True)


def _integer(parameters: Mapping[str, Any], name: str, default: int, high: int = MAX_MS) -> int:
    value = parameters.get(name, default)
    if not isinstance(value, int | float) or not 0 <= value <= high or value != int(value):
        raise TokayError(f"parameter {name}={value!r} is not an integer from 0 to {high}")
    return int(value)


def _list(parameters: Mapping[str, Any], name: str, kind: type | UnionType) -> list[Any]:
    """A parameter that is a list, empty if the model does not have it."""
    value = parameters.get(name) or []
    if not isinstance(value, list | tuple) or not all(isinstance(item, kind) for item in value):
        raise TokayError(
            f"parameter {name}={value!r} is not a list", hint=f"update_params MODEL {name}=A,B,..."
        )
    return list(value)


def _thresholds(parameters: Mapping[str, Any], count: int) -> tuple[int, ...]:
    listed = _list(parameters, "detection_threshold_list", int | float)
    name = "detection_threshold_list" if listed else "detection_threshold"
    values = listed or [parameters.get(name, 185)] * count
    if len(values) != count:
        raise TokayError(f"{name} has {len(values)} values for {count} classes")
    return tuple(_integer({name: value}, name, 0, 255) for value in values)


def _q8(parameters: Mapping[str, Any], name: str, default: float) -> int:
    """A real parameter in 1/256, rounded as the device does."""
    value = parameters.get(name, default)
    if not isinstance(value, int | float) or not 0 <= value <= MAX_REAL:
        raise TokayError(f"parameter {name}={value!r} is not a number from 0 to {MAX_REAL}")
    return int(value * _GAIN_ONE + 0.5)


def _gain_q8(parameters: Mapping[str, Any]) -> int:
    """`volume_gain` in 1/256. 0 leaves samples as they come; what only rounds to 0 still makes them soft."""
    rounded = _q8(parameters, "volume_gain", 0)
    return max(rounded, 1) if parameters.get("volume_gain", 0) else _GAIN_ONE


def emit_c(settings: ApplicationSettings, name: str) -> dict[str, str]:
    """`model_parameters.h` and `.c` for the model called `name`."""
    quoted = c_text.quoted(name)
    banner = f"/* Generated by codegen.application from the parameters of {quoted}. Do not edit. */\n"
    header = (
        f"{banner}#ifndef MODEL_PARAMETERS_H\n#define MODEL_PARAMETERS_H\n\n"
        '#include "detector.h"\n\n'
        f"#define MODEL_LATENCY_MS {settings.latency_ms}u\n"
        f"#define MODEL_VOLUME_GAIN_Q8 {settings.volume_gain_q8}u\n"
        f"#define MODEL_SENSITIVITY_Q8 {settings.sensitivity_q8}u\n"
        f"#define MODEL_VERBOSE {int(settings.verbose)}\n\n"
        "extern const char model_name[];\n"
        "extern const detector_settings_t model_detector_settings;\n\n#endif\n"
    )
    source = (
        f'{banner}#include "model_parameters.h"\n\n'
        f"const char model_name[] = {c_text.string(name)};\n\n"
        "static const char *const labels[] = {"
        + ", ".join(c_text.string(label) for label in settings.labels)
        + "};\nstatic const uint8_t thresholds[] = {"
        + ", ".join(str(value) for value in settings.thresholds)
        + "};\n\nconst detector_settings_t model_detector_settings = {\n"
        f"    .class_count = {len(settings.labels)}u,\n"
        "    .labels = labels,\n    .thresholds = thresholds,\n"
        f"    .average_window_ms = {settings.average_window_ms}u,\n"
        f"    .suppression_ms = {settings.suppression_ms}u,\n"
        f"    .minimum_count = {settings.minimum_count}u,\n}};\n"
    )
    return {"model_parameters.h": header, "model_parameters.c": source}
