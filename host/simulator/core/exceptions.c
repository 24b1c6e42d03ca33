/* Exceptions of the Cortex-M33, which Unicorn leaves to its user: priorities, entry, return, faults.
 *
 * Floating-point state is stacked at entry, not lazily: the frame is the same, and no more time is
 * counted than the lazy scheme takes while handlers do not use the FPU. */
#include <stdarg.h>
#include <string.h>

#include "machine.h"

#define XPSR_ALIGNED (1u << 9)
#define CONTROL_SPSEL 2u
#define CONTROL_FP 0xCu /* FPCA and, since all runs in secure state, SFPA */
#define CONTROL_FPCA 4u
#define CONTROL_SFPA 8u
#define FRAME_SFPA (1u << 20) /* of the stacked xPSR */
#define FPCCR_ASPEN (1u << 31)
#define RETURN_THREAD (1u << 3)
#define RETURN_BASIC (1u << 4) /* no floating-point frame */
#define RETURN_PSP (1u << 2)
#define FRAME_BYTES 32u
#define FRAME_FP_BYTES (32u + 18u * 4u)
/* Cycles; Arm gives 12 for entry with zero wait states and 6 for tail-chaining on this family. */
#define CYCLES_ENTER 12u
#define CYCLES_EXIT 12u
#define CYCLES_TAIL_CHAIN 6u
#define LOWEST 256

void exceptions_reset(struct machine *m) {
    memset(m->enabled, 0, sizeof m->enabled);
    memset(m->pending, 0, sizeof m->pending);
    memset(m->active, 0, sizeof m->active);
    memset(m->level, 0, sizeof m->level);
    memset(m->priority, 0, sizeof m->priority);
    m->pending_count = 0;
    for (uint32_t n = EXCEPTION_RESET; n < EXCEPTION_IRQ0; n++) {
        m->enabled[n] = 1;
    }
    for (uint32_t n = EXCEPTION_MEMORY; n <= EXCEPTION_SECURE; n++) {
        m->enabled[n] = 0; /* until SHCSR says otherwise */
    }
    m->priority[EXCEPTION_RESET] = -4;
    m->priority[EXCEPTION_NMI] = -2;
    m->priority[EXCEPTION_HARD] = -1;
}

void exception_pend(struct machine *m, uint32_t number) {
    if (m->pending[number] == 0) {
        m->pending[number] = 1;
        m->pending_count++;
        if ((m->scr & 16u) != 0) {
            m->event = true; /* SEVONPEND: of disabled ones too */
        }
    }
    m->deadline = 0; /* let the block hook look */
}

void exception_unpend(struct machine *m, uint32_t number) {
    if (m->pending[number] != 0 && m->level[number] == 0) {
        m->pending[number] = 0;
        m->pending_count--;
    }
}

void irq_level(struct machine *m, int irq, bool high) {
    uint32_t number = EXCEPTION_IRQ0 + (uint32_t)irq;
    bool rises = high && m->level[number] == 0;
    m->level[number] = high;
    if (rises) {
        exception_pend(m, number);
    }
}

void exception_note(struct machine *m, uint32_t cfsr, uint32_t address, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    machine_describe_fault(m, format, arguments);
    va_end(arguments);
    if (!m->faulting) {
        m->fault.address = address;
    }
    m->fault.cfsr = cfsr | (m->faulting ? m->fault.cfsr : 0);
    m->faulting = m->entry_fault = true;
}

static int group(const struct machine *m, int priority) {
    return priority < 0 ? priority : priority & ~((2 << m->aircr_group) - 1);
}

static int execution_priority(struct machine *m, bool ignore_primask) {
    int lowest = LOWEST;
    for (uint32_t n = 1; n < EXCEPTIONS; n++) {
        if (m->active[n] && group(m, m->priority[n]) < lowest) {
            lowest = group(m, m->priority[n]);
        }
    }
    uint32_t base = machine_register(m, UC_ARM_REG_BASEPRI) & 0xF0u;
    if (base != 0 && group(m, (int)base) < lowest) {
        lowest = group(m, (int)base);
    }
    if (!ignore_primask && lowest > 0 && (machine_register(m, UC_ARM_REG_PRIMASK) & 1u) != 0) {
        lowest = 0;
    }
    if (lowest > -1 && (machine_register(m, UC_ARM_REG_FAULTMASK) & 1u) != 0) {
        lowest = -1;
    }
    return lowest;
}

uint32_t exception_next(struct machine *m, bool ignore_primask) {
    if (m->pending_count == 0) {
        return 0;
    }
    uint32_t best = 0;
    for (uint32_t n = EXCEPTION_NMI; n < EXCEPTIONS; n++) {
        if (m->pending[n] && m->enabled[n] && (best == 0 || m->priority[n] < m->priority[best])) {
            best = n;
        }
    }
    if (best == 0 || group(m, m->priority[best]) >= execution_priority(m, ignore_primask)) {
        return 0;
    }
    return best;
}

bool exception_preempts(struct machine *m, uint32_t number) {
    return m->enabled[number] && group(m, m->priority[number]) < execution_priority(m, false);
}

