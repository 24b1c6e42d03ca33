/* The peripheral bus: finds the peripheral behind an address, checks its clock, applies the set, clear
 * and toggle aliases, and keeps the earliest time at which any peripheral does something by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define CLKEN0 0x064u
#define CLKEN1 0x068u
/* Extra core cycles of an access over the bridges: an estimate. */
#define READ_WAIT 3u
#define WRITE_WAIT 1u

static const struct {
    const char *name;
    uint32_t base;
    const struct peripheral_class *class;
    int clock_enable, irq;
    uint32_t index;
} k_map[] = {
    {"EMU", 0x40004000u, &emu_class, -1, 3, 0},
    {"CMU", 0x40008000u, &cmu_class, -1, IRQ_CMU, 0},
    {"HFRCO0", 0x40010000u, &hfrco_class, 18, IRQ_HFRCO0, 0},
    {"FSRCO", 0x40018000u, &fsrco_class, 21, -1, 0},
    {"DPLL0", 0x4001C000u, &dpll_class, 17, IRQ_DPLL0, 0},
    {"MSC", 0x40030000u, &msc_class, 32 + 16, IRQ_MSC, 0},
    {"ICACHE0", 0x40034000u, &icache_class, 32 + 15, -1, 0},
    {"PRS", 0x40038000u, &prs_class, 27, -1, 0},
    {"GPIO", 0x4003C000u, &gpio_class, 26, 25, 0},
    {"LDMA", 0x40040000u, &ldma_class, 0, IRQ_LDMA, 0},
    {"LDMAXBAR", 0x40044000u, &ldmaxbar_class, 1, -1, 0},
    {"TIMER0", 0x40048000u, &timer_class, 4, IRQ_TIMER0, 0},
    {"TIMER1", 0x4004C000u, &timer_class, 5, IRQ_TIMER0 + 1, 1},
    {"TIMER2", 0x40050000u, &timer_class, 6, IRQ_TIMER0 + 2, 2},
    {"TIMER3", 0x40054000u, &timer_class, 7, IRQ_TIMER0 + 3, 3},
    {"TIMER4", 0x40058000u, &timer_class, 8, IRQ_TIMER0 + 4, 4},
    {"USART0", 0x4005C000u, &usart_class, 9, IRQ_USART0_RX, 0},
    {"SYSCFG", 0x4007C000u, &syscfg_class, 16, 19, 0},
    {"DCDC", 0x40094000u, &dcdc_class, 31, -1, 0},
    {"EUSART1", 0x400A0000u, &eusart_class, 32 + 23, IRQ_EUSART1_RX, 1},
    {"SYSRTC0", 0x400A8000u, &sysrtc_class, 30, IRQ_SYSRTC, 0},
    {"DMEM", 0x400B4000u, &mpahbram_class, 32 + 27, 20, 0},
    {"SMU", 0x44008000u, &smu_class, 32 + 14, 0, 0},
    {"HFXO0", 0x4A004000u, &hfxo_class, 20, IRQ_HFXO0, 0},
    {"EUSART0", 0x4B010000u, &eusart_class, 32 + 22, IRQ_EUSART0_RX, 0},
    {"MVP", 0x4D000000u, &mvp_class, 32 + 30, IRQ_MVP, 0},
};
#define PERIPHERALS (sizeof k_map / sizeof k_map[0])

static void index_registers(struct peripheral *p) {
    const struct register_info *info = p->class->registers;
    for (uint32_t i = 0; info != NULL && info[i].name != NULL; i++) {
        for (uint32_t k = 0; k < info[i].count; k++) {
            p->known[(info[i].offset + k * info[i].stride) / 4u] = (uint16_t)(i + 1u);
        }
    }
}

