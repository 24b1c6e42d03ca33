/* The simulated EFR32MG24 inside: its memory, time, core state and peripherals, shared by the files of
 * this folder. The interface for Python is simulator.h.
 *
 * Time. The core's clock cycles are the master count; every peripheral works in picoseconds, which are
 * derived from cycles since the last change of the core's clock. Peripherals are lazy: each is brought
 * up to now when it is accessed or when the earliest moment it announced has come. */
#ifndef TOKAY_SIMULATOR_MACHINE_H
#define TOKAY_SIMULATOR_MACHINE_H

#include <stdarg.h>

#include "../peripherals/registers.h"
#include "simulator.h"
#include "unicorn_api.h"

#define FLASH_BASE 0x08000000u
#define FLASH_BYTES 0x00180000u
#define FLASH_PAGE_BYTES 0x2000u
#define RAM_BASE 0x20000000u
#define RAM_BYTES 0x00040000u
#define INFO_BASE 0x0FE00000u /* user data page; device information at +0x8000 */
#define INFO_BYTES 0x00010000u
#define PERIPHERALS_BASE 0x40000000u
#define PERIPHERALS_BYTES 0x20000000u
#define SYSTEM_SPACE_BASE 0xE0000000u
#define SYSTEM_SPACE_BYTES 0x00100000u
#define NEVER UINT64_MAX
#define PS_PER_S 1000000000000ull

#define MPU_REGIONS 8u
#define RETURN_ADDRESS 0x90000000u /* where functions that Python calls return to: nothing is there */
#define XPSR_EXCEPTION 0x1FFu
#define XPSR_IT ((3u << 25) | (0x3Fu << 10))
#define XPSR_THUMB_BIT 24
#define XPSR_THUMB (1u << XPSR_THUMB_BIT)
#define EXCEPTIONS 92u /* 16 of the core and 76 interrupts */
enum {
    EXCEPTION_RESET = 1, EXCEPTION_NMI, EXCEPTION_HARD, EXCEPTION_MEMORY, EXCEPTION_BUS, EXCEPTION_USAGE,
    EXCEPTION_SECURE, EXCEPTION_SVC = 11, EXCEPTION_DEBUG, EXCEPTION_PENDSV = 14, EXCEPTION_SYSTICK,
    EXCEPTION_IRQ0,
};
enum {
    IRQ_TIMER0 = 4, IRQ_USART0_RX = 9, IRQ_USART0_TX = 10, IRQ_EUSART0_RX = 11, IRQ_EUSART1_RX = 13,
    IRQ_MVP = 15, IRQ_LDMA = 21, IRQ_HFXO0 = 44, IRQ_HFRCO0 = 45, IRQ_CMU = 47, IRQ_MSC = 50,
    IRQ_DPLL0 = 51, IRQ_SYSRTC = 67,
};
/* Bits of CFSR. */
enum {
    CFSR_IACCVIOL = 1 << 0, CFSR_IBUSERR = 1 << 8, CFSR_PRECISERR = 1 << 9, CFSR_UNSTKERR = 1 << 11,
    CFSR_STKERR = 1 << 12, CFSR_BFARVALID = 1 << 15, CFSR_UNDEFINSTR = 1 << 16, CFSR_INVSTATE = 1 << 17,
    CFSR_INVPC = 1 << 18, CFSR_NOCP = 1 << 19, CFSR_STKOF = 1 << 20, CFSR_UNALIGNED = 1 << 24,
    CFSR_DIVBYZERO = 1 << 25,
};

struct machine;
struct peripheral;

/* What a kind of peripheral does; every member may be NULL. Offsets are without aliases. */
struct peripheral_class {
    const struct register_info *registers;
    /* The value of a register whose stored word is not all there is to it. */
    uint32_t (*read)(struct machine *m, struct peripheral *p, uint32_t offset);
    /* `value` is the whole new word with set, clear and toggle applied, `written` the bits given. */
    void (*write)(struct machine *m, struct peripheral *p, uint32_t offset, uint32_t value, uint32_t written);
    void (*reset)(struct machine *m, struct peripheral *p);
    /* Brings the state up to m->now_ps and sets p->next. */
    void (*advance)(struct machine *m, struct peripheral *p);
    size_t state_bytes; /* of `state`, which is zero when the machine is made and stays over resets */
};

