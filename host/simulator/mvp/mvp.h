/* Model of the MVP (Matrix Vector Processor) of the EFR32xG24. host/simulator/README.md says where its
 * registers, arithmetic and cycles come from.
 *
 * One implementation for the PC's network runner, the chip simulator and Renode: a register file
 * (with its set, clear and toggle aliases) that executes programs. Memory is reached through
 * windows of host memory and, outside them, through callbacks.
 *
 * A program runs to its end inside the register write that starts it: memory, array indices and
 * ALU registers are final when mvp_write returns. Its duration is known then too. Unless the model
 * was set to complete at once, STATUS says RUNNING and PROGDONE stays clear until mvp_advance has
 * been told that so many cycles went by. Halting a program therefore stops its clock, not its work.
 *
 * Arithmetic is bit-exact to Silicon Labs' own simulator. Cycles under MVP_TIMING_PORTS and
 * MVP_TIMING_SHARED are estimates fitted to published measurements of silicon.
 *
 * Nothing here allocates; the caller owns mvp_t. Not thread safe per instance.
 */
#ifndef TOKAY_MVP_H
#define TOKAY_MVP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MVP_REGISTERS 8
#define MVP_ARRAYS 5
#define MVP_DIMENSIONS 3
#define MVP_LOOPS 8
#define MVP_INSTRUCTIONS 8
#define MVP_PROGRAM_WORDS 69 /* the registers 0x064..0x174: ALU, arrays, loops, instructions, CMD */
#define MVP_PROGRAM_OFFSET 0x064u
#define MVP_WINDOWS 24 /* Renode keeps memory in pieces of 64 KiB and more */

/* Register offsets a driver needs; add 0x1000, 0x2000, 0x3000 to set, clear, toggle bits. */
enum {
    MVP_IPVERSION = 0x000, MVP_EN = 0x004, MVP_SWRST = 0x008, MVP_CFG = 0x00C, MVP_STATUS = 0x010,
    MVP_PERF0CNT = 0x014, MVP_PERF1CNT = 0x018, MVP_IF = 0x01C, MVP_IEN = 0x020,
    MVP_FAULTSTATUS = 0x024, MVP_FAULTADDR = 0x028, MVP_PROGRAMSTATE = 0x02C,
    MVP_ARRAY0INDEXSTATE = 0x030, MVP_LOOP0STATE = 0x044, MVP_ALU0REGSTATE = 0x064,
    MVP_ARRAY0ADDRCFG = 0x084, MVP_LOOP0CFG = 0x0D4, MVP_INSTR0CFG0 = 0x114, MVP_CMD = 0x174,
    MVP_DEBUGEN = 0x200, MVP_DEBUGSTEPCNT = 0x204,
};

enum { MVP_CMD_START = 1, MVP_CMD_HALT = 2, MVP_CMD_STEP = 4, MVP_CMD_INIT = 8 };
enum { MVP_STATUS_RUNNING = 1, MVP_STATUS_PAUSED = 2, MVP_STATUS_IDLE = 4 };

#define MVP_IF_PROGDONE (1u << 0)
#define MVP_IF_LOOP0DONE (1u << 1)
#define MVP_IF_ALUNAN (1u << 10)
#define MVP_IF_R0POSREAL (1u << 11)
#define MVP_IF_ALUOF (1u << 12)
#define MVP_IF_ALUUF (1u << 13)
#define MVP_IF_STORECONVERTOF (1u << 14)
#define MVP_IF_STORECONVERTUF (1u << 15)
#define MVP_IF_STORECONVERTINF (1u << 16)
#define MVP_IF_STORECONVERTNAN (1u << 17)
#define MVP_IF_PERFCNT0 (1u << 18)
#define MVP_IF_PERFCNT1 (1u << 19)
#define MVP_IF_LOOPFAULT (1u << 24)
#define MVP_IF_BUSERRFAULT (1u << 25)
#define MVP_IF_BUSALIGNFAULT (1u << 26)
#define MVP_IF_ALUFAULT (1u << 27)
#define MVP_IF_ARRAYFAULT (1u << 28)
#define MVP_IF_FAULTS (0x1Fu << 24)

