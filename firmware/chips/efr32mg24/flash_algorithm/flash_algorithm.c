/* The flash algorithm of the EFR32MG24: the small program that a debugger puts into RAM and calls to erase
 * and write the chip's own flash. The entry points and their results are those of the CMSIS flash
 * algorithm (0 is success), so any debugger that knows that interface can use it; host.flash does through
 * pyOCD.
 *
 * It has no variables and no constants outside its code, and branches are relative: it runs wherever it is
 * loaded. It expects a core just out of reset, where the peripherals are at their secure addresses, and
 * leaves the flash locked behind it. Nothing outside main flash is ever erased or written. */
#include <stdint.h>

#include "flash_wait.h"
#include "registers.h"

#define FLASH_START 0x08000000u
#define FLASH_BYTES 0x00180000u
#define PAGE_BYTES 0x2000u

/* What the entry points return other than 0; host.flashing.algorithm has the words for them. The first three are
 * what flash_wait returns. */
enum {
    ERROR_LOCKED = MSC_STATUS_LOCKED, ERROR_ADDRESS = MSC_STATUS_INVADDR, ERROR_TIMEOUT = MSC_STATUS_TIMEOUT,
    ERROR_VERIFY = 0x100, ERROR_NOT_BLANK = 0x101,
};

int Init(uint32_t address, uint32_t clock, uint32_t operation);
int UnInit(uint32_t operation);
int EraseSector(uint32_t address);
int ProgramPage(uint32_t address, uint32_t bytes, const uint32_t *data);
uint32_t Verify(uint32_t address, uint32_t bytes, const uint32_t *data);

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
    int error = (int)flash_wait_until_done();
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
        error = (int)flash_wait(MSC_STATUS_WDATAREADY, 0);
        if (error == 0) {
            MSC_WDATA = data[i];
        }
    }
    MSC_WRITECMD = MSC_WRITECMD_WRITEEND;
    int end = (int)flash_wait_until_done();
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