#define PERIPHERAL_WORDS 1024u
struct peripheral {
    const char *name;
    uint32_t base;            /* secure address */
    const struct peripheral_class *class;
    int clock_enable;         /* bit in CLKEN0, 32 + bit in CLKEN1, -1 always clocked */
    int irq;                  /* first interrupt, -1 none */
    uint32_t index;           /* among its kind */
    uint64_t next;            /* ps of the next thing to happen by itself */
    void *state;              /* what does not fit in registers, as its kind has it */
    uint32_t word[PERIPHERAL_WORDS];
    uint16_t known[PERIPHERAL_WORDS]; /* 1 + index into class->registers, 0 where there is none */
};
#define REGISTER(p, offset) ((p)->word[(offset) / 4u])

/* Costs of one basic block, found once. */
struct block {
    uint64_t total_cycles; /* spent here so far, for the profile */
    uint32_t hash;         /* of the code, where it may change (RAM) */
    uint16_t bytes;        /* 0: not decoded yet */
    uint16_t instructions;
    uint16_t cycles;       /* not counting `taken` */
    uint8_t taken;         /* more, if execution does not go on behind the block */
    uint8_t flags;
};
enum { BLOCK_WFI = 1, BLOCK_WFE = 2, BLOCK_SEV = 4, BLOCK_FPU = 8, BLOCK_STACK_LIMIT = 16, BLOCK_EXCLUSIVE = 32,
       BLOCK_FROM_FIXED = 64, BLOCK_STACK_POINTER = 128,
       BLOCK_NOTED = BLOCK_SEV | BLOCK_STACK_LIMIT | BLOCK_EXCLUSIVE | BLOCK_FROM_FIXED | BLOCK_STACK_POINTER };

/* Why the emulation returned to the run loop. */
enum stop {
    STOP_NONE, STOP_EXCEPTION, STOP_LIMIT, STOP_RETURNED, STOP_SVC, STOP_EXIT, STOP_FAULT, STOP_ERROR,
    STOP_WFI, STOP_WFE, STOP_RESET, STOP_BREAKPOINT,
};

struct machine {
    struct unicorn_api api;
    uc_engine *uc;
    uint8_t *flash, *ram, *info;
    struct block *flash_blocks, *ram_blocks;

    /* Time. */
    uint64_t cycles, deadline;         /* the block hook looks around when cycles >= deadline */
    uint64_t limit;                    /* cycle at which to stop */
    uint64_t now_ps;                   /* as of the last machine_update_time */
    uint64_t clock_ps, clock_cycles;   /* when the core's clock last changed */
    uint64_t core_hz;
    uint64_t instructions, sleep_cycles;
    uint32_t fallthrough;              /* end of the block that is running */
    uint32_t taken;                    /* its cost if execution goes elsewhere */
    struct block *current;
    struct block scratch;

    /* Core. */
    bool fpu_off;          /* by CPACR: look at every block */
    bool single;           /* a debugger steps: one instruction */
    bool towards_fpu;      /* one instruction as well: this block has one that faults, further on */
    bool counting;         /* the latest run of Unicorn counted instructions */
    bool stack_pointer_stale; /* MSR wrote one, with bits that it does not have */
    enum stop stop;           /* why the present run ends, STOP_NONE while it goes on */
    uint32_t stop_cfsr, stop_address; /* of STOP_FAULT */
    bool sleeping, awaits_event, event, reset_requested; /* awaits_event: it sleeps by WFE */
    uint8_t *probe;           /* a page with code that does what Unicorn's interface does not offer */
    bool probing;             /* it runs: no time passes */
    bool stack_limit_stale;   /* MSR wrote one: stack_limit is to be read again */
    bool entry_fault;         /* exception_note's, not told to Python yet */
    bool exclusive;           /* the monitor may wait for a store */
    uint32_t stack_limit;
    uint8_t enabled[EXCEPTIONS], pending[EXCEPTIONS], active[EXCEPTIONS], level[EXCEPTIONS];
    int16_t priority[EXCEPTIONS];
    uint32_t pending_count;
    uint32_t vtor, aircr_group, scr, ccr, shcsr, cfsr, hfsr, bfar, mmfar, cpacr, fpccr, fpcar, fpdscr, demcr;
    struct {
        uint32_t control, region, bounds[MPU_REGIONS][2], attributes[2]; /* bounds: RBAR and RLAR */
    } mpu;
    uint32_t systick_csr, systick_reload;
    uint32_t systick_count;   /* the counter at the cycle systick_start */
    uint64_t systick_start;
    uint32_t dwt_ctrl;
    uint64_t cyccnt_base;

