/* The MVP's register file: what software reads and writes, and when a program runs. */
#include "engine.h"

#include <string.h>

#include "program.h"

#define PERF_MASK 0x00FFFFFFu
#define IF_MASK 0x1F0FFDFFu
#define CFG_MASK 0x00FF000Fu
#define CFG_PERFCNTEN 1u
#define DEBUGEN_MASK 0x7003FDFEu
#define DEBUGEN_STEPCNT (1u << 28)

/* Bits that exist in a word of the program image. */
static uint32_t image_mask(uint32_t word)
{
    static const uint32_t array[4] = {0xFFFFFFFFu, 0x0FFF73FFu, 0x0FFF03FFu, 0x0FFF03FFu};
    static const uint32_t loop[2] = {0x777773FFu, 0x77777000u};
    static const uint32_t instruction[3] = {0x70F7F7F7u, 0x3FFFFFFFu, 0x9FF0FFFFu};

    if (word < IMAGE_ARRAY)
        return 0xFFFFFFFFu;
    if (word < IMAGE_LOOP)
        return array[(word - IMAGE_ARRAY) % 4];
    if (word < IMAGE_INSTRUCTION)
        return loop[(word - IMAGE_LOOP) % 2];
    return instruction[(word - IMAGE_INSTRUCTION) % 3];
}

static void reset(mvp_t *mvp)
{
    mvp->enable = mvp->config = mvp->flags = mvp->interrupt_enable = 0;
    mvp->fault_status = mvp->fault_address = 0;
    mvp->status = MVP_STATUS_IDLE;
    mvp->program_state = mvp->debug_enable = mvp->debug_steps = 0;
    mvp->pending_flags = 0;
    mvp->remaining = 0;
    memset(mvp->array_index, 0, sizeof mvp->array_index);
    memset(mvp->loop_state, 0, sizeof mvp->loop_state);
    memset(mvp->program, 0, sizeof mvp->program);
    memset(mvp->perf, 0, sizeof mvp->perf);
    for (unsigned a = 0; a < MVP_ARRAYS; a++)
        mvp->program[IMAGE_ARRAY + 4 * a + 1] = 0x2000u;
}

size_t mvp_size(void)
{
    return sizeof(mvp_t);
}

void mvp_init(mvp_t *mvp, mvp_timing_t timing, bool at_once)
{
    memset(mvp, 0, sizeof *mvp);
    mvp->timing = timing;
    mvp->at_once = at_once;
    mvp->alu_written = -1;
    reset(mvp);
}

void mvp_set_bus(mvp_t *mvp, const mvp_bus_t *bus)
{
    mvp->bus = *bus;
}

bool mvp_add_window(mvp_t *mvp, uint32_t base, uint32_t bytes, uint8_t *memory, bool writable)
{
    mvp_window_t window = {base, bytes, memory, writable};
    if (mvp->window_count == MVP_WINDOWS)
        return false;
    mvp->windows[mvp->window_count++] = window;
    return true;
}

void mvp_remove_windows(mvp_t *mvp)
{
    mvp->window_count = 0;
}

static uint64_t selected(const mvp_counters_t *c, uint32_t selection)
{
    switch (selection) {
    case 0: return c->cycles;
    case 1: return c->instructions;
    case 2: return c->stalls;
    case 3: return c->noops;
    case 4: return c->instructions - c->noops;
    case 5: return c->pipe_stalls;
    case 6: return c->fence_stalls;
    case 7: return c->load_stalls[0];
    case 8: return c->load_stalls[1];
    case 10: return c->load_stalls[0] + c->load_stalls[1];
    case 11: return c->load_stalls[0];
    case 12: return c->load_stalls[1];
    default: return 0; /* store stalls and the fences of one stream are not modelled */
    }
}

/* The counters start anew with each program, not where a paused one goes on. */
static uint32_t update_performance_counters(mvp_t *mvp, const mvp_counters_t *counters, bool goes_on)
{
    uint32_t flags = 0;
    if ((mvp->config & CFG_PERFCNTEN) == 0)
        return 0;
    for (unsigned k = 0; k < 2; k++) {
        uint64_t count = selected(counters, mvp->config >> (16 + 4 * k) & 15u) + (goes_on ? mvp->perf[k] : 0);
        mvp->perf[k] = (uint32_t)count & PERF_MASK;
        if (count > PERF_MASK)
            flags |= MVP_IF_PERFCNT0 << k;
    }
    return flags;
}

static void complete(mvp_t *mvp)
{
    mvp->flags |= mvp->pending_flags;
    mvp->pending_flags = 0;
    mvp->remaining = 0;
    if ((mvp->status & MVP_STATUS_PAUSED) == 0)
        mvp->status = MVP_STATUS_IDLE;
}

static void execute(mvp_t *mvp, uint64_t limit)
{
    uint32_t flags = 0;
    bool goes_on = (mvp->status & MVP_STATUS_PAUSED) != 0;
    engine_end_t end = engine_run(mvp, limit, &flags, &mvp->last);

    if (end == ENGINE_DONE)
        flags |= MVP_IF_PROGDONE;
    flags |= update_performance_counters(mvp, &mvp->last, goes_on);
    mvp->pending_flags |= flags;
    mvp->status = end == ENGINE_PAUSED ? MVP_STATUS_PAUSED : MVP_STATUS_RUNNING;
    mvp->remaining = mvp->last.cycles;
    if (mvp->at_once || end == ENGINE_PAUSED)
        complete(mvp);
}

