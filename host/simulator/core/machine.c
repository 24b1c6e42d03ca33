/* The machine: its memory, registers and virtual time, and how it comes and goes. */
#include "machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_BASE 0x0FF00000u
#define PROBE_STACK_LIMIT 0u /* offsets of its pieces of code */
#define PROBE_CLEAR_EXCLUSIVE 8u
#define PROBE_CLEAR_STACK_LIMITS 14u
/* Unicorn's pages. Its own choice for this core, 1 kB, makes address translation thrash and cuts most
 * direct jumps between blocks. */
#define PAGE_BYTES 0x1000u
#define CONTROL_NPRIV 1u

/* ---- registers and time ---- */

bool machine_has_privileges(struct machine *m) {
    return (machine_register(m, UC_ARM_REG_CONTROL) & CONTROL_NPRIV) == 0 ||
           (machine_register(m, UC_ARM_REG_IPSR) & XPSR_EXCEPTION) != 0;
}

/* Unicorn's interface to the special registers is MRS and MSR: in a thread without privileges they read as
 * zero, but for CONTROL, and are not written. So it is asked as if in a handler. */
static bool takes_privileges(int reg) {
    return reg == UC_ARM_REG_MSP || reg == UC_ARM_REG_PSP || reg == UC_ARM_REG_PRIMASK ||
           reg == UC_ARM_REG_BASEPRI || reg == UC_ARM_REG_FAULTMASK;
}

/* False if there is nothing to borrow; `xpsr` is what to give back. */
static bool borrow_privileges(struct machine *m, uint32_t *xpsr) {
    if (machine_has_privileges(m)) {
        return false;
    }
    *xpsr = machine_register(m, UC_ARM_REG_XPSR);
    machine_set_register(m, UC_ARM_REG_XPSR, *xpsr | EXCEPTION_HARD);
    return true;
}

uint32_t machine_register(struct machine *m, int reg) {
    uint32_t value = 0, xpsr = 0;
    bool borrowed = takes_privileges(reg) && borrow_privileges(m, &xpsr);
    m->api.reg_read(m->uc, reg, &value);
    if (borrowed) {
        machine_set_register(m, UC_ARM_REG_XPSR, xpsr);
    }
    return value;
}

void machine_set_register(struct machine *m, int reg, uint32_t value) {
    uint32_t xpsr = 0;
    bool borrowed = (takes_privileges(reg) || reg == UC_ARM_REG_CONTROL) && borrow_privileges(m, &xpsr);
    m->api.reg_write(m->uc, reg, &value);
    if (borrowed) {
        machine_set_register(m, UC_ARM_REG_XPSR, xpsr);
    }
    if (reg == UC_ARM_REG_XPSR) { /* of which Unicorn writes all but the GE bits */
        m->api.reg_write(m->uc, UC_ARM_REG_APSR_NZCVQG, &value);
    }
}

void machine_update_time(struct machine *m) {
    unsigned __int128 ps = (unsigned __int128)(m->cycles - m->clock_cycles) * PS_PER_S;
    m->now_ps = m->clock_ps + (uint64_t)(ps / m->core_hz);
}

uint64_t machine_ps_to_cycles(const struct machine *m, uint64_t ps) {
    if (ps == NEVER) {
        return NEVER;
    }
    if (ps <= m->clock_ps) {
        return m->clock_cycles;
    }
    unsigned __int128 scaled = (unsigned __int128)(ps - m->clock_ps) * m->core_hz + (PS_PER_S - 1u);
    return m->clock_cycles + (uint64_t)(scaled / PS_PER_S);
}

void machine_set_core_clock(struct machine *m, uint64_t hz) {
    if (hz == m->core_hz || hz == 0) {
        return;
    }
    machine_update_time(m);
    m->clock_ps = m->now_ps;
    m->clock_cycles = m->cycles;
    m->core_hz = hz;
    m->deadline = 0;
    systick_advance(m); /* counts cycles: its next event is at another time now */
}

