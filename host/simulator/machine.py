"""An EFR32MG24 in software: boots the image that ships, in virtual time.

    machine = Machine("tokay.elf", audio=samples)
    machine.run_until(b"ready", timeout_s=1.0)

The core is Unicorn, everything else is this folder's C. Time is virtual and deterministic: two machines
that are given the same do the same, to the cycle. Cycle counts are estimates (see core/cost.c);
instruction counts are exact.

Audio. The I2S receiver gets one sample of the array each frame (``mode="exact"``, the default), whatever
rate the firmware's dividers make of the one it wants: so results can be compared bit for bit with the
PC's. ``mode="linear"`` plays the array at its own ``sample_rate`` instead, as a sound in the room would be
heard.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from host import board as boards
from host.errors import TokayError
from host.memory_map import RAM_BASE, RAM_BYTES
from host.simulator import native
from host.simulator.image import Image, Symbol, read_image
from host.simulator.mvp import SILICON, timing_number

_LIMIT, _RETURNED, _FAULT, _ERROR, _BREAKPOINT = range(5)
_STOPS = ("limit", "limit", "fault", "stuck", "breakpoint")  # what debug_run says of each
_AUDIO_MODES = ("exact", "linear")
_PS = 10**12
_LONGEST_S = 10**7  # picoseconds have 64 bits
_UARTS, _PIN_PORTS = 2, "ABCD"
_SLICE_S = 0.001  # how often run_until looks


@dataclass(frozen=True)
class FaultReport:
    """What went wrong and where."""

    message: str
    pc: int
    function: str
    line: str
    address: int
    cfsr: int
    exception: int
    cycles: int

    def __str__(self) -> str:
        where = f" ({self.line})" if self.line else ""
        return f"{self.message} at pc=0x{self.pc:08x} in {self.function}{where}"


class SimulatorFault(TokayError):
    """The firmware faulted. Running on runs its fault handler."""

    def __init__(self, report: FaultReport) -> None:
        super().__init__(str(report))
        self.report = report
        self.pc, self.function, self.line = report.pc, report.function, report.line


class SimulatorError(SimulatorFault):
    """The firmware used something that is not modelled, or the core has locked up: no way on."""


@dataclass(frozen=True)
class Led:
    """A light-emitting diode of a board: what the firmware shows with it, and its pin."""

    use: str
    port: int
    pin: int
    active_low: bool


_LED_USES = ("detected", "activity", "fault")  # keys of [leds] in board.toml
_MICROPHONE_PINS = ("clock", "data", "word_select", "power")


def _leds(board: boards.Board) -> tuple[Led, ...]:
    section = board.sections["leds"]
    return tuple(Led(use, *boards.pin(section[use]), section["level_on"] == 0) for use in _LED_USES)


@dataclass(frozen=True)
class CallResult:
    """What a called function returned (r0, unsigned) and what it took."""

    value: int
    cycles: int
    instructions: int

    @property
    def signed(self) -> int:
        return self.value - (1 << 32) if self.value & 0x80000000 else self.value


def _check_uart(port: int) -> None:
    if not 0 <= port < _UARTS:
        raise TokayError(f"there is no EUSART{port}")


class _Closed:
    """Stands where a closed machine's functions were."""

    def __getattr__(self, name: str) -> object:
        raise TokayError("this machine has been closed")


