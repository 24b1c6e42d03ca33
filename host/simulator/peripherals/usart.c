/* USART0 as the I2S receiver of the microphone. Words come at the rate of the bit clock: SCK = PCLK /
 * (2 * (D + 1)); a frame is two slots of 32, 16 or 8 bits, or one with MONO. The microphone drives the
 * left slot with the PCM it was given; the right slot reads 0.
 *
 * Words are produced when somebody looks or the DMA would finish a descriptor, at the latest every
 * sixteen frames; each still counts as received at its own time. Other uses of the USART are refused.
 * Assumed, for want of a public description: words of 16 bits leave room for one in the buffer and one
 * in the shift register; the next is lost and sets RXOF. */
#include <stdlib.h>
#include <string.h>

#include "../core/machine.h"

enum { EN = 0x004, CTRL = 0x008, CMD = 0x014, STATUS = 0x018, CLKDIV = 0x01C, RXDATAX = 0x020, RXDATA = 0x024,
       RXDOUBLEX = 0x028, RXDOUBLE = 0x02C, RXDATAXP = 0x030, RXDOUBLEXP = 0x034, TXDATAX = 0x038, TXDOUBLE = 0x044,
       IF = 0x048, IEN = 0x04C, I2SCTRL = 0x054 };
enum { STATUS_RXENS = 1, STATUS_TXENS = 2, STATUS_MASTER = 4, STATUS_TXBL = 1 << 6, STATUS_RXDATAV = 1 << 7,
       STATUS_RXFULL = 1 << 8, STATUS_RXDATAVRIGHT = 1 << 11, STATUS_RXFULLRIGHT = 1 << 12, STATUS_TXIDLE = 1 << 13 };
enum { IF_RXDATAV = 4, IF_RXFULL = 8, IF_RXOF = 16, IF_RXUF = 32, IF_PERR_FERR_MPAF = 7 << 8 };
/* Those on the interrupt line of reception; the others are on that of sending. */
#define IF_RX (uint32_t)(IF_RXDATAV | IF_RXFULL | IF_RXOF | IF_RXUF | IF_PERR_FERR_MPAF)
enum { I2S_EN = 1, I2S_MONO = 2, I2S_DMASPLIT = 8, I2S_DELAY = 16 };
#define FIFO_WORDS 2u
#define BATCH_FRAMES 16u
enum { ROUTEEN = 0x720, CSROUTE = 0x724, RXROUTE = 0x730, CLKROUTE = 0x734 }; /* in GPIO */
#define ROUTES (1u | 4u | 8u) /* CS, RX, CLK */

struct usart_state {
    bool running;
    uint64_t start_ps, words; /* words since the clock started or changed */
    uint64_t word_num, word_den; /* a word takes num / den seconds */
    uint32_t slots;
    uint16_t fifo[FIFO_WORDS];
    bool right[FIFO_WORDS];
    uint32_t fifo_count;
    uint64_t frames, overflows;
    int16_t *pcm;
    size_t pcm_count;
    uint32_t pcm_rate;
    bool at_own_rate; /* pcm_rate's, not a sample a frame */
    uint64_t pcm_asked_ps, pcm_at_ps; /* when it was to begin, and when it does */
    uint64_t pcm_position;            /* frames presented since then */
    bool wired; /* as the board says in `wiring`; else any pins will do */
    struct simulator_microphone wiring;
};

static uint64_t word_ps(const struct usart_state *s, uint64_t word) {
    return s->start_ps + (uint64_t)((unsigned __int128)word * s->word_num * PS_PER_S / s->word_den);
}

