/* The accelerator's driver: clock, start-up check, and waiting for programs asleep.
 *
 * The MVP's interrupt only wakes the core: it is enabled in the NVIC while interrupts are masked and the
 * core waits, so there is no handler. Any other interrupt wakes it too and is served before it sleeps on.
 * EM1, the only sleep used here, keeps the accelerator's state; a firmware that goes to EM2 has to call
 * hal_accelerator again afterwards. */
#include "chip.h"
#include "nn_mvp.h"
#include "registers.h"

/* A second, far beyond any program: they take a millisecond or so. */
#define TIMEOUT_CYCLES 78000000u
#define DISABLING_POLLS 10000u
#define IDLE_POLLS 10000u

static nn_mvp_t s_mvp;

/* A load that does not stop the firmware where nothing answers: with FAULTMASK and BFHFNMIGN that is only noted
 * in the CFSR. */
static uint32_t try_load(volatile const uint32_t *address, bool *faulted) {
    uint32_t mask, value;
    __asm volatile("mrs %0, faultmask\n\tcpsid f" : "=r"(mask)::"memory");
    SCB_CCR |= SCB_CCR_BFHFNMIGN;
    SCB_CFSR = SCB_CFSR_BUS_FAULTS;
    core_barrier();
    value = *address;
    core_barrier();
    *faulted = (SCB_CFSR & SCB_CFSR_BUS_FAULTS) != 0;
    SCB_CFSR = SCB_CFSR_BUS_FAULTS;
    SCB_CCR &= ~SCB_CCR_BFHFNMIGN;
    __asm volatile("msr faultmask, %0" ::"r"(mask) : "memory");
    return value;
}

/* Whether this part has an accelerator: its clock can be enabled, and it answers. */
static bool present(void) {
    bool faulted = false;
    REG_SET(CMU_CLKEN1) = CMU_CLKEN1_MVP;
    if ((CMU_CLKEN1 & CMU_CLKEN1_MVP) == 0) {
        return false;
    }
    return try_load(&MVP_IPVERSION, &faulted) != 0 && !faulted;
}

/* Also after it was off, which may have cost it its settings. */
static void enable(void) {
    REG_SET(MVP_EN) = MVP_EN_EN;
    MVP_CFG = MVP_CFG_PERFCNTEN | MVP_CFG_PERF0_RUN | MVP_CFG_PERF1_STALL;
    REG_CLR(MVP_IF) = 0xFFFFFFFFu;
    MVP_IEN = MVP_IF_ENDS;
}

static nn_status_t fail(nn_mvp_t *mvp, uint32_t flags) {
    mvp->fault.flags = flags & MVP_IF_FAULTS;
    mvp->fault.status = MVP_FAULTSTATUS;
    mvp->fault.address = MVP_FAULTADDR;
    if (mvp->fault.flags == 0) { /* never ended: back to a state that takes programs */
        MVP_CMD = MVP_CMD_HALT;
        REG_CLR(MVP_EN) = MVP_EN_EN;
        for (uint32_t i = 0; i < DISABLING_POLLS && (MVP_EN & MVP_EN_DISABLING) != 0; i++) {
        }
        enable();
    }
    return NN_ERROR_ACCELERATOR;
}

/* Another interrupt woke the core: lets it be served. */
static void serve_others(uint32_t mask) {
    NVIC_ICER(0) = BIT(IRQ_MVP);
    core_unlock(mask);
    core_barrier();
    (void)core_lock();
    NVIC_ICPR(0) = BIT(IRQ_MVP);
    NVIC_ISER(0) = BIT(IRQ_MVP);
}

/* Sleeps on while others wake the core. Returns the flags, without any if the program does not end. */
static uint32_t sleep_on(uint32_t mask) {
    const uint64_t start = time_cycles();
    uint32_t flags;
    do {
        serve_others(mask);
        __asm volatile("dsb\n\twfi" ::: "memory");
        flags = MVP_IF;
        /* SysTick gives an interrupt several times a second, so a program that never ends is noticed. */
    } while ((flags & MVP_IF_ENDS) == 0 && time_cycles() - start < TIMEOUT_CYCLES);
    return flags;
}

/* Whether a program that says that it is done is so: no document says that its last stores have arrived by then,
 * and the vendor's driver looks at this too. */
static bool idle(void) { return (MVP_STATUS & MVP_STATUS_IDLE) != 0; }

static bool becomes_idle(void) {
    for (uint32_t i = 0; i < IDLE_POLLS; i++) {
        if (idle()) {
            return true;
        }
    }
    return false;
}

static void count(nn_mvp_t *mvp) {
    mvp->counters.programs++;
    mvp->counters.run_cycles += MVP_PERF0CNT;
    mvp->counters.stall_cycles += MVP_PERF1CNT;
}

/* All but the common end of a program. */
static __attribute__((noinline)) nn_status_t finish(nn_mvp_t *mvp, uint32_t mask, uint32_t flags) {
    if ((flags & MVP_IF_ENDS) == 0) {
        const uint32_t before = SYST_CVR;
        flags = sleep_on(mask);
        mvp->counters.wait_cycles += (before - SYST_CVR) & SYST_MASK;
    }
    if ((flags & MVP_IF_ENDS) == MVP_IF_PROGDONE && !becomes_idle()) {
        flags &= ~MVP_IF_ENDS; /* it did not end */
    }
    NVIC_ICER(0) = BIT(IRQ_MVP);
    core_unlock(mask);
    REG_CLR(MVP_IF) = flags;
    if (mvp->counting) {
        count(mvp);
    }
    return (flags & MVP_IF_ENDS) == MVP_IF_PROGDONE ? NN_OK : fail(mvp, flags);
}

static nn_status_t mvp_wait(nn_mvp_t *mvp) {
    const uint32_t mask = core_lock();
    /* What the program before left. If this one has ended already it is pending again at once, since its
     * flag is still set. */
    NVIC_ICPR(0) = BIT(IRQ_MVP);
    NVIC_ISER(0) = BIT(IRQ_MVP);
    const uint32_t before = SYST_CVR;
    __asm volatile("dsb\n\twfi" ::: "memory");
    mvp->counters.wait_cycles += (before - SYST_CVR) & SYST_MASK;
    const uint32_t flags = MVP_IF;
    /* Flags of finished loops and inexact arithmetic are no matter. */
    if ((flags & MVP_IF_ENDS) != MVP_IF_PROGDONE || mvp->counting || !idle()) {
        return finish(mvp, mask, flags);
    }
    NVIC_ICER(0) = BIT(IRQ_MVP);
    core_unlock(mask);
    REG_CLR(MVP_IF) = flags;
    return NN_OK;
}

static uint32_t mvp_address(nn_mvp_t *mvp, const void *memory, uint32_t bytes, int32_t constant) {
    (void)mvp;
    (void)bytes;
    (void)constant;
    return (uint32_t)(uintptr_t)memory;
}

uint32_t mvp_waited(void) { return s_mvp.counters.wait_cycles; }

void *hal_accelerator(void) {
    if (!present()) {
        return NULL;
    }
    enable();
    s_mvp.words = &MVP_PROGRAM(0);
    s_mvp.wait = mvp_wait;
    s_mvp.address = mvp_address;
    return &s_mvp;
}
