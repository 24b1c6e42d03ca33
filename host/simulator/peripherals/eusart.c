/* EUSART0 and 1 as asynchronous serial ports: FIFOs of 16, at the baud rate that their clock and
 * dividers give. What is sent is logged with its time; what the host sends waits until the receiver is
 * on, and then comes byte by byte at the port's own rate. */
#include <string.h>

#include "../core/machine.h"

enum { EN = 0x004, CFG0 = 0x008, CFG1 = 0x00C, FRAMECFG = 0x014, IRHFCFG = 0x01C, IRLFCFG = 0x020,
       TIMINGCFG = 0x024, CLKDIV = 0x030, CMD = 0x038, RXDATA = 0x03C, RXDATAP = 0x040, TXDATA = 0x044,
       STATUS = 0x048, IF = 0x04C, IEN = 0x050, SYNCBUSY = 0x054, DALICFG = 0x058 };
enum { STATUS_RXENS = 1, STATUS_TXENS = 2, STATUS_TXC = 1 << 5, STATUS_TXFL = 1 << 6, STATUS_RXFL = 1 << 7,
       STATUS_RXFULL = 1 << 8, STATUS_RXIDLE = 1 << 12, STATUS_TXIDLE = 1 << 13 };
enum { IF_TXC = 1, IF_TXFL = 1 << 1, IF_RXFL = 1 << 2, IF_RXFULL = 1 << 3, IF_RXOF = 1 << 4, IF_RXUF = 1 << 5,
       IF_TXOF = 1 << 6, IF_TXIDLE = 1 << 13 };
#define IF_RX (IF_RXFL | IF_RXFULL | IF_RXOF | IF_RXUF | 0x700u | 1u << 25)
/* Settings that would have no effect here. */
static const struct {
    uint32_t offset, bits;
    const char *name;
} k_not_modelled[] = {
    {CFG0, 1u << 1, "loop-back"},
    {CFG0, 1u << 2, "collision detection"},
    {CFG0, 1u << 3, "multi-processor mode"},
    {CFG0, 1u << 10, "the most significant bit first"},
    {CFG0, 3u << 13, "an inverted line"},
    {CFG0, 1u << 31, "the automatic baud rate"},
    {CFG1, 7u << 4, "a timeout of the receiver"},
    {IRHFCFG, 1u, "IrDA"},
    {IRLFCFG, 1u, "IrDA"},
    {TIMINGCFG, 3u, "a delay before each frame"},
    {DALICFG, 1u, "DALI"},
};
#define FIFO 16u
/* What is written to CLKDIV and CMD reaches the port's own clock after some of its periods (an estimate), and so
 * does its end; until then SYNCBUSY and EN.DISABLING say so. */
#define SYNC_TICKS 4u
#define EN_DISABLING 2u
#define SYNCBUSY_DIV 1u
#define SYNCBUSY_COMMANDS (0xFFu << 3) /* in the order of CMD's bits */
#define ROUTE_RX 4u
#define ROUTE_TX 16u
#define LOG (1u << 20)  /* bytes sent and not yet fetched; the oldest give way */
#define INBOX (1u << 20)

struct eusart_state {
    uint8_t tx[FIFO], rx[FIFO];
    uint32_t tx_count, rx_count;
    bool shifting, offering;
    uint8_t shift;
    uint64_t tx_done; /* ps at which the byte in the shift register is out */
    uint64_t rx_next; /* ps at which the host's next byte is in, NEVER if none */
    uint64_t synced;  /* ps at which SYNCBUSY and DISABLING end */
    uint8_t inbox[INBOX];
    uint32_t inbox_head, inbox_tail;
    uint8_t log[LOG];
    uint64_t log_ps[LOG];
    uint32_t log_head, log_tail;
};

static uint32_t route_enabled(struct machine *m, const struct peripheral *p) {
    return REGISTER(m->gpio, p->index == 0 ? 0x494u : 0x4B4u);
}

static uint32_t dma_source(const struct peripheral *p) { return p->index == 0 ? DMA_EUSART0 : DMA_EUSART1; }

static uint64_t port_hz(struct machine *m, const struct peripheral *p) {
    return p->index == 0 ? clock_eusart0_hz(m) : clock_em01grpc_hz(m);
}