static int32_t sample_at(struct usart_state *s, uint64_t ps) {
    if (s->pcm == NULL || ps < s->pcm_at_ps) {
        return 0;
    }
    if (!s->at_own_rate) {
        uint64_t index = s->pcm_position++;
        return index < s->pcm_count ? s->pcm[index] : 0;
    }
    unsigned __int128 scaled = (unsigned __int128)(ps - s->pcm_at_ps) * s->pcm_rate;
    uint64_t index = (uint64_t)(scaled / PS_PER_S);
    s->pcm_position = index + 1u;
    if (index >= s->pcm_count) {
        return 0;
    }
    if (index + 1u >= s->pcm_count) {
        return s->pcm[index];
    }
    int64_t fraction = (int64_t)((uint64_t)(scaled % PS_PER_S) >> 8);
    int64_t step = s->pcm[index + 1u] - s->pcm[index];
    return (int32_t)(s->pcm[index] + step * fraction / (int64_t)(PS_PER_S >> 8));
}

static bool is_routed(struct machine *m, uint32_t route, struct simulator_pin pin) {
    uint32_t word = REGISTER(m->gpio, route);
    return (word & 3u) == pin.port && (word >> 16 & 15u) == pin.pin;
}

/* Whether what the firmware set up reaches a microphone that is on. */
static bool is_connected(struct machine *m, const struct usart_state *s) {
    const struct simulator_microphone *w = &s->wiring;
    if ((REGISTER(m->gpio, ROUTEEN) & ROUTES) != ROUTES) {
        return false;
    }
    return !s->wired || (is_routed(m, CSROUTE, w->word_select) && is_routed(m, RXROUTE, w->data) &&
                           is_routed(m, CLKROUTE, w->clock) &&
                           simulator_pin_mode(m, w->power.port, w->power.pin) >= 4u &&
                           simulator_pin_output(m, w->power.port, w->power.pin) == 1u);
}

void simulator_set_microphone(struct machine *m, const struct simulator_microphone *wiring) {
    struct usart_state *s = m->usart->state;
    s->wired = true;
    s->wiring = *wiring;
}

static void set_flags(struct machine *m, struct peripheral *p) {
    struct usart_state *s = p->state;
    bool split = (REGISTER(p, I2SCTRL) & I2S_DMASPLIT) != 0;
    uint32_t status = REGISTER(p, STATUS) & (STATUS_RXENS | STATUS_TXENS | STATUS_MASTER);
    status |= STATUS_TXBL | (s->running ? 0 : STATUS_TXIDLE);
    bool available = s->fifo_count > 0, right = available && split && s->right[0];
    status |= available ? (right ? STATUS_RXDATAVRIGHT : STATUS_RXDATAV) : 0;
    status |= available ? (right ? STATUS_RXFULLRIGHT : STATUS_RXFULL) : 0;
    REGISTER(p, STATUS) = status;
    REGISTER(p, IF) |= available ? IF_RXDATAV | IF_RXFULL : 0;
    if (!available) {
        REGISTER(p, IF) &= ~(uint32_t)(IF_RXDATAV | IF_RXFULL); /* cleared by reading the data */
    }
    uint32_t raised = REGISTER(p, IF) & REGISTER(p, IEN);
    irq_level(m, p->irq, (raised & IF_RX) != 0);
    irq_level(m, p->irq + 1, (raised & ~IF_RX) != 0);
}

/* The DMA takes what is there, as long as it listens. */
static void offer(struct machine *m, struct peripheral *p) {
    struct usart_state *s = p->state;
    bool split = (REGISTER(p, I2SCTRL) & I2S_DMASPLIT) != 0;
    while (s->fifo_count > 0) {
        uint32_t before = s->fifo_count;
        if (!ldma_request(m, DMA_USART0, split && s->right[0] ? 1u : 0u) || s->fifo_count == before) {
            break;
        }
    }
}

static void receive(struct machine *m, struct peripheral *p, uint64_t word) {
    struct usart_state *s = p->state;
    bool right = s->slots == 2 && (word & 1u) != 0;
    uint32_t value = 0;
    if (!right) {
        s->frames++;
        bool routed = is_connected(m, s);
        uint32_t sample = (uint32_t)sample_at(s, word_ps(s, word + 1u)) & 0xFFFFu;
        /* The microphone starts a bit late; without DELAY every bit is taken one place too low. */
        value = !routed ? 0 : (REGISTER(p, I2SCTRL) & I2S_DELAY) != 0 ? sample : sample >> 1;
        value = (REGISTER(p, I2SCTRL) >> 8 & 7u) == 3u || (REGISTER(p, I2SCTRL) >> 8 & 7u) == 5u ? value : value >> 8;
    }
    if (s->fifo_count == FIFO_WORDS) {
        REGISTER(p, IF) |= IF_RXOF;
        s->overflows++;
        return;
    }
    s->fifo[s->fifo_count] = (uint16_t)value;
    s->right[s->fifo_count++] = right;
    offer(m, p);
}

