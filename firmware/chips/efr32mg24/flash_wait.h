/* How to wait for the flash controller: for the firmware and for the flash algorithm, which a debugger runs
 * alone. */
#ifndef TOKAY_FLASH_WAIT_H
#define TOKAY_FLASH_WAIT_H

#include <stdint.h>

#include "registers.h"

/* Turns of a wait loop (some ten cycles each) that no healthy flash needs: about a second at 20 MHz. */
#define FLASH_PATIENCE 2000000u

/* Until all of `set` are 1 and all of `clear` are 0 in STATUS; returns 0, or the bits there that say why not
 * (TIMEOUT also where patience is at its end). A refusal counts once all of `clear` are 0, since the flash may
 * not be closed before; but an address outside of flash leaves it busy for ever. */
static inline uint32_t flash_wait(uint32_t set, uint32_t clear) {
    for (uint32_t turns = 0; turns < FLASH_PATIENCE; turns++) {
        uint32_t status = MSC_STATUS;
        if ((status & clear) != 0 && (status & MSC_STATUS_INVADDR) == 0) {
            continue;
        }
        uint32_t refused = status & (MSC_STATUS_LOCKED | MSC_STATUS_INVADDR | MSC_STATUS_TIMEOUT);
        if (refused != 0 || (status & set) == set) {
            return refused;
        }
    }
    return MSC_STATUS_TIMEOUT;
}

/* Until a command is done. One that is pending may be seen as neither that nor busy just before it starts, so
 * once is not enough. */
static inline uint32_t flash_wait_until_done(void) {
    uint32_t refused = 0;
    for (uint32_t looks = 0; refused == 0 && looks < 2u; looks++) {
        refused = flash_wait(0, MSC_STATUS_BUSY | MSC_STATUS_PENDING);
    }
    return refused;
}

#endif
