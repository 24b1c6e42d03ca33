"""Model specifications load by name and by path, and what is wrong with one is said in a line."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from codegen.frontend import FrontendSettings
from host import places, specification
from host.errors import TokayError
from host.specification import (
    Augmentation,
    Auxiliary,
    Detector,
    Distillation,
    Mixup,
    Perturbation,
    QuantizationAware,
    Schedule,
    Specification,
    Transfer,
)
from host.training.keras_file import check_fit
from tests.places import ROOT

GOOD = Specification(
    name="good", description="", classes=("on", "_unknown_", "_silence_"), frontend=FrontendSettings()
)


def test_the_shipped_specification_loads() -> None:
    loaded = specification.load("keyword_spotting_on_off")
    assert loaded.spec.classes == ("on", "off", "_unknown_", "_silence_")
    assert loaded.spec.feature_shape == (49, 32)
    assert loaded.spec.clip_samples == 8000
    assert loaded.spec.keywords == ("on", "off")


def test_the_readme_s_specification_of_an_own_keyword_loads(tmp_path: Path) -> None:
    text = (places.MODELS / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "marvin.py").write_text(code)
    loaded = specification.load(str(tmp_path / "marvin.py"))
    assert loaded.spec.keywords == ("marvin",) and loaded.build_teacher is not None
    assert loaded.trained(".tflite") == tmp_path / "marvin.tflite"  # as the commands after it say
    parts = loaded.spec.schedule.epochs, loaded.spec.distillation.epochs, loaded.spec.distillation.teachers
    assert parts == (80, 30, 3) and "170 (30 for each of three teachers, then 80)" in text


def test_dry_run_is_small_and_has_its_own_name() -> None:
    spec = specification.load("keyword_spotting_on_off-test").spec
    assert spec.name == "keyword_spotting_on_off-test" and spec.test_run and spec.schedule.epochs == 1


def test_loading_needs_no_tensorflow() -> None:
    code = (
        "import sys; from host import specification as s; s.load('keyword_spotting_on_off');"
        "import host.train, host.evaluate, host.quantize, host.update_params;"
        "bad = {'tensorflow', 'keras', 'ai_edge_litert'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def keras_like(inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> SimpleNamespace:
    """What a Keras model says of its shapes, without a batch."""
    tensors = [[SimpleNamespace(shape=(None, *shape)) for shape in shapes] for shapes in (inputs, outputs)]
    return SimpleNamespace(inputs=tensors[0], outputs=tensors[1])


@pytest.mark.parametrize(
    "inputs, outputs",
    [([(50, 32, 1)], [(4,)]), ([(49, 32, 1)], [(3,)]), ([(49, 32, 1)], [(4,), (4,)]),
     ([(49, 32, 1), (8,)], [(4,)]), ([(49, None, 1)], [(4,)]), ([(49, 32, 1)], [(1, 4)])],
)  # fmt: skip
def test_weights_of_another_specification_are_refused(inputs, outputs) -> None:
    spec = specification.load("keyword_spotting_on_off").spec
    for own in ((49, 32, 1), (49, 32)):
        check_fit(keras_like([own], [(4,)]), spec, Path("own.keras"))
    with pytest.raises(TokayError, match=r"^other.keras takes .* keyword_spotting_on_off has 49x32 features"):
        check_fit(keras_like(inputs, outputs), spec, Path("other.keras"))


def test_class_of() -> None:
    assert [GOOD.class_of(word) for word in ("on", "yes", "_silence_")] == [0, 1, 2]
    two = dataclasses.replace(GOOD, classes=("on", "off"))
    assert two.class_of("yes") == -1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("on",)}, "1 classes"),
        ({"classes": ("on", "on")}, "twice"),
        ({"classes": ("_unknown_", "_silence_")}, "no class is a keyword"),
        ({"classes": ("on", "_noise_")}, "_noise_"),
        ({"classes": ("on", "no\u0308")}, "class 'no.u0308' is not in Unicode's composed form"),
        ({"name": "a b"}, "a name is"),
        ({"class_weights": {"off": 1.0}}, "'off'"),
        ({"class_weights": {"on": -1.0}}, "negative"),
        ({"input_scale": 0.0}, "input_scale"),
        ({"detector": Detector(detection_threshold=256)}, "0..255"),
        ({"detector": Detector(detection_threshold_list=(1, 2))}, "2 values for 3 classes"),
        ({"detector": Detector(average_window_duration_ms=100, minimum_count=3)}, "nothing would ever be"),
        (  # an inference takes a new column, and one comes every 10 ms
            {"detector": Detector(average_window_duration_ms=50, minimum_count=7, latency_ms=5)},
            "asks for 7 inferences, .* holds 6 at one in 10 ms",
        ),
        ({"detector": Detector(suppression_ms=-1)}, "'good': .*suppression_ms=-1 is not an integer"),
        ({"detector": Detector(volume_gain=-1.0)}, "volume_gain=-1.0 is not a number from 0 to 256"),
        ({"detector": Detector(average_window_duration_ms=1_000_001)}, "average_window_duration_ms=1000001"),
        ({"classes": ("on", "o\tff")}, "control character"),
        ({"augmentation": Augmentation(speed=(1.1, 0.9))}, "speed"),
        ({"augmentation": Augmentation(noise_probability=2.0)}, "noise_probability"),
        ({"augmentation": Augmentation(keyword_copies=0)}, "keyword_copies"),
        ({"augmentation": Augmentation(pitch_semitones=(-13, 0))}, "pitch_semitones"),
        ({"augmentation": Augmentation(room_probability=-0.1)}, "room_probability"),
        ({"augmentation": Augmentation(room_rt60_s=(0.0, 0.5))}, "room_rt60_s"),
        ({"augmentation": Augmentation(room_direct_db=(5.0, 0.0))}, "room_direct_db"),
        ({"augmentation": Augmentation(clipping_db=(-1.0, 3.0))}, "clipping_db"),
        ({"augmentation": Augmentation(noise_snr_db=(0.0, float("inf")))}, "noise_snr_db"),
        ({"augmentation": Augmentation(lead_in_ms=(-20, 300))}, "lead_in_ms"),
        ({"augmentation": Augmentation(settled_ms=(0.0, 100.0))}, "settled_ms"),
        ({"augmentation": Augmentation(shift_ms=-1)}, "shift_ms"),
        ({"schedule": Schedule(epochs=0)}, "epochs"),
        ({"schedule": Schedule(epochs=4, warmup_epochs=4)}, "warmup_epochs"),
        ({"schedule": Schedule(averaging=1.0)}, "averaging"),
        ({"schedule": Schedule(label_smoothing=1.0)}, "label_smoothing"),
        ({"schedule": Schedule(final_learning_rate=1.0)}, "final_learning_rate"),
        ({"schedule": Schedule(muon=-1.0)}, "muon is outside"),
        ({"schedule": Schedule(patience=-1)}, "patience"),
        ({"auxiliary": Auxiliary(word_weight=-1.0)}, "word_weight"),
        ({"perturbation": Perturbation(warp=-0.1)}, "perturbation.warp"),
        ({"perturbation": Perturbation(mask_frames=-1)}, "perturbation.mask_frames"),
        ({"mixup": Mixup(probability=1.5)}, "mixup.probability"),
        ({"mixup": Mixup(alpha=0.0)}, "mixup.alpha"),
        ({"distillation": Distillation(teachers=-1)}, "teachers"),
        ({"distillation": Distillation(weight=2.0)}, "distillation.weight"),
        ({"distillation": Distillation(temperature=0.0)}, "temperature"),
        ({"distillation": Distillation(build="a b")}, "not the name of a function"),
        ({"transfer": Transfer(epochs=-1)}, "transfer.epochs"),
        ({"quantization_aware": QuantizationAware(learning_rate=0.0)}, "quantization_aware.learning_rate"),
        ({"class_bias": "testing"}, "class_bias"),
        ({"classes": "on"}, r"classes must be a tuple, \(text, ...\), not 'on'"),
        ({"classes": ("on", "")}, "'' cannot be the name"),
        ({"classes": ("on", 1)}, "classes must be"),
        ({"name": None}, "name must be text, not None"),
        ({"version": 1.5}, "version must be a whole number"),
        ({"description": None}, "description must be text"),
        ({"data_licence": Path("LICENCE")}, "data_licence must be text"),
        ({"frontend": {}}, "frontend must be a FrontendSettings"),
        ({"detector": None}, "detector must be a Detector"),
        ({"class_weights": {"on": "1"}}, r"class_weights must be a dictionary, \{text: a finite number\}"),
        ({"class_weights": ["on"]}, "class_weights must be"),
        ({"input_scale": float("inf")}, "input_scale must be a finite number"),
        ({"schedule": Schedule(epochs=1.5)}, "schedule.epochs must be a whole number"),
        ({"schedule": Schedule(epochs=True)}, "schedule.epochs"),
        ({"schedule": Schedule(epochs=10**400)}, "schedule.epochs must be a whole number"),
        ({"schedule": Schedule(learning_rate=10**400)}, "schedule.learning_rate must be a finite number"),
        ({"schedule": Schedule(learning_rate="1e-3")}, "schedule.learning_rate must be a finite number"),
        ({"augmentation": Augmentation(keyword_copies=1.5)}, "augmentation.keyword_copies"),
        ({"augmentation": Augmentation(background_crops=-1)}, "background_crops is negative"),
        ({"augmentation": Augmentation(speed=1.0)},
         r"augmentation.speed must be \(a finite number, a finite number\), not 1.0"),
        ({"augmentation": Augmentation(synthetic_voices={"flite": 1.5})}, "augmentation.synthetic_voices"),
        ({"augmentation": Augmentation(synthetic_voices={"flite": -1})}, "synthetic_voices is negative"),
        ({"augmentation": Augmentation(synthetic_near_words="up")}, "synthetic_near_words must be a tuple"),
        ({"detector": Detector(verbose_model_output_logs="no")}, "verbose_model_output_logs must be True or"),
    ],
)
def test_what_cannot_work_is_refused(change: dict, message: str) -> None:
    with pytest.raises(TokayError, match=message):
        dataclasses.replace(GOOD, **change)


@pytest.mark.parametrize(
    ("part", "lowest", "highest"),
    [
        ("schedule", Schedule(epochs=1, batch_size=1, learning_rate=1e-5, averaging=0, validation_minutes=0),
         Schedule(muon=1000, warmup_epochs=39, label_smoothing=0.99, validation_minutes=600)),
        ("auxiliary", Auxiliary(0), Auxiliary(100)),
        ("perturbation", Perturbation(0, 0, 0, 0, 0), Perturbation(0.5, 255, 1000, 1000, 1000)),
        ("mixup", Mixup(0), Mixup(1)),
        ("distillation", Distillation(0, epochs=1, weight=0), Distillation(16, weight=1)),
        ("transfer", Transfer(0), Transfer(1)),
        ("quantization_aware", QuantizationAware(0), QuantizationAware(1)),
        ("class_weights", {"on": 0}, {"on": 1000}),
        ("detector", Detector(0, 0, (0,) * 3, 0, 1, latency_ms=1),
         Detector(10_000, 255, (255,) * 3, 1_000_000, 64, 256, verbose_model_output_logs=True)),
        ("augmentation",
         Augmentation(
             speed=(0.5, 0.5), lead_in_ms=(0, 0), settled_ms=(0, 0), shift_ms=0, unknown_shift_ms=0,
             pitch_semitones=(-12, -12), room_rt60_s=(0.05, 0.05), clipping_db=(0, 0), noise_probability=0,
             lead_in_probability=0, pitch_probability=0, room_probability=0, microphone_probability=0,
             clipping_probability=0, keyword_copies=1, unknown_copies=1, silence_copies=1, background_crops=0,
             synthetic_copies=0, synthetic_unknown_copies=0, synthetic_unknown_words=0, synthetic_voices=0,
         ),
         Augmentation(
             speed=(1.5, 1.5), lead_in_ms=(10_000, 10_000), shift_ms=10_000, unknown_shift_ms=10_000,
             pitch_semitones=(12, 12), room_rt60_s=(3, 3), noise_probability=1, lead_in_probability=1,
             pitch_probability=1, room_probability=1, microphone_probability=1, clipping_probability=1,
             synthetic_voices={"flite": 0},
         )),
        ("classes", ("a", "b"), tuple(f"word{i}" for i in range(32))),
    ],
)  # fmt: skip
def test_what_is_just_possible_is_allowed(part: str, lowest: object, highest: object) -> None:
    for value in (lowest, highest):
        assert getattr(dataclasses.replace(GOOD, **{part: value}), part) == value


JUST_BEYOND: dict[str, dict[str, list[object]]] = {
    "schedule": {
        "epochs": [0], "batch_size": [0], "learning_rate": [0.0], "final_learning_rate": [0.0, 0.0021],
        "muon": [-0.1, 1000.1], "warmup_epochs": [-0.1, 40], "label_smoothing": [-0.01, 1.0],
        "averaging": [-0.01, 1.0], "patience": [-1], "validation_minutes": [-0.1, 600.1],
    },
    "auxiliary": {"word_weight": [-0.1]},
    "perturbation": {
        "warp": [-0.01, 0.51], "level": [-1, 255.1], "shift_frames": [-1, 1001], "mask_channels": [-1, 1001],
        "mask_frames": [-1, 1001],
    },
    "mixup": {"probability": [-0.01, 1.01], "alpha": [0.0]},
    "distillation": {
        "teachers": [-1, 17], "epochs": [0], "learning_rate": [0.0], "weight": [-0.01, 1.01],
        "temperature": [0.0], "build": ["", "not a name"],
    },
    "transfer": {"epochs": [-1], "learning_rate": [0.0]},
    "quantization_aware": {"epochs": [-1], "learning_rate": [0.0]},
    "detector": {
        "detection_threshold": [-1, 256], "detection_threshold_list": [(0, 0, -1), (256, 0, 0), (1,) * 4],
        "minimum_count": [0, 65], "latency_ms": [0, 1_000_001], "volume_gain": [-0.1, 256.1],
        "suppression_ms": [-1, 1_000_001], "average_window_duration_ms": [-1, 1_000_001],
    },
    "augmentation": {
        "speed": [(0.49, 1), (1, 1.51), (1.1, 1)], "gain": [(0.0, 1)], "lead_in_ms": [(-1, 1), (0, 10_001)],
        "settled_ms": [(0, 1), (-1, -1)], "shift_ms": [-1, 10_001], "unknown_shift_ms": [-1, 10_001],
        "pitch_semitones": [(-12.1, 0), (0, 12.1)], "room_rt60_s": [(0.04, 1), (1, 3.1)],
        "clipping_db": [(-0.1, 1)], "synthetic_unknown_words": [-1], "background_crops": [-1],
        "synthetic_copies": [-1], "synthetic_unknown_copies": [-1], "synthetic_voices": [-1, {"flite": -1}],
        "keyword_copies": [0], "unknown_copies": [0], "silence_copies": [0],
        **{f"{name}_probability": [-0.01, 1.01] for name in (
            "noise", "lead_in", "pitch", "room", "microphone", "clipping",
        )},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        (part, name, value)
        for part, names in JUST_BEYOND.items()
        for name, values in names.items()
        for value in values
    ],
)
def test_what_is_just_impossible_is_refused_by_its_name(part: str, name: str, value: object) -> None:
    changed = dataclasses.replace(getattr(GOOD, part), **{name: value})
    with pytest.raises(TokayError, match=f"^specification 'good': .*{name}"):
        dataclasses.replace(GOOD, **{part: changed})


def test_a_derived_specification_may_have_fields_of_any_kind() -> None:
    kinds = [("sizes", list[int], [8]), ("rate", Optional[float], None), ("more", Any, object())]  # noqa: UP045
    fields = [(name, kind, dataclasses.field(default_factory=lambda v=v: v)) for name, kind, v in kinds]
    derived = dataclasses.make_dataclass("Derived", fields, bases=(Specification,), frozen=True)
    assert derived("m", "", ("on", "off"), FrontendSettings()).sizes == [8]
    with pytest.raises(TokayError, match="sizes must be"):
        derived("m", "", ("on", "off"), FrontendSettings(), sizes="8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "no SPECIFICATION"),
        ("x = 1\ny = nothing\n", r"model\.py:2: NameError"),
        ("x = (\n", r"model\.py:1: SyntaxError"),
        ("from tests_absent import x\n", "tests_absent"),
        ("import sys\nsys.exit(3)\n", r"model\.py:2: SystemExit: 3"),
        ("from codegen.frontend import FrontendSettings\n\n\nFrontendSettings(window_size_ms=-1)\n",
         r"model\.py:4: .*window_size_ms"),
    ],
)
def test_a_broken_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "model.py"
    path.write_text(text)
    with pytest.raises(TokayError, match=message):
        specification.load(str(path))


def test_a_file_without_a_network(tmp_path: Path) -> None:
    shipped = (places.MODELS / "keyword_spotting_on_off.py").read_text()
    path = tmp_path / "model.py"
    path.write_text(shipped.replace("def build_model", "def other"))
    with pytest.raises(TokayError, match="build_model"):
        specification.load(str(path))


def test_a_teacher_that_is_not_there(tmp_path: Path) -> None:
    shipped = (places.MODELS / "keyword_spotting_on_off.py").read_text()
    path = tmp_path / "model.py"
    path.write_text(f"{shipped}\nfrom dataclasses import replace\n" + """
from host.specification import Distillation
SPECIFICATION = replace(SPECIFICATION, distillation=Distillation(teachers=2, build="build_large"))
""")
    with pytest.raises(TokayError, match=r"no build_large\(spec\)"):
        specification.load(str(path))
    path.write_text(path.read_text() + "def build_large(spec): pass\n")
    assert specification.load(str(path)).build_teacher.__name__ == "build_large"
    small = specification.dry_run(specification.load(str(path)).spec)
    assert small.distillation.teachers == 1 and small.distillation.epochs == 1


def test_a_field_that_is_not_there_is_placed(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("from host.specification import Schedule\n\nSCHEDULE = Schedule(epoch=3)\n")
    with pytest.raises(TokayError, match=r"model\.py:3: TypeError.*epoch"):
        specification.load(str(path))


@pytest.mark.parametrize("name", ["nothing", "../nothing", "nothing.py", "", "a b"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(TokayError):
        specification.load(name)


def test_runs_as_a_script(tmp_path: Path) -> None:
    path = places.MODELS / "keyword_spotting_on_off.py"
    done = subprocess.run(
        [sys.executable, str(path), "--dataset", str(tmp_path / "none")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # as an installed tokay
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "no such folder" in done.stderr