/* Whether the bit clock runs, and how fast. */
static void configure(struct machine *m, struct peripheral *p) {
    static const uint8_t k_slot_bits[8] = {32, 32, 32, 32, 32, 16, 16, 8};
    struct usart_state *s = p->state;
    uint32_t i2s = REGISTER(p, I2SCTRL), status = REGISTER(p, STATUS);
    bool run = (REGISTER(p, EN) & 1u) != 0 && (i2s & I2S_EN) != 0 && (status & STATUS_RXENS) != 0 &&
               (status & STATUS_MASTER) != 0 && (REGISTER(p, CTRL) & 1u) != 0;
    uint64_t hz = clock_pclk_hz(m);
    /* The fraction of the divider is not known to act in synchronous mode: the integer part counts. */
    uint64_t num = (uint64_t)k_slot_bits[i2s >> 8 & 7u] * 2u * ((REGISTER(p, CLKDIV) >> 8) + 1u);
    uint32_t slots = (i2s & I2S_MONO) != 0 ? 1 : 2;
    if (run && (!s->running || num != s->word_num || hz != s->word_den || slots != s->slots)) {
        s->start_ps = m->now_ps;
        s->words = 0;
        s->word_num = num;
        s->word_den = hz;
        s->slots = slots;
    }
    s->running = run && hz != 0;
}

static void plan(struct machine *m, struct peripheral *p) {
    struct usart_state *s = p->state;
    if (!s->running) {
        p->next = NEVER;
        return;
    }
    uint64_t words = BATCH_FRAMES * s->slots;
    bool split = (REGISTER(p, I2SCTRL) & I2S_DMASPLIT) != 0;
    uint64_t left = ldma_appetite(m, DMA_USART0, 0), right = ldma_appetite(m, DMA_USART0, 1);
    uint64_t step = split ? s->slots : 1;
    if (left == 0 || (split && s->slots == 2 && right == 0) || (REGISTER(p, IEN) & (IF_RXDATAV | IF_RXFULL)) != 0) {
        words = 1;
    } else if (left != NEVER && left * step < words) {
        /* The left words are the even ones: the left-th from here. */
        words = split && s->slots == 2 ? 2u * left - 1u + (s->words & 1u) : left;
    }
    p->next = word_ps(s, s->words + words);
}

static void advance(struct machine *m, struct peripheral *p) {
    struct usart_state *s = p->state;
    while (s->running && word_ps(s, s->words + 1u) <= m->now_ps) {
        receive(m, p, s->words++);
    }
    configure(m, p);
    set_flags(m, p);
    plan(m, p);
}

void usart_dma_changed(struct machine *m) {
    offer(m, m->usart);
    set_flags(m, m->usart);
    plan(m, m->usart);
}

static uint32_t usart_read(struct machine *m, struct peripheral *p, uint32_t offset) {
    struct usart_state *s = p->state;
    bool peek = offset == RXDATAXP || offset == RXDOUBLEXP;
    if (!peek && offset != RXDATA && offset != RXDATAX && offset != RXDOUBLE && offset != RXDOUBLEX) {
        return REGISTER(p, offset);
    }
    if (s->fifo_count == 0) {
        REGISTER(p, IF) |= peek ? 0 : IF_RXUF;
        return 0;
    }
    uint32_t value = s->fifo[0];
    if (!peek) {
        s->fifo[0] = s->fifo[1];
        s->right[0] = s->right[1];
        s->fifo_count--;
        set_flags(m, p);
    }
    return value;
}