static void command(mvp_t *mvp, uint32_t value)
{
    bool in_progress = mvp->remaining != 0;

    if ((mvp->enable & 1u) == 0)
        return;
    if ((value & MVP_CMD_INIT) != 0 && (mvp->status & MVP_STATUS_RUNNING) == 0) {
        mvp->program_state = 0;
        memset(mvp->array_index, 0, sizeof mvp->array_index);
        memset(mvp->loop_state, 0, sizeof mvp->loop_state);
        mvp->status = MVP_STATUS_IDLE;
        mvp->remaining = 0;
        mvp->pending_flags = 0;
        in_progress = false;
    }
    if ((value & MVP_CMD_HALT) != 0 && in_progress) {
        mvp->status = MVP_STATUS_PAUSED;
    } else if ((value & (MVP_CMD_START | MVP_CMD_STEP)) != 0) {
        if (in_progress) {
            mvp->status = MVP_STATUS_RUNNING; /* halted before: its clock goes on */
        } else if ((value & MVP_CMD_STEP) != 0) {
            execute(mvp, 1);
        } else {
            bool counted = (mvp->debug_enable & DEBUGEN_STEPCNT) != 0;
            execute(mvp, counted ? mvp->debug_steps : ENGINE_LIMIT);
        }
    }
}

uint64_t mvp_remaining(const mvp_t *mvp)
{
    return (mvp->status & MVP_STATUS_RUNNING) != 0 ? mvp->remaining : 0;
}

void mvp_advance(mvp_t *mvp, uint64_t cycles)
{
    if ((mvp->status & MVP_STATUS_RUNNING) == 0)
        return;
    if (cycles < mvp->remaining)
        mvp->remaining -= cycles;
    else
        complete(mvp);
}

bool mvp_irq(const mvp_t *mvp)
{
    return (mvp->flags & mvp->interrupt_enable) != 0;
}

/* The storage behind an offset and the bits of it that software can write; NULL if it is not plain
 * storage. */
static uint32_t *storage(mvp_t *mvp, uint32_t offset, uint32_t *mask)
{
    if (offset >= MVP_PROGRAM_OFFSET && offset < MVP_CMD) {
        uint32_t word = (offset - MVP_PROGRAM_OFFSET) / 4;
        *mask = image_mask(word);
        return &mvp->program[word];
    }
    if (offset >= MVP_ARRAY0INDEXSTATE && offset < MVP_LOOP0STATE) {
        *mask = 0x3FFFFFFFu;
        return &mvp->array_index[(offset - MVP_ARRAY0INDEXSTATE) / 4];
    }
    if (offset >= MVP_LOOP0STATE && offset < MVP_ALU0REGSTATE) {
        *mask = 0x000713FFu;
        return &mvp->loop_state[(offset - MVP_LOOP0STATE) / 4];
    }
    switch (offset) {
    case MVP_CFG: *mask = CFG_MASK; return &mvp->config;
    case MVP_IF: *mask = IF_MASK; return &mvp->flags;
    case MVP_IEN: *mask = IF_MASK; return &mvp->interrupt_enable;
    case MVP_PROGRAMSTATE: *mask = 7; return &mvp->program_state;
    case MVP_DEBUGEN: *mask = DEBUGEN_MASK; return &mvp->debug_enable;
    case MVP_DEBUGSTEPCNT: *mask = PERF_MASK; return &mvp->debug_steps;
    default: *mask = 0; return NULL;
    }
}

uint32_t mvp_read(mvp_t *mvp, uint32_t offset)
{
    uint32_t mask;
    uint32_t *word;

    offset &= 0xFFCu; /* the aliases read like the register */
    word = storage(mvp, offset, &mask);
    if (word != NULL)
        return *word & mask;
    switch (offset) {
    case MVP_IPVERSION: return 1;
    case MVP_EN: return mvp->enable;
    case MVP_STATUS: return mvp->status;
    case MVP_PERF0CNT: return mvp->perf[0];
    case MVP_PERF1CNT: return mvp->perf[1];
    case MVP_FAULTSTATUS: return mvp->fault_status;
    case MVP_FAULTADDR: return mvp->fault_address;
    default: return 0;
    }
}

void mvp_write(mvp_t *mvp, uint32_t offset, uint32_t value)
{
    uint32_t alias = offset >> 12 & 3u;
    uint32_t mask;
    uint32_t *word;
    uint32_t before;

    offset &= 0xFFCu;
    word = storage(mvp, offset, &mask);
    before = word != NULL ? *word : offset == MVP_EN ? mvp->enable : 0;
    if (alias == 1)
        value |= before;
    else if (alias == 2)
        value = before & ~value;
    else if (alias == 3)
        value ^= before;

    if (word != NULL) {
        *word = value & mask;
    } else if (offset == MVP_CMD) {
        command(mvp, value);
    } else if (offset == MVP_EN) {
        mvp->enable = value & 1u;
        if (mvp->enable == 0) {
            /* Disabling ends a run and reads as idle. The vendor's driver writes CFG and IEN again when it enables,
             * so both count as lost. */
            mvp->config = 0;
            mvp->interrupt_enable = 0;
            mvp->status = MVP_STATUS_IDLE;
            mvp->remaining = 0;
            mvp->pending_flags = 0;
        }
    } else if (offset == MVP_SWRST && (value & 1u) != 0) {
        reset(mvp);
    }
}

uint32_t mvp_run_program(mvp_t *mvp, const uint32_t words[MVP_PROGRAM_WORDS], mvp_counters_t *counters)
{
    uint32_t flags;

    mvp->enable = 1;
    mvp->flags = 0;
    for (uint32_t w = 0; w < MVP_PROGRAM_WORDS - 1; w++)
        mvp->program[w] = words[w] & image_mask(w);
    mvp_write(mvp, MVP_CMD, MVP_CMD_INIT | MVP_CMD_START);
    complete(mvp);
    flags = mvp->flags;
    if (counters != NULL)
        *counters = mvp->last;
    return flags;
}
