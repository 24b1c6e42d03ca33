/* The accelerator on the peripheral bus: the model of host/simulator/mvp with this chip's memory behind
 * it. A program's data is final when it starts; its interrupt comes after its cycles of HCLK. */
#include "../core/machine.h"
#include "mvp.h"

#define REGISTER_MASK 0xFFCu /* without the alias that sets or clears bits */

struct mvp_state {
    mvp_t mvp;
    uint64_t since_ps; /* up to when the model knows the time */
    uint64_t hz;       /* since then */
    uint64_t idle_lag; /* cycles from a program's flag to STATUS.IDLE */
    uint64_t idle_ps;  /* when the program that ended last leaves it idle */
    mvp_timing_t timing;
};

static bool mvp_bus_read(void *context, uint32_t address, uint32_t bytes, uint32_t *value) {
    return machine_bus_read(context, address, bytes, value);
}

static bool mvp_bus_write(void *context, uint32_t address, uint32_t bytes, uint32_t value) {
    return machine_bus_write(context, address, bytes, value);
}

static void init(struct machine *m, struct mvp_state *s) {
    mvp_init(&s->mvp, s->timing, false);
    mvp_set_bus(&s->mvp, &(mvp_bus_t){mvp_bus_read, mvp_bus_write, m});
    (void)mvp_add_window(&s->mvp, RAM_BASE, RAM_BYTES, m->ram, true);
    (void)mvp_add_window(&s->mvp, FLASH_BASE, FLASH_BYTES, m->flash, false);
    s->idle_ps = 0;
}

static bool is_busy(const struct machine *m, const struct mvp_state *s) {
    return mvp_remaining(&s->mvp) != 0 || m->now_ps < s->idle_ps;
}

static void advance(struct machine *m, struct peripheral *p) {
    struct mvp_state *s = p->state;
    uint64_t hz = clock_hclk_hz(m);
    uint64_t left = mvp_remaining(&s->mvp);
    p->next = NEVER;
    if (left != 0) {
        uint64_t ticks = clock_ticks(s->since_ps, m->now_ps, s->hz);
        mvp_advance(&s->mvp, ticks < left ? ticks : left);
        s->since_ps = clock_after(s->since_ps, ticks, s->hz);
        left = mvp_remaining(&s->mvp);
        s->idle_ps = left != 0 ? 0 : clock_after(s->since_ps, s->idle_lag, hz);
        p->next = left != 0 ? clock_after(s->since_ps, left, hz) : NEVER;
    }
    s->hz = hz;
    irq_level(m, p->irq, mvp_irq(&s->mvp));
}

static uint32_t read(struct machine *m, struct peripheral *p, uint32_t offset) {
    struct mvp_state *s = p->state;
    uint32_t value = mvp_read(&s->mvp, offset);
    return (offset & REGISTER_MASK) == MVP_STATUS && m->now_ps < s->idle_ps ? MVP_STATUS_RUNNING : value;
}

static void write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    struct mvp_state *s = p->state;
    (void)written;
    uint32_t reg = offset & REGISTER_MASK;
    if (is_busy(m, s) && reg >= MVP_PROGRAM_OFFSET && (reg < MVP_CMD || (value & MVP_CMD_START) != 0)) {
        machine_error(m, p->base + offset, "the accelerator is given a program before it is idle");
        return;
    }
    bool ran = mvp_remaining(&s->mvp) != 0;
    mvp_write(&s->mvp, offset, value);
    if (!ran) {
        s->since_ps = m->now_ps;
    }
    if (mvp_read(&s->mvp, MVP_EN) == 0) {
        s->idle_ps = 0;
    }
    advance(m, p);
}

static void reset(struct machine *m, struct peripheral *p) { init(m, p->state); }

void simulator_set_mvp_timing(struct machine *m, int timing) {
    struct mvp_state *s = m->mvp->state;
    s->timing = timing == 0 ? MVP_TIMING_PORTS : MVP_TIMING_SHARED;
    init(m, s);
}

void simulator_set_mvp_idle_lag(struct machine *m, uint32_t cycles) {
    ((struct mvp_state *)m->mvp->state)->idle_lag = cycles;
}

const struct peripheral_class mvp_class = {
    .read = read, .write = write, .reset = reset, .advance = advance,
    .state_bytes = sizeof(struct mvp_state),
};