static void command(struct peripheral *p, uint32_t written) {
    struct usart_state *s = p->state;
    uint32_t status = REGISTER(p, STATUS);
    static const uint32_t k_bits[3] = {STATUS_RXENS, STATUS_TXENS, STATUS_MASTER};
    for (uint32_t i = 0; i < 3; i++) {
        status |= (written >> (2u * i) & 1u) != 0 ? k_bits[i] : 0;
        status &= (written >> (2u * i + 1u) & 1u) != 0 ? ~k_bits[i] : ~0u;
    }
    REGISTER(p, STATUS) = status;
    if ((written & (1u << 11)) != 0) {
        s->fifo_count = 0;
    }
}

static void usart_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    struct usart_state *s = p->state;
    if ((REGISTER(p, EN) & 1u) == 0 && offset != EN && offset != IF && offset != IEN && offset != I2SCTRL) {
        machine_error(m, p->base + offset, "USART0 register written before EN");
        return;
    }
    switch (offset) {
    case CMD:
        command(p, written);
        break;
    case EN:
        REGISTER(p, EN) = value & 1u;
        if ((value & 1u) == 0) {
            REGISTER(p, STATUS) = 0;
            s->fifo_count = 0;
        }
        break;
    case I2SCTRL: {
        uint32_t format = value >> 8 & 7u;
        if ((value & I2S_EN) != 0 && format <= 2u) {
            machine_error(m, p->base + offset, "I2S format %u (24 or 32 bits of data) is not modelled", format);
            return;
        }
        REGISTER(p, offset) = value;
        break;
    }
    default:
        REGISTER(p, offset) = offset >= TXDATAX && offset <= TXDOUBLE ? 0 : value;
        break;
    }
    if ((REGISTER(p, STATUS) & STATUS_RXENS) != 0 && (REGISTER(p, I2SCTRL) & I2S_EN) == 0) {
        machine_error(m, p->base + offset, "USART0 is modelled in I2S mode only");
        return;
    }
    advance(m, p);
}

static void usart_reset(struct machine *m, struct peripheral *p) {
    (void)m;
    struct usart_state *s = p->state;
    s->running = false;
    s->fifo_count = 0;
}

void usart_restart(struct peripheral *p) {
    struct usart_state *s = p->state;
    s->frames = s->overflows = s->pcm_position = 0;
    s->pcm_at_ps = s->pcm_asked_ps;
}

void usart_free(struct peripheral *p) {
    if (p->state != NULL) { /* there may have been no memory for it */
        free(((struct usart_state *)p->state)->pcm);
    }
}

void simulator_set_audio(struct machine *m, const int16_t *pcm, size_t count, uint32_t rate_hz, bool at_own_rate,
                         uint64_t at_ps) {
    struct usart_state *s = m->usart->state;
    machine_update_time(m);
    advance(m, m->usart);
    free(s->pcm);
    s->pcm = count > 0 ? malloc(count * sizeof *pcm) : NULL;
    s->pcm_count = s->pcm != NULL ? count : 0;
    if (s->pcm != NULL) {
        memcpy(s->pcm, pcm, count * sizeof *pcm);
    }
    s->pcm_rate = rate_hz;
    s->at_own_rate = at_own_rate;
    s->pcm_asked_ps = at_ps;
    s->pcm_at_ps = at_ps > m->now_ps ? at_ps : m->now_ps;
    s->pcm_position = 0;
    bus_changed(m);
}

void usart_status(struct machine *m, struct simulator_status *status) {
    struct usart_state *s = m->usart->state;
    advance(m, m->usart);
    bus_changed(m);
    status->audio_position = s->pcm_position;
    status->frames = s->frames;
    status->i2s_overflows = (uint32_t)s->overflows;
    status->i2s_millihertz = s->running ? 1000u * s->word_den / (s->word_num * s->slots) : 0;
}

const struct peripheral_class usart_class = {
    .registers = usart_registers, .read = usart_read, .write = usart_write, .reset = usart_reset,
    .advance = advance, .state_bytes = sizeof(struct usart_state),
};
