"""Small images for the simulator's tests, cross-compiled on the spot, and a chip for those of flashing."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from host.memory_map import FLASH_BASE, FLASH_BYTES
from host.simulator.machine import Machine

_GCC = "arm-none-eabi-gcc"
_FLAGS = (
    "-O1 -fno-inline -g -std=gnu11 -mcpu=cortex-m33 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard "
    "-ffreestanding -nostdlib"
)

# Vector table, start-up and shorthands; a test's source adds main() and the handlers it wants.
_PRELUDE = """
#include <stdint.h>
#define REG(a) (*(volatile uint32_t *)(a))
#define SET(a) REG((a) + 0x1000)
#define CLR(a) REG((a) + 0x2000)
#define WFI() __asm volatile("wfi" ::: "memory")
int main(void);
void unexpected(void) { for (;;) { } }
void hard_fault(void); void bus_fault(void); void usage_fault(void); void svc(void);
void pendsv(void); void systick(void); void irq4(void); void irq9(void);
void irq11(void); void irq12(void); void irq15(void); void irq21(void);
void irq26(void); void irq60(void); void irq61(void);
volatile uint32_t done;
static void enable_irq(int n) { REG(0xE000E100 + 4 * (n / 32)) = 1u << (n % 32); }
static void set_priority(int n, int p) { ((volatile uint8_t *)0xE000E400)[n] = p; }
static void pend(int n) { REG(0xE000E200 + 4 * (n / 32)) = 1u << (n % 32); }
void startup(void) {
    REG(0xE000ED88) = 0xF00000;
    __asm volatile("dsb\\n isb");
    extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];
    for (uint32_t *p = data_start, *q = data_load; p < data_end; p++) *p = *q++;
    for (volatile uint32_t *p = bss_start; p < bss_end; p++) *p = 0;
    main();
    done = 1;
    for (;;) { WFI(); }
}
__attribute__((section(".vectors"), used)) void *const vectors[16 + 76] = {
    [0] = (void *)0x20010000, [1] = startup, [2] = unexpected, [3] = hard_fault, [4] = unexpected,
    [5] = bus_fault, [6] = usage_fault, [11] = svc, [14] = pendsv, [15] = systick, [16 + 4] = irq4,
    [16 + 9] = irq9, [16 + 11] = irq11, [16 + 12] = irq12, [16 + 15] = irq15, [16 + 21] = irq21,
    [16 + 26] = irq26, [16 + 60] = irq60, [16 + 61] = irq61,
};
#line 1 "test.c"
"""

_HANDLERS = (
    "hard_fault bus_fault usage_fault svc pendsv systick irq4 irq9 irq11 irq12 irq15 irq21 irq26 irq60 irq61"
)
_LINKER_SCRIPT = """
PROVIDES
SECTIONS {
  .text 0x08000000 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) . = ALIGN(8); data_load = .; }
  .data 0x20010000 : AT(data_load) { data_start = .; *(.data*) . = ALIGN(8); data_end = .; }
  .bss (NOLOAD) : { bss_start = .; *(.bss*) *(COMMON) . = ALIGN(8); bss_end = .; }
}
"""


@pytest.fixture(scope="session")
def build_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compiles a C source with the prelude; the same source is compiled once."""
    if shutil.which(_GCC) is None:
        pytest.skip(f"{_GCC} is not installed")
    folder = tmp_path_factory.mktemp("images")
    provides = "".join(f"PROVIDE({name} = unexpected);\n" for name in _HANDLERS.split())
    (folder / "link.ld").write_text(_LINKER_SCRIPT.replace("PROVIDES", provides))

    def build(source: str) -> Path:
        name = hashlib.sha256(source.encode()).hexdigest()[:16]
        elf = folder / f"{name}.elf"
        if not elf.exists():
            (folder / f"{name}.c").write_text(_PRELUDE + source)
            command = [_GCC, *_FLAGS.split(), f"{name}.c", "-o", elf.name, "-lgcc"]
            command += ["-Wl,-T,link.ld,-e,startup"]
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            assert result.returncode == 0, result.stderr
        return elf

    return build


@pytest.fixture
def boot(build_image: Callable[[str], Path]) -> Callable[..., Machine]:
    """Builds a source and makes a machine of it."""

    def make(source: str, **options) -> Machine:
        return Machine(build_image(source), **options)

    return make


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A chip that was used before: its flash is noise."""
    made = Machine()
    made.write(FLASH_BASE, random.Random(7).randbytes(FLASH_BYTES))
    yield made
    made.close()
