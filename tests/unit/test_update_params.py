"""update_params: types are kept, wrong values are refused in a line, a failure changes nothing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from codegen.application import ApplicationSettings, settings_of
from codegen.errors import TokayError
from codegen.parameters import Parameters, read_parameters, write_parameters
from codegen.read import read_model
from host import cli, update_params
from host.pipeline import Pipeline
from tests.places import MODEL


def empty_model() -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    values = {
        "name": "m", "classes": ["on", "off"], "detection_threshold": 160, "volume_gain": 1.0,
        "verbose": False, "detection_threshold_list": [1, 2],
    }  # fmt: skip
    path = tmp_path / "m.tflite"
    path.write_bytes(write_parameters(empty_model(), Parameters(values, {"volume_gain": "f64"})))
    return path


def update(*arguments: object) -> int:
    return cli.run(update_params.main, [str(argument) for argument in arguments])


def test_types_are_kept(model: Path) -> None:
    arguments = ("detection_threshold=200", "volume_gain=2", "verbose=true", "classes=a,b,_c_", "name=7")
    assert update(model, *arguments, "detection_threshold_list=[5, 6]") == 0
    params = read_parameters(model.read_bytes())
    assert params == {
        "name": "7", "classes": ["a", "b", "_c_"], "detection_threshold": 200, "volume_gain": 2.0,
        "verbose": True, "detection_threshold_list": [5, 6],
    }  # fmt: skip
    assert params.types["volume_gain"] == "f64" and params.types["detection_threshold"] == "u8"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("True", True), ("yes", True), ("0", False), ("FALSE", False), ("no", False)],
)
def test_truth_values_as_one_writes_them(text: str, value: bool, model: Path) -> None:
    assert update(model, "verbose=true" if not value else "verbose=false") == 0
    assert update(model, f"verbose={text}") == 0
    assert read_parameters(model.read_bytes())["verbose"] is value


@pytest.mark.parametrize("text", ["null", '{"a": 1}', "1.2.3", ""])
def test_what_no_parameter_can_be_is_text(text: str, model: Path) -> None:
    assert update(model, f"note={text}") == 0
    params = read_parameters(model.read_bytes())
    assert params["note"] == text and params.types["note"] == "str"


def test_an_integer_may_outgrow_its_type(model: Path) -> None:
    assert update(model, "detection_threshold=1000") == 0
    assert read_parameters(model.read_bytes()).types["detection_threshold"] == "u16"


def test_new_parameters_take_their_natural_type(model: Path) -> None:
    assert update(model, "sensitivity=0.5", "label=on board", "count=3", "flag=true", "list=[1,2]") == 0
    params = read_parameters(model.read_bytes())
    assert (params["sensitivity"], params["label"], params["count"]) == (0.5, "on board", 3)
    assert params["flag"] is True and params["list"] == [1, 2]


def test_a_parameter_that_is_removed_and_set_takes_its_natural_type(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert update(model, "detection_threshold=1.5") == 2
    assert "(--remove detection_threshold as well to store it as f32)" in capsys.readouterr().err
    assert update(model, "detection_threshold=1.5", "--remove", "detection_threshold") == 0
    params = read_parameters(model.read_bytes())
    assert params["detection_threshold"] == 1.5 and params.types["detection_threshold"] == "f32"


def test_lists_that_a_model_does_not_have_yet(model: Path) -> None:
    model.write_bytes(write_parameters(empty_model(), {"classes": "on,off", "name": "m"}))
    assert update(model, "classes=on, off,_x_", "detection_threshold_list=7, 8,9") == 0
    params = read_parameters(model.read_bytes())
    assert params["classes"] == ["on", "off", "_x_"] and params["detection_threshold_list"] == [7, 8, 9]


@pytest.mark.parametrize(
    "key, value", [("classes", "on"), ("classes", [1, 2]), ("detection_threshold_list", 5)]
)
def test_what_should_be_a_list_is_refused_with_its_name(key: str, value: object) -> None:
    with pytest.raises(TokayError, match=rf"parameter {key}=.* is not a list \(update_params MODEL {key}="):
        ApplicationSettings.from_parameters({key: value}, 2)


@pytest.mark.parametrize(
    "change, reason",
    [
        ("detection_threshold=999", "detection_threshold=999 is not an integer from 0 to 255"),
        ("detection_threshold_list=1,2,3,999", "detection_threshold_list=999 is not an integer"),
        ("suppression_ms=-5", "suppression_ms"),
        ("minimum_count=5", "minimum_count asks for 5 inferences, the averaging window of 300 ms holds 4"),
        ("latency_ms=400", "minimum_count asks for 3 inferences, the averaging window of 300 ms holds 1"),
        ("fe.sample_rate_hz=1", "fe.sample_rate_hz"),
        ("fe.window_step_ms=25", "the front end makes"),
        ("classes=on,off", "names 2 classes"),
        ("classes=on,off,on,_unknown_", "class 'on' is listed twice (update_params MODEL classes="),
        ("samplewise_norm.mean_and_std=true", "samplewise_norm.mean_and_std"),
        ("samplewise_norm.rescale=0.0039", "samplewise_norm.rescale"),
    ],
)
def test_a_model_that_works_is_not_made_one_that_does_not(
    change: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(MODEL.read_bytes())
    assert update(path, change) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: nothing was changed: ") and reason in said
    assert path.read_bytes() == MODEL.read_bytes()
    # What a command did not break, it may leave as it is.
    path.write_bytes(write_parameters(path.read_bytes(), {"classes": ["on"]}))
    assert update(path, "detection_threshold=999") == 0


@pytest.mark.parametrize(
    "factor, taken",
    [(0.0, True), (1.0, True), (1 / 64, True), (1.003 / 64, True), (1.005 / 64, False), (-1.0, False)],
)
def test_a_factor_of_the_features_is_harmless_where_it_is_the_inputs_scale(
    factor: float, taken: bool
) -> None:
    graph = read_model(MODEL.read_bytes())
    assert graph.tensors[graph.inputs[0]].q.scale == 1 / 64
    parameters = read_parameters(MODEL.read_bytes()) | {"samplewise_norm.rescale": factor}
    if taken:
        settings_of(graph, parameters)
    else:
        with pytest.raises(TokayError, match=r"samplewise_norm\.rescale=.* features times this"):
            settings_of(graph, parameters)


def test_features_by_their_deviation_are_refused() -> None:
    values = read_parameters(MODEL.read_bytes()) | {"samplewise_norm.mean_and_std": True}
    tflite = write_parameters(MODEL.read_bytes(), values)
    with pytest.raises(TokayError, match=r"samplewise_norm\.mean_and_std: .*mean"):
        Pipeline(tflite)


@pytest.mark.parametrize(
    "gain, q8", [(0, 256), (0.0, 256), (1, 256), (0.001, 1), (1e-30, 1), (0.01, 3), (256, 65536)]
)
def test_only_a_gain_of_nothing_is_none(gain: float, q8: int) -> None:
    assert ApplicationSettings.from_parameters({"volume_gain": gain}, 2).volume_gain_q8 == q8


def test_a_threshold_without_effect_is_said(model: Path, capsys) -> None:
    assert cli.run(update_params.main, [str(model), "detection_threshold=100"]) == 0
    assert "warning: detection_threshold_list=[1, 2] stays and decides" in capsys.readouterr().err
    for unrelated in (["name=other"], ["detection_threshold=100", "detection_threshold_list=3,4"]):
        assert update(model, *unrelated) == 0 and "warning" not in capsys.readouterr().err
    removed = ["detection_threshold=100", "--remove", "detection_threshold_list"]
    assert cli.run(update_params.main, [str(model), *removed]) == 0
    assert cli.run(update_params.main, [str(model), "detection_threshold=90"]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("detection_treshold", "detection_threshold"),
        ("average_window_duration", "average_window_duration_ms"),  # which the model lacks, too
        ("sensitivty", "sensitivity"),
        ("shelf", None),
        ("latency_ms", None),
        ("fe.upstream_window", None),
    ],
)
def test_a_new_name_that_is_nearly_another_is_told(key: str, meant: str | None, model: Path, capsys) -> None:
    assert update(model, f"{key}=100") == 0
    said = capsys.readouterr().err
    assert read_parameters(model.read_bytes())[key] == 100
    assert ("warning" in said) is bool(meant)
    assert not meant or f"{key} is a new parameter, which nothing here reads: did you mean {meant}?" in said


def test_output_leaves_the_model_alone(model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    assert update(model, "name=other", "--output", tmp_path / "out" / "o.tflite") == 0
    assert model.read_bytes() == before
    assert read_parameters((tmp_path / "out" / "o.tflite").read_bytes())["name"] == "other"


def test_a_model_in_an_archive_is_shown_and_taken_out_and_the_archive_stays(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, output = tmp_path / "m.zip", tmp_path / "out.tflite"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(model, model.name)
    before = archive.read_bytes()
    assert update(archive) == 0 and "name=m (str)" in capsys.readouterr().out
    for arguments in (["name=other"], ["name=other", "--output", archive], ["--output", archive]):
        assert update(archive, *arguments) == 2
        said = f"error: {archive} is an archive (--output FILE.tflite says where to write)\n"
        assert capsys.readouterr().err == said
    assert update(model, "name=other", "--output", archive) == 2
    assert update(archive, "--output", output) == 0 and archive.read_bytes() == before
    assert read_parameters(output.read_bytes()) == read_parameters(model.read_bytes())


def test_what_a_change_made_is_told_in_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert update(model, "detection_threshold=200", "--remove", "name", "--json", "-") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == read_parameters(model.read_bytes()) and told["detection_threshold"] == 200


def test_params_file_remove_and_description(model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"suppression_ms": 900, "name": "from file"}')
    arguments = ("--params", tmp_path / "p.json", "name=from line", "--remove", "verbose")
    assert update(model, *arguments, "--description", "d") == 0
    params = read_parameters(model.read_bytes())
    assert params["suppression_ms"] == 900 and params["name"] == "from line" and "verbose" not in params


def test_without_changes_it_shows(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = model.read_bytes()
    assert update(model, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["detection_threshold"] == 160
    assert update(model) == 0
    lines = set(capsys.readouterr().out.splitlines())
    assert {"name=m (str)", "detection_threshold=160 (u8)", "classes=['on', 'off'] (str_list)"} <= lines
    assert model.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["no_equals_sign"], ["=1"], ["detection_threshold=loud"], ["verbose=maybe"], ["classes=[1,2]"],
        ["detection_threshold_list=a,b"], ["volume_gain=1e400x"], ["--remove", "nothing"],
        ["--params", "absent.json"], ["big=99999999999999999999"], ["odd=[1,\"a\"]"], ["--nonsense"],
        ["x=1", "--output", "/proc/nothing/x.tflite"], [f"volume_gain=1{400 * '0'}"],
    ],
)  # fmt: skip
def test_errors_are_one_line_and_change_nothing(
    model: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = model.read_bytes()
    assert update(model, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert model.read_bytes() == before
    assert sorted(path.name for path in model.parent.iterdir()) == ["m.tflite"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        *((text, "") for text in ("{", "[" * 100_000, '{"a": ' + "9" * 5000 + "}")),
        *((text, ": not a dictionary of parameters\n") for text in ("[]", '["name"]', "7", "null", '"name"')),
    ],
)
def test_a_file_that_is_no_dictionary_in_json(
    model: Path, tmp_path_factory: pytest.TempPathFactory, text: str, what: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("params") / "p.json"
    path.write_text(text)
    before = model.read_bytes()
    assert update(model, "--params", path) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}{what}") and error.count("\n") == 1
    assert model.read_bytes() == before


def test_a_detector_behind_another_front_end_is_checked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = read_parameters(MODEL.read_bytes())
    network = tmp_path / "m.tflite"
    without = {key: value for key, value in params.items() if not key.startswith("fe.")}
    network.write_bytes(write_parameters(MODEL.read_bytes(), without))
    before = network.read_bytes()
    assert update(network, "detection_threshold=999") == 2
    assert capsys.readouterr().err.startswith("error: nothing was changed: ")
    assert network.read_bytes() == before and update(network, "detection_threshold=99") == 0


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x1c\0\0\0TFL3", b"\xff" * 200])
def test_files_that_are_no_model(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    assert update(path, "a=1") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "[1, NaN]"])
def test_what_is_no_finite_number_is_refused(value: str, model: Path, capsys: pytest.CaptureFixture) -> None:
    before = model.read_bytes()
    (model.parent / "p.json").write_text(f'{{"mine": {value}}}')
    assert update(model, f"mine={value}") == 2 and update(model, "--params", model.parent / "p.json") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 2 and said.count("not a finite number") == 2
    assert model.read_bytes() == before


def test_a_number_that_json_does_not_have_is_null(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another tool may have written it."""
    params = read_parameters(model.read_bytes()) | {"mine": float("nan"), "list": [1.0, float("inf")]}
    model.write_bytes(write_parameters(model.read_bytes(), params))
    assert update(model, "--json", "-") == 0
    value = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert value["mine"] is None and value["list"] == [1.0, None]