bool bus_create(struct machine *m) {
    m->peripherals = calloc(PERIPHERALS, sizeof *m->peripherals);
    if (m->peripherals == NULL) {
        return false;
    }
    m->peripheral_count = PERIPHERALS;
    for (uint32_t i = 0; i < PERIPHERALS; i++) {
        struct peripheral *p = &m->peripherals[i];
        p->name = k_map[i].name;
        p->base = k_map[i].base;
        p->class = k_map[i].class;
        p->clock_enable = k_map[i].clock_enable;
        p->irq = k_map[i].irq;
        p->index = k_map[i].index;
        p->next = NEVER;
        index_registers(p);
        struct peripheral **slot = p->class == &cmu_class        ? &m->cmu
                                   : p->class == &hfxo_class     ? &m->hfxo
                                   : p->class == &hfrco_class    ? &m->hfrco
                                   : p->class == &dpll_class     ? &m->dpll
                                   : p->class == &usart_class    ? &m->usart
                                   : p->class == &ldma_class     ? &m->ldma
                                   : p->class == &ldmaxbar_class ? &m->ldmaxbar
                                   : p->class == &gpio_class     ? &m->gpio
                                   : p->class == &msc_class      ? &m->msc
                                   : p->class == &mvp_class      ? &m->mvp
                                                                 : NULL;
        if (slot != NULL) {
            *slot = p;
        }
        if (p->class->state_bytes != 0 && (p->state = calloc(1, p->class->state_bytes)) == NULL) {
            return false;
        }
    }
    return true;
}

void bus_destroy(struct machine *m) {
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        struct peripheral *p = &m->peripherals[i];
        if (p->class == &usart_class) {
            usart_free(p);
        }
        free(p->state);
    }
    free(m->peripherals);
}

void bus_reset(struct machine *m) {
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        struct peripheral *p = &m->peripherals[i];
        const struct register_info *info = p->class->registers;
        memset(p->word, 0, sizeof p->word);
        for (uint32_t w = 0; info != NULL && w < PERIPHERAL_WORDS; w++) {
            if (p->known[w] != 0) {
                p->word[w] = info[p->known[w] - 1u].reset;
            }
        }
        p->next = NEVER;
    }
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        if (m->peripherals[i].class->reset != NULL) {
            m->peripherals[i].class->reset(m, &m->peripherals[i]);
        }
    }
    clock_changed(m);
    bus_changed(m);
}

void bus_changed(struct machine *m) {
    uint64_t next = NEVER;
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        next = m->peripherals[i].next < next ? m->peripherals[i].next : next;
    }
    m->peripherals_next = next;
    m->deadline = 0;
}

void machine_advance_peripherals(struct machine *m) {
    if (m->systick_next <= m->now_ps) {
        systick_advance(m);
    }
    if (m->peripherals_next > m->now_ps) {
        return;
    }
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        struct peripheral *p = &m->peripherals[i];
        if (p->next <= m->now_ps && p->class->advance != NULL) {
            p->class->advance(m, p);
        }
    }
    bus_changed(m);
}

static struct peripheral *find(struct machine *m, uint32_t address) {
    uint32_t secure = (address & 0x0FFFFFFFu) | 0x40000000u;
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        if (secure - m->peripherals[i].base < 0x4000u) {
            return m->without_mvp && &m->peripherals[i] == m->mvp ? NULL : &m->peripherals[i];
        }
    }
    return NULL;
}

static bool is_clocked(const struct machine *m, const struct peripheral *p) {
    if (p->clock_enable < 0) {
        return true;
    }
    uint32_t word = REGISTER(m->cmu, p->clock_enable < 32 ? CLKEN0 : CLKEN1);
    return ((word >> (p->clock_enable & 31)) & 1u) != 0;
}

/* The peripheral behind an access that may go on; NULL after reporting why not. */
static struct peripheral *accessible(struct machine *m, uint32_t address, const char *verb, bool core) {
    struct peripheral *p = find(m, address);
    if (p == NULL) {
        machine_error(m, address, "%s of 0x%08x: no peripheral is modelled there", verb, address);
        return NULL;
    }
    if (!is_clocked(m, p) && !core) {
        m->bus_error = true; /* the master that asked deals with it */
        return NULL;
    }
    if (!is_clocked(m, p)) {
        char text[96];
        snprintf(text, sizeof text, "%s of %s+0x%03x while its clock is off (CMU CLKEN%d bit %d)", verb, p->name,
                 (address - p->base) & 0xFFFu, p->clock_enable / 32, p->clock_enable % 32);
        machine_fault(m, CFSR_PRECISERR | CFSR_BFARVALID, address, text);
        return NULL;
    }
    if (p->class->registers != NULL && p->known[(address & 0xFFFu) / 4u] == 0) {
        machine_error(m, address, "%s of %s+0x%03x: this register is not modelled", verb, p->name,
                      address & 0xFFFu);
        return NULL;
    }
    return p;
}

