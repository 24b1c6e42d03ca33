/* Clears a word of flash while the firmware runs: nothing is erased, so it takes some microseconds, in which
 * fetches from flash wait. */
#include "hal.h"
#include "registers.h"

/* Turns of a wait loop that no healthy flash needs. */
#define PATIENCE 100000u

/* A refusal counts once all of `clear` are 0: until then the flash may not be closed. */
static bool wait_for(uint32_t set, uint32_t clear) {
    for (uint32_t turns = 0; turns < PATIENCE; turns++) {
        uint32_t status = MSC_STATUS;
        if ((status & clear) != 0) {
            continue;
        }
        if ((status & (MSC_STATUS_LOCKED | MSC_STATUS_INVADDR | MSC_STATUS_TIMEOUT)) != 0) {
            return false;
        }
        if ((status & set) == set) {
            return true;
        }
    }
    return false;
}

/* A command that is pending may be seen as neither that nor busy just before it starts: once is not enough. */
static bool wait_until_done(void) {
    return wait_for(0, MSC_STATUS_BUSY | MSC_STATUS_PENDING) && wait_for(0, MSC_STATUS_BUSY | MSC_STATUS_PENDING);
}

static bool write_zero(uint32_t address) {
    MSC_ADDRB = address;
    if (!wait_for(MSC_STATUS_WDATAREADY, 0)) {
        return false;
    }
    MSC_WDATA = 0;
    MSC_WRITECMD = MSC_WRITECMD_WRITEEND;
    return wait_until_done();
}

bool hal_flash_clear(const uint32_t *word) {
    REG_SET(CMU_CLKEN1) = CMU_CLKEN1_MSC;
    MSC_LOCK = MSC_LOCK_KEY;
    MSC_WRITECTRL = MSC_WRITECTRL_WREN;
    bool written = write_zero((uint32_t)(uintptr_t)word);
    MSC_WRITECTRL = 0;
    MSC_LOCK = 0;
    return written;
}
