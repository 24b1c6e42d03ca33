"""Boards, simulated boards and recordings: ``python -m host.device list | info | show | simulate``."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, Namespace
from collections.abc import Sequence
from dataclasses import asdict

from host import board as boards
from host.cli import add_json, check_seconds, emit_json, parser, run
from host.device import messages as m
from host.device import recording
from host.device.codec import value_name
from host.device.device import Device, DeviceError
from host.device.serial_port import (
    BAUD_RATE,
    NO_BOARD,
    SerialTransport,
    baud_rate,
    choose_port,
    find_boards,
)
from host.device.transport import Transport
from host.errors import TokayError

_ROOM_HZ = 16000  # of audio that a simulated microphone hears at whatever rate it runs


def main(argv: Sequence[str]) -> int:
    arguments = parser("device", "Find boards, ask one who it is, show a recorded conversation.")
    actions = arguments.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="boards that are plugged in, by the USB ids of their debug probes")
    info = actions.add_parser("info", help="what a board says about itself")
    info.add_argument("--port", help="serial port or probe serial number (default: the only board)")
    info.add_argument("--baud", type=baud_rate, default=BAUD_RATE, help="bits a second (%(default)s)")
    info.add_argument("--record", metavar="FILE", help="record the conversation")
    show = actions.add_parser("show", help="a recorded conversation, readable")
    show.add_argument("file")
    simulate = actions.add_parser("simulate", help="boot an image in the simulator behind a serial port")
    simulate.add_argument("image", help="an ELF file that host.build wrote")
    simulate.add_argument(
        "--audio", metavar="FILE", help="what the microphone hears, over and over (default: silence)"
    )
    boards.add_option(simulate)
    simulate.add_argument("--link", metavar="PATH", help="a name of your choice for the port")
    simulate.add_argument("--seconds", type=float, help="end after this time (default: at Ctrl-C)")
    for action in actions.choices.values():
        # After the action too, where one looks for it; the default must not undo what came before it.
        add_json(action, default=SUPPRESS)
    options = arguments.parse_args(argv)
    check_seconds(arguments, getattr(options, "seconds", None))
    return {"list": _list, "info": _info, "show": _show, "simulate": _simulate}[options.action](options)


def _list(options: Namespace) -> int:
    found = find_boards()
    emit_json(options.json, [asdict(board) for board in found])
    if not found:
        raise TokayError(NO_BOARD, hint="plug one in, check its driver")
    if options.json != "-":
        for b in found:
            print(f"{b.port}  {b.probe}  {b.usb_id}  {b.serial_number or '-'}  {b.product}")
    return 0


def _info(options: Namespace) -> int:
    port = choose_port(options.port)
    transport: Transport = SerialTransport(port, options.baud)
    if options.record:
        transport = recording.Recorder(transport, options.record)
    with Device(transport) as device:
        hello = device.connect()
        fault = _last_fault(device)
    values = {name: value for name, value in asdict(hello).items() if name != "request"}
    values["model_hash"] = hello.model_hash.hex()
    values["accelerator"] = value_name(hello.accelerator)
    emit_json(options.json, {**values, "fault": fault})
    if options.json != "-":
        values["fault"] = "none" if fault is None else " ".join(f"{k}={v}" for k, v in fault.items())
        width = max(map(len, values))
        for name, value in values.items():
            print(f"{name:{width}}  {value}")
    return 0


def _last_fault(device: Device) -> dict[str, object] | None:
    """What stopped the firmware before its last start, None if nothing did."""
    try:
        report = device.request(m.FaultGet())
    except DeviceError:  # its firmware keeps no record
        return None
    assert isinstance(report, m.Fault)
    if report.kind == m.FaultKind.NONE:
        return None
    values: dict[str, object] = {"kind": value_name(report.kind), "uptime_ms": report.uptime_ms}
    for name in ("pc", "lr", "sp", "xpsr", "cfsr", "hfsr", "mmfar", "bfar", "detail"):
        values[name] = f"0x{getattr(report, name):08x}"
    return values | ({"text": report.text} if report.text else {})


def _show(options: Namespace) -> int:
    lines = recording.describe(options.file)
    emit_json(options.json, lines)
    if options.json != "-":
        print("\n".join(lines))
    return 0


def _simulate(options: Namespace) -> int:
    from host.audio import read_audio
    from host.device.pty import PtyBridge
    from host.device.simulator import RepeatedAudio, SimulatorTransport
    from host.simulator.machine import Machine

    # A board restarts itself after a fault; the port goes on meanwhile.
    machine = Machine(options.image, board=options.board, stop_on_fault=False)
    if options.audio:
        audio = read_audio(options.audio, _ROOM_HZ, resample=True)
        transport: SimulatorTransport = RepeatedAudio(machine, audio, _ROOM_HZ, options.image)
    else:
        transport = SimulatorTransport(machine, options.image)
    with PtyBridge(transport, link=options.link) as bridge:
        emit_json(options.json, {"port": bridge.port})
        if options.json != "-":
            print(f"{bridge.port}  (Ctrl-C ends it)", flush=True)
        bridge.wait(options.seconds)
        if bridge.error:
            raise bridge.error
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
