/* From the reset state (20 MHz RC oscillator) to the 39 MHz crystal and the PLL at twice that. Every
 * wait is bounded: a board whose crystal does not start still runs and says so. */
#include "board_config.h"
#include "chip.h"
#include "registers.h"

#define FSRCO_HZ 20000000u
/* fout = reference * (N + 1) / (M + 1); 3840/1920 doubles the crystal and keeps the loop's dividers
 * in the range the vendor uses. */
#define DPLL_N 3839u
#define DPLL_M 1919u
#define PLL_HZ ((uint32_t)((uint64_t)BOARD_HFXO_HZ * (DPLL_N + 1u) / (DPLL_M + 1u)))
/* HFRCO settings for the band around 80 MHz, without the tuning that the factory wrote. */
#define HFRCO_CAL_80MHZ 0xCCF09F00u
#define HFRCO_CAL_BAND_MASK (0x1Fu << 16)
/* On this part XO needs this much more tuning capacitance than XI. */
#define HFXO_CTUNE_XO_EXTRA 40u

/* About 100 ms at 20 MHz: the crystal needs some milliseconds. */
#define WAIT_POLLS 300000u

static bool s_at_full_speed;

static bool wait_for(volatile const uint32_t *reg, uint32_t mask, uint32_t value) {
    for (uint32_t i = 0; i < WAIT_POLLS; i++) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

static uint32_t crystal_tuning(void) {
    uint32_t token = USERDATA_HFXO_CTUNE; /* written by the board's maker, all ones where not */
    return token <= 0xFFu ? token : BOARD_HFXO_CTUNE;
}

static bool crystal_start(void) {
    uint32_t xi = crystal_tuning();
    uint32_t xo = xi + HFXO_CTUNE_XO_EXTRA > 0xFFu ? 0xFFu : xi + HFXO_CTUNE_XO_EXTRA;

    REG_SET(CMU_CLKEN0) = CMU_CLKEN0_HFXO0;
    HFXO_LOCK = HFXO_LOCK_KEY;
    REG_SET(HFXO_CTRL) = HFXO_CTRL_DISONDEMAND;
    REG_CLR(HFXO_CTRL) = HFXO_CTRL_FORCEEN;
    if (!wait_for(&HFXO_STATUS, HFXO_STATUS_ENS | HFXO_STATUS_SYNCBUSY, 0)) {
        return false;
    }
    /* Start-up bias 32/32, no start-up capacitance, time-outs of 416 and 833 us for a cold crystal. */
    HFXO_XTALCFG = (11u << 24) | (12u << 20) | (32u << 6) | 32u;
    HFXO_XTALCTRL = HFXO_XTALCTRL_CTUNEFIXANA | (xo << 16) | (xi << 8) | HFXO_XTALCTRL_COREBIASANA;
    HFXO_CFG &= ~3u; /* a crystal, not an external clock */
    REG_CLR(HFXO_CTRL) = HFXO_CTRL_DISONDEMAND;
    REG_SET(HFXO_CTRL) = HFXO_CTRL_FORCEEN;
    const uint32_t ready = HFXO_STATUS_RDY | HFXO_STATUS_COREBIASOPTRDY | HFXO_STATUS_ENS;
    if (!wait_for(&HFXO_STATUS, ready | HFXO_STATUS_SYNCBUSY, ready)) {
        return false;
    }
    /* The bias is found now: later starts may be quick, on demand. */
    REG_SET(HFXO_CTRL) = HFXO_CTRL_DISONDEMAND;
    HFXO_XTALCFG = (11u << 24) | (3u << 20) | (32u << 6) | 32u;
    REG_SET(HFXO_XTALCTRL) = HFXO_XTALCTRL_SKIPCOREBIASOPT;
    REG_CLR(HFXO_CTRL) = HFXO_CTRL_DISONDEMAND;
    /* FORCEEN stays until the PLL asks for the crystal, so that it does not stop in between. */
    return true;
}

static bool pll_lock(void) {
    REG_SET(CMU_CLKEN0) = CMU_CLKEN0_DPLL0 | CMU_CLKEN0_HFRCO0;
    REG_CLR(DPLL_EN) = DPLL_EN_EN;
    if (!wait_for(&DPLL_EN, DPLL_EN_DISABLING, 0) ||
        !wait_for(&HFRCO_STATUS, HFRCO_STATUS_FREQBSY | HFRCO_STATUS_SYNCBUSY, 0)) {
        return false;
    }
    HFRCO_CAL = HFRCO_CAL_80MHZ | (DEVINFO_HFRCODPLLCAL_80MHZ & 0x7Fu);
    /* Nobody asks for this oscillator yet, so the new setting may be pending until the PLL starts it: there is
     * no waiting for it here. */
    if ((HFRCO_CAL & HFRCO_CAL_BAND_MASK) != (HFRCO_CAL_80MHZ & HFRCO_CAL_BAND_MASK)) {
        return false; /* parts that may not run so fast clamp the band */
    }
    CMU_DPLLREFCLKCTRL = CMU_DPLLREFCLKCTRL_HFXO;
    DPLL_CFG = DPLL_CFG_MODE_PLL | DPLL_CFG_AUTORECOVER;
    DPLL_CFG1 = (DPLL_N << 16) | DPLL_M;
    REG_CLR(DPLL_IF) = DPLL_IF_LOCK | DPLL_IF_LOCKFAIL;
    REG_SET(DPLL_EN) = DPLL_EN_EN;
    for (uint32_t i = 0; i < WAIT_POLLS; i++) {
        uint32_t flags = DPLL_IF;
        if ((flags & DPLL_IF_LOCKFAIL) != 0) {
            break;
        }
        if ((flags & DPLL_IF_LOCK) != 0) {
            return true;
        }
    }
    REG_CLR(DPLL_EN) = DPLL_EN_EN;
    return false;
}

hal_status_t clocks_init(void) {
    s_at_full_speed = false;
    REG_SET(CMU_CLKEN1) = CMU_CLKEN1_MSC;
    if (!crystal_start() || !pll_lock()) {
        CMU_EM01GRPCCLKCTRL = CMU_EM01GRPCCLKCTRL_FSRCO;
        return HAL_ERROR_CLOCK;
    }
    REG_CLR(HFXO_CTRL) = HFXO_CTRL_FORCEEN;
    /* Dividers before speed: the peripheral bus may run at 50 MHz, the radio's at 40 MHz. */
    REG_SET(CMU_SYSCLKCTRL) = CMU_SYSCLKCTRL_PCLKPRESC_DIV2 | CMU_SYSCLKCTRL_RHCLKPRESC_DIV2;
    CMU_SYSCLKCTRL = (CMU_SYSCLKCTRL & ~CMU_SYSCLKCTRL_CLKSEL_MASK) | CMU_SYSCLKCTRL_CLKSEL_HFRCODPLL;
    /* One wait state is enough above 40 MHz; reset leaves two. */
    MSC_READCTRL = (MSC_READCTRL & ~MSC_READCTRL_MODE_MASK) | MSC_READCTRL_MODE_WS1;
    CMU_EM01GRPCCLKCTRL = CMU_EM01GRPCCLKCTRL_HFRCODPLL;
    s_at_full_speed = true;
    return HAL_OK;
}

uint32_t clocks_core_hz(void) {
    return s_at_full_speed ? PLL_HZ : FSRCO_HZ;
}

uint32_t clocks_peripheral_hz(void) { return s_at_full_speed ? clocks_core_hz() / 2u : FSRCO_HZ; }

uint32_t clocks_serial_hz(void) { return clocks_core_hz(); }
