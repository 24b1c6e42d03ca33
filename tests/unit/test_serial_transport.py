"""A serial port as a transport: what it waits for, and how it says what is wrong with the port."""

from __future__ import annotations

import errno
import os
import threading
import time

import pytest
import serial

from host.device.serial_port import SerialTransport, baud_rate
from host.device.transport import TransportClosed
from host.errors import TokayError


def test_a_port_waits_as_long_as_it_is_told_and_no_longer_than_for_a_byte() -> None:
    other, own = os.openpty()
    port = SerialTransport(os.ttyname(own))
    begun = time.monotonic()
    assert port.read(0.1) == b"" and time.monotonic() - begun >= 0.1
    timer = threading.Timer(0.1, os.write, (other, b"A"))
    timer.start()
    assert port.read(60.0) == b"A" and time.monotonic() - begun < 30
    timer.join()
    os.write(other, bytes(1000))
    assert port.read(0.0)  # what is there already needs no waiting
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


def test_rates_that_a_driver_takes() -> None:
    assert [baud_rate(text) for text in ("1", "921600", "2147483647")] == [1, 921600, 2147483647]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, r"Permission denied \(add yourself to the port's group, often dialout"),
        (errno.EBUSY, r"Device or resource busy \(another program has it open"),
        (errno.EAGAIN, r"Resource temporarily unavailable \(another program has it open"),
        (errno.ENOENT, r"No such file or directory \(see python -m host.device list"),
    ],
)
def test_a_port_that_cannot_be_opened_says_why(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(number, "could not open port: a sentence of pyserial's")

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(TokayError, match=rf"COM3: {said}"):
        SerialTransport("COM3")


def test_a_file_that_is_no_serial_port():
    with pytest.raises(TokayError, match=r"^cannot open /dev/null: it is no serial port"):
        SerialTransport("/dev/null")
