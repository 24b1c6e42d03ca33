/* The chip's registers as data; see registers.c. */
#ifndef TOKAY_SIMULATOR_REGISTERS_H
#define TOKAY_SIMULATOR_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

struct register_info {
    const char *name; /* NULL ends a table */
    uint16_t offset;
    uint8_t count; /* of equal registers, `stride` bytes apart */
    uint8_t stride;
    bool read_only;
    uint32_t reset, mask;
};

extern const struct register_info cmu_registers[], hfxo_registers[], hfrco_registers[], dpll_registers[],
    eusart_registers[], usart_registers[], ldma_registers[], ldmaxbar_registers[], msc_registers[],
    emu_registers[], icache_registers[], syscfg_registers[], smu_registers[], mpahbram_registers[],
    devinfo_registers[], timer_registers[], sysrtc_registers[], prs_registers[], dcdc_registers[];

#endif