static void bring_up(struct machine *m, struct peripheral *p) {
    if (p->class->advance != NULL) {
        uint64_t next = p->next;
        p->class->advance(m, p);
        if (p->next != next) {
            bus_changed(m);
        }
    }
}

/* Whether an access finds the peripheral as it is now. The DMA comes from within a port that is being brought
 * up to now; what only counts can be for its accesses too. */
static bool is_looked_at(const struct peripheral *p, bool core) {
    return core || p->class == &timer_class || p->class == &sysrtc_class;
}

void bus_bring_up(struct machine *m, uint32_t address) {
    struct peripheral *p = find(m, address);
    if (p != NULL && is_clocked(m, p)) {
        bring_up(m, p);
    }
}

uint32_t bus_read(struct machine *m, uint32_t address, uint32_t bytes, bool core) {
    struct peripheral *p = accessible(m, address, "read", core);
    if (p == NULL) {
        return 0;
    }
    if (core) {
        m->cycles += READ_WAIT;
        machine_update_time(m);
    }
    uint32_t offset = address & (p->class->registers != NULL ? 0xFFCu : 0x3FFCu);
    if (is_looked_at(p, core)) {
        bring_up(m, p);
    }
    uint32_t value = p->class->read != NULL ? p->class->read(m, p, offset) : REGISTER(p, offset);
    value >>= 8u * (address & 3u);
    return bytes >= 4 ? value : value & ((1u << (8u * bytes)) - 1u);
}

void bus_write(struct machine *m, uint32_t address, uint32_t bytes, uint32_t value, bool core) {
    struct peripheral *p = accessible(m, address, "write", core);
    if (p == NULL) {
        return;
    }
    /* The bus is 32 bits wide: a narrow write is a word with zeroes above. What stands below one that begins
     * within the word is not known. */
    if ((address & 3u) != 0) {
        machine_error(m, address, "write of %u bytes to %s+0x%03x, within a register: this is not modelled",
                      bytes, p->name, address & 0xFFFu);
        return;
    }
    if (core) {
        m->cycles += WRITE_WAIT;
        machine_update_time(m);
    }
    if (is_looked_at(p, core)) {
        bring_up(m, p);
    }
    if (p->class->registers == NULL) {
        p->class->write(m, p, address & 0x3FFCu, value, value);
        bus_changed(m);
        return;
    }
    uint32_t offset = address & 0xFFCu;
    const struct register_info *info = &p->class->registers[p->known[offset / 4u] - 1u];
    if (info->read_only) {
        machine_error(m, address, "write to %s %s (+0x%03x), which is read-only", p->name, info->name, offset);
        return;
    }
    uint32_t old = REGISTER(p, offset), written = value & info->mask;
    if (m->without_mvp && p == m->cmu && offset == CLKEN1) {
        written &= ~(1u << (m->mvp->clock_enable & 31)); /* such a part does not have the bit */
    }
    switch ((address >> 12) & 3u) {
    case 1: value = old | written; break;
    case 2: value = old & ~written; break;
    case 3: value = old ^ written; break;
    default: value = written; break;
    }
    if (((address >> 12) & 3u) == 2u) {
        written = 0; /* clearing bits of a command register commands nothing */
    }
    if (p->class->write != NULL) {
        p->class->write(m, p, offset, value, written);
    } else {
        REGISTER(p, offset) = value;
    }
    bus_changed(m);
}

void simulator_remove_mvp(struct machine *m) {
    m->without_mvp = true;
    devinfo_part(m->info + 0x8000u, 1020u);
}

void simulator_set_crystal(struct machine *m, uint32_t hz) { m->crystal_hz = hz; }

bool simulator_peek(struct machine *m, uint32_t address, uint32_t *value) {
    struct peripheral *p = find(m, address);
    if (p == NULL || p->class->registers == NULL) {
        return false;
    }
    *value = REGISTER(p, address & 0xFFCu);
    return p->known[(address & 0xFFCu) / 4u] != 0;
}
