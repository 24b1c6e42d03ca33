/* TIMER0..4 as far as time-keeping needs them: counting up or down on EM01GRPACLK with a prescaler,
 * one-shot or not, overflow and underflow, and compare matches; and SYSRTC0 as a counter with compares. */
#include "../core/machine.h"

enum { CFG = 0x004, CMD = 0x00C, STATUS = 0x010, IF = 0x014, IEN = 0x018, TOP = 0x01C, TOPB = 0x020, CNT = 0x024,
       LOCK = 0x02C, EN = 0x030, CC = 0x060 };
enum { IF_OF = 1, IF_UF = 2 };
#define TIMER_KEY 0xCE80u
#define ONE_SHOT 16u /* in CFG */
#define FIRST_OF_16_BITS 2u /* TIMER0 and TIMER1 have 32 */
#define CC_CFG(n) (CC + 0x20u * (n))
#define CC_OC(n) (CC + 0x20u * (n) + 8u)
#define CC_OCB(n) (CC + 0x20u * (n) + 16u)
#define STATUS_DIR 2u
#define STATUS_TOPBV 4u
#define STATUS_OCBV(n) (0x100u << (n))

struct timer_state {
    uint64_t start_ps, hz; /* CNT is that of start_ps */
    bool down;
};

/* Of a LOCK register: the key unlocks, which nothing here needs. */
static void check_key(struct machine *m, const struct peripheral *p, uint32_t offset, uint32_t value, uint32_t key) {
    if (value != key) {
        machine_error(m, p->base + offset, "%s: locking it is not modelled", p->name);
    }
}

static bool running(const struct peripheral *p) {
    return (REGISTER(p, EN) & 1u) != 0 && (REGISTER(p, STATUS) & 1u) != 0;
}

static uint64_t timer_hz(struct machine *m, struct peripheral *p) {
    return clock_em01grpa_hz(m) / ((REGISTER(p, CFG) >> 18 & 0x3FFu) + 1u);
}

static uint64_t period(const struct peripheral *p) { return (uint64_t)REGISTER(p, TOP) + 1u; }

static void update_irq(struct machine *m, struct peripheral *p) {
    irq_level(m, p->irq, (REGISTER(p, IF) & REGISTER(p, IEN)) != 0);
}

/* What was written into TOPB and OCB takes effect. */
static void load_buffers(struct peripheral *p) {
    uint32_t status = REGISTER(p, STATUS);
    if ((status & STATUS_TOPBV) != 0) {
        REGISTER(p, TOP) = REGISTER(p, TOPB);
    }
    for (uint32_t n = 0; n < 3; n++) {
        if ((status & STATUS_OCBV(n)) != 0) {
            REGISTER(p, CC_OC(n)) = REGISTER(p, CC_OCB(n));
        }
    }
    REGISTER(p, STATUS) = status & ~(STATUS_TOPBV | STATUS_OCBV(0) | STATUS_OCBV(1) | STATUS_OCBV(2));
}

static uint64_t ticks_to_wrap(const struct peripheral *p, bool down) {
    uint64_t at = REGISTER(p, CNT);
    return down ? at % period(p) + 1u : period(p) - at % period(p);
}

/* Ticks until the counter is what channel n compares it with, NEVER if it does not. */
static uint64_t ticks_to_match(const struct peripheral *p, uint32_t n, bool down) {
    uint64_t compare = REGISTER(p, CC_OC(n)), at = REGISTER(p, CNT) % period(p);
    if ((REGISTER(p, CC_CFG(n)) & 3u) < 2u || compare >= period(p)) {
        return NEVER;
    }
    uint64_t ahead = (down ? at + period(p) - compare : compare + period(p) - at) % period(p);
    return ahead != 0 ? ahead : period(p);
}

/* Moves the counter and raises what is passed on the way. */
static void count_ticks(struct peripheral *p, uint64_t ticks) {
    struct timer_state *s = p->state;
    uint64_t from = REGISTER(p, CNT), total = s->down ? (period(p) - 1u - from % period(p)) + ticks : from + ticks;
    uint64_t position = total % period(p);
    bool wrapped = total >= period(p);
    for (uint32_t n = 0; n < 3; n++) {
        REGISTER(p, IF) |= ticks_to_match(p, n, s->down) <= ticks ? 16u << n : 0;
    }
    REGISTER(p, IF) |= wrapped ? (s->down ? IF_UF : IF_OF) : 0;
    REGISTER(p, CNT) = (uint32_t)(s->down ? period(p) - 1u - position : position);
    if (wrapped) {
        load_buffers(p);
    }
    if (wrapped && (REGISTER(p, CFG) & ONE_SHOT) != 0) {
        REGISTER(p, STATUS) &= ~1u;
        REGISTER(p, CNT) = s->down ? REGISTER(p, TOP) : 0;
    }
}

