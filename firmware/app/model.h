/* All that the application knows of a model, in constant memory: of the firmware itself, or of a model
 * image in a slot of the flash. What a model image holds is this and what it points to. */
#ifndef TOKAY_MODEL_H
#define TOKAY_MODEL_H

#include "detector.h"
#include "frontend_config.h"
#include "nn.h"

typedef struct model {
    const char *name;
    const nn_plan_t *plan;
    const frontend_config_t *frontend;
    const detector_settings_t *detector;
    uint32_t latency_ms;
    uint32_t volume_gain_q8; /* 1/256 */
    uint32_t sensitivity_q8;
    uint32_t verbose;
} model_t;

/* Of the generated files: the firmware's own model, and the one of a model image. */
extern const model_t generated_model;

#endif
