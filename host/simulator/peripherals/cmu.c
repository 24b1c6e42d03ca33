/* Clocks: the CMU's selections, and the oscillators HFXO, HFRCO with its DPLL, and FSRCO. A change of
 * the core's clock takes effect at once. */
#include <stddef.h>

#include "../core/machine.h"

#define FSRCO_HZ 20000000ull
#define HFRCOEM23_HZ 19000000ull
#define US 1000000ull /* ps */

enum { CMU_STATUS = 0x008, CMU_LOCK = 0x010, CMU_WDOGLOCK = 0x014, CMU_SYSCLKCTRL = 0x070,
       CMU_DPLLREFCLKCTRL = 0x100, CMU_EM01GRPA = 0x120, CMU_EM01GRPC = 0x128, CMU_EUSART0 = 0x220 };
enum { HFXO_XTALCFG = 0x010, HFXO_XTALCTRL = 0x018, HFXO_CFG = 0x020, HFXO_CTRL = 0x028, HFXO_STATUS = 0x058,
       HFXO_IF = 0x070, HFXO_IEN = 0x074, HFXO_LOCK = 0x080 };
enum { HFRCO_CTRL = 0x004, HFRCO_CAL = 0x008, HFRCO_STATUS = 0x00C, HFRCO_IF = 0x010, HFRCO_IEN = 0x014,
       HFRCO_LOCK = 0x01C };
enum { DPLL_EN = 0x004, DPLL_CFG = 0x008, DPLL_CFG1 = 0x00C, DPLL_IF = 0x010, DPLL_IEN = 0x014,
       DPLL_STATUS = 0x018, DPLL_LOCK = 0x024 };
#define MSC_READCTRL 0x004u
#define RDY 1u
#define ENS (1u << 16)
#define COREBIASOPTRDY 2u
#define LOCKED (1u << 31)
#define BUSY 6u     /* of HFRCO: FREQBSY, SYNCBUSY */
#define LOCKFAIL 6u /* of DPLL: LOCKFAILLOW, LOCKFAILHIGH */
#define WDOGLOCKED (1u << 30)
enum { CMU_KEY = 0x93F7, HFXO_KEY = 0x580E, HFRCO_KEY = 0x8195, DPLL_KEY = 0x7102 }; /* what unlocks them */
#define FORCEEN (1u << 16)
#define DISONDEMAND (1u << 24)

/* ---- frequencies ---- */

uint64_t clock_after(uint64_t start_ps, uint64_t ticks, uint64_t hz) {
    if (hz == 0) {
        return NEVER;
    }
    return start_ps + (uint64_t)(((unsigned __int128)ticks * PS_PER_S + hz - 1u) / hz);
}

uint64_t clock_ticks(uint64_t start_ps, uint64_t now_ps, uint64_t hz) {
    return now_ps <= start_ps ? 0 : (uint64_t)((unsigned __int128)(now_ps - start_ps) * hz / PS_PER_S);
}

static bool hfxo_ready(const struct machine *m) { return (REGISTER(m->hfxo, HFXO_STATUS) & RDY) != 0; }

/* The RC oscillator alone: the middle of the band that CAL selects, tuning ignored. */
static uint64_t hfrco_free_hz(const struct machine *m) {
    static const uint32_t k_mhz[32] = {[0] = 4, [3] = 7, [6] = 13, [7] = 16, [8] = 19, [10] = 26, [11] = 32,
                                       [12] = 38, [13] = 48, [14] = 56, [15] = 64, [16] = 80};
    uint32_t mhz = k_mhz[(REGISTER(m->hfrco, HFRCO_CAL) >> 16) & 31u];
    return (mhz != 0 ? mhz : 19u) * 1000000ull >> ((REGISTER(m->hfrco, HFRCO_CAL) >> 24) & 3u);
}

static bool dpll_locked(const struct machine *m) { return (REGISTER(m->dpll, DPLL_STATUS) & RDY) != 0; }

/* What the loop makes of the crystal: (N + 1) / (M + 1) of it. */
static uint64_t dpll_hz(const struct machine *m) {
    uint64_t factor = REGISTER(m->dpll, DPLL_CFG1);
    return m->crystal_hz * (((factor >> 16) & 0xFFFu) + 1u) / ((factor & 0xFFFu) + 1u);
}

static uint64_t hfrco_hz(const struct machine *m) {
    if (!dpll_locked(m) || !hfxo_ready(m)) {
        return hfrco_free_hz(m);
    }
    return dpll_hz(m);
}

static uint64_t group_hz(struct machine *m, uint32_t select) {
    switch (select) {
    case 1: case 5: return hfrco_hz(m);
    case 2: case 6: return hfxo_ready(m) ? m->crystal_hz : 0;
    case 3: return FSRCO_HZ;
    case 4: return HFRCOEM23_HZ;
    default: return 0;
    }
}