    struct peripheral *peripherals;
    uint32_t peripheral_count;
    struct peripheral *cmu, *hfxo, *hfrco, *dpll, *usart, *ldma, *ldmaxbar, *gpio, *msc, *mvp;
    uint64_t peripherals_next;
    uint64_t systick_next; /* ps */

    struct simulator_fault fault;
    bool fault_new, faulting; /* faulting: on the way into the exception of `fault` */
    bool without_mvp; /* a part that has no accelerator */
    uint64_t crystal_hz;
    bool bus_error; /* of the present access of another master than the core */
    bool flash_changed; /* Unicorn may hold code that is no longer there */
    uint32_t resets;
};

/* machine.c: registers, time and memory */
void machine_update_time(struct machine *m); /* now_ps, from the cycles */
/* Finds the next cycle at which the block hook looks around. */
void machine_reschedule(struct machine *m);
uint64_t machine_ps_to_cycles(const struct machine *m, uint64_t ps); /* the first cycle not before */
/* From now on; 0 changes nothing. */
void machine_set_core_clock(struct machine *m, uint64_t hz);
/* Brings those up to now_ps whose `next` has come. */
void machine_advance_peripherals(struct machine *m);
/* Stops the present instruction with a fault (CFSR bits), before it has taken effect. */
void machine_fault(struct machine *m, uint32_t cfsr, uint32_t address, const char *what);
/* What Python is to be told of a fault; of one that the exception for another one makes, behind that. */
void machine_describe_fault(struct machine *m, const char *format, va_list arguments);
/* Stops the run: the simulator does not know what the chip would do. */
void machine_error(struct machine *m, uint32_t address, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends the present run of Unicorn; what is to be done then. */
void machine_stop(struct machine *m, enum stop why);
uint32_t machine_register(struct machine *m, int reg);
void machine_set_register(struct machine *m, int reg, uint32_t value);
/* Clears the bits of the stack pointers that they do not have and Unicorn keeps. */
void machine_align_stack_pointers(struct machine *m);
/* Forgets an exclusive load, as an exception does on its way in and out. */
void machine_clear_exclusive(struct machine *m);
/* Whether the code that runs may reach the registers of the core. */
bool machine_has_privileges(struct machine *m);
/* MSPLIM of the core. */
uint32_t machine_stack_limit(struct machine *m);
/* MSPLIM and PSPLIM as after a reset. */
void machine_clear_stack_limits(struct machine *m);
/* Host memory behind [address, +bytes), or NULL. */
uint8_t *machine_memory(struct machine *m, uint32_t address, uint32_t bytes, bool write);
/* Flash has been written: what is known of code there, if any has run, is forgotten. */
void machine_code_changed(struct machine *m, uint32_t address, uint32_t bytes);
/* A load or store of a bus master other than the core; false is a bus error. */
bool machine_bus_read(struct machine *m, uint32_t address, uint32_t bytes, uint32_t *value);
bool machine_bus_write(struct machine *m, uint32_t address, uint32_t bytes, uint32_t value);

/* exceptions.c */
void exceptions_reset(struct machine *m);
void exception_pend(struct machine *m, uint32_t number);
void exception_unpend(struct machine *m, uint32_t number);
/* The level of an interrupt line; stays pending while it is high. */
void irq_level(struct machine *m, int irq, bool high);
/* The exception to be taken now, or 0; with `ignore_primask`, as WFI sees it. */
uint32_t exception_next(struct machine *m, bool ignore_primask);
/* Whether it would be taken at once, were it pending. */
bool exception_preempts(struct machine *m, uint32_t number);
/* Stacks a frame and puts the core into the handler; of another exception, if stacking failed. */
void exception_enter(struct machine *m, uint32_t number, uint32_t return_address);
/* Returns from the active one by what was written to PC. */
void exception_exit(struct machine *m, uint32_t exc_return);
/* A synchronous fault: picks the handler and escalates; a lockup is an error of the machine. */
void exception_fault(struct machine *m, uint32_t cfsr, uint32_t address, uint32_t pc);
/* What Python is to be told of a fault on the way into or out of an exception, or of an SVC. */
void exception_note(struct machine *m, uint32_t cfsr, uint32_t address, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* hooks.c: tells Unicorn what to call; its status, 0 if all went well. */
int hooks_install(struct machine *m);

/* system_space.c: 0xE0000000.., the core's own registers */
#define SCB_CFSR 0xE000ED28u
#define STIR 0xE000EF00u
void system_space_reset(struct machine *m);
uint32_t system_space_read(struct machine *m, uint32_t address);
void system_space_write(struct machine *m, uint32_t address, uint32_t value);
void systick_advance(struct machine *m);

/* cost.c: its head says what an instruction costs */
/* Decodes straight code and fills in all of `block` but total_cycles and hash. */
void cost_of_block(const uint8_t *code, uint32_t bytes, struct block *block);

/* bus.c */
bool bus_create(struct machine *m); /* false: no memory; bus_destroy is called all the same */
void bus_destroy(struct machine *m);
void bus_reset(struct machine *m);
/* An access to a peripheral's address. By the core it takes its time and may fault; another master's sets bus_error
 * where nothing answers. */
uint32_t bus_read(struct machine *m, uint32_t address, uint32_t bytes, bool core);
void bus_write(struct machine *m, uint32_t address, uint32_t bytes, uint32_t value, bool core);
/* Brings the peripheral there up to now, for a master that is none of the chip's. */
void bus_bring_up(struct machine *m, uint32_t address);
void bus_changed(struct machine *m); /* the `next` of a peripheral has changed */

/* Clocks (cmu.c); 0 of one that does not run */
uint64_t clock_hclk_hz(struct machine *m);
uint64_t clock_pclk_hz(struct machine *m);
uint64_t clock_em01grpa_hz(struct machine *m);
uint64_t clock_em01grpc_hz(struct machine *m);
uint64_t clock_eusart0_hz(struct machine *m);
/* After a change of any: the core and the peripherals that count go on by the new ones. */
void clock_changed(struct machine *m);
/* Reports a core without a clock, and a clock that is faster than its bus or the flash. */
void clock_check(struct machine *m);
/* When so many periods after `start_ps` are over (NEVER without a clock), and how many whole ones are at `now_ps`. */
uint64_t clock_after(uint64_t start_ps, uint64_t ticks, uint64_t hz);
uint64_t clock_ticks(uint64_t start_ps, uint64_t now_ps, uint64_t hz);

extern const struct peripheral_class cmu_class, hfxo_class, hfrco_class, dpll_class, fsrco_class, gpio_class,
    eusart_class, usart_class, ldma_class, ldmaxbar_class, msc_class, emu_class, syscfg_class, smu_class,
    icache_class, mpahbram_class, timer_class, sysrtc_class, prs_class, dcdc_class, mvp_class;

/* eusart.c, usart.c */
void usart_free(struct peripheral *p); /* what its state points to */
/* Time has begun anew: so do the audio and the counters. */
void usart_restart(struct peripheral *p);
/* Fills in what of the status is the microphone's. */
void usart_status(struct machine *m, struct simulator_status *status);
/* Where the DMA's requests come from, as LDMAXBAR numbers them: of USART0 signal 0 is a left word, 1 a right one;
 * of a serial port 0 is what was received, 1 room for what is sent. */
enum { DMA_USART0 = 4, DMA_EUSART0 = 15, DMA_EUSART1 = 16 };
/* How many single requests of this source the DMA would take before something observable happens. */
uint64_t ldma_appetite(struct machine *m, uint32_t source, uint32_t signal);
/* One request; false if no enabled channel listens. */
bool ldma_request(struct machine *m, uint32_t source, uint32_t signal);
/* A channel has started to listen, or the level of a request line has gone up. */
void usart_dma_changed(struct machine *m);
void eusart_dma_changed(struct machine *m);
/* system.c: the device information page, and in it the part's number */
void devinfo_fill(uint8_t *info);
void devinfo_part(uint8_t *info, uint32_t number);

#endif
