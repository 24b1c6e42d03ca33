"""The folder in which a training keeps its state: whole or refused, of one training alone."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.errors import TokayError
from host.specification import Mixup
from host.training import work
from host.training.work import State, Work
from tests.unit.small_training import loaded, needs_tensorflow, spec

pytestmark = pytest.mark.xdist_group("tensorflow")  # one process pays for the import


def test_state_to_bytes_and_back() -> None:
    state = State({"a": [np.arange(3.0), np.zeros((0, 2), np.int8)], "b": []}, {"x": 0.1})
    again = State.from_bytes(state.to_bytes())
    assert again.info == state.info and list(again.arrays) == ["a", "b"]
    for one, other in zip(again.arrays["a"], state.arrays["a"], strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_damaged_state_is_refused(tmp_path: Path, keep: int) -> None:
    with Work(tmp_path / "w") as work:
        work.save("classes", State({"a": [np.arange(100)]}, {}))
        path = tmp_path / "w" / "classes.state"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(TokayError, match=r"damaged.*\n?.*"):
            work.load("classes")


@pytest.mark.parametrize("bits", [1, 0xFF])
def test_a_state_with_a_wrong_byte_is_refused_or_read_as_it_was(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "classes.state"
    with Work(tmp_path) as work:
        work.save("classes", State({"a": [np.arange(3.0)]}, {"x": 0.1}))
        whole = path.read_bytes()
        for i in range(len(whole)):
            path.write_bytes(whole[:i] + bytes([whole[i] ^ bits]) + whole[i + 1 :])
            try:
                read = work.load("classes")
            except TokayError as error:
                assert "damaged" in str(error)
                continue
            assert read is not None and read.info == {"x": 0.1}
            assert np.array_equal(read.arrays["a"][0], np.arange(3.0))


def test_one_training_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with Work(tmp_path / "w"), pytest.raises(TokayError, match="already"):
        Work(tmp_path / "w")
    with Work(tmp_path / "w") as work:  # once it is through
        work.save("classes", State())
        with pytest.raises(TokayError, match="already"):
            Work(tmp_path / "w", fresh=True)
        assert work.load("classes") == State()
    with Work(tmp_path / "w", fresh=True) as work:
        assert work.load("classes") is None


def test_a_full_disk_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Work(tmp_path / "w") as work:
        work.save("classes", State({}, {"epoch": 1}))
        real = os.fdopen

        def full(descriptor: int, *mode: Any) -> Any:
            stream = real(descriptor, *mode)

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *error: object) -> None:
                    stream.close()

                def write(self, data: bytes) -> int:
                    stream.write(data[: len(data) // 2])
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            return Full()

        monkeypatch.setattr(os, "fdopen", full)
        with pytest.raises(TokayError, match="No space left"):
            work.save("classes", State({}, {"epoch": 2}))
        monkeypatch.undo()
        assert work.load("classes") == State({}, {"epoch": 1})
        assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["classes.state", "lock"]


@needs_tensorflow
def test_a_state_is_of_one_training_alone() -> None:
    """Of its data, its seed and its specification, each part of it."""
    plain = loaded(spec())
    key = work.key(plain, "data", 1)
    assert key == work.key(loaded(spec()), "data", 1)
    others = [
        work.key(plain, "data", 2), work.key(plain, "other", 1),
        *(
            work.key(loaded(spec(**change)), "data", 1)
            for change in (
                {"classes": ("on", "off", "_silence_", "_unknown_")}, {"mixup": Mixup(0.1)},
                {"schedule": dataclasses.replace(spec().schedule, averaging=0.91)}, {"input_scale": 1 / 32},
            )
        ),
    ]  # fmt: skip
    assert len({key, *others}) == 7


@needs_tensorflow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's sched_setaffinity")
def test_a_state_is_of_as_many_cores() -> None:
    """TensorFlow uses those that the process may use, not those that there are, and its sums differ."""
    cores = os.sched_getaffinity(0)
    if len(cores) == 1:
        pytest.skip("there is only one core")
    key = work.key(loaded(spec()), "data", 1)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert work.key(loaded(spec()), "data", 1) != key
    finally:
        os.sched_setaffinity(0, cores)


def test_what_an_end_leaves_of_the_work_folder(tmp_path: Path) -> None:
    """A kill leaves all, --fresh takes all away, the end of a training what it went on from."""
    folder = tmp_path / "w"
    state = State({"weights": [np.arange(3.0)]}, {"epoch": 1})
    with Work(folder) as work:
        work.save("classes", state)
        work.write("classes.csv", "number\n1\n")
    with Work(folder) as work:
        found = work.load("classes")
        assert found is not None and np.array_equal(found.arrays["weights"][0], np.arange(3.0))
    with Work(folder, fresh=True) as work:
        assert [path.name for path in folder.iterdir()] == ["lock"]
        work.save("classes", state)
        work.write("classes.csv", "number\n1\n")
        work.finish(keep_history=True)
    assert [path.name for path in folder.iterdir()] == ["classes.csv"]
    with Work(folder) as work:
        work.save("classes", state)
        work.finish(keep_history=False)
    assert not folder.exists()


def test_a_work_folder_that_cannot_be_written_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokayError, match=r"cannot write the work folder .*file/w: Not a directory") as found:
        Work(tmp_path / "file" / "w")
    assert found.value.hint == "--work names another place"