/* Whether a change of PRIMASK and its like, which no hook sees, could let an exception in. */
static bool masked_by_register(struct machine *m) {
    for (uint32_t n = EXCEPTION_NMI; n < EXCEPTIONS; n++) {
        if (m->pending[n] && m->enabled[n]) {
            return (machine_register(m, UC_ARM_REG_PRIMASK) & 1u) != 0 ||
                   machine_register(m, UC_ARM_REG_BASEPRI) != 0 ||
                   (machine_register(m, UC_ARM_REG_FAULTMASK) & 1u) != 0;
        }
    }
    return false;
}

void machine_reschedule(struct machine *m) {
    uint64_t next = m->peripherals_next < m->systick_next ? m->peripherals_next : m->systick_next;
    uint64_t cycles = machine_ps_to_cycles(m, next);
    m->deadline = cycles < m->limit ? cycles : m->limit;
    if (m->fpu_off || (m->pending_count != 0 && masked_by_register(m))) {
        m->deadline = 0;
    }
}

void machine_stop(struct machine *m, enum stop why) {
    m->stop = why;
    m->api.emu_stop(m->uc);
}

void machine_fault(struct machine *m, uint32_t cfsr, uint32_t address, const char *what) {
    if (m->stop == STOP_FAULT || m->stop == STOP_ERROR) {
        return;
    }
    m->stop_cfsr = cfsr;
    m->stop_address = address;
    snprintf(m->fault.text, sizeof m->fault.text, "%s", what);
    machine_stop(m, STOP_FAULT);
}

void machine_describe_fault(struct machine *m, const char *format, va_list arguments) {
    size_t at = 0;
    if (m->faulting) {
        at = strlen(m->fault.text);
        at += (size_t)snprintf(m->fault.text + at, sizeof m->fault.text - at, "; then ");
        at = at < sizeof m->fault.text ? at : sizeof m->fault.text;
    }
    vsnprintf(m->fault.text + at, sizeof m->fault.text - at, format, arguments);
}

void machine_error(struct machine *m, uint32_t address, const char *format, ...) {
    if (m->stop == STOP_ERROR) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    machine_describe_fault(m, format, arguments);
    va_end(arguments);
    m->fault.address = address;
    m->fault.cfsr = 0;
    m->fault.exception = 0;
    machine_stop(m, STOP_ERROR);
}

/* Runs a piece of the probe's code between two instructions of the firmware; what it leaves in r0. */
static uint32_t run_probe(struct machine *m, uint32_t offset) {
    uint32_t pc = machine_register(m, UC_ARM_REG_PC), r0 = machine_register(m, UC_ARM_REG_R0);
    uint32_t xpsr = machine_register(m, UC_ARM_REG_XPSR);
    machine_set_register(m, UC_ARM_REG_XPSR, (xpsr & ~(XPSR_IT | XPSR_EXCEPTION)) | EXCEPTION_HARD);
    m->probing = true;
    m->api.emu_start(m->uc, (PROBE_BASE + offset) | 1u, 0, 0, 0);
    m->probing = false;
    uint32_t result = machine_register(m, UC_ARM_REG_R0);
    machine_set_register(m, UC_ARM_REG_R0, r0);
    machine_set_register(m, UC_ARM_REG_XPSR, xpsr);
    machine_set_register(m, UC_ARM_REG_PC, pc | (xpsr & XPSR_THUMB) >> XPSR_THUMB_BIT);
    return result;
}

uint32_t machine_stack_limit(struct machine *m) {
    if (m->stack_limit_stale) {
        m->stack_limit_stale = false;
        m->stack_limit = run_probe(m, PROBE_STACK_LIMIT);
    }
    return m->stack_limit;
}

void machine_clear_stack_limits(struct machine *m) {
    run_probe(m, PROBE_CLEAR_STACK_LIMITS);
    m->stack_limit = 0;
    m->stack_limit_stale = false;
}

