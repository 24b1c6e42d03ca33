"""The simulated core: DSP and floating-point instructions, cycle estimates, speed."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time

import numpy as np
import pytest

from host.simulator import native
from host.simulator.machine import Machine, SimulatorError

_INSTRUCTIONS = """
#define OP3(name) uint32_t t_##name(uint32_t a, uint32_t b, uint32_t c) { \\
    uint32_t r; __asm volatile(#name " %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(c)); return r; }
#define OP2(name) uint32_t t_##name(uint32_t a, uint32_t b) { \\
    uint32_t r; __asm volatile(#name " %0, %1, %2" : "=r"(r) : "r"(a), "r"(b)); return r; }
#define OP1(name) uint32_t t_##name(uint32_t a) { \\
    uint32_t r; __asm volatile(#name " %0, %1" : "=r"(r) : "r"(a)); return r; }
OP3(smlad) OP3(smlsd) OP3(smmlar) OP3(mla) OP3(smlabb) OP3(smlawt)
OP2(smuad) OP2(qadd) OP2(qsub) OP2(qdadd) OP2(sadd16) OP2(qadd16) OP2(ssub8) OP2(smmul) OP2(sdiv) OP2(udiv)
OP2(uxtab16) OP2(sxtab16) OP2(uqsub8)
OP1(sxtb16) OP1(uxtb16) OP1(rev16) OP1(clz) OP1(rbit)
uint32_t t_ssat8(uint32_t a) { uint32_t r; __asm volatile("ssat %0, #8, %1" : "=r"(r) : "r"(a)); return r; }
uint32_t t_usat5(uint32_t a) { uint32_t r; __asm volatile("usat %0, #5, %1" : "=r"(r) : "r"(a)); return r; }
uint32_t t_sxtb16_ror(uint32_t a) {
    uint32_t r;
    __asm volatile("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(a));
    return r;
}
uint32_t t_pkhbt(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm volatile("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(a), "r"(b));
    return r;
}
uint32_t t_smlal_high(uint32_t a, uint32_t b) {
    uint32_t l = 5, h = 7;
    __asm volatile("smlal %0, %1, %2, %3" : "+r"(l), "+r"(h) : "r"(a), "r"(b));
    return h;
}
uint32_t t_sel(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm volatile("usub8 %0, %1, %2\\n sel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b));
    return r;
}
static float f(uint32_t x) { union { uint32_t u; float f; } v = { x }; return v.f; }
static uint32_t u(float x) { union { float f; uint32_t u; } v = { .f = x }; return v.u; }
uint32_t t_fma(uint32_t a, uint32_t b, uint32_t c) {
    float r = f(c);
    __asm volatile("vfma.f32 %0, %1, %2" : "+t"(r) : "t"(f(a)), "t"(f(b)));
    return u(r);
}
uint32_t t_fdiv(uint32_t a, uint32_t b) { return u(f(a) / f(b)); }
uint32_t t_fsqrt(uint32_t a) {
    float r;
    __asm volatile("vsqrt.f32 %0, %1" : "=t"(r) : "t"(f(a)));
    return u(r);
}
uint32_t t_f2i(uint32_t a) { return (uint32_t)(int32_t)f(a); }
uint32_t t_it(uint32_t a, uint32_t b) {
    uint32_t r;
    __asm volatile("cmp %1, %2\\n ite gt\\n movgt %0, #11\\n movle %0, #22"
                   : "=r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}
int main(void) { return 0; }
"""


def s32(x: int) -> int:
    return (x & 0xFFFFFFFF) - ((x & 0x80000000) << 1)


def s16(x: int, half: int = 0) -> int:
    x = (x >> (16 * half)) & 0xFFFF
    return x - ((x & 0x8000) << 1)


def s8(x: int, byte: int) -> int:
    x = (x >> (8 * byte)) & 0xFF
    return x - ((x & 0x80) << 1)


def clip(x: int, low: int, high: int) -> int:
    return max(low, min(high, x))


def sat32(x: int) -> int:
    return clip(x, -(1 << 31), (1 << 31) - 1)


def pack16(low: int, high: int) -> int:
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


def pack8(values) -> int:
    return sum((v & 0xFF) << (8 * i) for i, v in enumerate(values))


def quotient(a: int, b: int) -> int:
    return 0 if b == 0 else (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)


MODELS = {
    "smlad": lambda a, b, c: s16(a) * s16(b) + s16(a, 1) * s16(b, 1) + c,
    "smlsd": lambda a, b, c: s16(a) * s16(b) - s16(a, 1) * s16(b, 1) + c,
    "smmlar": lambda a, b, c: ((s32(c) << 32) + s32(a) * s32(b) + (1 << 31)) >> 32,
    "mla": lambda a, b, c: a * b + c,
    "smlabb": lambda a, b, c: s16(a) * s16(b) + c,
    "smlawt": lambda a, b, c: ((s32(a) * s16(b, 1)) >> 16) + c,
    "smuad": lambda a, b: s16(a) * s16(b) + s16(a, 1) * s16(b, 1),
    "qadd": lambda a, b: sat32(s32(a) + s32(b)),
    "qsub": lambda a, b: sat32(s32(a) - s32(b)),
    "qdadd": lambda a, b: sat32(s32(a) + sat32(2 * s32(b))),
    "sadd16": lambda a, b: pack16(s16(a) + s16(b), s16(a, 1) + s16(b, 1)),
    "qadd16": lambda a, b: pack16(*(clip(s16(a, h) + s16(b, h), -32768, 32767) for h in (0, 1))),
    "ssub8": lambda a, b: pack8(s8(a, i) - s8(b, i) for i in range(4)),
    "uqsub8": lambda a, b: pack8(max(0, (a >> 8 * i & 255) - (b >> 8 * i & 255)) for i in range(4)),
    "smmul": lambda a, b: (s32(a) * s32(b)) >> 32,
    "sdiv": lambda a, b: quotient(s32(a), s32(b)),
    "udiv": lambda a, b: a // b if b else 0,
    "uxtab16": lambda a, b: pack16((a & 0xFFFF) + (b & 0xFF), (a >> 16) + (b >> 16 & 0xFF)),
    "sxtab16": lambda a, b: pack16((a & 0xFFFF) + s8(b, 0), (a >> 16) + s8(b, 2)),
    "sxtb16": lambda a: pack16(s8(a, 0), s8(a, 2)),
    "uxtb16": lambda a: a & 0x00FF00FF,
    "rev16": lambda a: (a >> 8 & 0x00FF00FF) | (a << 8 & 0xFF00FF00),
    "clz": lambda a: 32 - a.bit_length(),
    "rbit": lambda a: int(f"{a:032b}"[::-1], 2),
    "ssat8": lambda a: clip(s32(a), -128, 127),
    "usat5": lambda a: clip(s32(a), 0, 31),
    "sxtb16_ror": lambda a: pack16(s8(a, 1), s8(a, 3)),
    "pkhbt": lambda a, b: pack16(a, b),
    "smlal_high": lambda a, b: ((7 << 32 | 5) + s32(a) * s32(b)) >> 32,
    "sel": lambda a, b: pack8(max(a >> 8 * i & 255, b >> 8 * i & 255) for i in range(4)),
    "it": lambda a, b: 11 if s32(a) > s32(b) else 22,
}
_ODD = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x80008000, 0x7FFF7FFF, 0xFF80FF80, 0x8000]


@pytest.fixture(scope="module")
def instructions(build_image) -> Machine:
    return Machine(build_image(_INSTRUCTIONS))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_dsp_instructions(instructions, name):
    model = MODELS[name]
    count = model.__code__.co_argcount
    generator = np.random.default_rng(len(name))
    cases = [[int(v) for v in generator.integers(0, 1 << 32, count)] for _ in range(12)]
    cases += [[_ODD[(i * (k + 1)) % len(_ODD)] for k in range(count)] for i in range(len(_ODD))]
    for case in cases:
        got = instructions.call(f"t_{name}", *case).value
        assert got == model(*case) & 0xFFFFFFFF, [hex(v) for v in case]


def test_floating_point_instructions(instructions):
    def bits(x: float) -> int:
        return struct.unpack("<I", struct.pack("<f", x))[0]

    def value(x: int) -> np.float32:
        return np.float32(struct.unpack("<f", struct.pack("<I", x))[0])

    for a, b in [(1.5, 2.25), (1e20, 3e-10), (-7.0, 3.0), (1.0, 3.0)]:
        a32, b32 = np.float32(a), np.float32(b)
        assert value(instructions.call("t_fdiv", bits(a), bits(b)).value) == a32 / b32
        assert value(instructions.call("t_fsqrt", bits(abs(a))).value) == np.sqrt(np.abs(a32))
        fused = np.float32(np.float64(a32) * np.float64(b32) + 1.0)
        assert value(instructions.call("t_fma", bits(a), bits(b), bits(1.0)).value) == fused
    assert instructions.call("t_f2i", bits(-3.75)).signed == -3
    assert instructions.call("t_f2i", bits(1e20)).value == 0x7FFFFFFF, "conversions saturate"


@pytest.mark.parametrize(
    ("conversion", "modelled"),
    [("s32 s0, s0, #30", False), ("u32 s0, s0, #1", False), ("s16 s0, s0, #15", True), ("s32 s0, s0", True)],
)
def test_fixed_point_that_is_not_rounded_to_nearest_is_reported(boot, conversion, modelled):
    source = f"""
    volatile float result;
    void culprit(uint32_t fpscr) {{
        float x;
        __asm volatile("vmsr fpscr, %1\\n vmov s0, %2\\n vcvt.f32.{conversion}\\n vmov.f32 %0, s0"
                       : "=t"(x) : "r"(fpscr), "r"(0x7FFFFFFF) : "s0");
        result = x;
    }}
    int main(void) {{ culprit(0); culprit(3u << 22); return 0; }}
    """
    machine = boot(source)
    if modelled:
        machine.run_until(lambda: bool(machine.read(machine.symbol("done"), 1)[0]), 0.1)
        return
    with pytest.raises(SimulatorError, match="VCVT from fixed point") as caught:
        machine.run(0.1)
    assert caught.value.function == "culprit"
    assert machine.read(machine.symbol("result"), 4) != bytes(4), "to nearest is modelled"


def _assemble(tmp_path, text: str) -> bytes:
    source = tmp_path / "code.s"
    source.write_text(".syntax unified\n.cpu cortex-m33\n.fpu fpv5-sp-d16\n.thumb\n" + text + "\n")
    for command in (
        ["arm-none-eabi-gcc", "-c", "-mcpu=cortex-m33", "-mfloat-abi=hard", "code.s", "-o", "code.o"],
        ["arm-none-eabi-objcopy", "-O", "binary", "code.o", "code.bin"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return (tmp_path / "code.bin").read_bytes()


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize(
    ("code", "cycles", "count"),
    [
        ("adds r0, r1, r2; smlad r0, r1, r2, r3; mla r0, r1, r2, r3; umull r0, r1, r2, r3", 4, 4),
        ("ldr r0, [r1]; ldr r2, [r1, #4]; adds r3, r4, #1", 3, 3),
        ("ldr r0, [r1]; adds r0, r0, #1", 3, 2),
        ("ldr.w r10, [r1, r2, lsl #2]; add.w r0, r0, r10", 3, 2),
        ("ldrsb.w r3, [r1], #1; smlabb r0, r3, r4, r0", 3, 2),
        ("push {r4-r7, lr}; pop {r4-r7}", 11, 2),
        ("ldm r0!, {r1-r4}; strd r1, r2, [r0]", 7, 2),
        ("sdiv r0, r1, r2; udiv r0, r1, r2", 12, 2),
        ("vdiv.f32 s0, s1, s2; vsqrt.f32 s3, s4", 28, 2),
        ("vldr s0, [r0]; vadd.f32 s2, s3, s4; vmul.f32 s5, s2, s6", 4, 3),
        ("vfma.f32 s0, s1, s2; vpush {s16-s19}", 8, 2),
        # of fixed point, which is converted in its own place
        ("vadd.f32 s1, s2, s3; vcvt.f32.s32 s1, s1, #4; vcvt.s32.f32 s4, s4, #28", 4, 3),
        ("vadd.f32 s28, s2, s3; vcvt.f32.u16 s0, s0, #8", 2, 2),
        ("movw r0, #1; movt r0, #2; mrs r1, primask; dsb; isb", 10, 5),
    ],
)
def test_cost_table(tmp_path, code, cycles, count):
    assert native.block_cost(_assemble(tmp_path, code.replace(";", "\n"))) == (cycles, count)


_SPEED = """
int8_t data[256]; int32_t sum;
int32_t work(void) {
    int32_t s = 0;
    for (int k = 0; k < 20000; k++) {
        for (int i = 0; i < 256; i += 4) {
            uint32_t x = *(uint32_t *)&data[i], lo, hi;
            __asm("sxtb16 %0, %1" : "=r"(lo) : "r"(x));
            __asm("sxtb16 %0, %1, ror #8" : "=r"(hi) : "r"(x));
            __asm("smlad %0, %1, %2, %0" : "+r"(s) : "r"(lo), "r"(hi));
        }
        sum = s;
    }
    return s;
}
int main(void) { return 0; }
"""


def test_speed(boot, capsys):
    machine = boot(_SPEED)
    machine.call("work")
    start = time.process_time()
    result = machine.call("work")
    seconds = time.process_time() - start
    with capsys.disabled():
        print(
            f"\n[simulator] inner loop: {result.instructions / seconds / 1e6:.0f} M instructions/s, "
            f"{result.cycles / 78e6 / seconds:.1f} times real time at full load"
        )
    assert result.instructions > 5_000_000
