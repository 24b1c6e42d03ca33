/* GPIO: pin modes and levels, routes of peripherals to pins, and edge interrupts of pins that the
 * outside drives or the firmware itself. */
#include "../core/machine.h"

#define PORT(n) (0x030u + 0x30u * (n))
#define PORTS 4u
enum { LOCK = 0x300, EXTIPSELL = 0x400, EXTIPINSELL = 0x408, EXTIRISE = 0x410, EXTIFALL = 0x414, EXTI_IF = 0x420, EXTI_IEN = 0x424 };
enum { MODE_INPUT = 1, MODE_PULL = 2, MODE_PUSHPULL = 4, MODE_WIRED_OR = 6, MODE_WIRED_AND = 8 };
#define KEY 0xA534u
#define IRQ_ODD 25
#define IRQ_EVEN 26

static const struct register_info k_registers[] = {
    {"IPVERSION", 0x000, 1, 0, true, 1, 0xFFFFFFFFu},
    {"P_CTRL", 0x030, 4, 0x30, false, 0x00400040u, 0x10701070u},
    {"P_MODEL", 0x034, 4, 0x30, false, 0, 0xFFFFFFFFu},
    {"P_MODEH", 0x03C, 4, 0x30, false, 0, 0xFFFFFFFFu},
    {"P_DOUT", 0x040, 4, 0x30, false, 0, 0xFFFFu},
    {"P_DIN", 0x044, 4, 0x30, true, 0, 0xFFFFu},
    {"LOCK", 0x300, 1, 0, false, KEY, 0xFFFFu},
    {"GPIOLOCKSTATUS", 0x310, 1, 0, true, 0, 1},
    {"ABUSALLOC", 0x320, 1, 0, false, 0, 0x0F0F0F0Fu},
    {"BBUSALLOC", 0x324, 1, 0, false, 0, 0x0F0F0F0Fu},
    {"CDBUSALLOC", 0x328, 1, 0, false, 0, 0x0F0F0F0Fu},
    {"EXTIPSELL", 0x400, 2, 4, false, 0, 0x33333333u},
    {"EXTIPINSELL", 0x408, 2, 4, false, 0, 0x33333333u},
    {"EXTIRISE", 0x410, 1, 0, false, 0, 0xFFFFu},
    {"EXTIFALL", 0x414, 1, 0, false, 0, 0xFFFFu},
    {"IF", 0x420, 1, 0, false, 0, 0x0FFFFFFFu},
    {"IEN", 0x424, 1, 0, false, 0, 0x0FFFFFFFu},
    {"EM4WUEN", 0x42C, 1, 0, false, 0, 0x0FFF0000u},
    {"EM4WUPOL", 0x430, 1, 0, false, 0, 0x0FFF0000u},
    {"DBGROUTEPEN", 0x440, 1, 0, false, 0xFu, 0xFu},
    {"TRACEROUTEPEN", 0x444, 1, 0, false, 0, 0x3Fu},
    {"CMUROUTE", 0x454, 8, 4, false, 0, 0xF000Fu},
    {"EUSARTROUTE0", 0x494, 7, 4, false, 0, 0xF001Fu},
    {"EUSARTROUTE1", 0x4B4, 7, 4, false, 0, 0xF001Fu},
    {"I2CROUTE0", 0x4E8, 3, 4, false, 0, 0xF0003u},
    {"I2CROUTE1", 0x4F8, 3, 4, false, 0, 0xF0003u},
    {"TIMERROUTE0", 0x680, 7, 4, false, 0, 0xF003Fu},
    {"USARTROUTE0", 0x720, 7, 4, false, 0, 0xF001Fu},
    {0},
};

struct gpio_state {
    uint16_t driven[PORTS], level[PORTS]; /* by the outside, which a reset does not change */
};

uint32_t simulator_pin_mode(struct machine *m, uint32_t port, uint32_t pin) {
    return (REGISTER(m->gpio, PORT(port & 3u) + (pin < 8 ? 4u : 0xCu)) >> (4u * (pin & 7u))) & 15u;
}

uint32_t simulator_pin_output(struct machine *m, uint32_t port, uint32_t pin) {
    return (REGISTER(m->gpio, PORT(port & 3u) + 0x10u) >> (pin & 15u)) & 1u;
}

