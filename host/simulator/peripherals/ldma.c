/* LDMA and its request crossbar: eight channels with linked descriptors. A request of a peripheral is
 * served at once; transfers of their own (software requests, STRUCTREQ) move their data at once too, and
 * report done after the time that they would take, an estimate of three bus cycles a unit. */
#include "../core/machine.h"

enum { EN = 0x004, CTRL = 0x008, STATUS = 0x00C, SYNCSWSET = 0x010, SYNCSWCLR = 0x014, SYNCSTATUS = 0x020,
       CHEN = 0x024, CHDIS = 0x028, CHSTATUS = 0x02C, CHBUSY = 0x030, CHDONE = 0x034, SWREQ = 0x03C, REQDIS = 0x040,
       REQPEND = 0x044, LINKLOAD = 0x048, REQCLEAR = 0x04C, IF = 0x050, IEN = 0x054 };
#define CHANNELS 8u
#define CHANNEL(n, word) (0x05Cu + 0x30u * (n) + 4u * (word))
enum { W_CFG, W_LOOP, W_CTRL, W_SRC, W_DST, W_LINK };
#define CTRL_STRUCTREQ (1u << 3)
#define CTRL_BYTESWAP (1u << 15)
#define CTRL_DONEIEN (1u << 20)
#define CTRL_REQMODE_ALL (1u << 21)
#define CTRL_DECLOOPCNT (1u << 22)
#define LINK_RELATIVE 1u
#define LINK_NEXT 2u
#define IF_ERROR (1u << 31)
#define STATUS_CHERROR (31u << 8) /* the number of the channel that failed last */
#define CYCLES_PER_UNIT 3u
#define LINKS_AT_ONCE 1024u /* descriptors that need no request, before it is called a loop without end */

struct ldma_state {
    uint32_t descriptor[CHANNELS]; /* where the present one came from */
    uint64_t done_ps[CHANNELS];    /* when an own transfer is over, NEVER if none runs */
};

static uint32_t *word(struct machine *m, uint32_t n, uint32_t which) { return &REGISTER(m->ldma, CHANNEL(n, which)); }

static uint32_t units_left(struct machine *m, uint32_t n) { return (*word(m, n, W_CTRL) >> 4 & 0x7FFu) + 1u; }

static bool enabled(struct machine *m, uint32_t n) {
    return (REGISTER(m->ldma, EN) & 1u) != 0 && (REGISTER(m->ldma, CHSTATUS) >> n & 1u) != 0;
}

static void update_irq(struct machine *m) {
    irq_level(m, IRQ_LDMA, (REGISTER(m->ldma, IF) & REGISTER(m->ldma, IEN)) != 0);
}

static void bus_error(struct machine *m, uint32_t n) {
    REGISTER(m->ldma, IF) |= IF_ERROR;
    REGISTER(m->ldma, STATUS) = (REGISTER(m->ldma, STATUS) & ~STATUS_CHERROR) | n << 8;
    REGISTER(m->ldma, CHSTATUS) &= ~(1u << n);
    update_irq(m);
}

/* Moves so many units; false on a bus error. */
static bool move(struct machine *m, uint32_t n, uint32_t units) {
    uint32_t control = *word(m, n, W_CTRL), config = *word(m, n, W_CFG);
    uint32_t size = control >> 26 & 3u, bytes = 1u << (size > 2 ? 2 : size);
    uint32_t src_code = control >> 24 & 3u, dst_code = control >> 28 & 3u;
    uint32_t src_step = src_code == 3 ? 0 : bytes << src_code, dst_step = dst_code == 3 ? 0 : bytes << dst_code;
    src_step = (config >> 20 & 1u) != 0 ? 0u - src_step : src_step;
    dst_step = (config >> 21 & 1u) != 0 ? 0u - dst_step : dst_step;
    if (((*word(m, n, W_SRC) | *word(m, n, W_DST)) & (bytes - 1u)) != 0) {
        machine_error(m, m->ldma->base + CHANNEL(n, W_SRC),
                      "LDMA channel %u moves units of %u bytes from 0x%08x to 0x%08x: unaligned ones are not modelled", n,
                      bytes, *word(m, n, W_SRC), *word(m, n, W_DST));
        return true;
    }
    for (uint32_t i = 0; i < units; i++) {
        uint32_t value = 0;
        if (!machine_bus_read(m, *word(m, n, W_SRC), bytes, &value)) {
            return false;
        }
        if ((control & CTRL_BYTESWAP) != 0) {
            value = bytes == 4 ? __builtin_bswap32(value) : bytes == 2 ? (value >> 8 & 0xFFu) | (value & 0xFFu) << 8 : value;
        }
        if (!machine_bus_write(m, *word(m, n, W_DST), bytes, value)) {
            return false;
        }
        *word(m, n, W_SRC) += src_step;
        *word(m, n, W_DST) += dst_step;
    }
    return true;
}

static void load(struct machine *m, uint32_t n, uint32_t address);

