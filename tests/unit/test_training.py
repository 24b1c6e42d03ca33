"""From a specification to an int8 model that carries its parameters: conversion, commands, errors.

The network is not trained here, except for one dry run on clips made for it.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from codegen import frontend
from codegen.parameters import read_parameters, write_parameters
from host import cli, evaluate, places, quantize, specification, train, view_audio
from host.dataset import find
from host.dataset.synthesizers.espeak import Espeak
from host.errors import TokayError
from host.evaluation import subject
from host.metrics.scoring import int8_network
from host.specification import Auxiliary, Transfer
from host.training import backend, convert, keras_file, network, work
from host.training.accuracy import float_outputs
from tests import tone_words
from tests.unit.small_training import needs_tensorflow

pytestmark = pytest.mark.xdist_group("tensorflow")  # one process pays for the import

NAME = "keyword_spotting_on_off"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_words.write_dataset(tmp_path_factory.mktemp("data"), speakers=6, each=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped specification, quantized with the weights it starts from."""
    path = tmp_path_factory.mktemp("built") / f"{NAME}.tflite"
    assert cli.run(quantize.main, [NAME, "--build", "-o", str(path)]) == 0
    return path


@needs_tensorflow
@pytest.mark.parametrize(
    ("end", "changes", "what"),
    [
        ("no bias", {"class_bias": "validation"}, "the last Dense layer has no bias"),
        ("no dense", {"class_bias": "validation"}, "no Dense layer before the softmax"),
        ("no dense", {"auxiliary": Auxiliary(0.3)}, "no Dense layer before the softmax"),
        ("no dense", {"transfer": Transfer(1)}, "no Dense layer before the softmax"),
        ("sigmoid", {}, "not a softmax"),
    ],
)
def test_what_a_late_stage_lacks_is_told_before_training(
    end: str, changes: dict[str, object], what: str
) -> None:
    def build(spec: specification.Specification) -> object:
        import keras
        from keras import layers

        inputs, classes = keras.Input((*spec.feature_shape, 1)), len(spec.classes)
        if end == "no dense":
            x = layers.GlobalAveragePooling2D()(layers.Conv2D(classes, 3)(inputs))
            return keras.Model(inputs, layers.Softmax()(x))
        activation = "sigmoid" if end == "sigmoid" else "softmax"
        last = layers.Dense(classes, activation=activation, use_bias=end != "no bias")
        return keras.Model(inputs, last(layers.Flatten()(inputs)))

    plain = {"class_bias": None, "auxiliary": Auxiliary(), "transfer": Transfer()}
    spec = dataclasses.replace(specification.load(NAME).spec, **{**plain, **changes})
    with pytest.raises(TokayError, match=rf"^m\.py: .*{what}"):
        train._require_network(specification.LoadedModel(spec, build, Path("m.py")))


