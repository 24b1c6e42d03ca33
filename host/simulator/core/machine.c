/* The machine: memory, virtual time, and the loop that lets Unicorn run until something happens. */
#include "machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_BASE 0x0FF00000u
#define PROBE_STACK_LIMIT 0u /* offsets of its pieces of code */
#define PROBE_CLEAR_EXCLUSIVE 8u
#define PROBE_CLEAR_STACK_LIMITS 14u
#define RETURN_ADDRESS 0x90000000u /* where functions that Python calls return to: nothing is there */
#define SYSTEM_SPACE_BASE 0xE0000000u
#define SYSTEM_SPACE_BYTES 0x00100000u
#define CFSR_ADDRESS 0xE000ED28u
/* Unicorn's pages. Its own choice for this core, 1 kB, makes address translation thrash and cuts most
 * direct jumps between blocks; 64 kB divides all memories here. */
#define PAGE_BYTES 0x1000
#define XPSR_EXCEPTION 0x1FFu
#define CONTROL_NPRIV 1u
#define XPSR_IT ((3u << 25) | (0x3Fu << 10))
#define FPSCR_RMODE (3u << 22)
enum { INTR_UNDEFINED = 1, INTR_SVC = 2, INTR_FETCH = 3, INTR_DATA = 4, INTR_BREAKPOINT = 7, INTR_EXIT = 8, INTR_NOCP = 17,
       INTR_STKOF = 19, INTR_UNALIGNED = 22 };

/* ---- registers and time ---- */

