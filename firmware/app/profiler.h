/* Cycles of each layer, of the whole network and of a front-end column, measured where it runs. */
#ifndef TOKAY_PROFILER_H
#define TOKAY_PROFILER_H

#include <stdint.h>

#include "frontend.h"
#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a measurement goes by: cycles, and interrupts that were served. */
typedef struct profiler_meter {
    uint32_t (*cycles)(void);
    uint32_t (*interrupts)(void);
} profiler_meter_t;

/* Runs that an interrupt fell into are not measured but repeated, as long as they are not more than the
 * others by this many: then fewer repetitions are measured than were asked for, none at worst. */
#define PROFILER_SPARE_RUNS 8u

/* More runs of a layer than this are refused: nothing is served meanwhile, and only a reset would end them. */
#define PROFILER_MAX_REPETITIONS 1000u

typedef struct profiler_record {
    uint32_t repetitions;  /* measured */
    uint32_t disturbances; /* runs that were not, because of an interrupt */
    uint32_t mean, minimum, maximum; /* cycles of the core's clock, waiting for the accelerator included */
    uint32_t wait_cycles;            /* mean of those that the core slept for the accelerator */
    /* Of one more run, which is not measured otherwise, since counting takes time too. */
    uint32_t programs, accelerator_cycles, stall_cycles;
} profiler_record_t;

/* Runs one layer `repetitions` times (at least once) on what is in the arena. A layer that writes over
 * its own input sees its own output from the second time on, which costs the same. */
nn_status_t profiler_layer(const nn_t *nn, uint32_t layer, uint32_t repetitions, const profiler_meter_t *meter,
                           profiler_record_t *record);

nn_status_t profiler_network(const nn_t *nn, uint32_t repetitions, const profiler_meter_t *meter,
                             profiler_record_t *record);

/* Runs the front end, reset before and after, over `columns` columns of a loud test signal and as many
 * more as interrupts fell into. */
void profiler_frontend(frontend_t *frontend, const frontend_config_t *config, uint32_t columns,
                       const profiler_meter_t *meter, profiler_record_t *record);

#ifdef __cplusplus
}
#endif
#endif