static uint64_t sysclk_hz(struct machine *m) {
    switch (REGISTER(m->cmu, CMU_SYSCLKCTRL) & 7u) {
    case 1: return FSRCO_HZ;
    case 2: return hfrco_hz(m);
    case 3: return hfxo_ready(m) ? m->crystal_hz : 0;
    default: return 0;
    }
}

uint64_t clock_hclk_hz(struct machine *m) {
    return sysclk_hz(m) / (((REGISTER(m->cmu, CMU_SYSCLKCTRL) >> 12) & 15u) + 1u);
}

uint64_t clock_pclk_hz(struct machine *m) {
    return clock_hclk_hz(m) / (((REGISTER(m->cmu, CMU_SYSCLKCTRL) >> 10) & 1u) + 1u);
}

uint64_t clock_em01grpa_hz(struct machine *m) { return group_hz(m, REGISTER(m->cmu, CMU_EM01GRPA) & 7u); }
uint64_t clock_em01grpc_hz(struct machine *m) { return group_hz(m, REGISTER(m->cmu, CMU_EM01GRPC) & 7u); }

uint64_t clock_eusart0_hz(struct machine *m) {
    switch (REGISTER(m->cmu, CMU_EUSART0) & 7u) {
    case 1: return clock_em01grpc_hz(m);
    case 2: return HFRCOEM23_HZ;
    case 3: case 4: return 32768;
    default: return 0;
    }
}

static void hfxo_update(struct machine *m);
static void hfrco_update(struct machine *m);

void clock_check(struct machine *m) {
    uint32_t control = m->cmu->base + CMU_SYSCLKCTRL;
    uint64_t hclk = clock_hclk_hz(m), rhclk = hclk / (((REGISTER(m->cmu, CMU_SYSCLKCTRL) >> 16) & 1u) + 1u);
    if (hclk == 0) {
        machine_error(m, control, "SYSCLK's clock has been stopped while the core runs from it");
    } else if (hclk > 40000000u && (REGISTER(m->msc, MSC_READCTRL) >> 20 & 3u) == 0) {
        machine_error(m, control, "core above 40 MHz with no flash wait state");
    } else if (clock_pclk_hz(m) > 50000000u) {
        machine_error(m, control, "PCLK above its limit of 50 MHz");
    } else if (rhclk > 40000000u) {
        machine_error(m, control, "RHCLK above its limit of 40 MHz");
    }
}

/* Who counts with a clock counts its past first, by the old one. */
void clock_changed(struct machine *m) {
    clock_check(m);
    machine_set_core_clock(m, clock_hclk_hz(m));
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        struct peripheral *p = &m->peripherals[i];
        if (p->class == &timer_class || p->class == &sysrtc_class || p->class == &usart_class ||
            p->class == &eusart_class || p->class == &mvp_class) {
            p->class->advance(m, p);
        }
    }
}

/* What a LOCK register is given shows in STATUS; all but the key locks. */
static void lock(struct peripheral *p, uint32_t status, uint32_t bit, bool locked) {
    REGISTER(p, status) = locked ? REGISTER(p, status) | bit : REGISTER(p, status) & ~bit;
}

/* ---- CMU ---- */

static uint32_t cmu_read(struct machine *m, struct peripheral *p, uint32_t offset) {
    (void)m;
    return offset == CMU_LOCK || offset == CMU_WDOGLOCK ? 0 : REGISTER(p, offset);
}

static void cmu_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)written;
    if (offset == CMU_LOCK || offset == CMU_WDOGLOCK) {
        lock(p, CMU_STATUS, offset == CMU_LOCK ? LOCKED : WDOGLOCKED, value != CMU_KEY);
        return;
    }
    if ((REGISTER(p, CMU_STATUS) & LOCKED) != 0) {
        return;
    }
    uint32_t old = REGISTER(p, offset);
    REGISTER(p, offset) = value;
    if (offset == CMU_SYSCLKCTRL) {
        if (sysclk_hz(m) == 0) {
            machine_error(m, p->base + offset, "SYSCLK switched to a clock that does not run (CLKSEL %u)", value & 7u);
            REGISTER(p, offset) = old;
            return;
        }
    }
    hfxo_update(m);
    hfrco_update(m);
    m->dpll->class->advance(m, m->dpll);
    clock_changed(m);
}

const struct peripheral_class cmu_class = {.registers = cmu_registers, .read = cmu_read, .write = cmu_write};

/* ---- HFXO: the crystal ---- */

static void hfxo_irq(struct machine *m, struct peripheral *p) {
    irq_level(m, p->irq, (REGISTER(p, HFXO_IF) & REGISTER(p, HFXO_IEN)) != 0);
}