static bool has_privileges(struct machine *m) {
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
    if (has_privileges(m)) {
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
    if (m->flags_slow || (m->pending_count != 0 && masked_by_register(m))) {
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

bool machine_bus_read(struct machine *m, uint32_t address, uint32_t bytes, uint32_t *value) {
    const uint8_t *memory = machine_memory(m, address, bytes, false);
    *value = 0;
    if (memory != NULL) {
        memcpy(value, memory, bytes);
        return true;
    }
    if ((address >> 28) == 4u || (address >> 28) == 5u) {
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
    if ((address >> 28) == 4u || (address >> 28) == 5u) {
        m->bus_error = false;
        bus_write(m, address, bytes, value, false);
        return !m->bus_error && m->stop != STOP_ERROR;
    }
    return false;
}

/* ---- hooks ---- */

void machine_align_stack_pointers(struct machine *m) {
    if (m->stack_pointer_stale) {
        m->stack_pointer_stale = false;
        machine_set_register(m, UC_ARM_REG_MSP, machine_register(m, UC_ARM_REG_MSP) & ~3u);
        machine_set_register(m, UC_ARM_REG_PSP, machine_register(m, UC_ARM_REG_PSP) & ~3u);
    }
}

static bool condition_passes(uint32_t xpsr, uint32_t condition) {
    bool n = (xpsr >> 31) != 0, z = (xpsr >> 30 & 1u) != 0, c = (xpsr >> 29 & 1u) != 0, v = (xpsr >> 28 & 1u) != 0;
    const bool passes[7] = {z, c, n, v, c && !z, n == v, !z && n == v};
    return condition >= 14u || passes[condition >> 1] != ((condition & 1u) != 0);
}

/* Whether the first instruction needs the FPU; an IT instruction is stepped with its block, of which those
 * count whose condition passes. */
static bool needs_fpu(struct machine *m, const uint8_t *code, uint32_t bytes) {
    uint32_t first = (uint32_t)(code[0] | code[1] << 8), state = 0xE8u, at = 0;
    if ((first & 0xFF00u) == 0xBF00u && (first & 15u) != 0) {
        state = first & 0xFFu;
        at = 2;
    }
    uint32_t xpsr = machine_register(m, UC_ARM_REG_XPSR);
    while ((state & 15u) != 0 && at + 2u <= bytes) {
        uint32_t size = (code[at] | code[at + 1u] << 8) >= 0xE800 && at + 4u <= bytes ? 4u : 2u;
        struct block one = {0};
        cost_of_block(m, code + at, size, &one);
        if ((one.flags & BLOCK_FPU) != 0 && condition_passes(xpsr, state >> 4)) {
            return true;
        }
        at += size;
        state = (state & 0xE0u) | (state << 1 & 0x1Fu);
    }
    return false;
}

/* A block with a floating-point instruction while CPACR keeps the FPU off: what stands before the
 * instruction runs one by one. False if nothing may run now. */
static bool may_run_without_fpu(struct machine *m, uint32_t address, uint32_t bytes) {
    const uint8_t *code = machine_memory(m, address, bytes, false);
    struct block block = {0};
    if (code == NULL) {
        return true;
    }
    cost_of_block(m, code, bytes, &block);
    if ((block.flags & BLOCK_FPU) == 0) {
        return true;
    }
    if (needs_fpu(m, code, bytes)) {
        machine_fault(m, CFSR_NOCP, address, "floating-point instruction while CPACR keeps the FPU off");
        return false;
    }
    if (!m->single && !m->towards_fpu) {
        m->towards_fpu = true;
        m->api.emu_stop(m->uc);
        return false;
    }
    return true;
}

/* Off the fast path, and kept out of it so that it saves no registers for this: time has reached something.
 * False if the block must not run now. */
static __attribute__((noinline)) bool look_around(struct machine *m, uint32_t address, uint32_t bytes) {
    if (m->stop != STOP_NONE) {
        m->api.emu_stop(m->uc);
        return false;
    }
    machine_align_stack_pointers(m);
    machine_update_time(m);
    machine_advance_peripherals(m);
    if (m->stop != STOP_NONE) {
        return false;
    }
    if (m->flash_changed) { /* start again from here, with Unicorn's translations thrown away */
        m->api.emu_stop(m->uc);
        return false;
    }
    bool splits_it_block = (machine_register(m, UC_ARM_REG_XPSR) & XPSR_IT) != 0;
    if (!splits_it_block) {
        if (m->reset_requested) {
            machine_stop(m, STOP_RESET);
            return false;
        }
        if (m->cycles >= m->limit) {
            machine_stop(m, STOP_LIMIT);
            return false;
        }
        if (exception_next(m, false) != 0) {
            machine_stop(m, STOP_EXCEPTION);
            return false;
        }
    }
    if (m->flags_slow && !may_run_without_fpu(m, address, bytes)) {
        return false;
    }
    machine_reschedule(m);
    return true;
}

static uint32_t hash_of(const uint8_t *code, uint32_t bytes) {
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i + 1 < bytes; i += 2) {
        hash = (hash ^ (uint32_t)(code[i] | code[i + 1] << 8)) * 16777619u;
    }
    return hash;
}

/* What instructions of the block that begins do beside what Unicorn does. */
static __attribute__((noinline)) void note_flags(struct machine *m, uint32_t flags, uint32_t address) {
    m->event |= (flags & BLOCK_SEV) != 0;
    m->stack_limit_stale |= (flags & BLOCK_STACK_LIMIT) != 0;
    m->exclusive |= (flags & BLOCK_EXCLUSIVE) != 0;
    if ((flags & BLOCK_STACK_POINTER) != 0) { /* MSR ends its block: the next one looks */
        m->stack_pointer_stale = true;
        m->deadline = 0;
    }
    /* The chip rounds to nearest whatever FPSCR says, Unicorn does as it says. */
    if ((flags & BLOCK_FROM_FIXED) != 0 && (machine_register(m, UC_ARM_REG_FPSCR) & FPSCR_RMODE) != 0) {
        machine_error(m, address, "VCVT from fixed point while FPSCR.RMode is not 0 is not modelled");
    }
}

/* Finds the costs of code outside flash, where it may have changed. */
static __attribute__((noinline)) struct block *block_in_ram(struct machine *m, uint32_t address, uint32_t bytes) {
    const uint8_t *code = machine_memory(m, address, bytes, false);
    if (code == NULL) {
        m->scratch = (struct block){.bytes = (uint16_t)bytes, .cycles = 1, .instructions = 1};
        return &m->scratch;
    }
    struct block *block =
        address - RAM_BASE < RAM_BYTES ? &m->ram_blocks[(address - RAM_BASE) / 2u] : &m->scratch;
    uint32_t hash = hash_of(code, bytes);
    if (block->bytes != bytes || block->hash != hash) {
        cost_of_block(m, code, bytes, block);
        block->hash = hash;
    }
    return block;
}

static void on_block(uc_engine *uc, uint64_t address64, uint32_t bytes, void *user) {
    (void)uc;
    struct machine *m = user;
    uint32_t address = (uint32_t)address64;
    if (m->probing) {
        return;
    }
    if (m->cycles >= m->deadline && !look_around(m, address, bytes)) {
        return;
    }
    struct block *block;
    uint32_t offset = address - FLASH_BASE;
    if (offset < FLASH_BYTES) {
        block = &m->flash_blocks[offset / 2u];
        if (block->bytes != bytes) {
            cost_of_block(m, m->flash + offset, bytes, block);
        }
    } else {
        block = block_in_ram(m, address, bytes);
    }
    uint32_t cycles = block->cycles + (address != m->fallthrough ? m->taken : 0);
    m->cycles += cycles;
    block->total_cycles += cycles;
    m->instructions += block->instructions;
    m->fallthrough = address + bytes;
    m->taken = block->taken;
    m->current = block;
    if ((block->flags & BLOCK_NOTED) != 0) {
        note_flags(m, block->flags, address);
    }
}

static uint64_t on_mmio_read(uc_engine *uc, uint64_t offset, unsigned bytes, void *user) {
    (void)uc;
    return bus_read(user, 0x40000000u + (uint32_t)offset, bytes, true);
}

static void on_mmio_write(uc_engine *uc, uint64_t offset, unsigned bytes, uint64_t value, void *user) {
    (void)uc;
    bus_write(user, 0x40000000u + (uint32_t)offset, bytes, (uint32_t)value, true);
}

/* Code without privileges reaches none of the core's registers, but STIR where CCR.USERSETMPEND lets it. */
static bool may_access_system(struct machine *m, uint32_t address, const char *verb) {
    if (has_privileges(m) || (address == 0xE000EF00u && (m->ccr & 2u) != 0)) {
        return true;
    }
    char text[96];
    snprintf(text, sizeof text, "%s 0x%08x, a register of the core, without privileges", verb, address);
    machine_fault(m, CFSR_PRECISERR | CFSR_BFARVALID, address, text);
    return false;
}

static uint64_t on_system_read(uc_engine *uc, uint64_t offset, unsigned bytes, void *user) {
    (void)uc;
    struct machine *m = user;
    uint32_t address = SYSTEM_SPACE_BASE + (uint32_t)offset;
    if (!may_access_system(m, address, "read from")) {
        return 0;
    }
    uint32_t word = system_space_read(m, address & ~3u) >> (8u * (address & 3u));
    return bytes == 4 ? word : word & ((1u << (8u * bytes)) - 1u);
}

static void on_system_write(uc_engine *uc, uint64_t offset, unsigned bytes, uint64_t value, void *user) {
    (void)uc;
    struct machine *m = user;
    uint32_t address = SYSTEM_SPACE_BASE + (uint32_t)offset, word = (uint32_t)value;
    if (!may_access_system(m, address, "write to")) {
        return;
    }
    if (bytes < 4) { /* byte and halfword writes exist for the priorities and for the parts of CFSR */
        uint32_t shift = 8u * (address & 3u), mask = ((1u << (8u * bytes)) - 1u) << shift;
        uint32_t rest = (address & ~3u) == CFSR_ADDRESS ? 0 : system_space_read(m, address & ~3u) & ~mask;
        word = rest | ((word << shift) & mask); /* what is written as 1 in CFSR is cleared */
    }
    system_space_write(m, address & ~3u, word);
    m->deadline = 0;
}

static void on_interrupt(uc_engine *uc, uint32_t number, void *user) {
    (void)uc;
    struct machine *m = user;
    if (m->probing) {
        m->api.emu_stop(m->uc);
        return;
    }
    if (m->stop != STOP_NONE && number != INTR_EXIT) {
        m->api.emu_stop(m->uc);
        return;
    }
    switch (number) {
    case INTR_SVC: machine_stop(m, STOP_SVC); break;
    case INTR_EXIT: machine_stop(m, STOP_EXIT); break;
    case INTR_BREAKPOINT: machine_stop(m, STOP_BREAKPOINT); break;
    case INTR_UNDEFINED: machine_fault(m, CFSR_UNDEFINSTR, 0, "undefined instruction"); break;
    case INTR_FETCH: machine_fault(m, CFSR_IACCVIOL, 0, "jump to where nothing may execute"); break;
    case INTR_DATA: /* of exclusive accesses alone; what else can be wrong comes to on_invalid_memory */
        machine_fault(m, CFSR_UNALIGNED, 0, "unaligned exclusive access");
        break;
    case INTR_NOCP: machine_fault(m, CFSR_NOCP, 0, "no such coprocessor"); break;
    case INTR_STKOF: machine_fault(m, CFSR_STKOF, 0, "stack overflow (below the stack limit)"); break;
    case INTR_UNALIGNED: machine_fault(m, CFSR_UNALIGNED, 0, "unaligned access"); break;
    default: machine_error(m, 0, "the core raised exception %u, which is not known", number); break;
    }
}

static bool on_invalid_instruction(uc_engine *uc, void *user) {
    (void)uc;
    struct machine *m = user;
    uint32_t pc = machine_register(m, UC_ARM_REG_PC);
    char text[96];
    if (m->current != NULL && (m->current->flags & BLOCK_WFE) != 0 && pc == m->fallthrough) {
        m->stop = STOP_WFE; /* Unicorn knows no WFE and YIELD */
    } else if ((machine_register(m, UC_ARM_REG_XPSR) & XPSR_THUMB) == 0) {
        snprintf(text, sizeof text, "jump to 0x%08x, an even address: not in Thumb state", pc);
        machine_fault(m, CFSR_INVSTATE, 0, text);
    } else {
        machine_fault(m, CFSR_UNDEFINSTR, 0, "undefined instruction");
    }
    return false;
}

static bool on_invalid_memory(uc_engine *uc, int type, uint64_t address64, int size, int64_t value, void *user) {
    (void)uc;
    (void)size;
    (void)value;
    struct machine *m = user;
    uint32_t address = (uint32_t)address64;
    char text[96];
    switch (type) {
    case UC_MEM_FETCH_UNMAPPED:
    case UC_MEM_FETCH_PROT:
        if ((address & ~1u) == RETURN_ADDRESS) {
            machine_stop(m, STOP_RETURNED);
            break;
        }
        snprintf(text, sizeof text, "jump to 0x%08x, where there is no code", address);
        machine_fault(m, address >= 0xE0000000u ? CFSR_IACCVIOL : CFSR_IBUSERR, address, text);
        break;
    case UC_MEM_WRITE_UNMAPPED:
    case UC_MEM_WRITE_PROT:
        snprintf(text, sizeof text, "write to 0x%08x, %s", address,
                 type == UC_MEM_WRITE_PROT ? "which is flash" : "where there is no memory");
        machine_fault(m, CFSR_PRECISERR | CFSR_BFARVALID, address, text);
        break;
    default:
        snprintf(text, sizeof text, "read from 0x%08x, where there is no memory", address);
        machine_fault(m, CFSR_PRECISERR | CFSR_BFARVALID, address, text);
        break;
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
    uc_hook hook;
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
        status = m->api.mmio_map(m->uc, 0x40000000u, 0x20000000u, on_mmio_read, m, on_mmio_write, m);
    }
    if (status == 0) {
        status = m->api.mmio_map(m->uc, SYSTEM_SPACE_BASE, SYSTEM_SPACE_BYTES, on_system_read, m,
                                 on_system_write, m);
    }
    const struct {
        int type;
        void (*callback)(void);
    } hooks[] = {
        {UC_HOOK_BLOCK, (void (*)(void))on_block},
        {UC_HOOK_INTR, (void (*)(void))on_interrupt},
        {UC_HOOK_INSN_INVALID, (void (*)(void))on_invalid_instruction},
        {UC_HOOK_MEM_INVALID, (void (*)(void))on_invalid_memory},
    };
    for (size_t i = 0; status == 0 && i < sizeof hooks / sizeof hooks[0]; i++) {
        void *callback;
        memcpy(&callback, &hooks[i].callback, sizeof callback);
        status = m->api.hook_add(m->uc, &hook, hooks[i].type, callback, m, 1, 0);
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
