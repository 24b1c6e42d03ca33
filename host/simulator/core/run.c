/* The run loop: what to do when the emulation has come back, and the calls from Python. */
#include <stdio.h>
#include <string.h>

#include "machine.h"

#define NO_END 0xFFFFFFFEu

/* The core as after a reset, with time running on. */
static void reset_core(struct machine *m) {
    static const int k_cleared[] = {UC_ARM_REG_PRIMASK, UC_ARM_REG_BASEPRI, UC_ARM_REG_FAULTMASK,
                                    UC_ARM_REG_CONTROL, UC_ARM_REG_FPSCR};
    machine_clear_stack_limits(m);
    machine_set_register(m, UC_ARM_REG_XPSR, XPSR_THUMB);
    for (size_t i = 0; i < sizeof k_cleared / sizeof k_cleared[0]; i++) {
        machine_set_register(m, k_cleared[i], 0);
    }
    uint32_t vectors[2];
    memcpy(vectors, m->flash, sizeof vectors);
    machine_set_register(m, UC_ARM_REG_PSP, 0);
    machine_set_register(m, UC_ARM_REG_MSP, vectors[0] & ~3u);
    machine_set_register(m, UC_ARM_REG_LR, 0xFFFFFFFFu);
    machine_set_register(m, UC_ARM_REG_PC, vectors[1]); /* its lowest bit is the Thumb state */
    m->sleeping = m->awaits_event = m->event = m->reset_requested = false;
    m->stop = STOP_NONE;
    m->current = NULL;
    m->taken = 0;
    exceptions_reset(m);
    system_space_reset(m);
    bus_reset(m);
    m->deadline = 0;
    m->entry_fault = false;
    machine_clear_exclusive(m);
}

void simulator_reset(struct machine *m) {
    if (m->cycles != 0) {
        simulator_profile_clear(m);
    }
    m->cycles = m->instructions = m->sleep_cycles = 0;
    m->clock_cycles = m->clock_ps = m->now_ps = 0;
    m->resets = 0;
    m->fault_new = false;
    reset_core(m);
    usart_restart(m->usart);
}

void simulator_reset_core(struct machine *m) {
    m->resets++;
    reset_core(m);
}

/* Unicorn forgets what it has translated. */
static void flush_code(struct machine *m) {
    m->flash_changed = false;
    m->api.ctl(m->uc, UC_CTL_TB_FLUSH);
}

bool simulator_read(struct machine *m, uint32_t address, uint8_t *bytes, size_t count) {
    const uint8_t *memory = machine_memory(m, address, (uint32_t)count, false);
    if (memory == NULL) {
        return false;
    }
    memcpy(bytes, memory, count);
    return true;
}

bool simulator_write(struct machine *m, uint32_t address, const uint8_t *bytes, size_t count) {
    uint8_t *memory = machine_memory(m, address, (uint32_t)count, false);
    if (memory == NULL) {
        return false;
    }
    memcpy(memory, bytes, count);
    machine_code_changed(m, address, (uint32_t)count);
    flush_code(m);
    return true;
}

/* PRIMASK keeps no exception from ending WFI; WFE is ended by one that is taken, or by an event. */
static bool woken(struct machine *m) {
    bool by_event = m->awaits_event && m->event;
    m->event = m->event && !by_event;
    return by_event || exception_next(m, !m->awaits_event) != 0;
}

/* Time passes without instructions until something wakes the core; false at the limit. */
static bool sleep(struct machine *m) {
    for (;;) {
        machine_update_time(m);
        machine_advance_peripherals(m);
        if (m->stop != STOP_NONE || m->reset_requested || woken(m)) {
            m->sleeping = m->awaits_event = false;
            return true;
        }
        if (m->cycles >= m->limit) {
            return false;
        }
        uint64_t next = m->peripherals_next < m->systick_next ? m->peripherals_next : m->systick_next;
        uint64_t until = machine_ps_to_cycles(m, next);
        if (until > m->limit) {
            until = m->limit;
        }
        if (until <= m->cycles) {
            until = m->cycles + 1;
        }
        m->sleep_cycles += until - m->cycles;
        m->cycles = until;
    }
}

