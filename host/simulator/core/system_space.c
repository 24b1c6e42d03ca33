/* The core's own registers at 0xE0000000: SysTick, NVIC, system control, FPU, MPU (present, not
 * enforced), cycle counter; trace and debug registers that may be written without effect. */
#include <string.h>

#include "machine.h"

/* Where the registers are, by Arm's names. SCB_CFSR and STIR are in machine.h. */
#define DWT_CTRL 0xE0001000u
#define DWT_CYCCNT 0xE0001004u
#define ICTR 0xE000E004u
#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define SYST_CALIB 0xE000E01Cu
#define NVIC_ISER 0xE000E100u
#define NVIC_IPR 0x300u /* from NVIC_ISER on */
#define NVIC_END 0xE000E500u
#define SCB_CPUID 0xE000ED00u
#define SCB_ICSR 0xE000ED04u
#define SCB_VTOR 0xE000ED08u
#define SCB_AIRCR 0xE000ED0Cu
#define SCB_SCR 0xE000ED10u
#define SCB_CCR 0xE000ED14u
#define SCB_SHPR1 0xE000ED18u
#define SCB_SHCSR 0xE000ED24u
#define SCB_HFSR 0xE000ED2Cu
#define SCB_MMFAR 0xE000ED34u
#define SCB_BFAR 0xE000ED38u
#define SCB_CPACR 0xE000ED88u
#define MPU_TYPE 0xE000ED90u
#define MPU_CTRL 0xE000ED94u
#define MPU_RNR 0xE000ED98u
#define MPU_RBAR 0xE000ED9Cu
#define MPU_MAIR0 0xE000EDC0u
#define MPU_END 0xE000EDC8u
#define DEMCR 0xE000EDFCu
#define FPCCR 0xE000EF34u
#define FPCAR 0xE000EF38u
#define FPDSCR 0xE000EF3Cu
#define MVFR0 0xE000EF40u
#define MVFR1 0xE000EF44u
#define MVFR2 0xE000EF48u
#define SYSTICK_ENABLE 1u
#define SYSTICK_TICKINT 2u
#define SYSTICK_FLAG (1u << 16)
#define SYSTICK_MASK 0xFFFFFFu
#define CPUID_M33_R0P4 0x410FD214u
#define DEMCR_TRCENA (1u << 24)
#define DWT_CYCCNTENA 1u
#define CPACR_FPU 0xF00000u
#define PRIORITY_MASK 0xF0u
#define FPDSCR_MASK 0x07C00000u /* AHP, DN, FZ, RMode */
#define ICSR_PENDNMISET (1u << 31)
#define ICSR_PENDSVSET (1u << 28)
#define ICSR_PENDSVCLR (1u << 27)
#define ICSR_PENDSTSET (1u << 26)
#define ICSR_PENDSTCLR (1u << 25)
#define ICSR_ISRPENDING (1u << 22)
#define ICSR_RETTOBASE (1u << 11)
#define MPU_RLAR_MASK 0xFFFFFFEFu /* this core has no PXN */

void system_space_reset(struct machine *m) {
    m->vtor = FLASH_BASE;
    m->aircr_group = 0;
    m->scr = m->shcsr = m->cfsr = m->hfsr = m->bfar = m->mmfar = m->cpacr = m->demcr = 0;
    m->ccr = 0x201u;
    m->fpccr = 0xC0000000u;
    m->fpcar = m->fpdscr = 0;
    memset(&m->mpu, 0, sizeof m->mpu);
    m->systick_csr = 0;
    m->systick_reload = 0;
    m->systick_start = m->cycles;
    m->systick_count = 0;
    m->systick_next = NEVER;
    m->dwt_ctrl = 0;
    m->cyccnt_base = 0;
    m->fpu_off = true;
}

/* ---- SysTick: counts core cycles, asleep too ----
 * The counter held systick_count at the cycle systick_start. It reaches 0 by counting with the flag and
 * the interrupt, and takes the reload value a cycle later; a new reload value counts from there on. */

