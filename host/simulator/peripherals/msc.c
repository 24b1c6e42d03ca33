/* MSC: flash wait states, and erasing and writing flash, with the time that it takes. While it is busy
 * the core goes on, as long as it does not depend on the result: the stall of fetches is not modelled. The
 * vendor's code looks twice whether a command is done; so the first look after one shows neither that it is
 * pending nor that it is busy here. */
#include <stddef.h>
#include <string.h>

#include "../core/machine.h"

enum { READCTRL = 0x004, WRITECTRL = 0x00C, WRITECMD = 0x010, ADDRB = 0x014, WDATA = 0x018, STATUS = 0x01C,
       IF = 0x020, IEN = 0x024, CMD = 0x038, LOCK = 0x03C, MISCLOCKWORD = 0x040, PAGELOCK = 0x120 };
enum { STATUS_BUSY = 1, STATUS_LOCKED = 2, STATUS_INVADDR = 4, STATUS_WDATAREADY = 8, STATUS_PENDING = 32,
       STATUS_REGLOCK = 1 << 16, STATUS_WREADY = 1 << 27 };
enum { CMD_ERASEPAGE = 1 << 1, CMD_WRITEEND = 1 << 2, CMD_ERASERANGE = 1 << 4, CMD_ERASEMAIN0 = 1 << 8 };
enum { IF_ERASE = 1, IF_WRITE = 2 };
/* Typical figures of this family's data sheets: an estimate. */
#define ERASE_PS 12000000000ull
#define WRITE_PS 11000000ull
#define LOCK_KEY 0x1B71u

struct msc_state {
    bool between; /* a command is about to start, which STATUS does not show yet */
};

static void update_irq(struct machine *m, struct peripheral *p) {
    irq_level(m, p->irq, (REGISTER(p, IF) & REGISTER(p, IEN)) != 0);
}

static void refuse(struct peripheral *p, uint32_t why) { REGISTER(p, STATUS) |= why; }

/* Host memory of the page or word at ADDRB that may be changed, or NULL with the reason in STATUS. */
static uint8_t *target(struct machine *m, struct peripheral *p, uint32_t address) {
    if ((REGISTER(p, WRITECTRL) & 1u) == 0 || (REGISTER(p, STATUS) & STATUS_REGLOCK) != 0) {
        refuse(p, STATUS_LOCKED);
        return NULL;
    }
    if (address - FLASH_BASE < FLASH_BYTES) {
        uint32_t page = (address - FLASH_BASE) / FLASH_PAGE_BYTES;
        if ((REGISTER(p, PAGELOCK + 4u * (page / 32u)) >> (page % 32u) & 1u) != 0) {
            refuse(p, STATUS_LOCKED);
            return NULL;
        }
        return m->flash + (address - FLASH_BASE);
    }
    if (address - INFO_BASE < 0x400u) {
        if ((REGISTER(p, MISCLOCKWORD) & 16u) != 0) {
            refuse(p, STATUS_LOCKED);
            return NULL;
        }
        return m->info + (address - INFO_BASE);
    }
    refuse(p, STATUS_INVADDR);
    return NULL;
}

static void erase(struct machine *m, struct peripheral *p, uint32_t address) {
    uint8_t *memory = target(m, p, address & ~(FLASH_PAGE_BYTES - 1u));
    if (memory != NULL) {
        uint32_t bytes = address - FLASH_BASE < FLASH_BYTES ? FLASH_PAGE_BYTES : 0x400u;
        memset(memory, 0xFF, bytes);
        machine_code_changed(m, address & ~(FLASH_PAGE_BYTES - 1u), bytes);
        REGISTER(p, STATUS) |= STATUS_BUSY;
        REGISTER(p, STATUS) &= ~(uint32_t)STATUS_WDATAREADY;
        p->next = m->now_ps + ERASE_PS;
    }
}