static uint32_t pin_level(struct machine *m, struct peripheral *p, uint32_t port, uint32_t pin) {
    struct gpio_state *s = p->state;
    uint32_t mode = simulator_pin_mode(m, port, pin), out = simulator_pin_output(m, port, pin);
    if (mode == 0) {
        return 0;
    }
    bool driven = (s->driven[port] >> pin & 1u) != 0;
    uint32_t outside = s->level[port] >> pin & 1u;
    if (mode >= MODE_WIRED_AND) { /* drives low only; high is what pulls it up, here or on the board */
        return driven ? out & outside : out;
    }
    if (mode >= MODE_WIRED_OR) {
        return driven ? out | outside : out;
    }
    if (mode >= MODE_PUSHPULL) {
        return out;
    }
    return driven ? outside : mode >= MODE_PULL ? out : 0;
}

static void update_irq(struct machine *m, struct peripheral *p) {
    uint32_t flags = REGISTER(p, EXTI_IF) & REGISTER(p, EXTI_IEN);
    irq_level(m, IRQ_ODD, (flags & 0xAAAAu) != 0);
    irq_level(m, IRQ_EVEN, (flags & 0x5555u) != 0);
}

/* What a pin's change of level raises. */
static void note_edge(struct peripheral *p, uint32_t port, uint32_t pin, uint32_t before, uint32_t after) {
    for (uint32_t line = 0; line < 12 && before != after; line++) {
        uint32_t select = REGISTER(p, EXTIPSELL + (line / 8u) * 4u) >> (4u * (line & 7u)) & 3u;
        uint32_t offset = REGISTER(p, EXTIPINSELL + (line / 8u) * 4u) >> (4u * (line & 7u)) & 3u;
        uint32_t edges = REGISTER(p, after ? EXTIRISE : EXTIFALL);
        if (select == port && (line & ~3u) + offset == pin && (edges >> line & 1u) != 0) {
            REGISTER(p, EXTI_IF) |= 1u << line;
        }
    }
}

static uint32_t port_levels(struct machine *m, struct peripheral *p, uint32_t port) {
    uint32_t bits = 0;
    for (uint32_t pin = 0; pin < 16; pin++) {
        bits |= pin_level(m, p, port, pin) << pin;
    }
    return bits;
}

void simulator_pin_drive(struct machine *m, uint32_t port, uint32_t pin, uint32_t level) {
    struct peripheral *p = m->gpio;
    struct gpio_state *s = p->state;
    port &= 3u;
    pin &= 15u;
    uint32_t before = pin_level(m, p, port, pin);
    s->driven[port] |= (uint16_t)(1u << pin);
    s->level[port] = (uint16_t)((s->level[port] & ~(1u << pin)) | (level & 1u) << pin);
    note_edge(p, port, pin, before, pin_level(m, p, port, pin));
    update_irq(m, p);
    m->deadline = 0;
}

static uint32_t gpio_read(struct machine *m, struct peripheral *p, uint32_t offset) {
    if (offset >= PORT(0) && offset < PORT(PORTS) && (offset - PORT(0)) % 0x30u == 0x14u) {
        return port_levels(m, p, (offset - PORT(0)) / 0x30u);
    }
    return REGISTER(p, offset);
}

static void gpio_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    (void)written;
    if (offset == LOCK && value != KEY) {
        machine_error(m, p->base + offset, "GPIO: locking it is not modelled");
        return;
    }
    bool of_port = offset >= PORT(0) && offset < PORT(PORTS);
    uint32_t port = of_port ? (offset - PORT(0)) / 0x30u : 0, before = of_port ? port_levels(m, p, port) : 0;
    REGISTER(p, offset) = value;
    for (uint32_t pin = 0; of_port && pin < 16; pin++) {
        note_edge(p, port, pin, before >> pin & 1u, pin_level(m, p, port, pin));
    }
    update_irq(m, p);
}

const struct peripheral_class gpio_class = {
    .registers = k_registers, .read = gpio_read, .write = gpio_write,
    .state_bytes = sizeof(struct gpio_state),
};
