"""The front end as images run it: generated C, cross-compiled for the Cortex-M33 (with and without its
DSP instructions) and run in the simulator, and compiled for the PC under the sanitizers. All give the
bits of the PC's library; the instructions of a step are pinned.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codegen.frontend import FrontendSettings, emit_c
from host.features import Frontend
from host.simulator.machine import Machine
from tests.places import ROOT
from tests.sounds import ROOTS, roots_of_65536

SOURCES = ROOT / "firmware" / "frontend"
UNITS = ("frontend", "window", "fft", "filterbank", "noise_reduction", "pcan", "log_scale", "quantize")
M33 = ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-sign-conversion", f"-I{SOURCES}")
FLASH, RAM = 0x08000000, 0x20000000

SEED = {
    "sample_rate_hz": 8000, "window_size_ms": 30, "window_step_ms": 20, "filterbank_upper_band_limit": 3999.0,
    "filterbank_lower_band_limit": 100.0, "noise_reduction_enable": True, "noise_reduction_smoothing_bits": 5,
    "noise_reduction_even_smoothing": 0.004, "noise_reduction_odd_smoothing": 0.004,
}  # fmt: skip
VARIANTS = {
    "seed": SEED,
    "16k": SEED | {"sample_rate_hz": 16000},
    "linear": SEED | {"log_scale_enable": False},
    "pcan": SEED | {"pcan_enable": True},
    "quiet": SEED | {"noise_reduction_enable": False},
    "extras": SEED | {"dc_notch_filter_enable": True, "activity_detection_enable": True,
                      "quantize_dynamic_scale_enable": True},
    "odd": {"sample_rate_hz": 11025, "window_size_ms": 25, "window_step_ms": 7, "filterbank_n_channels": 13,
            "filterbank_upper_band_limit": 5000.0, "noise_reduction_enable": True, "pcan_enable": True},
    "tied": {"sample_rate_hz": 8000, "filterbank_n_channels": 28, "filterbank_upper_band_limit": 3400.0},
    "half-band": {"sample_rate_hz": 16000, "filterbank_upper_band_limit": 2000.0,
                  "filterbank_n_channels": 60},
    "upper-band": {"sample_rate_hz": 8000, "filterbank_lower_band_limit": 2600.0,
                   "filterbank_upper_band_limit": 3900.0, "filterbank_n_channels": 9},
    "tiny": {"sample_rate_hz": 8000, "window_size_ms": 1, "window_step_ms": 1, "filterbank_n_channels": 2,
             "filterbank_lower_band_limit": 0.0, "filterbank_upper_band_limit": 3000.0},
    "long": {"sample_rate_hz": 16000, "window_size_ms": 64, "window_step_ms": 64},
    # FFTs whose stages are all in the general loop, after blocks of 4 and of 8: of 64, 1024 and 32 points
    "short": {"sample_rate_hz": 8000, "window_size_ms": 16, "filterbank_upper_band_limit": 3900.0},
    "longer": {"sample_rate_hz": 16000, "window_size_ms": 100, "window_step_ms": 90},
    "shorter": {"sample_rate_hz": 8000, "window_size_ms": 7, "window_step_ms": 5,
                "filterbank_n_channels": 8, "filterbank_upper_band_limit": 3900.0},
}  # fmt: skip


def signal(samples: int) -> np.ndarray:
    """Quiet noise, loud noise, full scale, single minima, silence: what the shift and wrap paths see."""
    rng = np.random.default_rng(7)
    parts = np.array_split(np.arange(samples), 5)
    wave = np.zeros(samples)
    wave[parts[0]] = rng.normal(0, 30, len(parts[0]))
    wave[parts[1]] = rng.normal(0, 9000, len(parts[1]))
    wave[parts[2]] = rng.choice([-32768, 32767], len(parts[2]))
    wave[parts[3]] = np.where(rng.random(len(parts[3])) < 0.01, -32768, 0)
    return np.clip(np.round(wave), -32768, 32767).astype(np.int16)


def write_settings(s: FrontendSettings, folder: Path) -> Path:
    for name, text in emit_c(s).items():
        (folder / name).write_text(text)
    return folder / "frontend_settings.c"


def run(*command: object, stdin: bytes | None = None) -> bytes:
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


Link = Callable[[FrontendSettings, str], Machine]


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Link:
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return linker(compiler, tmp_path_factory.mktemp("m33"))


def linker(compiler: str, root: Path) -> Link:
    """What builds the image of some settings and a build ("dsp" or "plain") in `root` and loads it."""
    for build, define in (("dsp", ()), ("plain", ("-DFRONTEND_PLAIN_C",))):
        (root / build).mkdir()
        for unit in UNITS:
            target = root / build / f"{unit}.o"
            run(compiler, *FLAGS, *M33, *define, "-c", SOURCES / f"{unit}.c", "-o", target)

    def make(s: FrontendSettings, build: str) -> Machine:
        settings, image = write_settings(s, root), root / "image.elf"
        objects = [root / build / f"{unit}.o" for unit in UNITS]
        layout = f"-Wl,-Ttext={FLASH:#x},-Tdata={RAM:#x},-e,frontend_process"
        run(compiler, *FLAGS, *M33, f"-I{root}", settings, *objects, "-nostartfiles", layout, "-o", image)
        return Machine(image)

    return make


STATE, COLUMN, FEATURES, AUDIO, STACK = (RAM + page for page in (0, 0x18000, 0x19000, 0x20000, 0x40000))


def words(machine: Machine, address: int, dtype: type, count: int) -> np.ndarray:
    return np.frombuffer(machine.read(address, np.dtype(dtype).itemsize * count), dtype)


def columns(machine: Machine, s: FrontendSettings, audio: np.ndarray) -> np.ndarray:
    def call(function: str, *arguments: int) -> int:
        return machine.call(function, *arguments, stack=STACK).value

    config = machine.symbol("model_frontend_config")
    assert call("frontend_state_bytes", config) == s.state_bytes
    assert call("frontend_init", config, STATE, s.state_bytes - 1) == 0
    assert call("frontend_init", config, STATE + 4, s.state_bytes + 8) == 0
    assert call("frontend_init", config, STATE, s.state_bytes) == STATE
    machine.write(AUDIO, audio.tobytes())
    done, found = 0, []
    while done < len(audio):
        done += call("frontend_process", STATE, AUDIO + 2 * done, len(audio) - done, COLUMN)
        (address,) = words(machine, COLUMN, np.uint32, 1)
        if address:
            found.append(words(machine, int(address), np.uint16, s.channels))
    return np.array(found)


@pytest.mark.parametrize("build", ["dsp", "plain"])
@pytest.mark.parametrize("name", VARIANTS)
def test_m33_gives_the_pcs_bits(name: str, build: str, link: Link) -> None:
    s = FrontendSettings(**VARIANTS[name])
    audio = signal(max(40 * s.step_samples, 12000))
    machine = link(s, build)
    spectrogram = columns(machine, s, audio)
    np.testing.assert_array_equal(spectrogram, Frontend(s).spectrogram(audio))
    machine.write(AUDIO, spectrogram.tobytes())
    values = (AUDIO, spectrogram.size, FEATURES)
    if s.dynamic_range:
        config = machine.symbol("model_frontend_config")
        machine.call("frontend_quantize_dynamic", config, *values, stack=STACK)
    else:
        machine.call("frontend_quantize", *values, stack=STACK)
    features = words(machine, FEATURES, np.int8, spectrogram.size).reshape(spectrogram.shape)
    np.testing.assert_array_equal(features, Frontend(s).features(audio))


@pytest.mark.parametrize("build", ["dsp", "plain"])
def test_m33_roots_at_their_limits(build: str, link: Link) -> None:
    """Those that round to 17 bits, and, beside loud tones, small ones half-way between two integers."""
    s, angles = FrontendSettings(**ROOTS), np.linspace(0.1, 3, 40)[:, None] * np.arange(512)
    tones = np.round(20000 * np.sin(angles)).astype(np.int16).ravel()
    audio = np.concatenate([roots_of_65536(), tones])
    np.testing.assert_array_equal(columns(link(s, build), s, audio), Frontend(s).spectrogram(audio))


@pytest.mark.slow
def test_m33_random_settings(link: Link) -> None:
    rng = np.random.default_rng(11)
    for _ in range(60):
        rate, window = int(rng.integers(8000, 16001)), int(rng.integers(2, 65))
        reduce = bool(rng.integers(2))
        s = FrontendSettings(
            sample_rate_hz=rate,
            window_size_ms=window,
            window_step_ms=int(rng.integers(1, window + 1)),
            filterbank_n_channels=int(rng.integers(1, 100)),
            filterbank_lower_band_limit=float(rng.uniform(0, 400)),
            filterbank_upper_band_limit=float(rng.uniform(1500, rate / 2 - 700)),
            noise_reduction_enable=reduce,
            pcan_enable=reduce and bool(rng.integers(2)),
            log_scale_enable=bool(rng.integers(2)),
            dc_notch_filter_enable=bool(rng.integers(2)),
        )
        # Samples that the window flattens load the FFT most: its sums wrap, and must wrap alike.
        shape = 1 / np.maximum(np.hanning(s.window_samples + 2)[1:-1], 1 / 30)
        signs = rng.choice([-1.0, 1.0], (6, s.window_samples))
        audio = np.concatenate([signal(3000), (signs * shape * 1023).reshape(-1).astype(np.int16)])
        found = columns(link(s, "dsp"), s, audio)
        np.testing.assert_array_equal(found, Frontend(s).spectrogram(audio), err_msg=repr(s))


def step_cost(machine: Machine, s: FrontendSettings) -> tuple[int, int]:
    """Instructions and cycles of one step in the middle of loud noise, all samples of it at hand."""
    audio = np.random.default_rng(3).normal(0, 3000, s.window_samples + 3 * s.step_samples).astype(np.int16)
    columns(machine, s, audio[: -s.step_samples])
    machine.write(AUDIO, audio.tobytes())
    start = AUDIO + 2 * (len(audio) - s.step_samples)
    step = machine.call("frontend_process", STATE, start, s.step_samples, COLUMN, stack=STACK)
    assert step.value == s.step_samples and words(machine, COLUMN, np.uint32, 1)[0]
    return step.instructions, step.cycles


PINNED = {"dsp": 12992, "plain": 27711}  # instructions of a step, seed settings, GCC 12.2.1 at -O2


def test_m33_cost_of_a_step(link: Link) -> None:
    s = FrontendSettings(**SEED)
    found = {build: step_cost(link(s, build), s) for build in PINNED}
    for dsp, plain in zip(found["dsp"], found["plain"], strict=True):
        assert 0 < 2 * dsp <= plain
    if run("arm-none-eabi-gcc", "-dumpversion").decode().strip() == "12.2.1":
        assert {build: instructions for build, (instructions, _) in found.items()} == PINNED


@pytest.mark.parametrize("name", VARIANTS)
def test_sanitizers_find_nothing(
    name: str, tmp_path: Path, sanitized: Callable[[Path, Path], list[Path]]
) -> None:
    s = FrontendSettings(**VARIANTS[name])
    audio = signal(12000)
    expected = Frontend(s).spectrogram(audio)
    for program in sanitized(write_settings(s, tmp_path), tmp_path):
        spectrogram = np.frombuffer(run(program, stdin=audio.tobytes()), np.uint16).reshape(-1, s.channels)
        np.testing.assert_array_equal(spectrogram, expected, err_msg=program.name)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, Path], list[Path]]:
    """Builds the driver with AddressSanitizer and UBSan twice: with this PC's arithmetic, and with what an
    M33 without DSP has."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for this machine")
    root = tmp_path_factory.mktemp("sanitized")
    options = (*FLAGS, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    builds: dict[str, list[Path]] = {}
    for build, define in (("pc", ()), ("plain", ("-DFRONTEND_PLAIN_C",))):
        builds[build] = [root / f"{unit}-{build}.o" for unit in UNITS]
        for unit, target in zip(UNITS, builds[build], strict=True):
            run(compiler, *options, *define, "-c", SOURCES / f"{unit}.c", "-o", target)

    def make(settings: Path, folder: Path) -> list[Path]:
        driver, programs = Path(__file__).with_name("frontend_driver.c"), []
        for build, objects in builds.items():
            programs.append(folder / build)
            run(compiler, *options, f"-I{folder}", driver, settings, *objects, "-lm", "-o", programs[-1])
        return programs

    return make
