/* What Unicorn calls: at each basic block, which is where time passes and the machine looks around; at accesses to
 * peripherals and to the core's registers; and at what ends a run of instructions. */
#include "machine.h"

#include <stdio.h>
#include <string.h>

#define FPSCR_RMODE (3u << 22)
enum { INTR_UNDEFINED = 1, INTR_SVC = 2, INTR_FETCH = 3, INTR_DATA = 4, INTR_BREAKPOINT = 7, INTR_EXIT = 8,
       INTR_NOCP = 17, INTR_STKOF = 19, INTR_UNALIGNED = 22 };

/* ---- blocks ---- */

static bool condition_passes(uint32_t xpsr, uint32_t condition) {
    bool n = (xpsr >> 31) != 0, z = (xpsr >> 30 & 1u) != 0, c = (xpsr >> 29 & 1u) != 0, v = (xpsr >> 28 & 1u) != 0;
    const bool passes[7] = {z, c, n, v, c && !z, n == v, !z && n == v};
    return condition >= 14u || passes[condition >> 1] != ((condition & 1u) != 0);
}

/* Whether the first instruction needs the FPU; an IT instruction is stepped with its block, of which those
 * count whose condition passes. */
static bool needs_fpu(struct machine *m, const uint8_t *code, uint32_t bytes) {
    /* As ITSTATE has it: without an IT instruction, as in a block of one instruction whose condition is AL. */
    uint32_t first = (uint32_t)(code[0] | code[1] << 8), state = 0xE8u, at = 0;
    if ((first & 0xFF00u) == 0xBF00u && (first & 15u) != 0) {
        state = first & 0xFFu;
        at = 2;
    }
    uint32_t xpsr = machine_register(m, UC_ARM_REG_XPSR);
    while ((state & 15u) != 0 && at + 2u <= bytes) {
        uint32_t size = (code[at] | code[at + 1u] << 8) >= 0xE800 && at + 4u <= bytes ? 4u : 2u;
        struct block one = {0};
        cost_of_block(code + at, size, &one);
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
    cost_of_block(code, bytes, &block);
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
    if (m->fpu_off && !may_run_without_fpu(m, address, bytes)) {
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
        cost_of_block(code, bytes, block);
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
            cost_of_block(m->flash + offset, bytes, block);
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

/* ---- accesses ---- */

static uint64_t on_mmio_read(uc_engine *uc, uint64_t offset, unsigned bytes, void *user) {
    (void)uc;
    return bus_read(user, PERIPHERALS_BASE + (uint32_t)offset, bytes, true);
}

static void on_mmio_write(uc_engine *uc, uint64_t offset, unsigned bytes, uint64_t value, void *user) {
    (void)uc;
    bus_write(user, PERIPHERALS_BASE + (uint32_t)offset, bytes, (uint32_t)value, true);
}

/* Code without privileges reaches none of the core's registers, but STIR where CCR.USERSETMPEND lets it. */
static bool may_access_system(struct machine *m, uint32_t address, const char *verb) {
    if (machine_has_privileges(m) || (address == STIR && (m->ccr & 2u) != 0)) {
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
        uint32_t rest = (address & ~3u) == SCB_CFSR ? 0 : system_space_read(m, address & ~3u) & ~mask;
        word = rest | ((word << shift) & mask); /* what is written as 1 in CFSR is cleared */
    }
    system_space_write(m, address & ~3u, word);
    m->deadline = 0;
}

/* ---- ends of a run ---- */

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

int hooks_install(struct machine *m) {
    const struct {
        int type;
        void (*callback)(void);
    } hooks[] = {
        {UC_HOOK_BLOCK, (void (*)(void))on_block},
        {UC_HOOK_INTR, (void (*)(void))on_interrupt},
        {UC_HOOK_INSN_INVALID, (void (*)(void))on_invalid_instruction},
        {UC_HOOK_MEM_INVALID, (void (*)(void))on_invalid_memory},
    };
    int status = m->api.mmio_map(m->uc, PERIPHERALS_BASE, PERIPHERALS_BYTES, on_mmio_read, m, on_mmio_write, m);
    if (status == 0) {
        status = m->api.mmio_map(m->uc, SYSTEM_SPACE_BASE, SYSTEM_SPACE_BYTES, on_system_read, m, on_system_write, m);
    }
    for (size_t i = 0; status == 0 && i < sizeof hooks / sizeof hooks[0]; i++) {
        uc_hook hook;
        void *callback;
        memcpy(&callback, &hooks[i].callback, sizeof callback);
        status = m->api.hook_add(m->uc, &hook, hooks[i].type, callback, m, 1, 0);
    }
    return status;
}
