/* Executes the program that is in the registers. */
#ifndef TOKAY_MVP_ENGINE_H
#define TOKAY_MVP_ENGINE_H

#include "mvp.h"

/* Instructions: a program that goes on longer pauses, no call hangs. So does one that is found to be back
 * where it was, which never ends. */
#define ENGINE_LIMIT 1000000000u

/* Why the engine stopped. */
typedef enum { ENGINE_DONE, ENGINE_PAUSED, ENGINE_FAULT } engine_end_t;

/* Runs from the PC, loop and index state in the registers, at most `limit` instructions, and writes
 * that state back. *flags receives the interrupt flags raised, *counters what it cost. */
engine_end_t engine_run(mvp_t *mvp, uint64_t limit, uint32_t *flags, mvp_counters_t *counters);

#endif