/* A block that a fault ended early was counted whole: give back what was not run. */
static void give_back(struct machine *m, uint32_t pc) {
    uint32_t end = m->fallthrough;
    const uint8_t *code = pc < end && end - pc < 4096u ? machine_memory(m, pc, end - pc, false) : NULL;
    if (code != NULL && m->current != NULL) {
        struct block rest = {0};
        cost_of_block(code, end - pc, &rest);
        m->cycles -= rest.cycles < m->cycles ? rest.cycles : 0;
        m->current->total_cycles -= rest.cycles < m->current->total_cycles ? rest.cycles : 0;
        m->instructions -= rest.instructions < m->instructions ? rest.instructions : 0;
    }
    m->taken = 0;
}

static void note_fault(struct machine *m, uint32_t pc) {
    m->fault.pc = pc;
    m->fault.cycles = m->cycles;
    m->fault_new = true;
}

/* Deals with why the emulation stopped; a result for Python, or -1 to go on. */
static int after_stop(struct machine *m, enum stop stop, uint32_t pc) {
    switch (stop) {
    case STOP_LIMIT:
        return SIMULATOR_LIMIT;
    case STOP_RETURNED:
        return SIMULATOR_RETURNED;
    case STOP_EXCEPTION: {
        uint32_t number = exception_next(m, false);
        if (number != 0) {
            exception_enter(m, number, pc);
        }
        break;
    }
    case STOP_SVC:
        if (exception_preempts(m, EXCEPTION_SVC)) { /* it stays pending behind an interrupt that came with it */
            exception_pend(m, EXCEPTION_SVC);
            exception_enter(m, exception_next(m, false), pc);
        } else {
            exception_note(m, 0, 0, "SVC while its priority is masked");
            exception_fault(m, 0, 0, pc);
        }
        break;
    case STOP_EXIT:
        exception_exit(m, pc | 1u);
        break;
    case STOP_WFI:
        m->sleeping = true;
        break;
    case STOP_WFE: {
        const uint8_t *code = machine_memory(m, pc - 2u, 2, false);
        if (code != NULL && code[0] == 0x20u && !m->event) {
            m->sleeping = m->awaits_event = true;
        }
        m->event = false;
        break;
    }
    case STOP_FAULT:
        give_back(m, pc);
        m->fault.address = m->stop_address;
        m->fault.cfsr = m->stop_cfsr;
        note_fault(m, pc);
        m->faulting = true;
        exception_fault(m, m->stop_cfsr, m->stop_address, pc);
        return m->stop == STOP_ERROR ? SIMULATOR_ERROR : SIMULATOR_FAULT;
    case STOP_ERROR:
        give_back(m, pc);
        note_fault(m, pc);
        return SIMULATOR_ERROR;
    case STOP_BREAKPOINT:
        snprintf(m->fault.text, sizeof m->fault.text, "breakpoint instruction");
        m->fault.address = m->fault.cfsr = m->fault.exception = 0;
        note_fault(m, pc);
        machine_set_register(m, UC_ARM_REG_PC, (pc + 2u) | 1u);
        return SIMULATOR_BREAKPOINT;
    case STOP_RESET:
    case STOP_NONE:
        break;
    }
    return -1;
}

/* Lets Unicorn run from `*pc` until something stops it: why, and where, for which `*pc` is replaced. */
static enum stop emulate(struct machine *m, uint32_t *pc) {
    bool one = m->single || m->towards_fpu;
    /* What was translated for whole runs does not count instructions. */
    if (m->flash_changed || (one && !m->counting)) {
        flush_code(m);
    }
    m->counting = one;
    m->current = NULL;
    m->deadline = 0;
    uint32_t from = *pc, thumb = (machine_register(m, UC_ARM_REG_XPSR) & XPSR_THUMB) >> XPSR_THUMB_BIT;
    int error = m->api.emu_start(m->uc, from | thumb, NO_END, 0, one ? 1 : 0);
    machine_align_stack_pointers(m);
    m->towards_fpu = m->towards_fpu && !one;
    *pc = machine_register(m, UC_ARM_REG_PC);
    if (m->stop != STOP_NONE) {
        return m->stop;
    }
    if (one && *pc > from && *pc < m->fallthrough) { /* the block was counted whole */
        give_back(m, *pc);
    }
    if (error != 0) {
        machine_error(m, *pc, "Unicorn: %s", m->api.strerror(error));
        return STOP_ERROR;
    }
    bool waits = m->current != NULL && (m->current->flags & BLOCK_WFI) != 0 && *pc == m->fallthrough;
    return waits ? STOP_WFI : STOP_NONE;
}

