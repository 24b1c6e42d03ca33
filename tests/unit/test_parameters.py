"""Model parameters: every type survives a round trip, the vendor's files too, and damage is reported."""

from __future__ import annotations

import io
import math
import random
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen import parameters
from codegen.errors import TokayError
from codegen.parameters import Parameters, dictionary_bytes, infer_type, read_parameters, write_parameters
from tests.places import SHARED

VENDOR_MODELS = sorted((SHARED / "models").glob("*.tflite"))

ONE_OF_EACH = {
    "bool": True, "i8": -5, "u8": 200, "i16": -300, "u16": 60000, "i32": -70000, "u32": 1 << 31,
    "i64": -(1 << 40), "u64": 1 << 63, "f32": 0.25, "f64": 0.1, "str": "gecko é", "str_list": ["on", "_x_"],
    "int32_list": [-1, 0, 7], "float_list": [0.5, -2.0], "bin": b"\x00\xff",
}  # fmt: skip


def tiny_model() -> bytes:
    """A .tflite with one buffer of weights and no network around it."""
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version, model.description = 3, b"tiny"
    weights = schema.BufferT()
    weights.data = np.arange(37, dtype=np.uint8)
    model.buffers = [schema.BufferT(), weights]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def buffer_places(tflite: bytes) -> list[tuple[int, bytes]]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(tflite, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    return [(b._tab.Vector(b._tab.Offset(4)), b.DataAsNumpy().tobytes()) for b in buffers if b.DataLength()]


def test_every_type_round_trips() -> None:
    params = Parameters(ONE_OF_EACH, {key: key for key in ONE_OF_EACH})
    back = read_parameters(write_parameters(tiny_model(), params))
    assert back == ONE_OF_EACH
    assert back.types == params.types
    assert list(back) == list(ONE_OF_EACH)


def test_no_parameters_is_empty() -> None:
    assert read_parameters(tiny_model()) == {}


@pytest.mark.parametrize("type_name", ["u8", "f32", "f64", "bool"])
def test_zero_keeps_its_type(type_name: str) -> None:
    zero = {"u8": 0, "bool": False}.get(type_name, 0.0)
    back = read_parameters(write_parameters(tiny_model(), Parameters({"k": zero}, {"k": type_name})))
    assert back == {"k": zero} and back.types == {"k": type_name} and type(back["k"]) is type(zero)


def test_plain_dict_keeps_the_stored_types() -> None:
    model = write_parameters(tiny_model(), Parameters({"a": 1, "b": 1}, {"a": "i64", "b": "u8"}))
    back = read_parameters(write_parameters(model, {"a": 2, "b": 300, "c": 1.5}))
    assert back == {"a": 2, "b": 300, "c": 1.5}
    assert back.types == {"a": "i64", "b": "u16", "c": "f32"}  # 300 needed a wider type


@pytest.mark.parametrize(
    ("value", "type_name"),
    [(0, "u8"), (255, "u8"), (256, "u16"), (-1, "i8"), (-129, "i16"), (65536, "i32"), (1 << 31, "u32"),
     (1 << 33, "i64"), (1 << 63, "u64"), (True, "bool"), ("", "str"), (["a"], "str_list"),
     ([1, 2.5], "float_list")],
)  # fmt: skip
def test_inferred_types(value: object, type_name: str) -> None:
    assert infer_type("k", value) == type_name  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "type_name"),
    [(256, "u8"), (-1, "u32"), (True, "u8"), (1, "bool"), ("x", "f32"), (1e39, "f32"),
     ([1 << 31], "int32_list"), ("ab", "str_list"), (None, "str"), (1, "u128")],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(value: object, type_name: str) -> None:
    with pytest.raises(TokayError, match="k"):
        dictionary_bytes({"k": value}, {"k": type_name})  # type: ignore[dict-item]


def test_no_more_parameters_are_written_than_are_read() -> None:
    most = {f"p{k}": k for k in range(1024)}
    assert read_parameters(write_parameters(tiny_model(), most)) == most
    with pytest.raises(TokayError, match="1,025 parameters are too many"):
        write_parameters(tiny_model(), most | {"more": 1})


