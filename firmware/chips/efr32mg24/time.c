/* Time and sleep. SysTick counts core cycles, also while the core sleeps in WFI, where the debug
 * unit's cycle counter stands still; its 24 bits are extended by counting its wraps. */
#include "chip.h"
#include "registers.h"

#define PERIOD_BITS 24u /* of SYST_MASK */

static volatile uint32_t s_wraps;
static volatile uint32_t s_interrupts;
static volatile bool s_event;
static uint64_t s_idle_cycles;
static uint32_t s_waited;

void time_init(void) {
    SYST_RVR = SYST_MASK;
    SYST_CVR = 0; /* any write clears it */
    SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CLKSOURCE;
}

void systick_interrupt(void) {
    s_wraps = s_wraps + 1u;
    fault_still_alive();
}

uint64_t time_cycles(void) {
    uint32_t mask = core_lock();
    uint32_t value = SYST_CVR;
    uint32_t wraps = s_wraps;
    if ((SCB_ICSR & SCB_ICSR_PENDSTSET) != 0) { /* wrapped, and the handler has not run yet */
        value = SYST_CVR;
        wraps++;
    }
    core_unlock(mask);
    /* The interrupt comes when the counter reaches 0, so 0 is the start of a period. */
    return ((uint64_t)wraps << PERIOD_BITS) + ((0u - value) & SYST_MASK);
}

uint32_t hal_cycles(void) { return (uint32_t)time_cycles(); }

uint32_t hal_milliseconds(void) { return (uint32_t)(time_cycles() / (clocks_core_hz() / 1000u)); }

/* Waiting for the accelerator is sleep too; asked for often enough that its count does not wrap twice. */
uint64_t hal_idle_cycles(void) {
    uint32_t waited = mvp_waited();
    s_idle_cycles += waited - s_waited;
    s_waited = waited;
    return s_idle_cycles;
}

void time_wake(void) { s_event = true; }

void time_count_interrupt(void) { s_interrupts = s_interrupts + 1u; }

uint32_t hal_interrupts(void) { return s_interrupts; }

void hal_sleep(void) {
    /* With interrupts masked nothing can slip in between the check and WFI, which wakes for a pending
     * interrupt all the same; its handler runs after the unmasking, and counts as busy. */
    uint32_t mask = core_lock();
    if (!s_event) {
        uint64_t before = time_cycles();
        __asm volatile("dsb\n\twfi" ::: "memory");
        s_idle_cycles += time_cycles() - before;
    }
    s_event = false;
    core_unlock(mask);
}
