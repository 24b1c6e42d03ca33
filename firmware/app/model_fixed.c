/* The firmware's own model and nothing else, in memory of just its size. */
#include "audio_loop.h"
#include "frontend_settings.h"
#include "kernel_names.h"
#include "model_plan.h"
#include "model_source.h"

static _Alignas(NN_ARENA_ALIGNMENT) uint8_t s_arena[MODEL_ARENA_BYTES];
static _Alignas(8) uint8_t
    s_loop_memory[AUDIO_LOOP_BYTES(FRONTEND_STATE_BYTES, FRONTEND_FRAMES, FRONTEND_CHANNELS, FRONTEND_DYNAMIC)];

const model_t *model_source_next(model_source_t *source, report_t *report) {
    (void)report;
    return source->asked++ == 0 ? &generated_model : NULL;
}

const nn_kernel_fn *model_source_kernels(void) { return model_kernels; }

const char *const kernel_names[NN_KERNEL_COUNT] = {
#define NAME(name) [NN_KERNEL_##name] = #name,
    MODEL_KERNELS(NAME)
#undef NAME
};

model_memory_t model_source_memory(const model_t *wanted) {
    (void)wanted;
    return (model_memory_t){s_arena, sizeof s_arena, s_loop_memory, sizeof s_loop_memory};
}

void model_source_inference(model_source_t *source, report_t *report) {
    (void)source;
    (void)report;
}

void model_source_failed(model_source_t *source, report_t *report) {
    (void)source;
    (void)report;
}
