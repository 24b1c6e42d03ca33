/* The flash algorithm of the EFR32MG24: the small program that a debugger puts into RAM and calls to erase
 * and write the chip's own flash. The entry points and their results are those of the CMSIS flash
 * algorithm (0 is success), so any debugger that knows that interface can use it; host.flash does through
 * pyOCD.
 *
 * It has no variables and no constants outside its code, and branches are relative: it runs wherever it is
 * loaded. It expects a core just out of reset, where the peripherals are at their secure addresses, and
 * leaves the flash locked behind it. Nothing outside main flash is ever erased or written. */
#include <stdint.h>

#include "registers.h"

#define FLASH_START 0x08000000u
#define FLASH_BYTES 0x00180000u
#define PAGE_BYTES 0x2000u

/* Turns of a wait loop (some ten cycles each, at 20 MHz) that no healthy flash needs: about a second. */
#define PATIENCE 2000000u

/* What the entry points return other than 0; host.flashing.algorithm has the words for them. */
enum { ERROR_LOCKED = 1, ERROR_ADDRESS = 2, ERROR_TIMEOUT = 3, ERROR_VERIFY = 4, ERROR_NOT_BLANK = 5 };

int Init(uint32_t address, uint32_t clock, uint32_t operation);
int UnInit(uint32_t operation);
int EraseSector(uint32_t address);
int ProgramPage(uint32_t address, uint32_t bytes, const uint32_t *data);
uint32_t Verify(uint32_t address, uint32_t bytes, const uint32_t *data);

/* Until all of `set` are 1 and all of `clear` are 0 in STATUS. A refusal counts once the latter are: until then
 * the flash may not be closed. */
static int wait_for(uint32_t set, uint32_t clear) {
    for (uint32_t turns = 0; turns < PATIENCE; turns++) {
        uint32_t status = MSC_STATUS;
        if ((status & MSC_STATUS_INVADDR) != 0) {
            return ERROR_ADDRESS;
        }
        if ((status & clear) != 0) {
            continue;
        }
        if ((status & MSC_STATUS_LOCKED) != 0) {
            return ERROR_LOCKED;
        }
        if ((status & MSC_STATUS_TIMEOUT) != 0) {
            return ERROR_TIMEOUT;
        }
        if ((status & set) == set) {
            return 0;
        }
    }
    return ERROR_TIMEOUT;
}

/* Until a command is done. A command that is pending may be seen as neither that nor busy just before it starts,
 * so once is not enough. */
static int wait_until_done(void) {
    int error = wait_for(0, MSC_STATUS_BUSY | MSC_STATUS_PENDING);
    return error != 0 ? error : wait_for(0, MSC_STATUS_BUSY | MSC_STATUS_PENDING);
}

/* Makes the flash controller ready. The address, clock and operation of the interface are not needed. */
int Init(uint32_t address, uint32_t clock, uint32_t operation) {
    (void)address;
    (void)clock;
    (void)operation;
    REG_SET(CMU_CLKEN1) = CMU_CLKEN1_MSC;
    MSC_LOCK = MSC_LOCK_KEY;
    if ((MSC_STATUS & MSC_STATUS_REGLOCK) != 0) {
        return ERROR_LOCKED;
    }
    MSC_WRITECTRL = MSC_WRITECTRL_WREN;
    return 0;
}

/* Closes the flash again. */
int UnInit(uint32_t operation) {
    (void)operation;
    MSC_WRITECTRL = 0;
    MSC_LOCK = 0;
    return 0;
}

/* Erases the page that starts at `address`. */
int EraseSector(uint32_t address) {
    if (address - FLASH_START >= FLASH_BYTES || address % PAGE_BYTES != 0) {
        return ERROR_ADDRESS;
    }
    MSC_ADDRB = address;
    MSC_WRITECMD = MSC_WRITECMD_ERASEPAGE;
    int error = wait_until_done();
    for (uint32_t i = 0; error == 0 && i < PAGE_BYTES; i += 4u) {
        if (REG32(address + i) != 0xFFFFFFFFu) {
            error = ERROR_NOT_BLANK;
        }
    }
    return error;
}

/* Writes whole words into erased flash and compares them. `bytes` and both addresses are multiples of 4. */
int ProgramPage(uint32_t address, uint32_t bytes, const uint32_t *data) {
    uint32_t offset = address - FLASH_START;
    if (offset >= FLASH_BYTES || bytes > FLASH_BYTES - offset || ((address | bytes) & 3u) != 0) {
        return ERROR_ADDRESS;
    }
    MSC_ADDRB = address; /* counts on by itself */
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < bytes / 4u; i++) {
        error = wait_for(MSC_STATUS_WDATAREADY, 0);
        if (error == 0) {
            MSC_WDATA = data[i];
        }
    }
    MSC_WRITECMD = MSC_WRITECMD_WRITEEND;
    int end = wait_until_done();
    if (error == 0) {
        error = end;
    }
    if (error == 0 && Verify(address, bytes, data) != address + bytes) {
        error = ERROR_VERIFY;
    }
    return error;
}

/* The address of the first word that differs, or the end where none does. */
uint32_t Verify(uint32_t address, uint32_t bytes, const uint32_t *data) {
    uint32_t i = 0;
    while (i < bytes / 4u && REG32(address + 4u * i) == data[i]) {
        i++;
    }
    return address + 4u * i;
}