/* Counts up to now. */
static void count(struct machine *m, struct peripheral *p) {
    struct timer_state *s = p->state;
    if (!running(p) || s->hz == 0) {
        s->start_ps = m->now_ps;
        return;
    }
    uint64_t ticks = clock_ticks(s->start_ps, m->now_ps, s->hz);
    if (ticks == 0) {
        return;
    }
    uint64_t first = ticks_to_wrap(p, s->down); /* what is buffered counts from there on, one shot ends */
    bool changes = (REGISTER(p, STATUS) & (STATUS_TOPBV | STATUS_OCBV(0) | STATUS_OCBV(1) | STATUS_OCBV(2))) != 0 ||
                   (REGISTER(p, CFG) & ONE_SHOT) != 0;
    if (changes && ticks >= first) {
        count_ticks(p, first);
        REGISTER(p, CNT) = s->down ? REGISTER(p, TOP) : 0;
        if (running(p)) {
            count_ticks(p, ticks - first);
        }
    } else {
        count_ticks(p, ticks);
    }
    /* The part of a tick that is left over is kept. */
    s->start_ps = clock_after(s->start_ps, ticks, s->hz);
    update_irq(m, p);
}

static void plan(struct peripheral *p) {
    struct timer_state *s = p->state;
    p->next = NEVER;
    if (!running(p) || s->hz == 0 || (REGISTER(p, IEN) == 0 && (REGISTER(p, CFG) & ONE_SHOT) == 0)) {
        return;
    }
    uint64_t at = REGISTER(p, CNT), ticks = s->down ? at + 1u : period(p) - at;
    for (uint32_t n = 0; n < 3; n++) {
        uint64_t until = (REGISTER(p, IEN) & (16u << n)) != 0 ? ticks_to_match(p, n, s->down) : NEVER;
        ticks = until < ticks ? until : ticks;
    }
    p->next = clock_after(s->start_ps, ticks, s->hz);
}

static void timer_advance(struct machine *m, struct peripheral *p) {
    struct timer_state *s = p->state;
    count(m, p);
    s->hz = timer_hz(m, p);
    s->down = (REGISTER(p, CFG) & 3u) == 1u;
    REGISTER(p, STATUS) = (REGISTER(p, STATUS) & ~STATUS_DIR) | (s->down ? STATUS_DIR : 0);
    plan(p);
}

static void timer_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    if ((offset == CFG || offset == CC_CFG(0) || offset == CC_CFG(1) || offset == CC_CFG(2)) && (REGISTER(p, EN) & 1u) != 0) {
        machine_error(m, p->base + offset, "%s: configuration written while it is enabled", p->name);
        return;
    }
    bool counts = offset == TOP || offset == TOPB || offset == CNT;
    for (uint32_t n = 0; n < 3; n++) {
        counts |= offset == CC_OC(n) || offset == CC_OCB(n);
        if (offset == CC_CFG(n) && (value & 3u) == 1u) {
            machine_error(m, p->base + offset, "%s: input capture is not modelled", p->name);
            return;
        }
    }
    value &= counts && p->index >= FIRST_OF_16_BITS ? 0xFFFFu : UINT32_MAX;
    switch (offset) {
    case CFG:
        if ((value & 3u) > 1u || (value >> 8 & 3u) != 0) {
            machine_error(m, p->base + offset, "%s: only counting up or down on its clock is modelled", p->name);
            return;
        }
        REGISTER(p, CFG) = value;
        break;
    case CMD:
        REGISTER(p, STATUS) |= (written & 1u) != 0 ? 1u : 0;
        REGISTER(p, STATUS) &= (written & 2u) != 0 ? ~1u : ~0u;
        break;
    case EN:
        REGISTER(p, EN) = value & 1u;
        REGISTER(p, STATUS) &= (value & 1u) != 0 ? ~0u : ~1u;
        break;
    case TOPB: case CC_OCB(0): case CC_OCB(1): case CC_OCB(2):
        REGISTER(p, offset) = value;
        REGISTER(p, STATUS) |= offset == TOPB ? STATUS_TOPBV : STATUS_OCBV((offset - CC_OCB(0)) / 0x20u);
        if (!running(p)) {
            load_buffers(p);
        }
        break;
    case LOCK:
        check_key(m, p, offset, value, TIMER_KEY);
        break;
    default:
        REGISTER(p, offset) = value;
        break;
    }
    update_irq(m, p);
    timer_advance(m, p);
}

