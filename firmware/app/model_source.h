/* Which model runs, with which kernels, in which memory. An image has one of two implementations:
 * model_fixed.c knows the firmware's own model; model_slots.c also those that were put in flash behind it. */
#ifndef TOKAY_MODEL_SOURCE_H
#define TOKAY_MODEL_SOURCE_H

#include "model.h"
#include "model_slots.h"
#include "report.h"

/* Zero to begin with. */
typedef struct model_source {
    uint32_t asked;               /* a bit a slot that was offered or refused, one for the firmware's own */
    const model_header_t *trial;  /* the running model's, while it is not proven */
    uint32_t inferences;          /* of it */
} model_source_t;

typedef struct model_memory {
    uint8_t *arena;
    uint32_t arena_bytes;
    void *loop;
    uint32_t loop_bytes;
} model_memory_t;

/* The next model to try, the newest first and the firmware's own last; then NULL. */
const model_t *model_source_next(model_source_t *source, report_t *report);

/* By kernel number, NULL where not linked. */
const nn_kernel_fn *model_source_kernels(void);

/* Where a model works. Nothing is promised about its size. */
model_memory_t model_source_memory(const model_t *model);

/* The running model's network has run, or a layer of it has failed. */
void model_source_inference(model_source_t *source, report_t *report);
void model_source_failed(model_source_t *source, report_t *report);

#endif