/* Time of one frame with the present settings, NEVER if there is no clock. */
static uint64_t frame_ps(struct machine *m, struct peripheral *p) {
    static const uint8_t k_oversampling[8] = {16, 8, 6, 4, 1, 1, 1, 1};
    static const uint8_t k_stop_halves[4] = {1, 2, 3, 4};
    uint64_t hz = port_hz(m, p);
    if (hz == 0) {
        return NEVER;
    }
    uint32_t frame = REGISTER(p, FRAMECFG);
    uint64_t half_bits = 2u * (1u + (frame & 15u) + 6u + ((frame >> 8 & 2u) != 0 ? 1u : 0u)) + k_stop_halves[frame >> 12 & 3u];
    uint64_t ticks = half_bits * k_oversampling[REGISTER(p, CFG0) >> 5 & 7u] * (256u + REGISTER(p, CLKDIV));
    return (uint64_t)((unsigned __int128)ticks * PS_PER_S / (512u * hz));
}

/* When a frame that begins at `start_ps` is over, NEVER if there is no clock. */
static uint64_t frame_end(struct machine *m, struct peripheral *p, uint64_t start_ps) {
    uint64_t ps = frame_ps(m, p);
    return ps == NEVER ? NEVER : start_ps + ps;
}

static uint32_t tx_watermark(const struct peripheral *p) { return (REGISTER(p, CFG1) >> 16 & 15u) + 1u; }
static uint32_t rx_watermark(const struct peripheral *p) { return (REGISTER(p, CFG1) >> 27 & 15u) + 1u; }

/* The DMA takes what was received and gives what to send, as long as it listens. */
static void offer(struct machine *m, struct peripheral *p) {
    struct eusart_state *s = p->state;
    if (s->offering || (REGISTER(p, EN) & 1u) == 0) {
        return; /* these are the DMA's own accesses */
    }
    s->offering = true;
    for (bool moved = true; moved;) {
        uint32_t rx = s->rx_count, tx = s->tx_count;
        moved = (rx >= rx_watermark(p) && ldma_request(m, dma_source(p), 0) && s->rx_count != rx) ||
                (FIFO - tx >= tx_watermark(p) && ldma_request(m, dma_source(p), 1) && s->tx_count != tx);
    }
    s->offering = false;
}

static void set_flags(struct machine *m, struct peripheral *p) {
    struct eusart_state *s = p->state;
    uint32_t status = REGISTER(p, STATUS) & (STATUS_RXENS | STATUS_TXENS | STATUS_TXC);
    uint32_t tx_water = tx_watermark(p), rx_water = rx_watermark(p);
    status |= FIFO - s->tx_count >= tx_water ? STATUS_TXFL : 0;
    status |= s->rx_count >= rx_water ? STATUS_RXFL : 0;
    status |= s->rx_count == FIFO ? STATUS_RXFULL : 0;
    status |= s->shifting ? 0 : STATUS_TXIDLE;
    status |= STATUS_RXIDLE | s->tx_count << 16;
    REGISTER(p, STATUS) = status;
    /* The level flags stay up while what they say is so. */
    bool on = (REGISTER(p, EN) & 1u) != 0;
    REGISTER(p, IF) |= (on && (status & STATUS_TXFL) != 0 ? IF_TXFL : 0) | (s->rx_count >= rx_water ? IF_RXFL : 0) |
                       (s->rx_count == FIFO ? IF_RXFULL : 0);
    uint32_t raised = REGISTER(p, IF) & REGISTER(p, IEN);
    irq_level(m, p->irq, (raised & IF_RX) != 0);
    irq_level(m, p->irq + 1, (raised & ~(uint32_t)IF_RX) != 0);
}

static void load_shift_register(struct machine *m, struct peripheral *p, uint64_t at) {
    struct eusart_state *s = p->state;
    if (s->shifting || s->tx_count == 0 || (REGISTER(p, STATUS) & STATUS_TXENS) == 0) {
        return;
    }
    s->shift = s->tx[0];
    memmove(s->tx, s->tx + 1, --s->tx_count);
    s->shifting = true;
    s->tx_done = frame_end(m, p, at);
    offer(m, p);
}

static void sent(struct machine *m, struct peripheral *p) {
    struct eusart_state *s = p->state;
    s->shifting = false;
    if ((route_enabled(m, p) & ROUTE_TX) != 0) {
        s->log[s->log_head % LOG] = s->shift;
        s->log_ps[s->log_head++ % LOG] = s->tx_done;
        if (s->log_head - s->log_tail > LOG) {
            s->log_tail = s->log_head - LOG;
        }
    }
    load_shift_register(m, p, s->tx_done);
    if (!s->shifting) {
        REGISTER(p, STATUS) |= STATUS_TXC;
        REGISTER(p, IF) |= IF_TXC | IF_TXIDLE;
    }
}

static bool receiving(struct machine *m, struct peripheral *p) {
    return (REGISTER(p, EN) & 1u) != 0 && (REGISTER(p, STATUS) & STATUS_RXENS) != 0 &&
           (route_enabled(m, p) & ROUTE_RX) != 0;
}

