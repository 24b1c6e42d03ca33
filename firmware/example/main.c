/* The keyword spotter on the PC: hears int16 samples on stdin, at the model's rate, and prints what it detects. On a
 * microcontroller the same, with audio from its microphone instead of fread. */
#include <stdio.h>

#include "audio_loop.h"
#include "frontend_settings.h"
#include "model_parameters.h"
#include "model_plan.h"

#define PIECE 37 /* as many samples at a time as there are: any number will do */

static _Alignas(NN_ARENA_ALIGNMENT) uint8_t arena[MODEL_ARENA_BYTES];
static _Alignas(8) uint8_t memory[AUDIO_LOOP_BYTES(FRONTEND_STATE_BYTES, FRONTEND_FRAMES, FRONTEND_CHANNELS,
                                                   FRONTEND_DYNAMIC)];

int main(void)
{
    static nn_t nn;
    static audio_loop_t loop;
    const audio_loop_config_t config = {
        .frontend = &model_frontend_config, .nn = &nn, .detector = &model_detector_settings,
        .latency_ms = MODEL_LATENCY_MS, .volume_gain_q8 = MODEL_VOLUME_GAIN_Q8};
    /* The last argument is the accelerator's driver, for a model that was compiled with -a mvp. */
    if (nn_init(&nn, &model_plan, model_kernels, arena, sizeof arena, NULL) != NN_OK ||
        audio_loop_init(&loop, &config, memory, sizeof memory) != AUDIO_LOOP_OK)
        return 1;
    int16_t samples[PIECE];
    for (size_t count; (count = fread(samples, sizeof *samples, PIECE, stdin)) > 0;) {
        for (size_t at = 0; at < count;) {
            audio_loop_result_t result;
            at += audio_loop_process(&loop, samples + at, count - at, 0, &result);
            if (result.status != AUDIO_LOOP_OK)
                return 1;
            if (result.scores != NULL && result.detection.detected)
                printf("%s %u %lu\n", model_detector_settings.labels[result.detection.class_index],
                       result.detection.score, (unsigned long)result.time_ms);
        }
    }
    return 0;
}
