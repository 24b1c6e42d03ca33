/* Two kinds of clock. The silicon rules (ports, shared) are fitted to published cycle counts of
 * single layers on hardware; the vendor rule repeats what the vendor's simulator counts. */
#include "timing.h"

#include <string.h>

#define FLASH_BEGIN 0x08000000u
#define FLASH_END 0x10000000u
#define FLASH_WAIT 1      /* cycles more than RAM for a word; the flash has one wait state */
#define RESTART_PENALTY 2 /* a stream that changes its array right after a store */
#define PROGRAM_CYCLES 14 /* start and end of a program */

void timing_begin(timing_state_t *t, mvp_timing_t rule)
{
    memset(t, 0, sizeof *t);
    t->rule = rule;
    t->cached_word[0] = t->cached_word[1] = TIMING_NO_WORD;
    t->stream_array[0] = t->stream_array[1] = -1;
}

/* The vendor's simulator: one cycle an instruction, and a load waits until the store of its word is
 * FENCE_DISTANCE instructions back. */
static uint32_t fence_stall(const timing_state_t *t, const timing_load_t load[2])
{
    uint64_t now = t->counters.instructions;
    for (uint32_t distance = 1; distance < FENCE_DISTANCE && distance <= now; distance++) {
        uint32_t word = t->stores[(now - distance) % FENCE_DISTANCE];
        for (unsigned s = 0; s < 2; s++)
            if (load[s].on && word != TIMING_NO_WORD && (word == load[s].word || word == load[s].last_word))
                return FENCE_DISTANCE - distance;
    }
    return 0;
}

static void vendor_step(timing_state_t *t, const timing_load_t load[2], bool store, uint32_t store_word,
                        bool hazard)
{
    uint32_t fence = fence_stall(t, load);
    t->counters.fence_stalls += fence;
    t->stores[t->counters.instructions % FENCE_DISTANCE] = store ? store_word : TIMING_NO_WORD;
    t->alu_time += 1u + fence + hazard;
}

/* Words that a stream has to fetch: it keeps the last one it read. */
static uint32_t new_words(timing_state_t *t, unsigned stream, const timing_load_t *load)
{
    uint32_t count = (load->word != t->cached_word[stream]) + (load->last_word != load->word);
    t->cached_word[stream] = load->last_word;
    return count;
}

static bool in_flash(uint32_t word)
{
    return word >= FLASH_BEGIN / 4 && word < FLASH_END / 4;
}

/* Cycles beyond one that an instruction's loads need. *restart: they have to wait for the store before them. */
static uint32_t memory_wait(timing_state_t *t, const timing_load_t load[2], bool *restart)
{
    uint32_t words = 0;
    uint32_t wait = 0;

    for (unsigned s = 0; s < 2; s++) {
        uint32_t fetched, own;
        if (!load[s].on)
            continue;
        fetched = new_words(t, s, &load[s]);
        words += fetched;
        own = in_flash(load[s].word) ? fetched * FLASH_WAIT : fetched > 1 ? fetched - 1 : 0;
        t->counters.load_stalls[s] += own;
        wait = own > wait ? own : wait;
        if (t->stored && t->stream_array[s] >= 0 && t->stream_array[s] != load[s].array)
            *restart = true;
        t->stream_array[s] = load[s].array;
    }
    /* Taking turns on a shared path and waiting for flash overlap: the longer of the two counts. With
     * turns alone one-channel convolutions come out 8 % too fast, with both added all of them 30 % too
     * slow. */
    if (t->rule == MVP_TIMING_SHARED && words > 1 && words - 1 > wait)
        wait = words - 1;
    return wait;
}

/* Loads run at most TIMING_LOOKAHEAD instructions ahead of the ALU, so that a wait of one can hide
 * behind a wait of the other. */
static void silicon_step(timing_state_t *t, const timing_load_t load[2], bool store, bool hazard)
{
    uint32_t slot = (uint32_t)(t->counters.instructions % TIMING_LOOKAHEAD);
    uint64_t leave = t->alu_time + 1u + hazard;
    bool restart = false;
    uint32_t wait;

    t->load_time++;
    if (t->load_time < t->alu_times[slot])
        t->load_time = t->alu_times[slot];
    wait = memory_wait(t, load, &restart);
    if (restart && t->load_time < t->alu_time + 1u + RESTART_PENALTY)
        t->load_time = t->alu_time + 1u + RESTART_PENALTY;
    t->load_time += wait;
    t->alu_time = leave > t->load_time ? leave : t->load_time;
    t->alu_times[slot] = t->alu_time;
    t->stored = store;
}

void timing_step(timing_state_t *t, const timing_load_t load[2], bool store, uint32_t store_word,
                 bool hazard, bool noop)
{
    if (t->rule == MVP_TIMING_VENDOR)
        vendor_step(t, load, store, store_word, hazard);
    else
        silicon_step(t, load, store, hazard);
    t->counters.instructions++;
    t->counters.noops += noop;
    t->counters.pipe_stalls += hazard;
}

void timing_end(timing_state_t *t)
{
    t->counters.cycles = t->alu_time;
    if (t->rule == MVP_TIMING_VENDOR) {
        t->counters.stalls = t->counters.pipe_stalls + t->counters.fence_stalls;
    } else {
        t->counters.cycles += PROGRAM_CYCLES;
        t->counters.stalls = t->alu_time - t->counters.instructions;
    }
}
