/* Cycles of a program, from its sequence of instructions and addresses. */
#ifndef TOKAY_MVP_TIMING_H
#define TOKAY_MVP_TIMING_H

#include "mvp.h"

#define TIMING_LOOKAHEAD 4         /* instructions that loads are ahead of the ALU at most */
#define FENCE_DISTANCE 11          /* vendor: instructions after which a load may follow a store of its word */
#define TIMING_NO_WORD UINT32_MAX

/* One load of an instruction, as the timing rules see it. */
typedef struct timing_load {
    bool on;
    uint8_t array;
    uint32_t word;      /* address / 4 of the first byte */
    uint32_t last_word; /* of the last byte */
} timing_load_t;

/* A program's run so far. */
typedef struct timing_state {
    mvp_timing_t rule;
    mvp_counters_t counters;
    uint64_t alu_time;                    /* when the latest instruction left the ALU */
    uint64_t load_time;                   /* when its loads were done */
    uint64_t alu_times[TIMING_LOOKAHEAD]; /* of the latest instructions, a ring */
    uint32_t cached_word[2];              /* that each stream read last, TIMING_NO_WORD at start */
    int stream_array[2];             /* array that each stream read last, -1 at start */
    bool stored;                     /* the previous instruction stored */
    uint32_t stores[FENCE_DISTANCE]; /* vendor: words stored by the latest instructions, a ring */
} timing_state_t;

void timing_begin(timing_state_t *t, mvp_timing_t rule);
/* An instruction. `store_word`: address / 4 of what it stores, if it does; `hazard`: the previous instruction's ALU
 * wrote what this one's X or Y names; `noop`: it has no ALU operation. */
void timing_step(timing_state_t *t, const timing_load_t load[2], bool store, uint32_t store_word,
                 bool hazard, bool noop);
/* Completes `counters`. */
void timing_end(timing_state_t *t);

#endif