/* The present descriptor is through: flags, then the next one or the end. */
static void finish(struct machine *m, uint32_t n) {
    struct ldma_state *s = m->ldma->state;
    uint32_t control = *word(m, n, W_CTRL), link = *word(m, n, W_LINK);
    if ((control & CTRL_DONEIEN) != 0) {
        REGISTER(m->ldma, IF) |= 1u << n;
        update_irq(m);
    }
    uint32_t next = link & ~3u;
    if ((link & LINK_RELATIVE) != 0) {
        next += s->descriptor[n];
    }
    if ((control & CTRL_DECLOOPCNT) != 0) {
        if (*word(m, n, W_LOOP) == 0) {
            next = s->descriptor[n] + 16u; /* the loop is over: what follows in memory */
        } else {
            (*word(m, n, W_LOOP))--;
        }
    }
    if ((link & LINK_NEXT) != 0) {
        load(m, n, next);
    } else {
        REGISTER(m->ldma, CHSTATUS) &= ~(1u << n);
        REGISTER(m->ldma, CHDONE) |= 1u << n;
    }
}

/* Serves `units` of the present descriptor. */
static void serve(struct machine *m, uint32_t n, uint32_t units, bool takes_time) {
    struct ldma_state *s = m->ldma->state;
    uint32_t left = units_left(m, n);
    units = units < left ? units : left;
    if (!move(m, n, units)) {
        bus_error(m, n);
        return;
    }
    uint32_t count = units < left ? left - units - 1u : 0;
    *word(m, n, W_CTRL) = (*word(m, n, W_CTRL) & ~(0x7FFu << 4)) | count << 4;
    if (units < left) {
        return;
    }
    if (takes_time) {
        REGISTER(m->ldma, CHBUSY) |= 1u << n;
        s->done_ps[n] = clock_after(m->now_ps, (uint64_t)units * CYCLES_PER_UNIT, clock_hclk_hz(m));
        if (s->done_ps[n] < m->ldma->next) { /* who asks may be a port, and nobody looks at the channels then */
            m->ldma->next = s->done_ps[n];
        }
    } else {
        finish(m, n);
    }
}

static uint32_t block_units(uint32_t control) {
    static const uint16_t k_units[16] = {1, 2, 3, 4, 6, 8, 8, 16, 16, 32, 64, 128, 256, 512, 1024, 2048};
    return (control & CTRL_REQMODE_ALL) != 0 ? 2048u : k_units[control >> 16 & 15u];
}

static void load(struct machine *m, uint32_t n, uint32_t address) {
    struct ldma_state *s = m->ldma->state;
    for (uint32_t links = 0; links < LINKS_AT_ONCE; links++) {
        uint32_t loaded[4];
        for (uint32_t i = 0; i < 4; i++) {
            if (!machine_bus_read(m, address + 4u * i, 4, &loaded[i])) {
                bus_error(m, n);
                return;
            }
        }
        s->descriptor[n] = address;
        REGISTER(m->ldma, CHSTATUS) |= 1u << n;
        *word(m, n, W_CTRL) = loaded[0];
        *word(m, n, W_LINK) = loaded[3];
        if ((loaded[0] & 3u) == 0) {
            *word(m, n, W_SRC) = loaded[1] + ((loaded[0] >> 30 & 1u) != 0 ? *word(m, n, W_SRC) : 0);
            *word(m, n, W_DST) = loaded[2] + ((loaded[0] >> 31 & 1u) != 0 ? *word(m, n, W_DST) : 0);
            if ((loaded[0] & CTRL_STRUCTREQ) != 0) {
                serve(m, n, block_units(loaded[0]), true);
            }
            return;
        }
        if ((loaded[0] & 3u) == 1u) {
            machine_error(m, address, "LDMA synchronization descriptors are not modelled");
            return;
        }
        if (!machine_bus_write(m, loaded[2], 4, loaded[1])) { /* immediate write */
            bus_error(m, n);
            return;
        }
        if ((loaded[0] & CTRL_DONEIEN) != 0) {
            REGISTER(m->ldma, IF) |= 1u << n;
            update_irq(m);
        }
        if ((loaded[3] & LINK_NEXT) == 0) {
            REGISTER(m->ldma, CHSTATUS) &= ~(1u << n);
            REGISTER(m->ldma, CHDONE) |= 1u << n;
            return;
        }
        address = (loaded[3] & ~3u) + ((loaded[3] & LINK_RELATIVE) != 0 ? address : 0);
    }
    machine_error(m, address, "LDMA channel %u follows descriptors without end", n);
}

/* ---- requests of peripherals ---- */

static bool listens(struct machine *m, uint32_t n, uint32_t source, uint32_t signal) {
    uint32_t select = REGISTER(m->ldmaxbar, 0x004u + 4u * n);
    struct ldma_state *s = m->ldma->state;
    return enabled(m, n) && (select >> 16 & 63u) == source && (select & 15u) == signal && s->done_ps[n] == NEVER &&
           (REGISTER(m->ldma, REQDIS) >> n & 1u) == 0;
}