static bool group_wants_hfxo(const struct machine *m, uint32_t group) {
    uint32_t select = REGISTER(m->cmu, group) & 7u;
    return select == 2u || select == 6u;
}

/* Of the groups' peripherals it is not asked which are enabled. */
static bool hfxo_wanted(const struct machine *m) {
    uint32_t control = REGISTER(m->hfxo, HFXO_CTRL);
    bool demanded = (REGISTER(m->dpll, DPLL_EN) & 1u) != 0 && (REGISTER(m->cmu, CMU_DPLLREFCLKCTRL) & 3u) == 1u;
    demanded |= (REGISTER(m->cmu, CMU_SYSCLKCTRL) & 7u) == 3u;
    demanded |= group_wants_hfxo(m, CMU_EM01GRPA) || group_wants_hfxo(m, CMU_EM01GRPC);
    return (control & FORCEEN) != 0 || (demanded && (control & DISONDEMAND) == 0);
}

static void hfxo_advance(struct machine *m, struct peripheral *p) {
    if (p->next <= m->now_ps) {
        p->next = NEVER;
        REGISTER(p, HFXO_STATUS) |= RDY | COREBIASOPTRDY;
        REGISTER(p, HFXO_IF) |= RDY | COREBIASOPTRDY;
        hfxo_irq(m, p);
        m->dpll->class->advance(m, m->dpll);
        clock_changed(m);
    }
}

/* Starts or stops the crystal as the requests for it have become. */
static void hfxo_update(struct machine *m) {
    static const uint16_t k_steady_us[16] = {4, 16, 41, 83, 125, 166, 208, 250, 333, 416, 500, 666, 833, 1666, 2500, 4166};
    static const uint16_t k_cblsb_us[16] = {8, 20, 41, 62, 83, 104, 125, 166, 208, 250, 333, 416, 833, 1250, 2083, 3750};
    struct peripheral *p = m->hfxo;
    bool wanted = hfxo_wanted(m), enabled = (REGISTER(p, HFXO_STATUS) & ENS) != 0;
    if (wanted && !enabled) {
        uint32_t config = REGISTER(p, HFXO_XTALCFG);
        /* The bias search halves the current some eight times unless it is skipped. */
        uint64_t us = k_steady_us[(config >> 20) & 15u];
        us += (REGISTER(p, HFXO_XTALCTRL) & LOCKED) != 0 ? 0 : 8ull * k_cblsb_us[(config >> 24) & 15u];
        REGISTER(p, HFXO_STATUS) |= ENS | 1u << 17;
        p->next = m->crystal_hz != 0 ? m->now_ps + us * US : NEVER; /* a board whose crystal is dead */
    } else if (!wanted && enabled) {
        REGISTER(p, HFXO_STATUS) &= ~(ENS | RDY | 1u << 17);
        p->next = NEVER;
        clock_changed(m);
    }
}

static void hfxo_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)written;
    if (offset == HFXO_LOCK) {
        lock(p, HFXO_STATUS, LOCKED, value != HFXO_KEY);
        return;
    }
    if ((REGISTER(p, HFXO_STATUS) & LOCKED) != 0 && offset != HFXO_IF && offset != HFXO_IEN) {
        return;
    }
    bool configures = offset == HFXO_XTALCFG || offset == HFXO_XTALCTRL || offset == HFXO_CFG;
    if (configures && (REGISTER(p, HFXO_STATUS) & ENS) != 0 && (REGISTER(p, HFXO_CTRL) & DISONDEMAND) == 0) {
        machine_error(m, p->base + offset, "HFXO configuration written while it runs on demand (CTRL.DISONDEMAND)");
        return;
    }
    REGISTER(p, offset) = value;
    hfxo_update(m);
    hfxo_irq(m, p);
}

const struct peripheral_class hfxo_class = {
    .registers = hfxo_registers, .write = hfxo_write, .advance = hfxo_advance,
};

/* ---- HFRCO and DPLL ---- */

/* Whether the RC oscillator is asked for, by other than peripherals; out of reset nobody asks. */
static bool hfrco_wanted(const struct machine *m) {
    return (REGISTER(m->hfrco, HFRCO_CTRL) & 1u) != 0 || (REGISTER(m->dpll, DPLL_EN) & 1u) != 0 ||
           (REGISTER(m->cmu, CMU_SYSCLKCTRL) & 7u) == 2u;
}

/* Assumed, for want of a public description: a setting that is written while the oscillator rests stays
 * pending until something asks for it. */
static void hfrco_update(struct machine *m) {
    if ((REGISTER(m->hfrco, HFRCO_STATUS) & BUSY) != 0 && m->hfrco->next == NEVER && hfrco_wanted(m)) {
        m->hfrco->next = m->now_ps + 5u * US;
    }
}