static int run(struct machine *m) {
    for (;;) {
        if (m->sleeping && !sleep(m)) {
            return SIMULATOR_LIMIT;
        }
        if (m->reset_requested) {
            simulator_reset_core(m);
        }
        uint32_t pc = machine_register(m, UC_ARM_REG_PC);
        enum stop stop = m->stop; /* set already if a peripheral met an error while the core slept */
        bool entering = stop == STOP_NONE && exception_next(m, false) != 0;
        if (entering) {
            stop = STOP_EXCEPTION;
        } else if (stop == STOP_NONE) {
            stop = emulate(m, &pc);
        }
        m->stop = STOP_NONE;
        /* An SVC or a return has ended its block; in all other cases the core stands at the instruction. */
        uint32_t at = stop == STOP_SVC || stop == STOP_EXIT ? m->fallthrough - 2u : pc;
        int result = after_stop(m, stop, pc);
        m->faulting = false;
        if (m->stop == STOP_ERROR && result < 0) {
            m->stop = STOP_NONE;
            m->entry_fault = false;
            note_fault(m, at);
            return SIMULATOR_ERROR;
        }
        if (m->entry_fault) {
            m->entry_fault = false;
            note_fault(m, at);
            result = SIMULATOR_FAULT;
        }
        m->stop = STOP_NONE;
        if (result < 0 && m->single && !entering) {
            result = SIMULATOR_LIMIT;
        }
        if (result >= 0) {
            machine_update_time(m);
            return result;
        }
    }
}

int simulator_run(struct machine *m, uint64_t cycles, uint64_t until_ps) {
    uint64_t limit = cycles > NEVER - m->cycles ? NEVER : m->cycles + cycles;
    for (;;) {
        uint64_t end = machine_ps_to_cycles(m, until_ps);
        m->limit = limit < end ? limit : end;
        int result = run(m);
        /* The clock may have changed on the way: then the limit was at another time. */
        if (result != SIMULATOR_LIMIT || m->cycles >= limit || until_ps == NEVER || m->now_ps >= until_ps) {
            return result;
        }
    }
}

struct saved {
    uint32_t core[16], xpsr, msp, psp, control, fpscr, primask, basepri, fp[32];
};

static void save(struct machine *m, struct saved *s) {
    for (uint32_t i = 0; i < 16; i++) {
        s->core[i] = simulator_register(m, i);
    }
    s->xpsr = machine_register(m, UC_ARM_REG_XPSR);
    s->msp = machine_register(m, UC_ARM_REG_MSP);
    s->psp = machine_register(m, UC_ARM_REG_PSP);
    s->control = machine_register(m, UC_ARM_REG_CONTROL);
    s->fpscr = machine_register(m, UC_ARM_REG_FPSCR);
    s->primask = machine_register(m, UC_ARM_REG_PRIMASK);
    s->basepri = machine_register(m, UC_ARM_REG_BASEPRI);
    for (uint32_t i = 0; i < 32; i++) {
        s->fp[i] = machine_register(m, (int)(UC_ARM_REG_S0 + i));
    }
}

static void restore(struct machine *m, const struct saved *s) {
    machine_set_register(m, UC_ARM_REG_XPSR, s->xpsr | XPSR_THUMB);
    machine_set_register(m, UC_ARM_REG_CONTROL, s->control);
    machine_set_register(m, UC_ARM_REG_MSP, s->msp);
    machine_set_register(m, UC_ARM_REG_PSP, s->psp);
    machine_set_register(m, UC_ARM_REG_FPSCR, s->fpscr);
    machine_set_register(m, UC_ARM_REG_PRIMASK, s->primask);
    machine_set_register(m, UC_ARM_REG_BASEPRI, s->basepri);
    for (uint32_t i = 0; i < 16; i++) {
        if (i != 13) {
            simulator_set_register(m, i, s->core[i]);
        }
    }
    for (uint32_t i = 0; i < 32; i++) {
        machine_set_register(m, (int)(UC_ARM_REG_S0 + i), s->fp[i]);
    }
}