static bool systick_enabled(const struct machine *m) { return (m->systick_csr & SYSTICK_ENABLE) != 0; }

static void systick_plan(struct machine *m) {
    m->systick_next = NEVER;
    if (systick_enabled(m) && (m->systick_count != 0 || m->systick_reload != 0)) {
        uint64_t ticks = m->systick_count != 0 ? m->systick_count : 1u + (uint64_t)m->systick_reload;
        uint64_t ahead = m->systick_start + ticks - m->clock_cycles;
        m->systick_next =
            m->clock_ps + (uint64_t)(((unsigned __int128)ahead * PS_PER_S + m->core_hz - 1u) / m->core_hz);
    }
}

static void systick_at_zero(struct machine *m) {
    m->systick_csr |= SYSTICK_FLAG;
    if ((m->systick_csr & SYSTICK_TICKINT) != 0) {
        exception_pend(m, EXCEPTION_SYSTICK);
    }
}

void systick_advance(struct machine *m) {
    if (!systick_enabled(m)) {
        m->systick_start = m->cycles; /* the counter stands */
        systick_plan(m);
        return;
    }
    uint64_t passed = m->cycles - m->systick_start;
    if (m->systick_count != 0 && passed >= m->systick_count) {
        passed -= m->systick_count;
        m->systick_count = 0;
        systick_at_zero(m);
    }
    if (m->systick_count == 0) {
        if (m->systick_reload == 0) {
            passed = 0; /* nothing to take: it stays at 0 */
        } else if (passed != 0) { /* whole periods that begin and end at 0, and the rest of one */
            uint64_t period = (uint64_t)m->systick_reload + 1u;
            if (passed >= period) {
                systick_at_zero(m);
                passed %= period;
            }
            if (passed != 0) {
                m->systick_count = m->systick_reload;
                passed--;
            }
        }
    }
    m->systick_count -= (uint32_t)passed;
    m->systick_start = m->cycles;
    systick_plan(m);
}

static uint32_t systick_value(struct machine *m) {
    systick_advance(m);
    return m->systick_count;
}

static void systick_write(struct machine *m, uint32_t address, uint32_t value) {
    systick_advance(m);
    switch (address) {
    case SYST_CSR:
        m->systick_csr = (m->systick_csr & SYSTICK_FLAG) | (value & 7u);
        break;
    case SYST_RVR:
        m->systick_reload = value & SYSTICK_MASK;
        break;
    case SYST_CVR:
        m->systick_csr &= ~SYSTICK_FLAG;
        m->systick_count = 0;
        break;
    default:
        break;
    }
    systick_plan(m);
}

/* ---- NVIC: ISER, ICER, ISPR, ICPR and IABR of 128 bytes each, then a byte of priority an interrupt ---- */

static uint32_t nvic_bits(const uint8_t *state, uint32_t word) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t n = EXCEPTION_IRQ0 + 32u * word + i;
        bits |= n < EXCEPTIONS && state[n] ? 1u << i : 0;
    }
    return bits;
}

static uint32_t nvic_read(struct machine *m, uint32_t offset) {
    uint32_t word = (offset & 0x7Fu) / 4u;
    if (offset >= NVIC_IPR) {
        uint32_t value = 0;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t n = EXCEPTION_IRQ0 + (offset - NVIC_IPR) + i;
            value |= n < EXCEPTIONS ? (uint32_t)m->priority[n] << (8u * i) : 0;
        }
        return value;
    }
    switch (offset >> 7) {
    case 0: case 1: return nvic_bits(m->enabled, word);
    case 2: case 3: return nvic_bits(m->pending, word);
    case 4: return nvic_bits(m->active, word);
    default: return 0;
    }
}