void machine_clear_exclusive(struct machine *m) {
    if (m->exclusive) {
        m->exclusive = false;
        run_probe(m, PROBE_CLEAR_EXCLUSIVE);
    }
}

void machine_align_stack_pointers(struct machine *m) {
    if (m->stack_pointer_stale) {
        m->stack_pointer_stale = false;
        machine_set_register(m, UC_ARM_REG_MSP, machine_register(m, UC_ARM_REG_MSP) & ~3u);
        machine_set_register(m, UC_ARM_REG_PSP, machine_register(m, UC_ARM_REG_PSP) & ~3u);
    }
}

/* ---- memory ---- */

uint8_t *machine_memory(struct machine *m, uint32_t address, uint32_t bytes, bool write) {
    if (address - RAM_BASE < RAM_BYTES && bytes <= RAM_BYTES - (address - RAM_BASE)) {
        return m->ram + (address - RAM_BASE);
    }
    if (write) {
        return NULL;
    }
    if (address - FLASH_BASE < FLASH_BYTES && bytes <= FLASH_BYTES - (address - FLASH_BASE)) {
        return m->flash + (address - FLASH_BASE);
    }
    if (address - INFO_BASE < INFO_BYTES && bytes <= INFO_BYTES - (address - INFO_BASE)) {
        return m->info + (address - INFO_BASE);
    }
    return NULL;
}

void machine_code_changed(struct machine *m, uint32_t address, uint32_t bytes) {
    if (address - FLASH_BASE >= FLASH_BYTES) {
        return;
    }
    /* A block lies within one page of Unicorn's, so one that overlaps begins less than a page before. */
    uint32_t first = (address - FLASH_BASE) / 2u, last = (address - FLASH_BASE + bytes + 1u) / 2u;
    for (uint32_t i = first > PAGE_BYTES / 2u ? first - PAGE_BYTES / 2u : 0; i < last; i++) {
        if (m->flash_blocks[i].bytes != 0 && i + m->flash_blocks[i].bytes / 2u > first) {
            m->flash_blocks[i].bytes = 0;
            m->flash_changed = true;
        }
    }
}

bool machine_bus_read(struct machine *m, uint32_t address, uint32_t bytes, uint32_t *value) {
    const uint8_t *memory = machine_memory(m, address, bytes, false);
    *value = 0;
    if (memory != NULL) {
        memcpy(value, memory, bytes);
        return true;
    }
    if (address - PERIPHERALS_BASE < PERIPHERALS_BYTES) {
        m->bus_error = false;
        *value = bus_read(m, address, bytes, false);
        return !m->bus_error && m->stop != STOP_ERROR;
    }
    return false;
}

bool machine_bus_write(struct machine *m, uint32_t address, uint32_t bytes, uint32_t value) {
    uint8_t *memory = machine_memory(m, address, bytes, true);
    if (memory != NULL) {
        memcpy(memory, &value, bytes);
        return true;
    }
    if (address - PERIPHERALS_BASE < PERIPHERALS_BYTES) {
        m->bus_error = false;
        bus_write(m, address, bytes, value, false);
        return !m->bus_error && m->stop != STOP_ERROR;
    }
    return false;
}

/* ---- life ---- */

static void *pages(size_t bytes) {
    void *memory = aligned_alloc(4096, bytes);
    if (memory != NULL) {
        memset(memory, 0, bytes);
    }
    return memory;
}

