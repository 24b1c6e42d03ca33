/* Cycles of each layer, of the whole network and of a front-end column, measured where it runs. */
#ifndef TOKAY_PROFILER_H
#define TOKAY_PROFILER_H

#include <stdint.h>

#include "frontend.h"
#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct profiler_record {
    uint32_t repetitions;
    uint32_t mean, minimum, maximum; /* cycles of the core's clock, waiting for the accelerator included */
    uint32_t wait_cycles;            /* mean of those that the core slept for the accelerator */
    /* Of one more run, which is not measured otherwise, since counting takes time too. */
    uint32_t programs, accelerator_cycles, stall_cycles;
} profiler_record_t;

/* Runs one layer `repetitions` times (at least once) on what is in the arena. A layer that writes over
 * its own input sees its own output from the second time on, which costs the same. */
nn_status_t profiler_layer(const nn_t *nn, uint32_t layer, uint32_t repetitions, uint32_t (*cycles)(void),
                           profiler_record_t *record);

nn_status_t profiler_network(const nn_t *nn, uint32_t repetitions, uint32_t (*cycles)(void),
                             profiler_record_t *record);

/* Runs the front end, reset before and after, over `columns` columns of a loud test signal. */
void profiler_frontend(frontend_t *frontend, const frontend_config_t *config, uint32_t columns,
                       uint32_t (*cycles)(void), profiler_record_t *record);

#ifdef __cplusplus
}
#endif
#endif
