"""The link compiled for the Cortex-M33 gives the committed bytes too, and what it costs there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from host.cli import run
from host.device.__main__ import main as device_command
from host.device.framing import Encoder
from host.simulator.machine import CallResult, Machine
from tests.places import ROOT

VECTORS = json.loads((ROOT / "tests" / "golden" / "vectors" / "link.json").read_text(encoding="utf-8"))
SOURCES = "".join(
    f'#include "{ROOT}/firmware/link/{name}.c"\n' for name in ("cobs", "crc32", "codec", "messages", "link")
)
PROGRAM = f"""
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t n)
{{ uint8_t *t = to; const uint8_t *f = from; while (n--) *t++ = *f++; return to; }}
void *memset(void *to, int value, size_t n)
{{ uint8_t *t = to; while (n--) *t++ = (uint8_t)value; return to; }}
void *memchr(const void *in, int value, size_t n)
{{ const uint8_t *b = in; for (; n--; b++) if (*b == (uint8_t)value) return (void *)b; return 0; }}
size_t strlen(const char *s) {{ size_t n = 0; while (s[n]) n++; return n; }}
{SOURCES}
uint8_t in_bytes[1024], out_bytes[1024];
static link_t state;
static uint64_t space[256];
uint32_t round_trip(uint32_t type, uint32_t count)
{{
    const codec_layout_t *layout = message_layout((uint8_t)type);
    return codec_decode(layout, in_bytes, count, space)
        ? codec_encode(layout, space, out_bytes, sizeof out_bytes) : 0;
}}
void prepare(uint32_t boot_id, uint32_t sequence)
{{ link_init(&state, (uint16_t)boot_id); state.sequence = sequence; }}
uint32_t encode(uint32_t type, uint32_t count)
{{ return link_encode(&state, (uint8_t)type, in_bytes, count, out_bytes, sizeof out_bytes); }}
uint32_t receive(uint32_t count)
{{
    link_event_t event;
    link_frame_t frame;
    uint32_t used = link_receive_bytes(&state, in_bytes, count, &event, &frame);
    if (used != count || event != LINK_FRAME) return 0;
    memcpy(out_bytes, frame.payload, frame.length);
    return 0x10000u | frame.length;
}}
int main(void)
{{
    __asm volatile("" :: "r"(round_trip), "r"(prepare), "r"(encode), "r"(receive));
    return 0;
}}
"""


class Target:
    """The image's functions with bytes in and out."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def call(self, function: str, data: bytes, *arguments: int) -> tuple[CallResult, bytes]:
        self.machine.write(self.machine.symbol("in_bytes"), data)
        result = self.machine.call(function, *arguments)
        return result, self.machine.read(self.machine.symbol("out_bytes"), result.value & 0xFFFF)


@pytest.fixture
def target(boot: Callable[..., Machine]) -> Target:
    machine = boot(PROGRAM)
    machine.run(0.001)
    return Target(machine)


def test_messages_decode_and_encode(target: Target) -> None:
    for vector in VECTORS["messages"]:
        payload = bytes.fromhex(vector["payload"])
        _, again = target.call("round_trip", payload, vector["type"], len(payload))
        assert again == payload, vector["type"]
        result, _ = target.call("round_trip", payload, vector["type"], len(payload) - 1)
        assert result.value == 0


def test_frames(target: Target) -> None:
    for message_type, boot_id, sequence, payload_hex, frame_hex in VECTORS["frames"]:
        payload, frame = bytes.fromhex(payload_hex), bytes.fromhex(frame_hex)
        target.machine.call("prepare", boot_id, sequence)
        _, encoded = target.call("encode", payload, message_type, len(payload))
        assert encoded == frame
        result, received = target.call("receive", frame, len(frame))
        assert result.value >> 16 == 1 and received == payload


def test_cost_leaves_the_audio_loop_alone(target: Target) -> None:
    """Encoding and receiving the largest frame: estimated cycles, against a column's 10 ms."""
    payload = bytes(k * 37 & 0xFF for k in range(480))
    frame = Encoder(1).encode(1, payload)
    target.machine.call("prepare", 1, 0)
    encode, _ = target.call("encode", payload, 1, len(payload))
    receive, _ = target.call("receive", frame, len(frame))
    print(f"estimated cycles for 480 bytes: encode {encode.cycles}, receive {receive.cycles}")
    assert max(encode.cycles, receive.cycles) < 0.1 * 780_000


def test_a_simulated_board_behind_a_port(
    build_image: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = tmp_path / "board"
    image = build_image("int main(void) { return 0; }")
    assert run(device_command, ["simulate", str(image), "--link", str(port), "--seconds", "0.2"]) == 0
    assert capsys.readouterr().out == f"{port}  (Ctrl-C ends it)\n"
    assert not port.exists()
    # What the image does wrong ends the command, in one line that says where.
    image = build_image("int main(void) { return (int)*(volatile uint32_t *)0x50000000; }")
    assert run(device_command, ["simulate", str(image), "--seconds", "5"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