/* How memory costs time. */
typedef enum {
    MVP_TIMING_PORTS = 0,  /* each load stream has its own way to RAM; a new word of flash waits */
    MVP_TIMING_SHARED = 1, /* besides, both load streams share one new word a cycle */
    MVP_TIMING_VENDOR = 2, /* the vendor simulator's count: memory and program start are free */
} mvp_timing_t;

/* What a run did. The stall counts have the meanings of CFG.PERFxCNTSEL. */
typedef struct mvp_counters {
    uint64_t cycles;
    uint64_t instructions;
    uint64_t stalls;
    uint64_t noops;
    uint64_t pipe_stalls;
    uint64_t fence_stalls;
    uint64_t load_stalls[2];
} mvp_counters_t;

/* Memory outside the windows. `bytes` is 1, 2 or 4; false is a bus error. */
typedef struct mvp_bus {
    bool (*read)(void *context, uint32_t address, uint32_t bytes, uint32_t *value);
    bool (*write)(void *context, uint32_t address, uint32_t bytes, uint32_t value);
    void *context;
} mvp_bus_t;

typedef struct mvp_window {
    uint32_t base;
    uint32_t bytes;
    uint8_t *memory;
    bool writable;
} mvp_window_t;

/* The accelerator. Its members are private to this folder; it is here so that callers can own one. */
typedef struct mvp {
    uint32_t enable, config, flags, interrupt_enable, fault_status, fault_address;
    uint32_t status, program_state, debug_enable, debug_steps;
    uint32_t array_index[MVP_ARRAYS];
    uint32_t loop_state[MVP_LOOPS];
    uint32_t program[MVP_PROGRAM_WORDS];
    uint32_t perf[2];
    uint32_t pending_flags; /* raised when the present run's cycles have gone by */
    uint64_t remaining;     /* cycles until then */
    bool at_once;
    int alu_written; /* the vendor's clock: the pipeline remembers the previous program's last result */
    mvp_timing_t timing;
    mvp_counters_t last; /* of the last run */
    mvp_bus_t bus;
    uint32_t window_count;
    mvp_window_t windows[MVP_WINDOWS];
} mvp_t;

/* Of mvp_t, for callers that do not see it. */
size_t mvp_size(void);

/* Reset state, no memory. `at_once`: programs complete within the write that starts them. */
void mvp_init(mvp_t *mvp, mvp_timing_t timing, bool at_once);
void mvp_set_bus(mvp_t *mvp, const mvp_bus_t *bus);
/* Adds host memory that programs reach at `base`; false if there are MVP_WINDOWS already. */
bool mvp_add_window(mvp_t *mvp, uint32_t base, uint32_t bytes, uint8_t *memory, bool writable);
void mvp_remove_windows(mvp_t *mvp);

/* A word access at an offset from the peripheral's base, aliases included. An offset without a
 * register reads 0 and ignores writes. Writing START to CMD (or its set alias) runs the program. */
uint32_t mvp_read(mvp_t *mvp, uint32_t offset);
void mvp_write(mvp_t *mvp, uint32_t offset, uint32_t value);

/* Cycles until the running program's interrupt, 0 if none runs; and the passing of time. */
uint64_t mvp_remaining(const mvp_t *mvp);
void mvp_advance(mvp_t *mvp, uint64_t cycles);
/* Level of the interrupt line: IF & IEN. */
bool mvp_irq(const mvp_t *mvp);

/* Enables the accelerator, loads a whole program image and runs it to its end, at once. Returns the flags that it
 * raised; `counters`, unless NULL, receives what it cost. */
uint32_t mvp_run_program(mvp_t *mvp, const uint32_t words[MVP_PROGRAM_WORDS], mvp_counters_t *counters);
/* Counts a program's cycles without touching memory: duration depends on addresses only. Flash is
 * 0x08000000..0x0FFFFFFF, everything else RAM. False if it did not come to its end. */
bool mvp_count_program(const uint32_t words[MVP_PROGRAM_WORDS], mvp_timing_t timing,
                       mvp_counters_t *counters);
/* One ALU operation on pairs of binary16 bits, the real part in the low half, without modifiers; *z is the
 * register it writes, which NOOP leaves as it is. Returns event flags (MVP_IF_ALU...), or MVP_IF_ALUFAULT
 * for an unknown operation. For tests. */
uint32_t mvp_alu(uint32_t operation, uint32_t x, uint32_t y, uint32_t a, uint32_t *z);

#endif