static bool build_core(struct machine *m, char *error, size_t error_bytes) {
    int status = m->api.open(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS, &m->uc);
    if (status == 0) {
        status = m->api.ctl(m->uc, UC_CTL_PAGE_SIZE_WRITE, PAGE_BYTES);
    }
    if (status == 0) {
        status = m->api.ctl(m->uc, UC_CTL_CPU_MODEL_WRITE, UC_CPU_ARM_CORTEX_M33);
    }
    if (status == 0) { /* and no addresses given: no end to look for, none to forget at every stop */
        status = m->api.ctl(m->uc, UC_CTL_USE_EXITS_WRITE, 1);
    }
    if (status == 0) {
        status = m->api.mem_map_ptr(m->uc, FLASH_BASE, FLASH_BYTES, UC_PROT_READ | UC_PROT_EXEC, m->flash);
    }
    if (status == 0) {
        status = m->api.mem_map_ptr(m->uc, INFO_BASE, INFO_BYTES, UC_PROT_READ, m->info);
    }
    if (status == 0) {
        status = m->api.mem_map_ptr(m->uc, RAM_BASE, RAM_BYTES, UC_PROT_READ | UC_PROT_WRITE, m->ram);
    }
    if (status == 0) {
        static const uint8_t k_probe[] = {
            0xEF, 0xF3, 0x0A, 0x80, 0x00, 0xDF, 0x00, 0xBF, /* MRS r0, MSPLIM; SVC #0; NOP */
            0xBF, 0xF3, 0x2F, 0x8F, 0x00, 0xDF,             /* CLREX; SVC #0 */
            0x00, 0x20, 0x80, 0xF3, 0x0A, 0x88, 0x80, 0xF3, 0x0B, 0x88, 0x00, 0xDF, /* MOVS r0, #0; MSR MSPLIM, r0;
                                                                                     * MSR PSPLIM, r0; SVC #0 */
        };
        memcpy(m->probe, k_probe, sizeof k_probe);
        status = m->api.mem_map_ptr(m->uc, PROBE_BASE, PAGE_BYTES, UC_PROT_READ | UC_PROT_EXEC, m->probe);
    }
    if (status == 0) {
        status = hooks_install(m);
    }
    if (status != 0) {
        snprintf(error, error_bytes, "Unicorn: %s", m->api.strerror(status));
    }
    return status == 0;
}

struct machine *simulator_create(const char *unicorn, char *error, size_t error_bytes) {
    struct machine *m = calloc(1, sizeof *m);
    if (m == NULL) {
        snprintf(error, error_bytes, "out of memory");
        return NULL;
    }
    m->flash = pages(FLASH_BYTES);
    m->ram = pages(RAM_BYTES);
    m->info = pages(INFO_BYTES);
    m->probe = pages(PAGE_BYTES);
    m->flash_blocks = calloc(FLASH_BYTES / 2u, sizeof *m->flash_blocks);
    m->ram_blocks = calloc(RAM_BYTES / 2u, sizeof *m->ram_blocks);
    if (m->flash == NULL || m->ram == NULL || m->info == NULL || m->probe == NULL || m->flash_blocks == NULL ||
        m->ram_blocks == NULL || !bus_create(m)) {
        snprintf(error, error_bytes, "out of memory");
    } else if (unicorn_load(&m->api, unicorn, error, error_bytes) && build_core(m, error, error_bytes)) {
        memset(m->flash, 0xFF, FLASH_BYTES);
        memset(m->info, 0xFF, INFO_BYTES);
        devinfo_fill(m->info + 0x8000u);
        uint32_t noise = 1; /* RAM holds no known value at power-on: not zeroes */
        for (uint32_t i = 0; i < RAM_BYTES; i++) {
            noise = noise * 1664525u + 1013904223u;
            m->ram[i] = (uint8_t)(noise >> 24);
        }
        m->core_hz = 20000000u;
        m->crystal_hz = 39000000u;
        simulator_reset(m);
        return m;
    }
    simulator_destroy(m);
    return NULL;
}

void simulator_destroy(struct machine *m) {
    if (m == NULL) {
        return;
    }
    if (m->uc != NULL) {
        m->api.close(m->uc);
    }
    bus_destroy(m);
    free(m->flash);
    free(m->ram);
    free(m->info);
    free(m->probe);
    free(m->flash_blocks);
    free(m->ram_blocks);
    free(m);
}