static void received(struct machine *m, struct peripheral *p) {
    struct eusart_state *s = p->state;
    uint8_t byte = s->inbox[s->inbox_tail++ % INBOX];
    if (s->rx_count < FIFO) {
        s->rx[s->rx_count++] = byte;
        offer(m, p);
    } else {
        REGISTER(p, IF) |= IF_RXOF;
    }
    s->rx_next = s->inbox_tail != s->inbox_head ? frame_end(m, p, s->rx_next) : NEVER;
}

static bool is_synchronizing(struct machine *m, struct peripheral *p) {
    return ((struct eusart_state *)p->state)->synced > m->now_ps;
}

/* `busy`: bits of SYNCBUSY, beside those that are set still. */
static void synchronize(struct machine *m, struct peripheral *p, uint32_t busy) {
    REGISTER(p, SYNCBUSY) = (is_synchronizing(m, p) ? REGISTER(p, SYNCBUSY) : 0) | busy;
    ((struct eusart_state *)p->state)->synced = clock_after(m->now_ps, SYNC_TICKS, port_hz(m, p));
}

static void advance(struct machine *m, struct peripheral *p) {
    struct eusart_state *s = p->state;
    if (s->synced == NEVER) { /* it had no clock */
        synchronize(m, p, 0);
    }
    while (s->shifting && s->tx_done <= m->now_ps) {
        sent(m, p);
    }
    /* A frame whose clock stops begins anew when that is back. */
    bool stopped = port_hz(m, p) == 0;
    if (s->shifting && (stopped || s->tx_done == NEVER)) {
        s->tx_done = frame_end(m, p, m->now_ps);
    }
    if (s->inbox_head == s->inbox_tail || !receiving(m, p) || stopped) {
        s->rx_next = NEVER;
    } else if (s->rx_next == NEVER) {
        s->rx_next = frame_end(m, p, m->now_ps);
    }
    while (s->rx_next <= m->now_ps) {
        received(m, p);
    }
    set_flags(m, p);
    /* Sending is watched only if somebody is to be told. */
    bool told = (REGISTER(p, IEN) & (IF_TXC | IF_TXFL | IF_TXIDLE)) != 0 || ldma_appetite(m, dma_source(p), 1) != NEVER;
    p->next = s->shifting && told && s->tx_done < s->rx_next ? s->tx_done : s->rx_next;
}

static uint32_t eusart_read(struct machine *m, struct peripheral *p, uint32_t offset) {
    struct eusart_state *s = p->state;
    if (offset == SYNCBUSY && !is_synchronizing(m, p)) {
        return 0;
    }
    if (offset == EN && !is_synchronizing(m, p)) {
        return REGISTER(p, EN) & 1u;
    }
    if (offset == RXDATAP) {
        return s->rx_count > 0 ? s->rx[0] : 0;
    }
    if (offset == RXDATA) {
        if (s->rx_count == 0) {
            REGISTER(p, IF) |= IF_RXUF;
            set_flags(m, p);
            return 0;
        }
        uint32_t byte = s->rx[0];
        memmove(s->rx, s->rx + 1, --s->rx_count);
        set_flags(m, p);
        return byte;
    }
    return REGISTER(p, offset);
}

static void command(struct machine *m, struct peripheral *p, uint32_t written) {
    struct eusart_state *s = p->state;
    uint32_t status = REGISTER(p, STATUS);
    if ((REGISTER(p, EN) & 1u) == 0) {
        machine_error(m, p->base + CMD, "%s: command before EN", p->name);
        return;
    }
    status |= (written & 1u) != 0 ? STATUS_RXENS : 0;
    status &= (written & 2u) != 0 ? ~(uint32_t)STATUS_RXENS : ~0u;
    status |= (written & 4u) != 0 ? STATUS_TXENS : 0;
    status &= (written & 8u) != 0 ? ~(uint32_t)STATUS_TXENS : ~0u;
    REGISTER(p, STATUS) = status;
    if ((written & 0x100u) != 0) {
        s->tx_count = 0;
    }
}