static void timer_reset(struct machine *m, struct peripheral *p) {
    (void)m;
    *(struct timer_state *)p->state = (struct timer_state){0};
}

const struct peripheral_class timer_class = {
    .registers = timer_registers, .write = timer_write, .reset = timer_reset, .advance = timer_advance,
    .state_bytes = sizeof(struct timer_state),
};

/* ---- SYSRTC0 ---- */

enum { RTC_EN = 0x004, RTC_SWRST = 0x008, RTC_CMD = 0x010, RTC_STATUS = 0x014, RTC_CNT = 0x018, RTC_LOCK = 0x020,
       RTC_IF = 0x040, RTC_IEN = 0x044, RTC_CTRL = 0x048, RTC_CMP0 = 0x04C, RTC_CMP1 = 0x050 };
#define RTC_KEY 0x4776u
#define RTC_CLOCK 0x240u /* in the CMU */

static uint64_t rtc_hz(struct machine *m) { return (REGISTER(m->cmu, RTC_CLOCK) & 3u) == 3u ? 1000u : 32768u; }

static void rtc_advance(struct machine *m, struct peripheral *p) {
    struct timer_state *s = p->state;
    uint64_t hz = rtc_hz(m);
    p->next = NEVER;
    if ((REGISTER(p, RTC_STATUS) & 1u) == 0) {
        s->start_ps = m->now_ps;
        s->hz = hz;
        return;
    }
    uint64_t ticks = clock_ticks(s->start_ps, m->now_ps, s->hz);
    uint64_t from = REGISTER(p, RTC_CNT), to = from + ticks;
    for (uint32_t n = 0; n < 2; n++) {
        if ((REGISTER(p, RTC_CTRL) >> n & 1u) != 0) {
            uint64_t compare = REGISTER(p, RTC_CMP0 + 4u * n);
            compare += compare <= from ? 1ull << 32 : 0;
            REGISTER(p, RTC_IF) |= ticks != 0 && compare <= to ? 2u << n : 0;
        }
    }
    REGISTER(p, RTC_IF) |= to >> 32 != 0 ? 1u : 0;
    REGISTER(p, RTC_CNT) = (uint32_t)to;
    s->start_ps = ticks != 0 ? clock_after(s->start_ps, ticks, s->hz) : s->start_ps;
    s->hz = hz;
    if ((REGISTER(p, RTC_IEN) & 1u) != 0) {
        p->next = clock_after(s->start_ps, (1ull << 32) - REGISTER(p, RTC_CNT), hz);
    }
    for (uint32_t n = 0; n < 2; n++) {
        if ((REGISTER(p, RTC_CTRL) >> n & 1u) != 0) {
            uint64_t ahead = (uint32_t)(REGISTER(p, RTC_CMP0 + 4u * n) - REGISTER(p, RTC_CNT));
            uint64_t at = clock_after(s->start_ps, ahead != 0 ? ahead : 1ull << 32, hz);
            p->next = at < p->next ? at : p->next;
        }
    }
    irq_level(m, p->irq, (REGISTER(p, RTC_IF) & REGISTER(p, RTC_IEN)) != 0);
}

static void rtc_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    switch (offset) {
    case RTC_CMD:
        REGISTER(p, RTC_STATUS) |= (written & 1u) != 0 && (REGISTER(p, RTC_EN) & 1u) != 0 ? 1u : 0;
        REGISTER(p, RTC_STATUS) &= (written & 2u) != 0 ? ~1u : ~0u;
        break;
    case RTC_EN:
        REGISTER(p, RTC_EN) = value & 1u;
        REGISTER(p, RTC_STATUS) &= (value & 1u) != 0 ? ~0u : ~1u;
        break;
    case RTC_SWRST:
        for (uint32_t word = RTC_EN; (written & 1u) != 0 && word <= RTC_CMP1; word += 4u) {
            REGISTER(p, word) = 0; /* what it is after a reset */
        }
        break;
    case RTC_LOCK:
        check_key(m, p, offset, value, RTC_KEY);
        break;
    default:
        REGISTER(p, offset) = value;
        break;
    }
    rtc_advance(m, p);
    irq_level(m, p->irq, (REGISTER(p, RTC_IF) & REGISTER(p, RTC_IEN)) != 0);
}

const struct peripheral_class sysrtc_class = {
    .registers = sysrtc_registers, .write = rtc_write, .reset = timer_reset, .advance = rtc_advance,
    .state_bytes = sizeof(struct timer_state),
};