/* Puts the core into the handler. */
static void start_handler(struct machine *m, uint32_t number, uint32_t exc_return, uint32_t msp, uint32_t psp) {
    uint32_t vector = 0;
    if (m->pending[number]) {
        m->pending[number] = 0;
        m->pending_count--;
    }
    m->active[number] = 1;
    if (!machine_bus_read(m, m->vtor + 4u * number, 4, &vector)) {
        machine_error(m, m->vtor + 4u * number, "the vector of exception %u cannot be read", number);
    }
    uint32_t control = machine_register(m, UC_ARM_REG_CONTROL);
    uint32_t xpsr = machine_register(m, UC_ARM_REG_XPSR);
    xpsr &= ~(XPSR_EXCEPTION | XPSR_IT | XPSR_ALIGNED);
    machine_set_register(m, UC_ARM_REG_XPSR, xpsr | number);
    machine_set_register(m, UC_ARM_REG_CONTROL, control & ~(CONTROL_SPSEL | CONTROL_FP));
    machine_set_register(m, UC_ARM_REG_MSP, msp);
    machine_set_register(m, UC_ARM_REG_PSP, psp);
    machine_set_register(m, UC_ARM_REG_LR, exc_return);
    machine_set_register(m, UC_ARM_REG_PC, vector); /* its lowest bit is the Thumb state */
    machine_clear_exclusive(m);
    m->event = true;
    m->taken = 0;
}

void exception_enter(struct machine *m, uint32_t number, uint32_t return_address) {
    uint32_t control = machine_register(m, UC_ARM_REG_CONTROL);
    uint32_t xpsr = machine_register(m, UC_ARM_REG_XPSR);
    uint32_t msp = machine_register(m, UC_ARM_REG_MSP), psp = machine_register(m, UC_ARM_REG_PSP);
    bool thread = (xpsr & XPSR_EXCEPTION) == 0;
    bool on_psp = thread && (control & CONTROL_SPSEL) != 0;
    bool floating = (control & CONTROL_FPCA) != 0 && (m->fpccr & FPCCR_ASPEN) != 0;
    uint32_t *sp = on_psp ? &psp : &msp;

    xpsr &= ~(XPSR_ALIGNED | FRAME_SFPA);
    xpsr |= (control & CONTROL_SFPA) != 0 ? FRAME_SFPA : 0;
    if ((*sp & 4u) != 0) {
        *sp -= 4;
        xpsr |= XPSR_ALIGNED;
    }
    *sp -= floating ? FRAME_FP_BYTES : FRAME_BYTES;
    uint32_t frame[26] = {0};
    for (int i = 0; i < 4; i++) {
        frame[i] = machine_register(m, UC_ARM_REG_R0 + i);
    }
    frame[4] = machine_register(m, UC_ARM_REG_R12);
    frame[5] = machine_register(m, UC_ARM_REG_LR);
    frame[6] = return_address;
    frame[7] = xpsr;
    if (floating) {
        for (int i = 0; i < 16; i++) {
            frame[8 + i] = machine_register(m, UC_ARM_REG_S0 + i);
        }
        frame[24] = machine_register(m, UC_ARM_REG_FPSCR);
        m->fpcar = *sp + 0x20u;
    }
    uint32_t bytes = floating ? FRAME_FP_BYTES : FRAME_BYTES;
    uint8_t *memory = machine_memory(m, *sp, bytes, true);
    if (!on_psp && *sp < machine_stack_limit(m) && number != EXCEPTION_HARD) {
        exception_note(m, CFSR_STKOF, *sp, "stack overflow entering exception %u", number);
        number = m->enabled[EXCEPTION_USAGE] && number != EXCEPTION_USAGE ? EXCEPTION_USAGE : EXCEPTION_HARD;
        m->cfsr |= CFSR_STKOF; /* no frame; what was to be taken stays pending */
        m->hfsr |= number == EXCEPTION_HARD ? 1u << 30 : 0;
        m->fault.exception = number;
        *sp = machine_stack_limit(m);
    } else if (memory != NULL) {
        memcpy(memory, frame, bytes);
    } else if (number == EXCEPTION_HARD || !m->enabled[EXCEPTION_BUS] ||
               (m->cfsr & CFSR_STKERR) != 0) {
        machine_error(m, *sp, "no memory for the frame of exception %u at sp=0x%08x", number, *sp);
        return;
    } else {
        exception_note(m, CFSR_STKERR, *sp, "no memory for the frame of exception %u at sp=0x%08x", number, *sp);
        m->fault.exception = EXCEPTION_BUS;
        m->cfsr |= CFSR_STKERR;
        exception_pend(m, EXCEPTION_BUS);
    }
    uint32_t exc_return = 0xFFFFFFE1u | (floating ? 0 : RETURN_BASIC) | (thread ? RETURN_THREAD : 0) |
                          (on_psp ? RETURN_PSP : 0);
    start_handler(m, number, exc_return, msp, psp);
    m->cycles += CYCLES_ENTER;
}