static void hfrco_advance(struct machine *m, struct peripheral *p) {
    if (p->next <= m->now_ps) {
        p->next = NEVER;
        REGISTER(p, HFRCO_STATUS) = (REGISTER(p, HFRCO_STATUS) & LOCKED) | RDY | ENS;
        REGISTER(p, HFRCO_IF) |= RDY;
        irq_level(m, p->irq, (REGISTER(p, HFRCO_IF) & REGISTER(p, HFRCO_IEN)) != 0);
        clock_changed(m);
    }
}

static void hfrco_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)written;
    if (offset == HFRCO_LOCK) {
        lock(p, HFRCO_STATUS, LOCKED, value != HFRCO_KEY);
        return;
    }
    if ((REGISTER(p, HFRCO_STATUS) & LOCKED) != 0 && offset != HFRCO_IF && offset != HFRCO_IEN) {
        return;
    }
    REGISTER(p, offset) = value;
    if (offset == HFRCO_CAL) {
        REGISTER(p, HFRCO_STATUS) = (REGISTER(p, HFRCO_STATUS) & LOCKED) | ENS | BUSY;
        p->next = NEVER;
        clock_changed(m);
    }
    hfrco_update(m);
    irq_level(m, p->irq, (REGISTER(p, HFRCO_IF) & REGISTER(p, HFRCO_IEN)) != 0);
}

static void hfrco_reset(struct machine *m, struct peripheral *p) {
    (void)m;
    REGISTER(p, HFRCO_STATUS) = RDY | ENS;
}

const struct peripheral_class hfrco_class = {
    .registers = hfrco_registers, .write = hfrco_write, .reset = hfrco_reset, .advance = hfrco_advance,
};

/* Whether the loop can reach the frequency asked for in the band that is set. */
static uint32_t dpll_result(struct machine *m) {
    uint64_t factor = REGISTER(m->dpll, DPLL_CFG1);
    uint64_t wanted = dpll_hz(m);
    uint64_t band = hfrco_free_hz(m);
    if (((factor >> 16) & 0xFFFu) < 32u || wanted * 100u > band * 115u) {
        return 4u; /* LOCKFAILHIGH */
    }
    return wanted * 100u < band * 85u ? 2u : 1u;
}

static void dpll_advance(struct machine *m, struct peripheral *p) {
    bool running = (REGISTER(p, DPLL_EN) & 1u) != 0 && (REGISTER(m->cmu, CMU_DPLLREFCLKCTRL) & 3u) == 1u && hfxo_ready(m);
    if (running && !dpll_locked(m) && p->next == NEVER && (REGISTER(p, DPLL_IF) & LOCKFAIL) == 0) {
        p->next = m->now_ps + 200u * US; /* lock time: an assumption */
    }
    if (!running) {
        p->next = NEVER;
        if (dpll_locked(m)) {
            REGISTER(p, DPLL_STATUS) &= ~RDY;
            clock_changed(m);
        }
    }
    if (p->next <= m->now_ps) {
        p->next = NEVER;
        uint32_t result = dpll_result(m);
        REGISTER(p, DPLL_IF) |= result;
        REGISTER(p, DPLL_STATUS) |= result == 1u ? RDY : 0;
        irq_level(m, p->irq, (REGISTER(p, DPLL_IF) & REGISTER(p, DPLL_IEN)) != 0);
        clock_changed(m);
    }
}

static void dpll_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)written;
    if (offset == DPLL_LOCK) {
        lock(p, DPLL_STATUS, LOCKED, value != DPLL_KEY);
        return;
    }
    if ((REGISTER(p, DPLL_STATUS) & LOCKED) != 0 && offset != DPLL_IF && offset != DPLL_IEN) {
        return;
    }
    if ((offset == DPLL_CFG || offset == DPLL_CFG1) && (REGISTER(p, DPLL_EN) & 1u) != 0) {
        machine_error(m, p->base + offset, "DPLL configuration written while it is enabled");
        return;
    }
    REGISTER(p, offset) = offset == DPLL_EN ? value & 1u : value;
    if (offset == DPLL_EN) {
        p->next = NEVER;
        REGISTER(p, DPLL_STATUS) = (REGISTER(p, DPLL_STATUS) & LOCKED) | ((value & 1u) != 0 ? 2u : 0);
        hfxo_update(m);
        hfrco_update(m);
        clock_changed(m);
    }
    dpll_advance(m, p);
    irq_level(m, p->irq, (REGISTER(p, DPLL_IF) & REGISTER(p, DPLL_IEN)) != 0);
}

const struct peripheral_class dpll_class = {
    .registers = dpll_registers, .write = dpll_write, .advance = dpll_advance,
};

static const struct register_info k_fsrco_registers[] = {{"IPVERSION", 0x000, 1, 0, true, 1, 0xFFFFFFFFu}, {0}};
const struct peripheral_class fsrco_class = {.registers = k_fsrco_registers};
