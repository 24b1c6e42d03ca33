"""A serial port as a transport: what it waits for, and how it says what is wrong with the port."""

from __future__ import annotations

import errno
import os
import threading
import time
from types import SimpleNamespace

import pytest
import serial

from host.device.serial_port import SerialTransport, baud_rate
from host.device.transport import TransportClosed
from host.errors import TokayError


def test_a_port_waits_as_long_as_it_is_told_and_no_longer_than_for_a_byte() -> None:
    other, own = os.openpty()
    port = SerialTransport(os.ttyname(own))
    begun, worked = time.monotonic(), time.process_time()
    assert port.read(0.3) == b"" and time.monotonic() - begun >= 0.3
    assert time.process_time() - worked < 0.15  # it sleeps meanwhile
    timer = threading.Timer(0.1, os.write, (other, b"A"))
    timer.start()
    assert port.read(60.0) == b"A" and time.monotonic() - begun < 30
    timer.join()
    os.write(other, bytes(1000))
    while port._port.in_waiting < 1000:
        assert time.monotonic() - begun < 60
    assert port.read(0.0) == bytes(1000)  # what is there already needs no waiting
    port.close()
    os.close(own)
    os.close(other)


def test_a_port_that_takes_nothing_more_and_one_that_is_gone() -> None:
    other, own = os.openpty()
    port = SerialTransport(os.ttyname(own))
    with pytest.raises(TokayError, match=r"takes no data \(reset the board\)"):
        port.write(bytes(1 << 20))
    os.close(own)
    os.close(other)
    for use in (lambda: port.read(0.1), lambda: port.write(b"A")):
        with pytest.raises(TransportClosed, match=r"\(was it unplugged\?\)"):
            use()
    port.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (serial.SerialException("device reports readiness to read but returned no data"), "the port is gone"),
        (OSError(errno.EIO, "a system's sentence"), os.strerror(errno.EIO)),
        (TypeError(), "TypeError"),  # which pyserial raises where another thread has closed the port
    ],
)
def test_a_port_that_goes_away_is_told_in_a_line(error: Exception, said: str) -> None:
    other, own = os.openpty()
    port = SerialTransport(os.ttyname(own))
    device, port._port = port._port, SimpleNamespace(in_waiting=0, read=lambda count: fail(error))
    with pytest.raises(TransportClosed, match=rf"{said} \(was it unplugged\?\)$"):
        port.read(0.1)
    device.close()
    os.close(own)
    os.close(other)


def fail(error: Exception) -> None:
    raise error


def test_rates_that_a_driver_takes() -> None:
    assert [baud_rate(text) for text in ("1", "921600", "2147483647")] == [1, 921600, 2147483647]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (errno.EACCES, r"Permission denied \(add yourself to the port's group, often dialout"),
        (errno.EBUSY, r"Device or resource busy \(another program has it open"),
        (errno.EAGAIN, r"Resource temporarily unavailable \(another program has it open"),
        (errno.ENOENT, r"No such file or directory \(see python -m host.device list"),
        (ValueError("Failed to set custom baud rate"), "Failed to set custom baud rate"),
    ],
)
def test_a_port_that_cannot_be_opened_says_why(
    reason: int | Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        if isinstance(reason, Exception):
            raise reason
        raise serial.SerialException(reason, "could not open port: a sentence of pyserial's")

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(TokayError, match=rf"COM3: {said}"):
        SerialTransport("COM3")


def test_a_file_that_is_no_serial_port():
    with pytest.raises(TokayError, match=r"^cannot open /dev/null: it is no serial port"):
        SerialTransport("/dev/null")