static void write_word(struct machine *m, struct peripheral *p, uint32_t value) {
    if ((REGISTER(p, STATUS) & STATUS_WDATAREADY) == 0) {
        machine_error(m, p->base + WDATA, "MSC: WDATA is written while it is not ready (STATUS.WDATAREADY)");
        return;
    }
    uint32_t address = REGISTER(p, ADDRB) & ~3u;
    uint8_t *memory = target(m, p, address);
    if (memory != NULL) {
        uint32_t old;
        memcpy(&old, memory, sizeof old);
        value &= old; /* bits are only ever cleared */
        memcpy(memory, &value, sizeof value);
        machine_code_changed(m, address, 4);
        REGISTER(p, ADDRB) = address + 4u;
        REGISTER(p, STATUS) |= STATUS_BUSY;
        REGISTER(p, STATUS) &= ~(uint32_t)STATUS_WDATAREADY;
        p->next = m->now_ps + WRITE_PS;
    }
}

static void advance(struct machine *m, struct peripheral *p) {
    if (p->next <= m->now_ps) {
        p->next = NEVER;
        REGISTER(p, STATUS) &= ~(uint32_t)(STATUS_BUSY | STATUS_PENDING);
        REGISTER(p, STATUS) |= STATUS_WDATAREADY;
        REGISTER(p, IF) |= (REGISTER(p, WRITECMD) & CMD_ERASEPAGE) != 0 ? IF_ERASE : IF_WRITE;
        update_irq(m, p);
    }
}

static uint32_t msc_read(struct machine *m, struct peripheral *p, uint32_t offset) {
    (void)m;
    struct msc_state *s = p->state;
    uint32_t value = REGISTER(p, offset);
    if (offset == STATUS && s->between) {
        s->between = false;
        value &= ~(uint32_t)(STATUS_BUSY | STATUS_PENDING);
    }
    return value;
}

static void msc_reset(struct machine *m, struct peripheral *p) {
    (void)m;
    ((struct msc_state *)p->state)->between = false;
}

static void msc_write(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written) {
    if (offset == LOCK) {
        REGISTER(p, STATUS) = value == LOCK_KEY ? REGISTER(p, STATUS) & ~(uint32_t)STATUS_REGLOCK
                                                : REGISTER(p, STATUS) | STATUS_REGLOCK;
        return;
    }
    bool starts = offset == ADDRB || (offset == WRITECMD && (written & CMD_ERASEPAGE) != 0);
    if (starts && (REGISTER(p, STATUS) & STATUS_BUSY) != 0) {
        machine_error(m, p->base + offset, "MSC: the next page or address is given while it is busy");
        return;
    }
    if (offset == WRITECTRL && (value & 1u) == 0 && (REGISTER(p, STATUS) & STATUS_BUSY) != 0) {
        machine_error(m, p->base + offset, "MSC: writing is switched off (WRITECTRL.WREN) while it is busy");
        return;
    }
    switch (offset) {
    case WRITECMD:
        ((struct msc_state *)p->state)->between = (written & (CMD_ERASEPAGE | CMD_WRITEEND)) != 0;
        REGISTER(p, STATUS) &= ~(uint32_t)(STATUS_LOCKED | STATUS_INVADDR);
        REGISTER(p, WRITECMD) = written;
        if ((written & CMD_ERASEPAGE) != 0) {
            erase(m, p, REGISTER(p, ADDRB));
        } else if ((written & (CMD_ERASERANGE | CMD_ERASEMAIN0)) != 0) {
            machine_error(m, p->base + offset, "MSC: erasing a range or everything is not modelled");
        }
        break;
    case ADDRB:
        REGISTER(p, ADDRB) = value;
        REGISTER(p, STATUS) &= ~(uint32_t)(STATUS_LOCKED | STATUS_INVADDR);
        if (value - FLASH_BASE >= FLASH_BYTES && value - INFO_BASE >= 0x400u) {
            refuse(p, STATUS_INVADDR);
        }
        break;
    case WDATA:
        REGISTER(p, WRITECMD) = 0;
        write_word(m, p, value);
        break;
    case CMD:
        break;
    default:
        if (offset >= PAGELOCK && offset <= PAGELOCK + 20u) {
            value |= REGISTER(p, offset); /* a locked page stays locked until reset */
        }
        REGISTER(p, offset) = value;
        if (offset == READCTRL) {
            clock_check(m);
        }
        break;
    }
    update_irq(m, p);
}

const struct peripheral_class msc_class = {
    .registers = msc_registers, .read = msc_read, .write = msc_write, .reset = msc_reset,
    .advance = advance, .state_bytes = sizeof(struct msc_state),
};
