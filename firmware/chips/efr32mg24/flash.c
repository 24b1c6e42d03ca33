/* Clears a word of flash while the firmware runs: nothing is erased, so it takes some microseconds, in which
 * fetches from flash wait. */
#include "flash_wait.h"
#include "hal.h"
#include "registers.h"

static bool write_zero(uint32_t address) {
    MSC_ADDRB = address;
    if (flash_wait(MSC_STATUS_WDATAREADY, 0) != 0) {
        return false;
    }
    MSC_WDATA = 0;
    MSC_WRITECMD = MSC_WRITECMD_WRITEEND;
    return flash_wait_until_done() == 0;
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
