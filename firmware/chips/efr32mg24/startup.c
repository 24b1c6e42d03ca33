/* From reset to main: vector table, stack limit and paint, FPU, variables. */
#include <stdint.h>

#include "chip.h"
#include "registers.h"

extern uint32_t stack_bottom[], stack_top[];
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];

int main(void);
void fault_entry(void);
void startup_reset(void);

#define STACK_PAINT 0xC5C5C5C5u
/* What startup_reset itself may be using below its frame. */
#define PAINT_MARGIN_WORDS 16u

typedef void (*vector_t)(void);

typedef struct vector_table {
    const void *stack;
    vector_t system[15];
    vector_t irq[IRQ_COUNT];
} vector_table_t;

/* The first entries are fixed by the architecture: reset, NMI, hard, memory, bus, usage and secure
 * fault, then SVCall (11), debug (12), PendSV (14) and SysTick (15). */
__attribute__((section(".vectors"), used)) const vector_table_t vectors = {
    .stack = stack_top,
    .system =
        {
            startup_reset, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry,
            fault_entry, 0, 0, 0, fault_entry, fault_entry, 0, fault_entry,
            systick_interrupt,
        },
    .irq =
        {
            [0 ... 8] = fault_entry,
            [IRQ_USART0_RX] = microphone_usart_interrupt,
            [10] = fault_entry,
            [IRQ_EUSART0_RX] = eusart_rx_interrupt,
            [IRQ_EUSART0_TX] = eusart_tx_interrupt,
            [13 ... 20] = fault_entry,
            [IRQ_LDMA] = microphone_dma_interrupt,
            [22 ... IRQ_COUNT - 1] = fault_entry,
        },
};

void startup_reset(void) {
    __asm volatile("msr msplim, %0" ::"r"(stack_bottom)); /* below it: a stack overflow fault */
    SCB_VTOR = (uint32_t)(uintptr_t)&vectors;

    /* The FPU is always on: while it never was, this part keeps an oscillator running in sleep
     * (erratum CUR_E302). No interrupt handler uses it, so nothing of it is saved on entry. */
    SCB_CPACR |= SCB_CPACR_FPU;
    FPU_FPCCR &= ~(FPU_FPCCR_ASPEN | FPU_FPCCR_LSPEN);
    SCB_SHCSR |= SCB_SHCSR_FAULTS;
    core_barrier();

    uint32_t *here = (uint32_t *)__builtin_frame_address(0) - PAINT_MARGIN_WORDS;
    for (volatile uint32_t *p = stack_bottom; p < here; p++) {
        *p = STACK_PAINT;
    }
    const uint32_t *from = data_load;
    for (volatile uint32_t *p = data_start; p < data_end; p++) {
        *p = *from++;
    }
    for (volatile uint32_t *p = bss_start; p < bss_end; p++) {
        *p = 0;
    }
    (void)main();
    hal_reset();
}

uint32_t hal_stack_high_water(void) {
    const uint32_t *p = stack_bottom;
    while (p < stack_top && *p == STACK_PAINT) {
        p++;
    }
    return (uint32_t)((uintptr_t)stack_top - (uintptr_t)p);
}

uint32_t hal_stack_bytes(void) { return (uint32_t)((uintptr_t)stack_top - (uintptr_t)stack_bottom); }