@needs_tensorflow
def test_quantized_graph_is_the_seed_topology(built: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(built.read_bytes(), 0)
    graph = model.subgraphs[0]
    names = {value: key for key, value in vars(schema.BuiltinOperator).items()}
    operators = [names[model.operatorCodes[op.opcodeIndex].builtinCode] for op in graph.operators]
    assert operators == ["CONV_2D"] * 3 + ["MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    source, sink = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert list(source.shape) == [1, 49, 32, 1] and list(sink.shape) == [1, 4]
    assert source.type == sink.type == schema.TensorType.INT8
    # int8 features go in as they are: value = feature * input_scale.
    scale = specification.load(NAME).spec.input_scale
    assert source.quantization.zeroPoint.tolist() == [0] and source.quantization.scale.tolist() == [scale]


@needs_tensorflow
def test_parameters_inside(built: Path) -> None:
    spec, params = specification.load(NAME).spec, read_parameters(built.read_bytes())
    assert params["classes"] == list(spec.classes) and params["name"] == NAME
    assert params["fe.sample_rate_hz"] == 8000 and params["fe.fft_length"] == 256
    assert params["detection_threshold"] == spec.detector.detection_threshold
    assert params.types["average_window_duration_ms"] == "u16" and len(params["hash"]) == 32  # type: ignore[arg-type]
    # Settings are stored as 32-bit floats; what the firmware computes with is the same.
    stored = subject.specification_of(built.read_bytes(), "x").frontend
    assert frontend.design(stored) == frontend.design(spec.frontend)
    assert frontend.scalars(stored) == frontend.scalars(spec.frontend)


@needs_tensorflow
def test_quantizing_twice_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tflite"
    assert cli.run(quantize.main, [NAME, "--build", "-o", str(again)]) == 0
    assert again.read_bytes() == built.read_bytes()


@needs_tensorflow
def test_int8_follows_the_float_model() -> None:
    loaded = specification.load(NAME)
    backend.import_keras(3)
    model = network.build(loaded)
    sample = convert.unlabelled(loaded.spec)
    tflite = convert.to_int8(model, loaded.spec, sample.features, sample.labels)
    wanted = float_outputs(model, loaded.spec, sample.features)
    got = int8_network(tflite)(sample.features).astype(np.float32) / 256
    assert np.max(np.abs(got - wanted)) < 0.05


@needs_tensorflow
@pytest.mark.slow
def test_dry_run_of_the_whole_command(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "model.tflite"
    arguments = [f"{NAME}-test", "--dataset", str(dataset), "-o", str(output)]
    assert cli.run(train.main, [*arguments, "--json", str(tmp_path / "card.json")]) == 0
    card = json.loads(output.with_suffix(".json").read_text())
    assert card == json.loads((tmp_path / "card.json").read_text())
    assert card["data"]["clips"] == {"training": 16, "validation": 4, "testing": 4}
    assert set(card["accuracy"]) == {"validation", "testing"}
    assert read_parameters(output.read_bytes())["name"] == f"{NAME}-test"
    first = output.read_bytes()
    assert cli.run(train.main, arguments) == 0
    assert output.read_bytes() == first  # the same seed gives the same model


@needs_tensorflow
def test_evaluate_counts_what_the_network_says(
    built: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(built), "--tflite", "--dataset", str(dataset), "--split", "all", "--json", "-"]
    assert cli.run(evaluate.main, arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["samples"] == 24 and np.sum(result["confusion"]) == 24
    recalls = [row[i] / sum(row) for i, row in enumerate(result["confusion"])]
    assert list(result["class_accuracy"].values()) == recalls
    assert result["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert result["accuracy"] == np.trace(result["confusion"]) / 24
    assert result["split"] == "all" and result["accelerator"] == "none"


@needs_tensorflow
def test_evaluate_refuses_what_it_cannot_know(
    built: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(write_parameters(built.read_bytes(), {"name": "bare"}))
    assert cli.run(evaluate.main, [str(bare), "--dataset", str(dataset)]) == 2
    assert "no classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"], [NAME, "--epochs", "0"], [NAME, "-o", "model.h5"], [NAME],
        [NAME, "--dataset", "/nowhere"], [NAME, "--epochs", "many"], [],
    ],
)  # fmt: skip
def test_train_errors_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(train.main, arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_a_result_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("m.tflite", "n.json", "e/errors.csv"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "file").touch()
    work = ["--dataset", "/nowhere"]
    for main, arguments in (
        (train.main, ["-o", "m.tflite"]), (train.main, ["-o", "n.tflite"]),
        (train.main, ["-o", "file/m.tflite"]), (quantize.main, ["-o", "m.tflite"]),
        (evaluate.main, ["--report", "e"]), (evaluate.main, ["--output-dir", "e"]),
        (view_audio.main, ["-o", "file/page.html"]),
    ):  # fmt: skip
        option, path = arguments
        assert cli.run(main, [NAME, *work, option, str(tmp_path / path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: cannot write {tmp_path}") and error.count("\n") == 1, error


@pytest.mark.parametrize("main", [train.main, quantize.main])
@pytest.mark.parametrize("seed", ["-1", "1.5", "x", "4294967296"])
def test_seeds_that_are_none(main, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(main, [NAME, "--seed", seed]) == 2
    assert capsys.readouterr().err.startswith(f"error: --seed {seed} is no whole number from 0 to ")


@pytest.mark.parametrize("main", [evaluate.main, quantize.main])
@pytest.mark.parametrize("arguments", [["nothing"], ["a.tflite"], ["/nowhere/x.py"], [NAME, "--seed", "-1"]])
def test_missing_models_are_one_line(main, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(main, arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    loaded = specification.load(NAME)

    class Wrong:
        input_shape, output_shape = (None, 49, 32, 1), (None, 3)

    with pytest.raises(TokayError, match="asks for"):
        network.build(dataclasses.replace(loaded, build=lambda spec: Wrong()))


@pytest.mark.parametrize(("epochs", "warm"), [(1, 0.5), (2, 1.0), (None, 1.0)])
def test_fewer_epochs_than_the_learning_rate_rises_over(epochs: int | None, warm: float) -> None:
    loaded = train._with_epochs(specification.load(NAME), epochs)
    assert loaded.spec.schedule.epochs == (epochs or 100) and loaded.spec.schedule.warmup_epochs == warm


@pytest.mark.parametrize(("epochs", "warm"), [(1, 0.5), (3, 1.5), (5, 2.5), (8, 3.0)])
def test_a_shorter_schedule_warms_up_alike_wherever_it_comes_from(epochs: int, warm: float) -> None:
    loaded = specification.load(NAME)
    schedule = dataclasses.replace(loaded.spec.schedule, epochs=20, warmup_epochs=3.0)
    asked = train._with_epochs(
        dataclasses.replace(loaded, spec=dataclasses.replace(loaded.spec, schedule=schedule)), epochs
    )
    stage = schedule.of(epochs, learning_rate=1e-6)  # as of a teacher
    assert asked.spec.schedule.warmup_epochs == stage.warmup_epochs == warm
    assert asked.spec.schedule.learning_rate == schedule.learning_rate
    assert stage.final_learning_rate == stage.learning_rate == 1e-6


@needs_tensorflow
def test_no_testing_clips_are_told_before_the_work(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    for path in data.glob("o*/s0_*"):
        path.unlink()
    spec = tmp_path / "model.py"
    spec.write_text(
        "import dataclasses\nfrom host.models.keyword_spotting_on_off import SPECIFICATION, build_model\n"
        'SPECIFICATION = dataclasses.replace(SPECIFICATION, classes=("on", "off"), class_bias=None)\n'
    )
    assert cli.run(train.main, [f"{spec}-test", "--dataset", str(data)]) == 2
    told = capsys.readouterr().err
    assert "error: the testing split has no clip of the model's classes" in told and "epoch" not in told


@needs_tensorflow
def test_what_the_device_cannot_run_is_told_before_the_work(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "model.py"
    spec.write_text(
        "from host.models.keyword_spotting_on_off import SPECIFICATION\n"
        "def build_model(spec):\n"
        "    from keras import Input, Model, layers\n"
        "    inputs = Input((*spec.feature_shape, 1))\n"
        '    x = layers.Flatten()(layers.Conv2D(4, 3, activation="hard_shrink")(inputs))\n'
        "    end = layers.Dense(4, kernel_initializer='zeros', activation='softmax')(x)\n"
        "    return Model(inputs, end)\n"
    )
    arguments = [f"{spec}-test", "--dataset", str(dataset), "-o", str(tmp_path / "m.tflite")]
    assert cli.run(train.main, arguments) == 2
    told = capsys.readouterr().err
    assert "(GREATER) is not supported" in told and "epoch" not in told
    text = spec.read_text()
    before = 'layers.Conv2D(4, 3, activation="hard_shrink")(inputs)'
    looped = text.replace(before, "layers.GRU(2)(inputs[..., 0])")
    spec.write_text(looped)
    assert cli.run(train.main, arguments) == 2
    assert "has loops, which the device cannot run (LSTM with default activations" in capsys.readouterr().err
    spec.write_text(text.replace("hard_shrink", "relu"))  # zeros to start from are no hindrance
    with pytest.raises(InterruptedError):
        train.train(
            specification.load(f"{spec}-test"), find.load(str(dataset), specification.load(str(spec)).spec),
            1, tmp_path / "m.tflite", Stopped(tmp_path / "work"),
        )  # fmt: skip


class Stopped(work.Work):
    """Interrupts a training as its first stage begins."""

    def load(self, stage: str) -> None:
        raise InterruptedError


@needs_tensorflow
def test_a_state_is_of_the_networks_and_voices_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network's code may be in another file, and a synthesizer may be installed after a kill."""
    from host.dataset.synthesizers import ENGINES

    helper = tmp_path / "helper_of_a_specification.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(ENGINES, "espeak-ng", Mute("not here"))
    spec = tmp_path / "model.py"
    spec.write_text(
        "import dataclasses\n"
        "from host.models.keyword_spotting_on_off_v2 import SPECIFICATION\n"
        "from helper_of_a_specification import build_model, build_teacher\n"
        "SPECIFICATION = dataclasses.replace(SPECIFICATION, augmentation=dataclasses.replace(\n"
        "    SPECIFICATION.augmentation, synthetic_voices={'espeak-ng': 2}))\n"
    )

    def key(rate: float, filters: int) -> str:
        helper.write_text(
            "from host.training.topologies import strided\n"
            f"def build_model(spec): return strided(spec, dropout={rate})\n"
            f"def build_teacher(spec): return strided(spec, ({filters}, 16, 32))\n"
        )
        sys.modules.pop(helper.stem, None)
        importlib.invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        return work.key(specification.load(str(spec)), "data", 1)

    found = [key(0.1, 8), key(0.1, 8), key(0.2, 8), key(0.1, 12)]
    monkeypatch.setitem(ENGINES, "espeak-ng", Mute(None))
    found.append(key(0.1, 8))
    assert found[0] == found[1] and len(set(found)) == 4


class Mute(Espeak):
    """A synthesizer that is here or not; it is not asked to speak."""

    def __init__(self, problem: str | None) -> None:
        self._problem = problem

    def problem(self) -> str | None:
        return self._problem

    def identity(self, speaker: str) -> str:
        return "1.0"


@needs_tensorflow
def test_a_keras_file_says_nothing_of_when_and_where_it_was_made() -> None:
    backend.import_keras(0)
    data = keras_file.keras_bytes(network.build(specification.load(NAME)))
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        assert {member.date_time for member in made.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(made.read("metadata.json"))["date_saved"] == ""
        shared = re.findall(rb'"shared_object_id": (\d+)', made.read("config.json"))
    assert set(shared) == {b"1"}  # the layers' type


@needs_tensorflow
def test_ranges_are_not_taken_of_some_classes_only(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of the folder of another dataset, which has all but one of the keywords."""
    data, own, out = tmp_path / "data", tmp_path / "own.keras", tmp_path / "own.tflite"
    shutil.copytree(dataset, data)
    for path in data.glob("off/s[2-9]_*"):  # of training
        path.unlink()
    backend.import_keras(0)
    own.write_bytes(keras_file.keras_bytes(network.build(specification.load("keyword_spotting_on_off_v2"))))
    arguments = ["keyword_spotting_on_off_v2", "-w", str(own), "--dataset", str(data), "-o", str(out)]
    assert cli.run(quantize.main, arguments) == 2 and not out.exists()
    assert "error: the training split has no clip of off" in capsys.readouterr().err


@needs_tensorflow
@pytest.mark.parametrize(
    ("activation", "end", "weights", "what"),
    [
        ("hard_shrink", "softmax", 1.0, "quantized, the device cannot run it: model: operator "),
        ("relu", None, 1.0, "its outputs are no scores from 0 to 1 (end with softmax)"),
        ("relu", "softmax", float("nan"), "some of its weights are not numbers"),
        ("relu", "softmax", 0.0, "quantized, the device cannot run it: "),
        ("relu", "sigmoid", 1.0, None),
    ],
)
def test_a_keras_model_that_the_device_cannot_run_is_not_written(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    activation: str, end: str | None, weights: float, what: str | None,
) -> None:  # fmt: skip
    """One that was trained elsewhere, for the classes and features of the specification."""
    keras = backend.import_keras(0)
    inputs = keras.Input((49, 32, 1))
    x = keras.layers.Flatten()(keras.layers.Activation(activation)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4, activation=end)(x))
    model.set_weights([weights * values for values in model.get_weights()])
    own, out = tmp_path / "own.keras", tmp_path / "own.tflite"
    own.write_bytes(keras_file.keras_bytes(model))
    status = cli.run(quantize.main, [NAME, "-w", str(own), "--dataset", str(dataset), "-o", str(out)])
    error = capsys.readouterr().err
    assert (status, out.exists()) == ((2, False) if what else (0, True)), error
    # Where a synthesizer is installed, its voices are told of before.
    told = [line for line in error.splitlines() if not line.startswith("saying ")]
    assert what is None or (len(told) == 1 and told[0].startswith(f"error: {own}: {what}")), error


@needs_tensorflow
def test_a_specification_whose_file_is_called_otherwise(
    built: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copy(places.MODELS / f"{NAME}.py", "mine.py")
    Path(f"{NAME}.tflite").write_bytes(built.read_bytes())
    backend.import_keras(0)
    keras = keras_file.keras_bytes(network.build(specification.load("mine.py")))
    other_words = specification.load("keyword_spotting_directions")
    Path("wrong.keras").write_bytes(keras_file.keras_bytes(network.build(other_words)))
    Path("wrong.tflite").write_bytes(built.read_bytes())
    shutil.copy("mine.py", "late.py")
    Path(f"{NAME}.keras").write_bytes(keras)
    Path("other.keras").write_bytes(keras)
    Path("other.tflite").write_bytes(built.read_bytes())
    Path("alone.keras").write_bytes(keras)
    Path("mine.keras").write_bytes(keras)
    data = ["--dataset", str(dataset)]
    for arguments in (
        ["mine.py"], ["./mine.py", "--float"], [f"{NAME}.keras"], ["other.keras"], ["mine.keras"],
        ["other.tflite", "--float"],
    ):  # fmt: skip
        assert cli.run(evaluate.main, [*arguments, *data]) == 0, capsys.readouterr().err
    assert cli.run(quantize.main, ["mine.py", *data, "-o", "again.tflite"]) == 0
    Path(f"{NAME}.keras").unlink()  # as with host.train mine.py -o mine.tflite
    assert cli.run(evaluate.main, ["mine.py", "--float", *data]) == 0
    assert cli.run(quantize.main, ["mine.py", *data, "-o", "again.tflite"]) == 0
    capsys.readouterr()
    for arguments, what in (
        (["alone.keras"], "alone.keras: neither a specification nor a .tflite"),
        (["other.keras", "--gap"], "--gap starts from a .tflite"),
        (["late.keras"], "late.keras: no such Keras model (run: python -m host.train late.py)"),
        (["wrong.keras"], "wrong.keras takes 49x32x1 and gives 8, model has 49x32 features and 4 classes"),
        (["wrong.tflite", "--gap"], "wrong.keras takes 49x32x1"),
        (["nothing.tflite", "--float"], "nothing.tflite: no such model file"),
    ):
        assert cli.run(evaluate.main, [*arguments, *data]) == 2
        assert what in capsys.readouterr().err
    assert cli.run(quantize.main, ["mine.py-test", *data, "-o", "again.tflite"]) == 2
    assert f"{NAME}-test.keras: no such Keras model (run: python -m host.train mine.py-test)" in (
        capsys.readouterr().err
    )
    assert cli.run(train.main, ["other.tflite"]) == 2
    assert "other.tflite is not a model specification" in capsys.readouterr().err


@pytest.mark.parametrize("said", [
    "{{function_node __wrapped__SaveV2_}} /t/variables/part-00000; No space left on device [Op:SaveV2]",
    "/t/saved_model.pb.tmp7d15; No space left on device",
    OSError(errno.ENOSPC, "No space left on device", "/t/model.keras"),
])  # fmt: skip
def test_a_full_temporary_folder_is_said_in_the_system_s_words(said):
    tf = pytest.importorskip("tensorflow")

    class Model:
        input_shape = (None, 49, 32, 1)

        def export(self, *_, **__):
            raise tf.errors.ResourceExhaustedError(None, None, said) if isinstance(said, str) else said

        def _flatten_layers(self):
            return ()

    with pytest.raises(TokayError) as caught, convert._converter(Model()):
        pass
    assert re.fullmatch(r"cannot write to \S+: No space left on device \(TMPDIR .*\)", str(caught.value))
