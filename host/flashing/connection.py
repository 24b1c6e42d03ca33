"""Finds the debug probe and connects to the chip, in reset where it does not answer otherwise."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyocd.core import exceptions
from pyocd.core.helpers import ConnectHelper
from pyocd.core.session import Session
from pyocd.probe.debug_probe import DebugProbe

from host.errors import TokayError
from host.flashing import target, unlock
from host.flashing.reset import stop_at_reset
from host.flashing.simulated_probe import SimulatedProbe
from host.memory_map import DEVICE_INFO, FLASH_BYTES, RAM_BYTES, SECTOR

FREQUENCY_HZ = 4_000_000
_LOCKED_HINT = (
    "its debug port was locked by whoever programmed it; --unlock has the chip erase itself, which unlocks "
    "it: all that is in its flash is lost"
)
_STILL_LOCKED_HINT = (
    "unplug the board for some seconds, so that its secure engine starts anew, then flash again"
)
_SILENT_HINT = (
    "is the board powered, and this its part? If firmware sleeps deeply or switches the debug pins off: hold "
    "RESET, start the command again, let go after a second"
)
_NO_PROBE_HINT = (
    "plug the board in; a J-Link, as the kits have on board, also needs SEGGER's J-Link software, a "
    "CMSIS-DAP probe on Linux a udev rule"
)


def choose_probe(serial: str | None) -> DebugProbe:
    """The only probe, or the one whose serial number starts with ``serial``."""
    try:
        probes = list(ConnectHelper.get_all_connected_probes(blocking=False, print_wait_message=False))
    except target.BROKEN as error:
        raise TokayError(f"the debug probes cannot be listed: {error}") from error
    return pick(probes, serial)


def pick(probes: list[DebugProbe], serial: str | None) -> DebugProbe:
    """One of ``probes``, or what stands in the way."""
    names = ", ".join(f"{probe.unique_id} ({probe.description})" for probe in probes)
    if not probes:
        raise TokayError("no debug probe found", hint=_NO_PROBE_HINT)
    found = [p for p in probes if serial is None or p.unique_id.lower().startswith(serial.lower())]
    found = [p for p in found if serial and p.unique_id.lower() == serial.lower()] or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise TokayError(f"no debug probe has the serial number {serial}", hint=f"there is: {names}")
    raise TokayError(f"{len(found)} debug probes fit", hint=f"choose with --probe SERIAL: {names}")


@contextlib.contextmanager
def connect(
    probe: DebugProbe,
    part: str,
    *,
    pack: Path | None = None,
    frequency: int | None = None,
    unlocking: bool = False,
) -> Iterator[Any]:
    """A connected pyOCD target, its core halted. When done, the core is reset and runs. With ``unlocking`` a
    locked part is erased first. ``frequency`` is that of the wire in Hz (None: FREQUENCY_HZ)."""
    options: dict[str, Any] = {"frequency": frequency or FREQUENCY_HZ, "project_dir": os.getcwd()}
    if isinstance(probe, SimulatedProbe):
        options |= {"reset.post_delay": 0.0, "reset.hold_time": 0.0}  # nothing there has to settle
    _quieten()
    if pack is None:
        target.register()
    elif not pack.is_file():
        raise TokayError(f"{pack}: no such pack", hint="give the .pack file of the chip's vendor")
    else:
        target.forget()
    session = _open(probe, part, pack, options, unlocking)
    try:
        _check_chip(session.target, part)
        yield session.target
        session.target.reset()
    except BrokenPipeError:
        raise  # of the progress that is shown
    except target.BROKEN as error:
        raise TokayError(
            f"the connection to the chip broke: {error}",
            hint="check cable and power and flash again: what is in flash now does not start, or is whole",
        ) from error
    finally:
        _close(session)


def _open(
    probe: DebugProbe, part: str, pack: Path | None, options: dict[str, Any], unlocking: bool
) -> Session:
    try:
        return _connected(probe, part, pack, options)
    except target.LockedPart as error:
        if not unlocking:
            raise TokayError("the part is locked: its core cannot be debugged", hint=_LOCKED_HINT) from error
    _unlock(_session(probe, part, pack, options))
    try:
        return _connected(probe, part, pack, options)
    except target.LockedPart as error:
        raise TokayError("the part was erased and is still locked", hint=_STILL_LOCKED_HINT) from error


def _unlock(session: Session) -> None:
    """Erases a locked part, by its debug port alone: its core is out of reach."""
    try:
        session.open(init_board=False)
        session.target.dp.connect()
        session.target.dp.power_up_debug()
        unlock.erase_device(session.target.dp, session.probe.assert_reset)
    except target.BROKEN as error:
        raise TokayError(f"the chip does not answer: {error}", hint=_SILENT_HINT) from error
    finally:
        with contextlib.suppress(*target.BROKEN):
            session.probe.disconnect()
            session.probe.close()


def _session(
    probe: DebugProbe, part: str, pack: Path | None, options: dict[str, Any], mode: str = "halt"
) -> Session:
    given = {"target_override": part.lower(), "connect_mode": mode, "no_config": True, **options}
    try:
        return Session(probe, options=given if pack is None else {**given, "pack": str(pack)})
    except exceptions.TargetSupportError as error:
        raise TokayError(f"{pack or 'pyOCD'} does not know {part}", hint=_part_hint(pack)) from error


def _connected(probe: DebugProbe, part: str, pack: Path | None, options: dict[str, Any]) -> Session:
    """Halts the core where it runs, else holds it in reset while connecting."""
    last: Exception | None = None
    for mode in ("halt", "under-reset"):
        session = _session(probe, part, pack, options, mode)
        try:
            session.open()
            stop_at_reset(session.target)
            return session
        except target.LockedPart:
            _close(session)
            raise
        except target.BROKEN as error:
            _close(session)
            last = error
    raise TokayError(f"the chip does not answer: {last}", hint=_SILENT_HINT)


def _part_hint(pack: Path | None) -> str:
    return "is it the pack for this chip?" if pack else f"parts: {', '.join(target.PARTS)}; or give --pack"


def _close(session: Session) -> None:
    with contextlib.suppress(*target.BROKEN):
        session.close()


def _check_chip(chip: Any, part: str) -> None:
    """Whether it is one with the flash that we know, by its own device information."""
    try:
        _, family, pages, sizes = chip.read_memory_block32(DEVICE_INFO, 4)
    except target.BROKEN as error:
        raise TokayError(f"the chip's device information cannot be read: {error}") from error
    page, flash, ram = 1 << (10 + (pages & 0xFF)), sizes & 0xFFFF, sizes >> 16 & 0x7FF
    if (page, flash << 10, ram << 10) != (SECTOR, FLASH_BYTES, RAM_BYTES):
        raise TokayError(
            f"the chip (family {family >> 16 & 0x3F}) has {flash} kB flash in pages of {page} bytes and "
            f"{ram} kB RAM, so it is no {part}",
            hint="choose another board with --board",
        )


def _quieten() -> None:
    """What pyOCD logs on the way is for --verbose; errors come as exceptions."""
    if not logging.getLogger().isEnabledFor(logging.INFO):
        logging.getLogger("pyocd").setLevel(logging.CRITICAL)