def test_weights_stay_and_are_aligned() -> None:
    model = write_parameters(tiny_model(), {"name": "x" * 100})
    places = buffer_places(model)
    assert bytes(range(37)) in [data for _, data in places]
    assert all(offset % 16 == 0 for offset, _ in places)
    assert write_parameters(model, read_parameters(model)) == model


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_behind_the_model_stay(kind: int) -> None:
    """As TensorFlow Lite's metadata writer puts labels there."""
    labels = "on\noff\n" * 50
    file = io.BytesIO(tiny_model())
    with zipfile.ZipFile(file, "a", kind) as archive:
        archive.writestr("labels.txt", labels)
        archive.comment = b"by hand"
    model = write_parameters(file.getvalue(), {"name": "x" * 100})
    assert read_parameters(model) == {"name": "x" * 100}
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.testzip() is None and archive.comment == b"by hand"
        assert archive.read("labels.txt").decode() == labels
        alone = write_parameters(tiny_model(), {"name": "x" * 100})
        assert archive.getinfo("labels.txt").header_offset == len(alone)
    assert write_parameters(model, read_parameters(model)) == model


@pytest.mark.parametrize(
    "kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damaged_files_behind_the_model_are_not_dropped(kind: int) -> None:
    file = io.BytesIO(tiny_model())
    with zipfile.ZipFile(file, "a", kind) as archive:
        archive.writestr("labels.txt", bytes(range(256)))
        entry = archive.getinfo("labels.txt")
    damaged = bytearray(file.getvalue())
    damaged[entry.header_offset + 40 + entry.compress_size // 2] ^= 0x55  # behind a header of 40 bytes
    with pytest.raises(TokayError, match="the files behind the model are damaged"):
        write_parameters(bytes(damaged), {"a": 1})


def test_description() -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = write_parameters(tiny_model(), {"a": 1}, description="says what it hears")
    assert schema.Model.GetRootAs(model, 0).Description() == b"says what it hears"


@pytest.mark.skipif(not VENDOR_MODELS, reason="the vendor's models are not here (TOKAY_SHARED)")
@pytest.mark.parametrize("path", VENDOR_MODELS, ids=lambda p: p.stem)
def test_vendor_files_round_trip(path: Path) -> None:
    tflite = path.read_bytes()
    params = read_parameters(tflite)
    assert params["classes"] and params["name"]
    written = write_parameters(tflite, params)
    back = read_parameters(written)
    assert back == params and back.types == params.types and list(back) == list(params)
    assert all(offset % 16 == 0 for offset, _ in buffer_places(written))
    before, after = ({data for _, data in buffer_places(t)} for t in (tflite, written))
    assert len(before ^ after) <= 2  # only the dictionary itself is laid out anew


values = st.one_of(
    st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(width=32, allow_nan=False), st.text(),
    st.binary(max_size=40), st.lists(st.text(), min_size=1, max_size=5),
    st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=20), values, max_size=8))
def test_random_dictionaries_round_trip(params: dict) -> None:
    assert read_parameters(write_parameters(tiny_model(), params)) == params


def test_damage_is_an_error_or_harmless() -> None:
    model = write_parameters(tiny_model(), ONE_OF_EACH)
    rng = random.Random(1)
    errors = 0
    for _ in range(3000):
        damaged = bytearray(model)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        try:
            read_parameters(bytes(damaged))
        except TokayError as error:
            errors += 1
            assert "damaged" in str(error)
    assert errors > 100


def test_parameters_of_another_schema_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(parameters, "SCHEMA_VERSION", parameters.SCHEMA_VERSION + 1)
        model = write_parameters(tiny_model(), {"a": 1})
    with pytest.raises(TokayError, match="its schema version is 2, not 1"):
        read_parameters(model)


@pytest.mark.parametrize("length", [0, 3, 7, 8, 20, 100])
def test_truncated_files(length: int) -> None:
    with pytest.raises(TokayError):
        read_parameters(write_parameters(tiny_model(), ONE_OF_EACH)[:length])


def test_damaged_model_is_not_rewritten() -> None:
    model = bytearray(write_parameters(tiny_model(), ONE_OF_EACH))
    struct.pack_into("<I", model, 0, len(model) - 2)
    with pytest.raises(TokayError):
        write_parameters(bytes(model), {"a": 1})


def test_infinity_and_nan_are_stored() -> None:
    back = read_parameters(write_parameters(tiny_model(), {"inf": math.inf, "nan": math.nan}))
    assert back["inf"] == math.inf and math.isnan(back["nan"])  # type: ignore[arg-type]