static void nvic_write(struct machine *m, uint32_t offset, uint32_t value) {
    uint32_t word = (offset & 0x7Fu) / 4u;
    for (uint32_t i = 0; i < (offset >= NVIC_IPR ? 4u : 32u); i++) {
        uint32_t n = EXCEPTION_IRQ0 + (offset >= NVIC_IPR ? offset - NVIC_IPR : 32u * word) + i;
        if (n >= EXCEPTIONS) {
            return;
        }
        if (offset >= NVIC_IPR) {
            m->priority[n] = (int16_t)((value >> (8u * i)) & PRIORITY_MASK);
        } else if ((value >> i & 1u) != 0) {
            switch (offset >> 7) {
            case 0: m->enabled[n] = 1; break;
            case 1: m->enabled[n] = 0; break;
            case 2: exception_pend(m, n); break;
            case 3: exception_unpend(m, n); break;
            default: break;
            }
        }
    }
}

/* ---- system control block ---- */

static uint32_t icsr(struct machine *m) {
    uint32_t active = machine_register(m, UC_ARM_REG_IPSR) & 0x1FFu, first = 0, others = 0;
    bool irq = false;
    for (uint32_t n = 2; n < EXCEPTIONS; n++) {
        if (m->pending[n] && m->enabled[n]) {
            first = first == 0 || m->priority[n] < m->priority[first] ? n : first;
        }
        irq |= m->pending[n] && n >= EXCEPTION_IRQ0; /* enabled or not */
        others |= m->active[n] && n != active;
    }
    return active | (others ? 0 : ICSR_RETTOBASE) | first << 12 | (irq ? ICSR_ISRPENDING : 0) |
           (m->pending[EXCEPTION_SYSTICK] ? ICSR_PENDSTSET : 0) |
           (m->pending[EXCEPTION_PENDSV] ? ICSR_PENDSVSET : 0) | (m->pending[EXCEPTION_NMI] ? ICSR_PENDNMISET : 0);
}

static uint32_t shcsr(const struct machine *m) {
    return m->shcsr | (m->active[EXCEPTION_MEMORY] ? 1u : 0) | (m->active[EXCEPTION_BUS] ? 2u : 0) |
           (m->active[EXCEPTION_HARD] ? 4u : 0) | (m->active[EXCEPTION_USAGE] ? 8u : 0) |
           (m->active[EXCEPTION_NMI] ? 1u << 5 : 0) |
           (m->active[EXCEPTION_SVC] ? 1u << 7 : 0) | (m->active[EXCEPTION_PENDSV] ? 1u << 10 : 0) |
           (m->active[EXCEPTION_SYSTICK] ? 1u << 11 : 0);
}

/* ---- MPU: its registers, without effect ---- */

/* The word behind an address of the MPU, NULL where there is none. RBAR and RLAR are those of the region
 * that RNR names, their three aliases those of the regions of the same four. */
static uint32_t *mpu_word(struct machine *m, uint32_t address) {
    if (address == MPU_CTRL) {
        return &m->mpu.control;
    }
    if (address == MPU_RNR) {
        return &m->mpu.region;
    }
    if (address >= MPU_MAIR0) {
        return &m->mpu.attributes[(address - MPU_MAIR0) / 4u];
    }
    uint32_t alias = (address - MPU_RBAR) / 8u, limit = (address - MPU_RBAR) / 4u % 2u;
    uint32_t region = alias == 0 ? m->mpu.region : (m->mpu.region & ~3u) + alias;
    return alias < 4u && region < MPU_REGIONS ? &m->mpu.bounds[region][limit] : NULL;
}

static uint32_t mpu_read(struct machine *m, uint32_t address) {
    const uint32_t *word = mpu_word(m, address);
    return word != NULL ? *word : 0;
}

