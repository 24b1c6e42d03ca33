/* The few functions and constants of the Unicorn CPU emulator (2.1.x) that the simulator uses, loaded
 * at run time from the library that the Python package brings, so that nothing is linked against it. */
#ifndef TOKAY_UNICORN_API_H
#define TOKAY_UNICORN_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct uc_struct uc_engine;
typedef size_t uc_hook;

enum { UC_ARCH_ARM = 1, UC_MODE_THUMB = 1 << 4, UC_MODE_MCLASS = 1 << 5 };
enum { UC_PROT_READ = 1, UC_PROT_WRITE = 2, UC_PROT_EXEC = 4, UC_PROT_ALL = 7 };
enum { UC_CPU_ARM_CORTEX_M33 = 11 };
enum { UC_CTL_PAGE_SIZE_WRITE = 1 | (1 << 26) | (1 << 30), UC_CTL_USE_EXITS_WRITE = 4 | (1 << 26) | (1 << 30),
       UC_CTL_CPU_MODEL_WRITE = 7 | (1 << 26) | (1 << 30), UC_CTL_TB_FLUSH = 10 | (1 << 30) };
enum {
    UC_HOOK_INTR = 1 << 0,
    UC_HOOK_BLOCK = 1 << 3,
    UC_HOOK_MEM_INVALID = (0x7 << 4) | (0x7 << 7), /* unmapped and protected: read, write, fetch */
    UC_HOOK_INSN_INVALID = 1 << 14,
};
/* What a UC_HOOK_MEM_INVALID callback is told. */
enum {
    UC_MEM_READ_UNMAPPED = 19, UC_MEM_WRITE_UNMAPPED, UC_MEM_FETCH_UNMAPPED,
    UC_MEM_WRITE_PROT, UC_MEM_READ_PROT, UC_MEM_FETCH_PROT,
};
enum {
    UC_ARM_REG_FPSCR = 6, UC_ARM_REG_LR = 10, UC_ARM_REG_PC = 11,
    UC_ARM_REG_SP = 12, UC_ARM_REG_R0 = 66, UC_ARM_REG_R12 = 78, UC_ARM_REG_S0 = 79,
    UC_ARM_REG_IPSR = 114, UC_ARM_REG_MSP = 115, UC_ARM_REG_PSP = 116, UC_ARM_REG_CONTROL = 117,
    UC_ARM_REG_XPSR = 120, UC_ARM_REG_PRIMASK = 123, UC_ARM_REG_BASEPRI = 124, UC_ARM_REG_FAULTMASK = 126,
    UC_ARM_REG_APSR_NZCVQG = 129,
};

typedef uint64_t (*uc_mmio_read)(uc_engine *uc, uint64_t offset, unsigned size, void *user);
typedef void (*uc_mmio_write)(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user);

struct unicorn_api {
    int (*open)(int arch, int mode, uc_engine **uc);
    int (*close)(uc_engine *uc);
    int (*ctl)(uc_engine *uc, int control, ...);
    int (*reg_read)(uc_engine *uc, int reg, void *value);
    int (*reg_write)(uc_engine *uc, int reg, const void *value);
    int (*emu_start)(uc_engine *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count);
    int (*emu_stop)(uc_engine *uc);
    int (*hook_add)(uc_engine *uc, uc_hook *hook, int type, void *callback, void *user, uint64_t begin,
                    uint64_t end, ...);
    int (*mem_map_ptr)(uc_engine *uc, uint64_t address, uint64_t size, uint32_t permissions, void *memory);
    int (*mem_protect)(uc_engine *uc, uint64_t address, size_t size, uint32_t permissions);
    int (*mmio_map)(uc_engine *uc, uint64_t address, uint64_t size, uc_mmio_read read, void *read_user,
                    uc_mmio_write write, void *write_user);
    const char *(*strerror)(int error);
};

/* False, with a reason, if the library or one of the functions is not there. */
bool unicorn_load(struct unicorn_api *api, const char *path, char *error, size_t error_bytes);

#endif
