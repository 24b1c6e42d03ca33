"""Stands in for Renode's program in tests of how it is started: reads the script that it is given, boots
the image in our own simulator and gives its serial port to whoever connects. It is no Renode, and says
nothing about how the image runs there."""

from __future__ import annotations

import re
import select
import socket
import sys
import time
from pathlib import Path

import numpy as np

from host.simulator.machine import Machine


def main(argv: list[str]) -> None:
    script = re.fullmatch(r"include @(.*)", argv[-1])[1].replace("\\ ", " ")
    text = Path(script).read_text()
    values = dict(re.findall(r"^\$(\w+)=@?(.*)$", text, re.MULTILINE))
    port = int(re.search(r"CreateServerSocketTerminal (\d+) ", text)[1])
    for path in (values["elf"], values["board"], values["native"], values["audio"]):
        assert Path(path.replace("\\ ", " ")).is_file(), path
    check_platform(Path(values["board"].replace("\\ ", " ")))
    included = re.search(r"^include @(.*)$", text, re.MULTILINE)[1].replace("\\ ", " ")
    assert Path(included).is_file(), included
    timing = {"0": "ports", "1": "shared"}[values["timing"]]
    machine = Machine(values["elf"].replace("\\ ", " "), mvp_timing=timing)
    with socket.create_server(("127.0.0.1", port)) as server:
        peer, _ = server.accept()
        serve(machine, peer, Path(values["audio"].replace("\\ ", " ")))


def check_platform(path: Path) -> None:
    """Renode takes a description that a platform builds on from beside it, or from its own."""
    for used in re.findall(r'^using "(.*)"$', path.read_text(), re.MULTILINE):
        assert used.startswith("platforms/") or (path.parent / used).is_file(), f"{path}: {used}"


def serve(machine: Machine, peer: socket.socket, audio: Path) -> None:
    heard = None
    start = time.monotonic()
    while True:
        if audio.exists() and audio.stat().st_mtime_ns != heard:
            heard = audio.stat().st_mtime_ns
            machine.set_audio(np.fromfile(audio, "<i2"))
        if select.select([peer], [], [], 0)[0]:
            data = peer.recv(1024)
            if not data:
                return
            machine.uart_write(data)
        if time.monotonic() - start > machine.time_s / 4:  # at most four times real time
            machine.run(0.005)
            sent = machine.uart_read()
            if sent:
                peer.sendall(sent)
        else:
            time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv)