static void mpu_write(struct machine *m, uint32_t address, uint32_t value) {
    uint32_t *word = mpu_word(m, address);
    if (word == NULL) {
        return;
    }
    bool limit = address > MPU_RBAR && address < MPU_MAIR0 && (address - MPU_RBAR) % 8u == 4u;
    *word = value & (address == MPU_CTRL ? 7u : address == MPU_RNR ? 0xFFu : limit ? MPU_RLAR_MASK : UINT32_MAX);
    if ((m->mpu.control & 1u) != 0) {
        machine_error(m, address, "the MPU is not modelled");
    }
}

/* ---- cycle counter ---- */

static void cycle_counter_write(struct machine *m, uint32_t value) {
    m->cyccnt_base = m->cycles - m->sleep_cycles - value;
}

static uint32_t cycle_counter(struct machine *m) {
    if ((m->demcr & DEMCR_TRCENA) == 0 || (m->dwt_ctrl & DWT_CYCCNTENA) == 0) {
        return (uint32_t)m->cyccnt_base; /* while it stands: its value */
    }
    return (uint32_t)(m->cycles - m->sleep_cycles - m->cyccnt_base);
}

static void cycle_counter_control(struct machine *m, uint32_t demcr, uint32_t dwt_ctrl) {
    uint32_t value = cycle_counter(m);
    m->demcr = demcr;
    m->dwt_ctrl = dwt_ctrl;
    if ((demcr & DEMCR_TRCENA) != 0 && (dwt_ctrl & DWT_CYCCNTENA) != 0) {
        cycle_counter_write(m, value);
    } else {
        m->cyccnt_base = value;
    }
}

uint32_t system_space_read(struct machine *m, uint32_t address) {
    machine_update_time(m);
    if (address >= NVIC_ISER && address < NVIC_END) {
        return nvic_read(m, address - NVIC_ISER);
    }
    if (address >= SCB_SHPR1 && address < SCB_SHCSR) {
        uint32_t value = 0;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t n = address - SCB_SHPR1 + EXCEPTION_MEMORY + i;
            value |= (uint32_t)(m->priority[n] & 0xFF) << (8u * i);
        }
        return value;
    }
    if (address >= MPU_CTRL && address < MPU_END) {
        return mpu_read(m, address);
    }
    switch (address) {
    case DWT_CTRL: return m->dwt_ctrl | 0x40000000u;
    case DWT_CYCCNT: return cycle_counter(m);
    case ICTR: return 2; /* ICTR: interrupt lines in 32s, less one */
    case SYST_CSR: {
        systick_advance(m);
        uint32_t value = m->systick_csr;
        m->systick_csr &= ~SYSTICK_FLAG;
        return value;
    }
    case SYST_RVR: return m->systick_reload;
    case SYST_CVR: return systick_value(m);
    case SYST_CALIB: return 0xC0000000u; /* no reference clock */
    case SCB_CPUID: return CPUID_M33_R0P4;
    case SCB_ICSR: systick_advance(m); return icsr(m);
    case SCB_VTOR: return m->vtor;
    case SCB_AIRCR: return 0xFA050000u | m->aircr_group << 8;
    case SCB_SCR: return m->scr;
    case SCB_CCR: return m->ccr;
    case SCB_SHCSR: return shcsr(m);
    case SCB_CFSR: return m->cfsr;
    case SCB_HFSR: return m->hfsr;
    case SCB_MMFAR: return m->mmfar;
    case SCB_BFAR: return m->bfar;
    case SCB_CPACR: return m->cpacr;
    case MPU_TYPE: return 0x800u; /* eight MPU regions */
    case DEMCR: return m->demcr;
    case FPCCR: return m->fpccr;
    case FPCAR: return m->fpcar;
    case FPDSCR: return m->fpdscr;
    case MVFR0: return 0x10110021u; /* MVFR0..2: single precision only */
    case MVFR1: return 0x11000011u;
    case MVFR2: return 0x40u;
    default: return 0; /* trace and debug: nobody is attached */
    }
}

static void aircr_write(struct machine *m, uint32_t value) {
    if ((value >> 16) == 0x05FAu) {
        m->aircr_group = (value >> 8) & 7u;
        m->reset_requested = (value & 4u) != 0;
    }
}

