/* What nn_kernel_mvp needs of an accelerator: its registers as words of memory, and a way to wait. The
 * chip's driver gives the registers themselves, the PC's (host/simulator/mvp/nn_driver.c) a model's. */
#ifndef TOKAY_NN_MVP_H
#define TOKAY_NN_MVP_H

#include <stdint.h>

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NN_MVP_COMMAND 68u     /* the word behind the program, which starts it */
#define NN_MVP_INIT_START 0x9u /* from its beginning */

/* What programs did since somebody last set it to zero. Waiting is counted in cycles of the core's clock. */
typedef struct nn_mvp_counters {
    uint32_t programs;
    uint32_t run_cycles;   /* of the accelerator, by its own counter */
    uint32_t stall_cycles; /* of those, the ones it stalled in */
    uint32_t wait_cycles;  /* the core slept for it */
} nn_mvp_counters_t;

/* The last program that did not end well. */
typedef struct nn_mvp_fault {
    uint32_t layer;
    uint32_t program; /* of that layer */
    uint32_t flags;   /* IF; 0 if the program did not end at all */
    uint32_t status;  /* FAULTSTATUS: program counter, array, bus, loop */
    uint32_t address; /* FAULTADDR */
} nn_mvp_fault_t;

typedef struct nn_mvp nn_mvp_t;

struct nn_mvp {
    volatile uint32_t *words; /* the program's 68 registers and the command */
    /* Waits for the program that the command started. */
    nn_status_t (*wait)(nn_mvp_t *mvp);
    /* The accelerator's address of memory that the following programs use, one of each kind. */
    uint32_t (*address)(nn_mvp_t *mvp, const void *memory, uint32_t bytes, int32_t constant);
    int32_t counting; /* whether all the counters count, or only wait_cycles: counting costs time */
    nn_mvp_counters_t counters;
    nn_mvp_fault_t fault;
};

/* For how many cycles the core has slept for the network's accelerator; 0 without one. Wraps at 2^32. */
static inline uint32_t nn_mvp_waited(const nn_t *nn)
{
    const nn_mvp_t *mvp = (const nn_mvp_t *)nn->accelerator; /* C++ wants the cast */
    return mvp != NULL ? mvp->counters.wait_cycles : 0;
}

#ifdef __cplusplus
}
#endif
#endif