static void eusart_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    struct eusart_state *s = p->state;
    bool configuration = offset >= CFG0 && offset <= 0x02Cu;
    if (is_synchronizing(m, p) && (REGISTER(p, EN) & EN_DISABLING) != 0 && (configuration || offset == EN)) {
        machine_error(m, p->base + offset, "%s: written while it is being disabled (EN.DISABLING)", p->name);
        return;
    }
    if (is_synchronizing(m, p) && (offset == CLKDIV || offset == CMD) &&
        (REGISTER(p, SYNCBUSY) & (offset == CMD ? SYNCBUSY_COMMANDS : SYNCBUSY_DIV)) != 0) {
        machine_error(m, p->base + offset, "%s: written before the last write has arrived (SYNCBUSY)", p->name);
        return;
    }
    if (configuration && (REGISTER(p, EN) & 1u) != 0) {
        machine_error(m, p->base + offset, "%s: configuration written while it is enabled", p->name);
        return;
    }
    if (offset == CFG0 && (value & 1u) != 0) {
        machine_error(m, p->base + offset, "%s: the synchronous mode is not modelled", p->name);
        return;
    }
    if (offset == FRAMECFG && (value & 15u) != 2u) {
        machine_error(m, p->base + offset, "%s: other than 8 data bits are not modelled", p->name);
        return;
    }
    for (size_t i = 0; i < sizeof k_not_modelled / sizeof k_not_modelled[0]; i++) {
        if (offset == k_not_modelled[i].offset && (value & k_not_modelled[i].bits) != 0) {
            machine_error(m, p->base + offset, "%s: %s is not modelled", p->name, k_not_modelled[i].name);
            return;
        }
    }
    switch (offset) {
    case CMD:
        command(m, p, written);
        synchronize(m, p, written << 3 & SYNCBUSY_COMMANDS);
        break;
    case CLKDIV:
        REGISTER(p, CLKDIV) = value;
        if ((REGISTER(p, EN) & 1u) != 0) { /* else it waits for EN */
            synchronize(m, p, SYNCBUSY_DIV);
        }
        break;
    case TXDATA:
        if (s->tx_count == FIFO) {
            REGISTER(p, IF) |= IF_TXOF;
        } else {
            s->tx[s->tx_count++] = (uint8_t)value;
            REGISTER(p, STATUS) &= ~(uint32_t)STATUS_TXC;
        }
        if (s->offering) {
            return; /* of the DMA: what comes next is up to who asked it */
        }
        break;
    case EN:
        if ((REGISTER(p, EN) & 1u) != 0 && (value & 1u) == 0) {
            REGISTER(p, SYNCBUSY) = 0;
            synchronize(m, p, 0);
        }
        REGISTER(p, EN) = (value & 1u) != 0 ? 1u : EN_DISABLING;
        if ((value & 1u) == 0) {
            s->tx_count = s->rx_count = 0;
            s->shifting = false;
            REGISTER(p, STATUS) = 0;
            REGISTER(p, IF) = 0;
        }
        break;
    default:
        REGISTER(p, offset) = value;
        break;
    }
    offer(m, p);
    load_shift_register(m, p, m->now_ps);
    advance(m, p);
}

void eusart_dma_changed(struct machine *m) {
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        struct peripheral *p = &m->peripherals[i];
        struct eusart_state *s = p->state;
        if (p->class == &eusart_class && !s->offering) {
            offer(m, p);
            load_shift_register(m, p, m->now_ps);
            advance(m, p);
        }
    }
}

static void eusart_reset(struct machine *m, struct peripheral *p) {
    (void)m;
    struct eusart_state *s = p->state;
    s->tx_count = s->rx_count = 0;
    s->shifting = s->offering = false;
    s->rx_next = NEVER;
    s->synced = 0;
}

static struct peripheral *port(struct machine *m, uint32_t index) {
    for (uint32_t i = 0; i < m->peripheral_count; i++) {
        if (m->peripherals[i].class == &eusart_class && m->peripherals[i].index == index) {
            return &m->peripherals[i];
        }
    }
    return NULL;
}

size_t simulator_uart_give(struct machine *m, uint32_t index, const uint8_t *bytes, size_t count) {
    struct peripheral *p = port(m, index);
    struct eusart_state *s = p->state;
    size_t given = 0;
    while (given < count && s->inbox_head - s->inbox_tail < INBOX) {
        s->inbox[s->inbox_head++ % INBOX] = bytes[given++];
    }
    machine_update_time(m);
    advance(m, p);
    bus_changed(m);
    return given;
}

size_t simulator_uart_take(struct machine *m, uint32_t index, uint8_t *bytes, uint64_t *ps, size_t count) {
    struct peripheral *p = port(m, index);
    struct eusart_state *s = p->state;
    machine_update_time(m);
    advance(m, p);
    bus_changed(m);
    size_t taken = 0;
    while (taken < count && s->log_tail != s->log_head) {
        bytes[taken] = s->log[s->log_tail % LOG];
        ps[taken++] = s->log_ps[s->log_tail++ % LOG];
    }
    return taken;
}

const struct peripheral_class eusart_class = {
    .registers = eusart_registers, .read = eusart_read, .write = eusart_write, .reset = eusart_reset,
    .advance = advance, .state_bytes = sizeof(struct eusart_state),
};