int simulator_call(struct machine *m, uint32_t address, const uint32_t *arguments, size_t count, uint32_t sp,
                   uint64_t cycles, uint32_t *result) {
    uint32_t top = (sp != 0 ? sp : simulator_register(m, 13)) & ~7u;
    if (count > 4) {
        top -= (uint32_t)(4u * (count - 4u) + 7u) & ~7u;
        uint8_t *stack = machine_memory(m, top, 4u * (uint32_t)(count - 4u), true);
        if (stack == NULL) {
            machine_error(m, top, "no stack at 0x%08x to call on", top);
            m->stop = STOP_NONE;
            note_fault(m, address);
            return SIMULATOR_ERROR;
        }
        memcpy(stack, arguments + 4, 4u * (count - 4u));
    }
    struct saved saved;
    bool sleeping = m->sleeping, awaits_event = m->awaits_event;
    uint32_t cpacr = m->cpacr;
    bool fpu_off = m->fpu_off;
    save(m, &saved);
    m->sleeping = m->awaits_event = false;
    m->cpacr |= 0xFu << 20;
    m->fpu_off = false;
    for (size_t i = 0; i < count && i < 4; i++) {
        simulator_set_register(m, (uint32_t)i, arguments[i]);
    }
    machine_set_register(m, UC_ARM_REG_SP, top);
    machine_set_register(m, UC_ARM_REG_LR, RETURN_ADDRESS | 1u);
    machine_set_register(m, UC_ARM_REG_PC, address | 1u);
    m->taken = 0;
    int status = simulator_run(m, cycles, NEVER);
    *result = simulator_register(m, 0);
    if (status == SIMULATOR_RETURNED) {
        restore(m, &saved);
        m->sleeping = sleeping;
        m->awaits_event = awaits_event;
        m->taken = 0;
        m->cpacr = cpacr;
        m->fpu_off = fpu_off;
    }
    return status;
}

void simulator_status(struct machine *m, struct simulator_status *status) {
    machine_update_time(m);
    memset(status, 0, sizeof *status);
    status->cycles = m->cycles;
    status->instructions = m->instructions;
    status->sleep_cycles = m->sleep_cycles;
    status->time_ps = m->now_ps;
    status->core_hz = m->core_hz;
    status->pc = machine_register(m, UC_ARM_REG_PC);
    status->exception = machine_register(m, UC_ARM_REG_IPSR) & 0x1FFu;
    status->resets = m->resets;
    usart_status(m, status);
}

bool simulator_fault(struct machine *m, struct simulator_fault *fault) {
    *fault = m->fault;
    bool is_new = m->fault_new;
    m->fault_new = false;
    return is_new;
}

static int register_name(uint32_t number) {
    static const int k_special[] = {UC_ARM_REG_XPSR, UC_ARM_REG_MSP, UC_ARM_REG_PSP, UC_ARM_REG_CONTROL,
                                    UC_ARM_REG_PRIMASK, UC_ARM_REG_BASEPRI, UC_ARM_REG_FAULTMASK,
                                    UC_ARM_REG_FPSCR};
    switch (number) {
    case 13: return UC_ARM_REG_SP;
    case 14: return UC_ARM_REG_LR;
    case 15: return UC_ARM_REG_PC;
    default: break;
    }
    if (number <= 12) {
        return (int)(UC_ARM_REG_R0 + number);
    }
    return number < 24 ? k_special[number - 16u] : (int)(UC_ARM_REG_S0 + (number - 32u) % 32u);
}

uint32_t simulator_register(struct machine *m, uint32_t number) {
    return machine_register(m, register_name(number));
}

void simulator_set_register(struct machine *m, uint32_t number, uint32_t value) {
    machine_set_register(m, register_name(number), number == 15 ? value | 1u : value);
}

static struct block *block_at(struct machine *m, uint32_t address) {
    if (address - FLASH_BASE < FLASH_BYTES) {
        return &m->flash_blocks[(address - FLASH_BASE) / 2u];
    }
    return address - RAM_BASE < RAM_BYTES ? &m->ram_blocks[(address - RAM_BASE) / 2u] : NULL;
}

void simulator_profile(struct machine *m, uint32_t address, uint32_t bytes, uint64_t *cycles) {
    for (uint32_t i = 0; i < bytes / 2u; i++) {
        const struct block *block = block_at(m, address + 2u * i);
        cycles[i] = block != NULL ? block->total_cycles : 0;
    }
}

void simulator_profile_clear(struct machine *m) {
    for (size_t i = 0; i < FLASH_BYTES / 2u; i++) {
        m->flash_blocks[i].total_cycles = 0;
    }
    for (size_t i = 0; i < RAM_BYTES / 2u; i++) {
        m->ram_blocks[i].total_cycles = 0;
    }
}
