"""host.evaluate on tones and a network that tells them apart: what it counts, writes, shows and refuses."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import zipfile
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from codegen.parameters import read_parameters
from host import cli, evaluate
from host.dataset import folder
from host.dataset.store import Store
from host.errors import TokayError
from host.evaluation import clips
from host.evaluation.clips import Clips, gap
from host.evaluation.subject import specification_of
from host.metrics import simulated
from host.metrics.scoring import Network, Scored, int8_network
from host.metrics.streams import Stream
from tests import tone_words

SHORT = ["--seeds", "1", "--minutes", "1", "--keywords", "8", "--others", "8", "--hours", "0.05"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_words.write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tones.tflite"
    path.write_bytes(tone_words.model())
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "tones-cache"))


def run(model: Path, *arguments: object) -> dict:
    out = model.with_name("result.json")
    assert cli.run(evaluate.main, [str(model), "--json", str(out), *map(str, arguments)]) == 0
    return json.loads(out.read_text())


def test_clips_curves_and_errors(model: Path, dataset: Path, tmp_path: Path) -> None:
    result = run(model, "--dataset", dataset, "--split", "all", "--output-dir", tmp_path / "out")
    assert result["samples"] == result["clips_in_split"] == 36
    assert result["accuracy"] == 1.0 and result["intervals"]["accuracy"][0] < 0.95
    assert result["curves"]["on"]["auc"] == 1.0 and result["curves"]["on"]["targets"] == 9
    assert (result["name"], result["arithmetic"], result["target"]) == ("tones", "int8", "pc")
    assert (tmp_path / "out" / "errors.csv").read_text().count("\n") == 1  # the heading
    # The same clips under wrong names: each is an error, and the list says which file to listen to.
    wrong = tmp_path / "wrong"
    shutil.copytree(dataset / "off", wrong / "on")
    shutil.copytree(dataset / "tree", wrong / "tree")
    result = run(model, "--dataset", wrong, "--split", "all", "--output-dir", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "errors.csv").open()))
    assert len(rows) == 9 and result["class_accuracy"]["on"] == 0.0
    assert {(row["is"], row["heard_as"]) for row in rows} == {("on", "off")}
    assert all(Path(row["file"]).is_file() and row["clip"].startswith("on/") for row in rows)
    scores = [int(row["score_off"]) for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_fewer_clips_on_request(model: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(model, "--dataset", dataset, "--split", "all", "--limit", 8)
    assert (result["samples"], result["clips_in_split"]) == (8, 36)
    assert set(result["class_samples"].values()) == {2}
    assert "8 of 36 clips" in capsys.readouterr().out


def test_streams_are_heard_and_the_same_each_time(model: Path, dataset: Path) -> None:
    figures = run(model, "--dataset", dataset, "--stream", *SHORT)["streaming"]
    assert figures["keywords"]["spoken"] == 8 and figures["keywords"]["hits"] >= 7
    assert figures["background"]["hours"] == pytest.approx(0.05)
    assert len(figures["keywords"]["streams"][0]["detections"]) >= 7
    assert run(model, "--dataset", dataset, "--stream", *SHORT)["streaming"] == figures
    # Deaf above every score: all are missed, and it says which.
    model.write_bytes(tone_words.model(detection_threshold=255))
    deaf = run(model, "--dataset", dataset, "--stream", *SHORT)["streaming"]
    assert deaf["keywords"]["false_rejects"] == 8 and deaf["background"]["false_accepts"] == 0
    assert len(deaf["keywords"]["streams"][0]["missed"]) == 8


def test_streams_of_a_dataset_without_other_words(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    shutil.rmtree(data / "tree")
    arguments = ["--dataset", data, "--stream", "--seeds", 1, "--minutes", 1, "--keywords", 4, "--hours", 0.1]
    assert cli.run(evaluate.main, [str(model), *map(str, arguments)]) == 2
    assert "no clip of other words to make a stream of (--others 0" in capsys.readouterr().err
    found = run(model, *arguments, "--others", 0)["streaming"]
    assert found["keywords"]["spoken"] == 4 and found["background"]["hours"] == pytest.approx(0.1)


def test_a_suggestion_is_written_only_if_asked(model: Path, dataset: Path) -> None:
    model.write_bytes(tone_words.model(detection_threshold=255))
    before = model.read_bytes()
    arguments = ["--dataset", dataset, "--suggest", *SHORT]
    result = run(model, *arguments)
    assert model.read_bytes() == before and result["suggested"]["feasible"]
    assert result["streaming"]["keywords"]["hits"] == 0
    assert result["suggested"]["judged_on"]["keywords"]["hits"] >= 7
    assert (result["suggested"]["found_on"]["split"], result["suggested"]["judged_on"]["split"]) == (
        "validation", "testing",
    )  # fmt: skip
    again = run(model, *arguments, "--write")
    written = read_parameters(model.read_bytes())
    assert again["suggested"]["parameters"].items() <= dict(written).items()
    assert written["detection_threshold"] < 255 and written["fe.sample_rate_hz"] == 8000
    # What is written is what was judged.
    after = run(model, "--dataset", dataset, "--stream", *SHORT)["streaming"]
    assert after["keywords"] == again["suggested"]["judged_on"]["keywords"]


def test_nothing_is_written_where_nothing_is_good_enough(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A network that hears "on" in everything.
    model.write_bytes(always_on())
    before = model.read_bytes()
    arguments = [str(model), "--dataset", str(dataset), "--suggest", "--write", *SHORT]
    assert cli.run(evaluate.main, arguments) == 2
    shown = capsys.readouterr()
    assert model.read_bytes() == before
    assert "was not changed" in shown.err and "NOT within the limits" in shown.out
    assert "keeps to 0.5 false accepts an hour" in shown.out
    assert "a higher --false-accepts" in shown.err
    # Whatever is allowed without keywords, where they are said another limit holds.
    assert cli.run(evaluate.main, [*arguments, "--false-accepts", "100000"]) == 2
    shown = capsys.readouterr()
    assert "without keywords and 6 with: " in shown.err and "--false-accepts" not in shown.err


def test_a_suggestion_that_hears_no_keyword_says_so(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As a model says it that has learnt nothing: no class is ever above a threshold.
    model.write_bytes(always_on(12))
    report = tmp_path / "report.html"
    arguments = [str(model), "--dataset", str(dataset), "--suggest", *SHORT, "--report", str(report)]
    assert cli.run(evaluate.main, arguments) == 0
    shown = capsys.readouterr().out
    assert "it hears no keyword at all" in shown and "NOT within" not in shown
    assert "it hears no keyword at all" in report.read_text()
    # What it keeps to is said: with keywords there is a limit that no option moves.
    allowed = "t most 0.5 false accepts an hour without keywords and 6 with were asked for"
    assert allowed in shown and allowed in report.read_text()


def always_on(more: int = 254) -> bytes:
    """A model whose output does not depend on its input: "on" is above the others by ``more`` steps."""
    from codegen.parameters import write_parameters
    from tests.tflite_builder import NetworkBuilder

    frames, channels = tone_words.FRONTEND.frames, tone_words.FRONTEND.channels
    n = NetworkBuilder()
    x = n.tensor((1, frames * channels), scale=1.0)
    w = n.tensor((4, frames * channels), scale=0.1, data=np.zeros((4, frames * channels)))
    b = n.tensor((4,), "int32", scale=0.1, data=np.array([127, *[127 - more] * 3]))
    y = n.tensor((1, 4), scale=0.1)
    out = n.tensor((1, 4), scale=1 / 256, zero_point=-128)
    n.operator("FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions")
    n.operator("SOFTMAX", [y], [out], "SoftmaxOptions", beta=1.0)
    values = {**read_parameters(tone_words.model()), "name": "always"}
    return write_parameters(n.build([x], [out]), values)


def test_recordings(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(7)
    silence = [tone_words.say("_silence_", rng)] * 2
    audio = np.concatenate(
        [*silence, tone_words.say("on", rng), *silence, tone_words.say("off", rng), *silence]
    )
    soundfile.write(tmp_path / "take.wav", audio, 8000)
    (tmp_path / "take.txt").write_text("2.2\t2.9\ton\n6.0\t6.9\ton\n")
    found = run(model, "--audio", tmp_path / "take.wav", "--labels", tmp_path / "take.txt")["recordings"][0]
    assert (found["spoken"], found["hits"], found["false_accepts"]) == (2, 1, 1)
    assert [(d["label"], d["verdict"]) for d in found["detections"]] == [
        ("on", "hit"),
        ("off", "false accept"),
    ]
    assert found["missed"] == [{"label": "on", "start_ms": 6000, "end_ms": 7150}]
    out = capsys.readouterr().out
    assert "hit: on" in out and "missed: on" in out and "false accept: off" in out
    # Before the network's first window is full, nothing is heard.
    soundfile.write(tmp_path / "short.wav", audio[:4000], 8000)
    found = run(model, "--audio", tmp_path / "short.wav")["recordings"][0]
    assert (found["spoken"], found["detections"]) == (0, [])
    # Without labels, whatever is heard was not said.
    found = run(model, "--audio", tmp_path / "take.wav")["recordings"][0]
    assert (found["spoken"], found["false_accepts"]) == (0, 2)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize("accelerator", ["none", pytest.param("mvp", marks=pytest.mark.slow)])
def test_in_the_simulated_image(model: Path, dataset: Path, tmp_path: Path, accelerator: str) -> None:
    arguments = ["--dataset", dataset, "--simulate", "-a", accelerator, "--limit", 6]
    if accelerator == "none":
        arguments += ["--stream", "--seconds", 4, *SHORT]
    result = run(model, *arguments)
    assert result["simulated"] == {"board": "brd2601b", "clips": 6, "of": 12, "equal_to_pc": 6}
    assert result["target"] == "simulator" and result["samples"] == 6
    if accelerator == "none":
        assert result["streaming"]["keywords"]["equal_to_pc"] is True
        assert result["streaming"]["keywords"]["hours"] == pytest.approx(4 / 3600, rel=1e-3)
        assert result["streaming"]["simulated_seconds"] == pytest.approx(4, rel=1e-3)


@pytest.fixture
def without_image(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PC stands in for the image: it hears no word of a stream."""

    def hear(where: object, pipeline: object, stream: Stream) -> simulated.Heard:
        nothing = np.zeros((0, 4), np.uint8), np.zeros(0, np.int64)
        scored = Scored(stream.name, *nothing, stream.spoken, len(stream.audio) // 8)
        return simulated.Heard(scored, (), True)

    monkeypatch.setattr(simulated, "booted", lambda *_: nullcontext(object()))
    monkeypatch.setattr(simulated, "network", lambda *_: int8_network(model.read_bytes()))
    monkeypatch.setattr(simulated, "hear", hear)


@pytest.mark.usefixtures("without_image")
def test_a_simulated_stream_is_as_long_as_it_says(model: Path, dataset: Path) -> None:
    length = ["--minutes", 0.2, "--keywords", 2, "--others", 2]
    wanted = ["--dataset", dataset, "--simulate", "--stream", *length]
    whole = run(model, *wanted, "--seconds", 60)["streaming"]
    assert whole["simulated_seconds"] == 12 and whole["keywords"]["spoken"] == 2
    assert run(model, *wanted, "--seconds", 3)["streaming"]["simulated_seconds"] == 3


@pytest.mark.usefixtures("without_image")
def test_a_simulated_stream_that_cannot_be_made_is_refused(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that is not simulated is: with a line, not a traceback, and not as one that lacks a keyword."""
    shutil.copytree(dataset, tmp_path / "data")
    for speaker in (3, 4, 5):  # those of the validation split
        (tmp_path / "data" / "off" / f"s{speaker}_nohash_0.wav").unlink()
    arguments = [str(model), "--dataset", str(tmp_path / "data"), "--simulate", "--stream"]
    assert cli.run(evaluate.main, [*arguments, "--minutes", "1", "--keywords", "80"]) == 2
    assert "do not fit in 1 minutes" in capsys.readouterr().err
    assert cli.run(evaluate.main, [*arguments, "--split", "validation"]) == 2
    assert "the validation split has no clip of off" in capsys.readouterr().err
    arguments.remove("--simulate")  # a suggestion is found on the validation split, whatever --split says
    assert cli.run(evaluate.main, [*arguments, *SHORT, "--split", "all", "--suggest"]) == 2
    assert "the validation split has no clip of off" in (said := capsys.readouterr().err)
    assert "host.dataset check counts the clips by split" in said


def test_a_split_without_a_clip_of_a_class_is_named(model: Path, dataset: Path) -> None:
    found = folder.scan(dataset)
    learnt = tuple(clip for clip in found.clips if clip.split == "training")
    audio = np.random.default_rng(1).integers(-90, 90, (len(learnt), 8000)).astype(np.int16)
    store = Store(learnt, audio, (), (), "key")
    spec = specification_of(model.read_bytes(), "m")
    whole = clips.load(spec, store, "training")
    assert len(whole) == whole.of == len(learnt)
    few = clips.load(spec, store, "training", 3)
    at = [0, len(learnt) // 2, len(learnt) - 1]
    assert few.of == len(learnt) and few.names == tuple(learnt[i].name for i in at)
    np.testing.assert_array_equal(few.labels, whole.labels[at])
    np.testing.assert_array_equal(few.features, whole.features[at])
    assert len(np.unique(whole.features, axis=0)) == len(learnt)
    with pytest.raises(TokayError, match="the testing split has no clip of the model's classes"):
        clips.load(spec, store, "testing")


def test_arithmetics_are_compared_with_the_first_clip_by_clip() -> None:
    labels, features = np.array([0, 1, 1, 2]), np.zeros((4, 1, 1), np.int8)
    made = Clips("testing", ("",) * 4, ("",) * 4, labels, features, 4)
    exact = np.array([[200, 30, 26], [0, 255, 1], [90, 80, 86], [10, 20, 226]], np.uint8)
    other = np.array([[190, 40, 26], [0, 255, 1], [85, 85, 86], [10, 20, 226]], np.uint8)
    networks = [("float", Network(lambda x: exact)), ("int8", Network(lambda x: other))]
    first, second = gap(made, networks, ("on", "off", "_u_"))
    assert (first["arithmetic"], first["same_decision"], first["largest_score_difference"]) == (
        "float",
        1.0,
        0,
    )
    assert (second["compared_with"], second["same_decision"], second["largest_score_difference"]) == (
        "float", 0.75, 10,
    )  # fmt: skip
    assert (first["accuracy"], second["accuracy"]) == (0.75, 0.75)
    assert second["class_accuracy"] == {"on": 1.0, "off": 0.5, "_u_": 1.0}


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
@pytest.mark.xdist_group("tensorflow")
def test_the_gap_between_arithmetics(model: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run(model, "--dataset", dataset, "--gap")["gap"]
    assert [row["arithmetic"] for row in rows] == [
        "int8",
        "mvp",
    ] and "float is left out" in capsys.readouterr().out

    from host.training import backend

    keras = backend.import_keras(0)
    w, bias = tone_words.weights()
    frames, channels = tone_words.FRONTEND.frames, tone_words.FRONTEND.channels
    network = keras.Sequential(
        [
            keras.Input((frames, channels, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    network.set_weights([np.tile(w / frames, (1, frames)).T, bias])
    network.save(model.with_suffix(".keras"))
    rows = run(model, "--dataset", dataset, "--gap")["gap"]
    assert [row["arithmetic"] for row in rows] == ["float", "int8", "mvp"]
    assert all(row["same_decision"] == 1.0 and row["samples"] == 12 for row in rows)
    assert rows[0]["largest_score_difference"] == 0 < rows[1]["largest_score_difference"] < 30


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
@pytest.mark.xdist_group("tensorflow")
@pytest.mark.parametrize("kind", ["lambda", "own"])
def test_a_layer_that_keras_cannot_make_again_is_told(
    model: Path, dataset: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    from host.training import backend

    layers = (keras := backend.import_keras(0)).layers

    class Own(layers.Layer):
        def call(self, x: object) -> object:
            return x

    layer = layers.Lambda(lambda x: 2 * x) if kind == "lambda" else Own()
    inputs = keras.Input((tone_words.FRONTEND.frames, tone_words.FRONTEND.channels, 1))
    keras.Model(inputs, layers.Dense(4)(layers.Flatten()(layer(inputs)))).save(model.with_suffix(".keras"))
    assert cli.run(evaluate.main, [str(model), "--dataset", str(dataset), "--gap"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "one is a Lambda, or of a class of your own" in said and "safe_mode" not in said


def test_what_a_suggestion_cannot_be_written_into_is_refused_at_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a clip is looked for."""
    path = tmp_path / "tones.mltk.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(model, model.name)
    arguments = [str(path), "--dataset", str(tmp_path / "absent"), "--suggest", "--write"]
    assert cli.run(evaluate.main, arguments) == 2
    said = capsys.readouterr().err
    assert "tones.mltk.zip is not a .tflite: nothing was written (host.update_params" in said


class _Page(HTMLParser):
    """Checks that tags are closed in order; collects what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{k}={v}" for k, v in attrs if k in ("src", "href", "data")] + [tag] * (
            tag == "script"
        )
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_page(model: Path, dataset: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a&b.wav", tone_words.say("on", np.random.default_rng(1)).repeat(3), 8000)
    arguments = ["--dataset", dataset, "--suggest", *SHORT, "--audio", tmp_path / "a&b.wav"]
    result = run(model, *arguments, "--report", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.open == [] and page.loads == []
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    for plot in plots:
        root = ElementTree.fromstring(plot)
        width, height = float(root.get("width", 0)), float(root.get("height", 0))
        for shape in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(shape.get("cx", -1)) <= width and 0 <= float(shape.get("cy", -1)) <= height
        for shape in root.iter("{http://www.w3.org/2000/svg}polyline"):
            values = [float(v) for v in re.split("[ ,]", shape.get("points", ""))]
            assert all(np.isfinite(values)) and max(values[::2]) <= width and max(values[1::2]) <= height
    # Confusion, ROC, DET, two histograms, timelines as found and as suggested, the sweep, the recording.
    assert len(plots) == 9
    hits = sum(d["verdict"] == "hit" for d in result["streaming"]["keywords"]["streams"][0]["detections"])
    timeline = next(plot for plot in plots if "missed" in plot and "seconds" in plot)
    assert timeline.count("<circle") >= hits > 0
    assert "a&amp;b.wav" in text and "Suggested operating point" in text


@pytest.mark.parametrize("minutes", [3, 1])
def test_the_sweep_of_a_short_background_without_false_accepts(
    model: Path, dataset: Path, minutes: int
) -> None:
    """Half a false accept in it is 10 an hour and more, where the axis used to end."""
    from host.report import page

    result = run(model, "--dataset", dataset, "--suggest", *SHORT[:-1], minutes / 60)
    for point in result["suggested"]["sweep"]:
        point["background_false_accepts_per_hour"] = 0.0
    result["suggested"]["found_on"]["background_false_accepts_per_hour"] = 0.0
    plots = re.findall(r"<svg.*?</svg>", page.html(result), re.DOTALL)
    [sweep] = [plot for plot in plots if "false accepts an hour" in plot]
    lines = re.findall(r'<polyline points="([^"]*)"', sweep)
    places = {float(point.split(",")[0]) for line in lines for point in line.split()}
    assert places == {62.0}  # the left edge, as the axis says


def test_a_suggestion_without_hours_of_background(model: Path, dataset: Path, tmp_path: Path) -> None:
    arguments = ["--dataset", dataset, "--suggest", *SHORT[:-1], 0, "--report", tmp_path / "report.html"]
    run(model, *arguments)
    text = (tmp_path / "report.html").read_text()
    assert "Suggested operating point" in text and "false accepts an hour (none" not in text


def test_the_report_says_where_an_image_heard_something_else(model: Path, tmp_path: Path) -> None:
    from host.report import page

    soundfile.write(tmp_path / "a&b.wav", tone_words.say("on", np.random.default_rng(1)), 8000)
    result = run(model, "--audio", tmp_path / "a&b.wav")
    assert "as the PC" not in page.html(result)  # it is the PC
    for equal, said in ((True, "<p>a&amp;b.wav: the image heard the"), (False, "the image did NOT hear the")):
        result["recordings"][0]["equal_to_pc"] = equal
        assert f"{said} same as the PC." in page.html(result)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--write"], "--suggest"),
        (["--labels", "x.txt"], "recordings"),
        (["--audio", "a.wav", "b.wav", "--labels", "x.txt"], "2 recordings and 1 label"),
        (["--seeds", "0"], "--seeds"), (["--keywords", "-1"], "--keywords"), (["--limit", "0"], "--limit"),
        (["--minutes", "0"], "--minutes"), (["--hours", "-1"], "--hours"), (["--hours", "nan"], "--hours"),
        (["--seconds", "0"], "--seconds"), (["--seconds", "inf"], "--seconds"),
        (["--snr", "20", "10"], "--snr"), (["--snr", "10"], "--snr"),
        (["--false-accepts", "-1"], "--false-accepts"),
        (["--simulate", "--suggest"], "--simulate"), (["--float", "--gap"], "not allowed"),
        (["--float", "--accelerator", "mvp"], "accelerator"), (["--audio", "/nowhere.wav"], "nowhere.wav"),
        (["--stream", "--dataset", "/nowhere"], "/nowhere"),
        (["--simulate", "--board", "toaster", "--dataset", "."], "toaster"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(
    model: Path, arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(evaluate.main, [str(model), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and what in error


def test_a_keras_model_runs_in_no_image(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(evaluate.main, [str(model.with_suffix(".keras")), "--simulate"]) == 2
    assert capsys.readouterr().err == "error: --simulate runs an image, which is made of a .tflite\n"
