/* Blocks that start-up configures and that otherwise do nothing here: EMU, SYSCFG, SMU, ICACHE, RAM
 * control, PRS, DCDC; and the contents of the device information page. */
#include <stddef.h>
#include <string.h>

#include "../core/machine.h"

#define EMU_CMD 0x070u
#define EMU_RSTCAUSE 0x094u
#define RSTCAUSE_POR 1u
#define RSTCAUSE_SYSREQ (1u << 6)

static void emu_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)m;
    REGISTER(p, offset) = offset == EMU_CMD ? 0 : value;
    if (offset == EMU_CMD && (written & (1u << 17)) != 0) {
        REGISTER(p, EMU_RSTCAUSE) = 0;
    }
}

static void emu_reset(struct machine *m, struct peripheral *p) {
    REGISTER(p, EMU_RSTCAUSE) = m->resets == 0 ? RSTCAUSE_POR : RSTCAUSE_SYSREQ;
}

const struct peripheral_class emu_class = {
    .registers = emu_registers, .write = emu_write, .reset = emu_reset,
};

static void icache_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)m;
    (void)written;
    REGISTER(p, offset) = offset == 0x018u ? 0 : value; /* CMD */
}

const struct peripheral_class icache_class = {.registers = icache_registers, .write = icache_write};
const struct peripheral_class syscfg_class = {.registers = syscfg_registers};
const struct peripheral_class smu_class = {.registers = smu_registers};
const struct peripheral_class mpahbram_class = {.registers = mpahbram_registers};
const struct peripheral_class prs_class = {.registers = prs_registers};
const struct peripheral_class dcdc_class = {.registers = dcdc_registers};

static void put(uint8_t *info, uint32_t offset, uint32_t value) { memcpy(info + offset, &value, sizeof value); }

/* The number of an EFR32MG24: B310, or B020 for one without an accelerator. */
void devinfo_part(uint8_t *info, uint32_t number) { put(info, 0x004, 1u << 24 | 24u << 16 | number); }

/* EFR32MG24B310F1536IM48. How the letter and number are packed into DEVICENUM is not in the facts this is
 * built from; 1000 * letter + number is an assumption (B310: 1310). */
void devinfo_fill(uint8_t *info) {
    for (const struct register_info *r = devinfo_registers; r->name != NULL; r++) {
        for (uint32_t k = 0; k < r->count; k++) {
            put(info, r->offset + k * r->stride, r->reset);
        }
    }
    put(info, 0x000, 0x0B010000u);
    devinfo_part(info, 1310u);
    put(info, 0x008, 0x025C0003u); /* 8 kB pages: 2^(3 + 10) bytes; 1 kB user data */
    put(info, 0x00C, 256u << 16 | 1536u);
    put(info, 0x010, 48u << 16 | 77u << 8 | 1u); /* 48 pins, QFN, -40..125 C */
    put(info, 0x048, 0x54303031u); /* a locally administered unique id */
    put(info, 0x04C, 0x02544F4Bu);
    /* Calibrations of the RC oscillator by band; those of unused bands stay at their reset value. */
    static const struct {
        uint8_t band;
        uint32_t word;
    } k_bands[] = {{6, 0xA8689F40u}, {10, 0xA8CC9F41u}, {12, 0xACED9F42u}, {14, 0xBCEF9F43u}, {16, 0xCCF09F44u}};
    for (size_t i = 0; i < sizeof k_bands / sizeof k_bands[0]; i++) {
        put(info, 0x058u + 4u * k_bands[i].band, k_bands[i].word);
    }
}