/* The frame and where it goes, or a fault. */
static void unstack(struct machine *m, uint32_t exc_return) {
    bool thread = (exc_return & RETURN_THREAD) != 0, floating = (exc_return & RETURN_BASIC) == 0;
    uint32_t msp = machine_register(m, UC_ARM_REG_MSP), psp = machine_register(m, UC_ARM_REG_PSP);
    uint32_t *sp = thread && (exc_return & RETURN_PSP) != 0 ? &psp : &msp;
    uint32_t bytes = floating ? FRAME_FP_BYTES : FRAME_BYTES;
    uint32_t frame[26];
    const uint8_t *memory = machine_memory(m, *sp, bytes, false);
    if (memory == NULL) {
        exception_note(m, CFSR_UNSTKERR, *sp, "return from an exception with sp=0x%08x, where there is no memory", *sp);
        exception_fault(m, CFSR_UNSTKERR, *sp, exc_return);
        return;
    }
    memcpy(frame, memory, bytes);
    if (((frame[7] & XPSR_EXCEPTION) == 0) != thread) {
        exception_note(m, CFSR_INVPC, 0, "return from an exception by 0x%08x with a frame of %s at sp=0x%08x",
                       exc_return, thread ? "a handler" : "a thread", *sp);
        exception_fault(m, CFSR_INVPC, 0, exc_return);
        return;
    }
    *sp += bytes;
    if ((frame[7] & XPSR_ALIGNED) != 0) {
        *sp |= 4u;
    }
    for (int i = 0; i < 4; i++) {
        machine_set_register(m, UC_ARM_REG_R0 + i, frame[i]);
    }
    machine_set_register(m, UC_ARM_REG_R12, frame[4]);
    if (floating) {
        for (int i = 0; i < 16; i++) {
            machine_set_register(m, UC_ARM_REG_S0 + i, frame[8 + i]);
        }
        machine_set_register(m, UC_ARM_REG_FPSCR, frame[24]);
    }
    uint32_t control = machine_register(m, UC_ARM_REG_CONTROL) & ~(CONTROL_SPSEL | CONTROL_FP);
    machine_set_register(m, UC_ARM_REG_XPSR, frame[7] & ~(XPSR_ALIGNED | FRAME_SFPA));
    machine_set_register(m, UC_ARM_REG_CONTROL,
                         control | (thread && (exc_return & RETURN_PSP) != 0 ? CONTROL_SPSEL : 0) |
                             (floating ? CONTROL_FPCA : 0) | ((frame[7] & FRAME_SFPA) != 0 ? CONTROL_SFPA : 0));
    machine_set_register(m, UC_ARM_REG_MSP, msp);
    machine_set_register(m, UC_ARM_REG_PSP, psp);
    machine_set_register(m, UC_ARM_REG_LR, frame[5]);
    machine_set_register(m, UC_ARM_REG_PC, (frame[6] & ~1u) | (frame[7] & XPSR_THUMB) >> XPSR_THUMB_BIT);
    m->cycles += CYCLES_EXIT;
    if (thread && (m->scr & 2u) != 0) {
        m->sleeping = true; /* SLEEPONEXIT */
    }
}

void exception_exit(struct machine *m, uint32_t exc_return) {
    uint32_t number = machine_register(m, UC_ARM_REG_IPSR) & XPSR_EXCEPTION;
    machine_clear_exclusive(m);
    m->event = true;
    m->taken = 0;
    if (number >= EXCEPTIONS || !m->active[number]) {
        exception_note(m, CFSR_INVPC, 0, "return from exception %u, which is not active", number);
        exception_fault(m, CFSR_INVPC, 0, exc_return);
        return;
    }
    m->active[number] = 0;
    if (number != EXCEPTION_NMI) {
        machine_set_register(m, UC_ARM_REG_FAULTMASK, 0);
    }
    if (m->level[number]) {
        exception_pend(m, number);
    }
    uint32_t next = exception_next(m, false);
    if (next != 0) {
        start_handler(m, next, exc_return, machine_register(m, UC_ARM_REG_MSP),
                      machine_register(m, UC_ARM_REG_PSP));
        m->cycles += CYCLES_TAIL_CHAIN;
        return;
    }
    unstack(m, exc_return);
}

void exception_fault(struct machine *m, uint32_t cfsr, uint32_t address, uint32_t pc) {
    uint32_t number = (cfsr & 0xFFu) != 0     ? EXCEPTION_MEMORY
                      : (cfsr & 0xFF00u) != 0 ? EXCEPTION_BUS
                                              : EXCEPTION_USAGE;
    if (cfsr == 0) {
        number = EXCEPTION_SVC; /* an SVC that cannot be taken: escalates below */
    }
    m->cfsr |= cfsr;
    if ((cfsr & CFSR_BFARVALID) != 0) {
        m->bfar = address;
    }
    if (!exception_preempts(m, number)) {
        if (execution_priority(m, false) <= -1) {
            machine_error(m, address, "lockup: a fault (CFSR 0x%08x) inside the hard fault handler", m->cfsr);
            return;
        }
        m->hfsr |= 1u << 30; /* FORCED */
        number = EXCEPTION_HARD;
    }
    m->fault.exception = number;
    exception_enter(m, number, pc);
}
