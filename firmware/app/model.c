/* The generated model in one structure. */
#include "model.h"

#include "frontend_settings.h"
#include "model_parameters.h"
#include "model_plan.h"

const model_t generated_model = {
    .name = model_name,
    .plan = &model_plan,
    .frontend = &model_frontend_config,
    .detector = &model_detector_settings,
    .latency_ms = MODEL_LATENCY_MS,
    .volume_gain_q8 = MODEL_VOLUME_GAIN_Q8,
    .sensitivity_q8 = MODEL_SENSITIVITY_Q8,
    .verbose = MODEL_VERBOSE,
};