def test_the_recorded_fft_length_follows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(MODEL.read_bytes())
    assert read_parameters(model.read_bytes())["fe.fft_length"] == 256
    assert update(model, "fe.sample_rate_hz=16000", "suppression_ms=900") == 0
    assert "fe.fft_length=512 (u16)" in capsys.readouterr().err
    assert read_parameters(model.read_bytes())["fe.fft_length"] == 512
    before = model.read_bytes()
    assert update(model, "fe.fft_length=256") == 2
    assert "fe.fft_length is 512" in capsys.readouterr().err and model.read_bytes() == before
    assert update(model, "fe.sample_rate_hz=8000", "fe.fft_length=256", "suppression_ms=1100") == 0
    assert read_parameters(model.read_bytes()) == read_parameters(MODEL.read_bytes())


def test_a_front_end_that_cannot_be_is_refused_before_its_fft_length_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(MODEL.read_bytes())
    assert update(model, "fe.window_size_ms=0") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: nothing was changed: ") and said.count("\n") == 1
    assert model.read_bytes() == MODEL.read_bytes()


def test_a_model_without_a_recorded_fft_length_gets_none(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(MODEL.read_bytes())
    assert update(model, "--remove", "fe.fft_length") == 0
    assert update(model, "fe.sample_rate_hz=16000") == 0
    assert "fe.fft_length" not in read_parameters(model.read_bytes())