static void system_handler_priority(struct machine *m, uint32_t address, uint32_t value) {
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t n = address - SCB_SHPR1 + EXCEPTION_MEMORY + i;
        m->priority[n] = (int16_t)((value >> (8u * i)) & PRIORITY_MASK);
    }
}

void system_space_write(struct machine *m, uint32_t address, uint32_t value) {
    machine_update_time(m);
    if (address >= NVIC_ISER && address < NVIC_END) {
        nvic_write(m, address - NVIC_ISER, value);
        return;
    }
    if (address >= SYST_CSR && address <= SYST_CALIB + 3u) {
        systick_write(m, address, value);
        return;
    }
    if (address >= SCB_SHPR1 && address < SCB_SHCSR) {
        system_handler_priority(m, address, value);
        return;
    }
    if (address >= MPU_CTRL && address < MPU_END) {
        mpu_write(m, address, value);
        return;
    }
    switch (address) {
    case DWT_CTRL: cycle_counter_control(m, m->demcr, value & DWT_CYCCNTENA); break;
    case DWT_CYCCNT:
        m->cyccnt_base = value;
        if ((m->demcr & DEMCR_TRCENA) != 0 && (m->dwt_ctrl & DWT_CYCCNTENA) != 0) {
            cycle_counter_write(m, value);
        }
        break;
    case SCB_ICSR:
        if ((value & ICSR_PENDSVSET) != 0) exception_pend(m, EXCEPTION_PENDSV);
        if ((value & ICSR_PENDSVCLR) != 0) exception_unpend(m, EXCEPTION_PENDSV);
        if ((value & ICSR_PENDSTSET) != 0) exception_pend(m, EXCEPTION_SYSTICK);
        if ((value & ICSR_PENDSTCLR) != 0) exception_unpend(m, EXCEPTION_SYSTICK);
        if ((value & ICSR_PENDNMISET) != 0) exception_pend(m, EXCEPTION_NMI);
        break;
    case SCB_VTOR: m->vtor = value & ~0x7Fu; break;
    case SCB_AIRCR: aircr_write(m, value); break;
    case SCB_SCR: m->scr = value & 0x1Eu; break;
    case SCB_CCR:
        m->ccr = (value & 0x51Au) | 0x201u;
        if ((value & 0x18u) != 0) {
            machine_error(m, address, "traps of division by zero and unaligned access are not modelled");
        }
        break;
    case SCB_SHCSR:
        m->shcsr = value & 0xF0000u;
        m->enabled[EXCEPTION_MEMORY] = (value >> 16) & 1u;
        m->enabled[EXCEPTION_BUS] = (value >> 17) & 1u;
        m->enabled[EXCEPTION_USAGE] = (value >> 18) & 1u;
        break;
    case SCB_CFSR: m->cfsr &= ~value; break;
    case SCB_HFSR: m->hfsr &= ~value; break;
    case SCB_MMFAR: m->mmfar = value; break;
    case SCB_BFAR: m->bfar = value; break;
    case SCB_CPACR:
        m->cpacr = value;
        m->fpu_off = (value & CPACR_FPU) == 0;
        break;
    case DEMCR: cycle_counter_control(m, value, m->dwt_ctrl); break;
    case STIR:
        if ((value & 0x1FFu) < EXCEPTIONS - EXCEPTION_IRQ0) {
            exception_pend(m, EXCEPTION_IRQ0 + (value & 0x1FFu));
        }
        break;
    case FPCCR: m->fpccr = value; break;
    case FPCAR: m->fpcar = value; break;
    case FPDSCR:
        m->fpdscr = value & FPDSCR_MASK;
        if (m->fpdscr != 0) { /* Unicorn begins each floating-point context with zeroes */
            machine_error(m, address, "an FPDSCR other than 0 is not modelled");
        }
        break;
    default: break;
    }
}