uint64_t ldma_appetite(struct machine *m, uint32_t source, uint32_t signal) {
    for (uint32_t n = 0; n < CHANNELS; n++) {
        if (listens(m, n, source, signal)) {
            uint32_t units = block_units(*word(m, n, W_CTRL));
            return (units_left(m, n) + units - 1u) / units;
        }
    }
    return NEVER;
}

bool ldma_request(struct machine *m, uint32_t source, uint32_t signal) {
    for (uint32_t n = 0; n < CHANNELS; n++) {
        if (listens(m, n, source, signal)) {
            serve(m, n, block_units(*word(m, n, W_CTRL)), false);
            return true;
        }
    }
    return false;
}

/* ---- registers ---- */

/* SWREQ: one that comes while the channel is busy waits for what comes after that. */
static void request_by_software(struct machine *m, uint32_t n) {
    struct ldma_state *s = m->ldma->state;
    if (s->done_ps[n] != NEVER) {
        REGISTER(m->ldma, REQPEND) |= 1u << n;
        return;
    }
    REGISTER(m->ldma, REQPEND) &= ~(1u << n);
    serve(m, n, block_units(*word(m, n, W_CTRL)), true);
}

static void advance(struct machine *m, struct peripheral *p) {
    struct ldma_state *s = p->state;
    /* What the microphone has sent by now is in memory before anybody looks at the channels. */
    usart_class.advance(m, m->usart);
    bool finished = false;
    for (uint32_t n = 0; n < CHANNELS; n++) {
        while (s->done_ps[n] <= m->now_ps) {
            finished = true;
            s->done_ps[n] = NEVER;
            REGISTER(p, CHBUSY) &= ~(1u << n);
            finish(m, n);
            if ((REGISTER(p, REQPEND) >> n & 1u) != 0 && enabled(m, n) && s->done_ps[n] == NEVER) {
                request_by_software(m, n);
            }
        }
    }
    if (finished) {
        eusart_dma_changed(m); /* a descriptor that waits for a port may be the next */
    }
    uint64_t next = NEVER;
    for (uint32_t n = 0; n < CHANNELS; n++) {
        next = s->done_ps[n] < next ? s->done_ps[n] : next;
    }
    REGISTER(p, STATUS) = (REGISTER(p, STATUS) & ~1u) | (REGISTER(p, CHBUSY) != 0 ? 1u : 0);
    p->next = next;
}

static void ldma_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    struct ldma_state *s = p->state;
    switch (offset) {
    case CHEN:
        REGISTER(p, CHSTATUS) |= written;
        break;
    case CHDIS:
        REGISTER(p, CHSTATUS) &= ~written;
        for (uint32_t n = 0; n < CHANNELS; n++) {
            s->done_ps[n] = (written >> n & 1u) != 0 ? NEVER : s->done_ps[n];
        }
        REGISTER(p, CHBUSY) &= ~written;
        break;
    case LINKLOAD:
        for (uint32_t n = 0; n < CHANNELS; n++) {
            if ((written >> n & 1u) != 0) {
                load(m, n, *word(m, n, W_LINK) & ~3u);
            }
        }
        break;
    case SWREQ:
        for (uint32_t n = 0; n < CHANNELS; n++) {
            if ((written >> n & 1u) != 0 && enabled(m, n)) {
                request_by_software(m, n);
            }
        }
        break;
    case REQCLEAR:
        REGISTER(p, REQPEND) &= ~written;
        break;
    case SYNCSWSET:
        REGISTER(p, SYNCSTATUS) |= written;
        break;
    case SYNCSWCLR:
        REGISTER(p, SYNCSTATUS) &= ~written;
        break;
    default:
        REGISTER(p, offset) = value;
        break;
    }
    if ((REGISTER(p, EN) & 1u) == 0 && (offset == CHEN || offset == LINKLOAD || offset == SWREQ)) {
        machine_error(m, p->base + offset, "LDMA channel started while LDMA is not enabled");
    }
    update_irq(m);
    usart_dma_changed(m);
    eusart_dma_changed(m);
    advance(m, p);
}

static void ldma_reset(struct machine *m, struct peripheral *p) {
    (void)m;
    struct ldma_state *s = p->state;
    for (uint32_t n = 0; n < CHANNELS; n++) {
        s->done_ps[n] = NEVER;
    }
}

const struct peripheral_class ldma_class = {
    .registers = ldma_registers, .write = ldma_write, .reset = ldma_reset, .advance = advance,
    .state_bytes = sizeof(struct ldma_state),
};

static void ldmaxbar_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)written;
    uint32_t source = value >> 16, signal = value & 15u;
    bool known = source == DMA_USART0 || source == DMA_EUSART0 || source == DMA_EUSART1;
    if (source != 0 && !(known && signal <= 1u)) {
        machine_error(m, p->base + offset, "LDMAXBAR: requests of source %u, signal %u, are not modelled", source, signal);
        return;
    }
    REGISTER(p, offset) = value;
    usart_dma_changed(m);
    eusart_dma_changed(m);
}

const struct peripheral_class ldmaxbar_class = {.registers = ldmaxbar_registers, .write = ldmaxbar_write};