class Machine:
    """One simulated chip with an image in its flash.

    ``audio`` is heard from power-on (``set_audio`` does more). ``board`` is a key of ``boards`` or the path
    of a board's folder. ``stop_on_fault`` False records faults in ``faults`` and goes on with the firmware's
    handler, instead of raising SimulatorFault. ``mvp_timing`` is the rule for the accelerator's memory,
    "ports" or "shared"; ``mvp`` False is a part without one. ``mvp_idle_lag`` is for how many cycles it stays
    busy after it said that a program is done, which no document tells. One thread at a time may use it.
    """

    def __init__(
        self,
        elf_path: Path | str | None = None,
        *,
        audio: np.ndarray | None = None,
        sample_rate: int = 16000,
        board: str = boards.DEFAULT,
        stop_on_fault: bool = True,
        mvp_timing: str = SILICON[0],
        mvp: bool = True,
        mvp_idle_lag: int = 0,
    ) -> None:
        description = boards.load(board)
        self._c: Any = native.functions()
        self._handle = native.create()
        self._finalizer = weakref.finalize(self, self._c.simulator_destroy, self._handle)
        self.board = board
        self._leds = _leds(description)
        self.stop_on_fault = stop_on_fault
        self.faults: list[FaultReport] = []
        self.image: Image | None = None
        self._uart: dict[int, list[tuple[int, float]]] = {}
        if description.has_microphone:
            section = description.sections["microphone"]
            pins = [number for name in _MICROPHONE_PINS for number in boards.pin(section[name])]
            wiring = native.Microphone((ctypes.c_uint32 * 8)(*pins))
            self._c.simulator_set_microphone(self._handle, ctypes.byref(wiring))
        self._c.simulator_set_mvp_timing(self._handle, timing_number(mvp_timing, SILICON))
        self._c.simulator_set_crystal(self._handle, description.sections["clocks"]["hfxo_hz"])
        self._c.simulator_set_mvp_idle_lag(self._handle, mvp_idle_lag)
        if not mvp:
            self._c.simulator_remove_mvp(self._handle)
        if elf_path is not None:
            self.load(elf_path)
        if audio is not None:
            self.set_audio(audio, sample_rate=sample_rate)

    def close(self) -> None:
        """Frees the machine's memory now rather than when it is collected."""
        self._finalizer()
        self._c = _Closed()

    # ---- image and memory ----

    def load(self, elf_path: Path | str) -> None:
        """Puts an image into flash (and RAM, where it has parts that live there) and resets."""
        image = read_image(elf_path)
        for segment in image.segments:
            if segment.data:
                try:
                    self.write(segment.stored, segment.data)
                except TokayError as error:
                    raise TokayError(f"{elf_path}: no memory at 0x{segment.stored:08x}") from error
        self.image = image
        self.reset()

    def reset(self) -> None:
        """Power-on reset: time, counters and audio start at zero, memory keeps what it holds."""
        self._c.simulator_reset(self._handle)
        self.faults.clear()
        for port in range(_UARTS):
            self._uart_fetch(port)
        self._uart.clear()

    def read(self, address: int, count: int) -> bytes:
        """Memory as a debugger sees it."""
        buffer = ctypes.create_string_buffer(count)
        if not self._c.simulator_read(self._handle, address, buffer, count):
            raise TokayError(f"no memory at 0x{address:08x}..0x{address + count:08x}")
        return buffer.raw

    def write(self, address: int, data: bytes) -> None:
        """Writes RAM or flash as a debugger does."""
        data = bytes(data)
        if not self._c.simulator_write(self._handle, address, data, len(data)):
            raise TokayError(f"no memory at 0x{address:08x}..0x{address + len(data):08x}")

    def symbol(self, name: str) -> int:
        """Address of a function (without the Thumb bit) or variable."""
        return self.symbol_info(name).address

    def symbol_info(self, name: str) -> Symbol:
        """A symbol with its size."""
        if self.image is None or name not in self.image.symbols:
            raise TokayError(f"the image has no symbol {name}")
        return self.image.symbols[name]

    def register(self, number: int) -> int:
        """r0..r15; 16 xPSR, 17 MSP, 18 PSP, 19 CONTROL, 20 PRIMASK, 21 BASEPRI, 22 FAULTMASK, 23 FPSCR;
        32 to 63 S0..S31, as bits."""
        return self._c.simulator_register(self._handle, number)

    def set_register(self, number: int, value: int) -> None:
        self._c.simulator_set_register(self._handle, number, value & 0xFFFFFFFF)

    def peripheral(self, address: int) -> int:
        """The stored word of a peripheral's register, without side effects."""
        value = ctypes.c_uint32()
        if not self._c.simulator_peek(self._handle, address, ctypes.byref(value)):
            raise TokayError(f"no register is modelled at 0x{address:08x}")
        return value.value

    # ---- running ----

    def run(self, seconds: float | None = None, *, cycles: int | None = None) -> None:
        """Runs for a time, or a number of core cycles; raises SimulatorFault if the firmware faults."""
        until = native.FOREVER
        if seconds is not None:
            if not 0 <= seconds < _LONGEST_S:
                raise TokayError(f"a machine cannot run for {seconds} s")
            until = self.status.time_ps + round(seconds * _PS)
        elif cycles is None:
            raise ValueError("how long?")
        end = None if cycles is None else self.cycles + cycles
        while True:
            left = native.FOREVER if end is None else max(0, end - self.cycles)
            result = self._c.simulator_run(self._handle, left, until)
            if not self._check(result):
                return

    def run_until(self, what: Callable[[], bool] | bytes, timeout_s: float) -> bool:
        """Runs until ``what()`` is true, or the bytes were seen in what the UART sent since the last
        uart_read (they stay readable); False when the virtual time is up first."""
        end_ps = self.status.time_ps + round(timeout_s * _PS)
        if isinstance(what, bytes):
            pattern = what
            done: Callable[[], bool] = lambda: pattern in self._uart_pending()  # noqa: E731
        else:
            done = what
        while not done():
            left = (end_ps - self.status.time_ps) / _PS
            if left <= 0:
                return False
            self.run(min(_SLICE_S, left))
        return True

    def call(
        self,
        function: str | int,
        *arguments: int,
        stack: int | None = None,
        max_cycles: int = 2_000_000_000,
    ) -> CallResult:
        """Calls a function of the image with integer arguments (or pointers) and runs it to its end.
        Before the first run, initialised variables are set up as start-up would. Registers are as
        before afterwards; ``stack`` is the stack pointer to call on (default: the present one)."""
        address = self.symbol(function) if isinstance(function, str) else function
        if self.cycles == 0:
            self._initialise_variables()
        before = self.status
        words = (ctypes.c_uint32 * max(1, len(arguments)))(*(a & 0xFFFFFFFF for a in arguments))
        value = ctypes.c_uint32()
        result = self._c.simulator_call(
            self._handle, address & ~1, words, len(arguments), stack or 0, max_cycles, ctypes.byref(value)
        )
        if result == _LIMIT:
            raise SimulatorFault(self._report("the function called does not return"))
        if result != _RETURNED:
            self.stop_on_fault, stop = True, self.stop_on_fault
            try:
                self._check(result)
            finally:
                self.stop_on_fault = stop
        after = self.status
        return CallResult(
            value.value, after.cycles - before.cycles, after.instructions - before.instructions
        )

    def _initialise_variables(self) -> None:
        for segment in self.image.segments if self.image else ():
            if RAM_BASE <= segment.used < RAM_BASE + RAM_BYTES:
                padding = bytes(segment.memory_size - len(segment.data))
                self.write(segment.used, segment.data + padding)

    def _report(self, message: str | None = None) -> FaultReport:
        fault = native.Fault()
        self._c.simulator_fault(self._handle, ctypes.byref(fault))
        pc = self.status.pc if message else fault.pc
        text = message or fault.text.decode(errors="replace")
        function = self.image.function_at(pc) if self.image else f"0x{pc:08x}"
        line = self.image.line_at(pc) if self.image else ""
        return FaultReport(text, pc, function, line, fault.address, fault.cfsr, fault.exception, fault.cycles)

    def _check(self, result: int) -> bool:
        """Raises what a run's result calls for; True if the run should go on."""
        if result in (_FAULT, _BREAKPOINT, _ERROR):
            report = self._report()
            self.faults.append(report)
            if result == _ERROR:
                raise SimulatorError(report)
            if self.stop_on_fault or result == _BREAKPOINT:
                raise SimulatorFault(report)
            return True
        return False

    # ---- what a debug probe does ----

    def debug_attach(self) -> None:
        """Lets code run from RAM, as a debugger's flash algorithm does."""
        if not self._c.simulator_debug_attach(self._handle):
            raise TokayError("the simulator cannot run code from RAM")

    def debug_read(self, address: int, size: int) -> int | None:
        """One access of 1, 2 or 4 bytes over the core's bus; None where nothing answers."""
        value = ctypes.c_uint32()
        if not self._c.simulator_debug_read(self._handle, address, size, ctypes.byref(value)):
            return None
        return value.value & ((1 << 8 * size) - 1)

    def debug_write(self, address: int, size: int, value: int) -> bool:
        """One write of 1, 2 or 4 bytes; False where nothing takes it (flash does not)."""
        return self._c.simulator_debug_write(self._handle, address, size, value & 0xFFFFFFFF)

    def debug_reset(self) -> None:
        """Reset by debugger or pin: time runs on, the core stands at its first instruction."""
        self._c.simulator_reset_core(self._handle)

    def debug_run(self, seconds: float) -> str:
        """Runs for a time and says why it came back: "limit", "breakpoint" (the PC is behind it), "fault"
        (running on runs the handler) or "stuck" (locked up, or something is not modelled)."""
        until = self.status.time_ps + round(seconds * _PS)
        return _STOPS[self._c.simulator_run(self._handle, native.FOREVER, until)]

    def debug_step(self) -> str:
        """Runs one instruction; the result is that of debug_run."""
        return _STOPS[self._c.simulator_step(self._handle)]

    # ---- time and counters ----

    @property
    def status(self) -> native.Status:
        status = native.Status()
        self._c.simulator_status(self._handle, ctypes.byref(status))
        return status

    @property
    def time_s(self) -> float:
        return self.status.time_ps / _PS

    @property
    def cycles(self) -> int:
        """Core clock cycles since reset, asleep or not (an estimate)."""
        return self.status.cycles

    @property
    def instructions(self) -> int:
        """Instructions executed since reset (exact)."""
        return self.status.instructions

    @property
    def sleep_cycles(self) -> int:
        return self.status.sleep_cycles

    @property
    def profile(self) -> dict[str, int]:
        """Cycles by function since the profile was cleared, most first; sleep is not in it."""
        if self.image is None:
            return {}
        totals: dict[str, int] = {}
        for segment in self.image.segments:
            size = len(segment.data) & ~1
            counts = (ctypes.c_uint64 * (size // 2))()
            self._c.simulator_profile(self._handle, segment.used, size, counts)
            array = np.frombuffer(counts, dtype=np.uint64)
            for index in np.flatnonzero(array):
                name = self.image.function_at(segment.used + 2 * int(index))
                totals[name] = totals.get(name, 0) + int(array[index])
        return dict(sorted(totals.items(), key=lambda item: -item[1]))

    def clear_profile(self) -> None:
        self._c.simulator_profile_clear(self._handle)

    # ---- the outside ----

    def uart_write(self, data: bytes, port: int = 0) -> int:
        """Queues bytes for EUSART0 (1: EUSART1); they arrive at its baud rate, once its receiver is on."""
        _check_uart(port)
        return self._c.simulator_uart_give(self._handle, port, bytes(data), len(data))

    def uart_read(self, port: int = 0) -> bytes:
        """What the firmware sent since the last call."""
        return bytes(byte for byte, _ in self.uart_read_timed(port))

    def uart_read_timed(self, port: int = 0) -> list[tuple[int, float]]:
        """Bytes sent since the last call, each with the second at which its stop bit ended."""
        self._uart_fetch(port)
        pending, self._uart[port] = self._uart.get(port, []), []
        return pending

    def _uart_fetch(self, port: int) -> None:
        _check_uart(port)
        pending = self._uart.setdefault(port, [])
        size = 4096
        data, times = ctypes.create_string_buffer(size), (ctypes.c_uint64 * size)()
        while count := self._c.simulator_uart_take(self._handle, port, data, times, size):
            taken = data.raw[:count]
            pending.extend((taken[i], times[i] / _PS) for i in range(count))

    def _uart_pending(self, port: int = 0) -> bytes:
        self._uart_fetch(port)
        return bytes(byte for byte, _ in self._uart[port])

    def set_audio(
        self, audio: np.ndarray, *, at: float | None = None, sample_rate: int = 16000, mode: str = "exact"
    ) -> None:
        """What the microphone hears from time ``at`` (seconds; default now) on; silence after it."""
        if mode not in _AUDIO_MODES:
            raise TokayError(f"no such audio mode: {mode}", hint=f"one of {', '.join(_AUDIO_MODES)}")
        pcm = np.ascontiguousarray(audio)
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise TokayError(f"audio is {pcm.dtype} with {pcm.ndim} dimensions, not mono int16")
        if not 1 <= sample_rate <= 1_000_000:
            raise TokayError(f"audio cannot have a sample rate of {sample_rate} Hz")
        if at is not None and not 0 <= at < _LONGEST_S:
            raise TokayError(f"audio cannot begin at {at} s")
        at_ps = 0 if at is None else round(at * _PS)
        pointer = pcm.ctypes.data_as(ctypes.c_void_p)
        at_own_rate = mode == "linear"
        self._c.simulator_set_audio(self._handle, pointer, len(pcm), sample_rate, at_own_rate, at_ps)

    @property
    def audio_position(self) -> int:
        """Samples of the audio that were presented so far (frames, with ``mode="exact"``)."""
        return self.status.audio_position

    @property
    def leds(self) -> dict[str, bool]:
        """Whether the LED is lit that shows each of "detected", "activity" and "fault" (two may be one)."""
        lit = {}
        for led in self._leds:
            driven = self._c.simulator_pin_mode(self._handle, led.port, led.pin) >= 4
            level = bool(self._c.simulator_pin_output(self._handle, led.port, led.pin))
            lit[led.use] = driven and level != led.active_low
        return lit

    def drive_pin(self, port: str, pin: int, level: bool) -> None:
        """Drives a pin from outside, such as a button: ``drive_pin("B", 2, False)``."""
        if len(port) != 1 or port not in _PIN_PORTS or not 0 <= pin < 16:
            raise TokayError(f"there is no pin P{port}{pin}")
        self._c.simulator_pin_drive(self._handle, _PIN_PORTS.index(port), pin, int(level))
