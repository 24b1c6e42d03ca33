/* See audio_loop.h.
 *
 * Features are kept as a ring of int8 columns: a new column costs one column's writing, and the network
 * gets its input, which it overwrites while it runs, by two copies. Where features are scaled by the
 * loudest value of the whole window, the window of unscaled columns is moved instead. */
#include "audio_loop.h"

#include <string.h>

#include "frontend_config.h"
#include "nn_mvp.h"

#define PIECE_SAMPLES 64u

static size_t round_up(size_t bytes) { return (bytes + 7u) & ~(size_t)7u; }

static bool is_dynamic(const frontend_config_t *frontend) { return frontend->dynamic_range != 0; }

static uint32_t feature_count(const frontend_config_t *frontend) {
    return (uint32_t)frontend->frames * (uint32_t)frontend->channels;
}

static size_t feature_bytes(const frontend_config_t *frontend) {
    return feature_count(frontend) * (is_dynamic(frontend) ? sizeof(uint16_t) : sizeof(int8_t));
}

static uint32_t tensor_bytes(const nn_plan_t *plan, uint32_t tensor) { return plan->tensors[tensor].bytes; }

size_t audio_loop_bytes(const frontend_config_t *frontend) {
    return round_up(frontend_state_bytes(frontend)) + round_up(feature_bytes(frontend));
}

audio_loop_status_t audio_loop_init(audio_loop_t *loop, const audio_loop_config_t *config, void *memory,
                                    size_t bytes) {
    const nn_plan_t *plan = config->nn->plan;
    size_t state_bytes = round_up(frontend_state_bytes(config->frontend));

    if (memory == NULL || bytes < audio_loop_bytes(config->frontend)) {
        return AUDIO_LOOP_ERROR_MEMORY;
    }
    if (tensor_bytes(plan, plan->input) != feature_count(config->frontend)) {
        return AUDIO_LOOP_ERROR_INPUT;
    }
    if (tensor_bytes(plan, plan->output) != config->detector->class_count) {
        return AUDIO_LOOP_ERROR_OUTPUT;
    }
    if (detector_init(&loop->detector, config->detector) != DETECTOR_OK) {
        return AUDIO_LOOP_ERROR_DETECTOR;
    }
    loop->config = config;
    loop->frontend = frontend_init(config->frontend, memory, state_bytes);
    if (loop->frontend == NULL) {
        return AUDIO_LOOP_ERROR_MEMORY;
    }
    loop->features = (uint8_t *)memory + state_bytes;
    audio_loop_reset(loop);
    return AUDIO_LOOP_OK;
}

void audio_loop_reset(audio_loop_t *loop) {
    frontend_reset(loop->frontend);
    detector_reset(&loop->detector);
    nn_reset(loop->config->nn);
    loop->feature_column = 0;
    loop->frontend_cycles = 0;
    loop->due = 0;
    memset(&loop->statistics, 0, sizeof loop->statistics);
}

uint32_t audio_loop_time_ms(const audio_loop_t *loop) {
    return (uint32_t)(loop->statistics.samples * 1000u / loop->config->frontend->sample_rate_hz);
}

void audio_loop_lost(audio_loop_t *loop, uint32_t count) {
    loop->statistics.samples += count;
    loop->statistics.lost_samples += count;
}

static uint32_t now(const audio_loop_t *loop) {
    return loop->config->cycles != NULL ? loop->config->cycles() : 0;
}

static void count_cycles(audio_loop_cycles_t *cycles, uint32_t value) {
    cycles->count++;
    cycles->total += value;
    cycles->maximum = value > cycles->maximum ? value : cycles->maximum;
}

/* Feeds at most one piece to the front end, with the gain applied on the way. */
static size_t feed_frontend(audio_loop_t *loop, const int16_t *samples, size_t count, const uint16_t **column) {
    int16_t louder[PIECE_SAMPLES];
    if (loop->config->volume_gain_q8 == 256u) {
        return frontend_process(loop->frontend, samples, count, column);
    }
    count = count < PIECE_SAMPLES ? count : PIECE_SAMPLES;
    memcpy(louder, samples, count * sizeof louder[0]);
    detector_apply_gain(louder, (uint32_t)count, loop->config->volume_gain_q8);
    return frontend_process(loop->frontend, louder, count, column);
}

static void add_column(audio_loop_t *loop, const uint16_t *column) {
    const frontend_config_t *frontend = loop->config->frontend;
    uint32_t channels = frontend->channels;

    if (is_dynamic(frontend)) {
        uint16_t *window = (uint16_t *)(void *)loop->features;
        size_t kept = feature_count(frontend) - channels;
        memmove(window, window + channels, kept * sizeof window[0]);
        memcpy(window + kept, column, channels * sizeof window[0]);
    } else {
        frontend_quantize(column, channels, (int8_t *)loop->features + loop->feature_column * channels);
    }
    loop->feature_column = (loop->feature_column + 1u) % frontend->frames;
}

/* The window, oldest column first, into the network's input. */
static void copy_features(const audio_loop_t *loop, int8_t *input) {
    const frontend_config_t *frontend = loop->config->frontend;
    if (is_dynamic(frontend)) {
        frontend_quantize_dynamic(frontend, (const uint16_t *)(const void *)loop->features,
                                  feature_count(frontend), input);
        return;
    }
    size_t oldest = loop->feature_column * (size_t)frontend->channels;
    size_t tail = feature_count(frontend) - oldest;
    memcpy(input, loop->features + oldest, tail);
    memcpy(input + tail, loop->features, oldest);
}

/* Samples between two inferences. */
static uint32_t period_samples(const audio_loop_t *loop) {
    const frontend_config_t *frontend = loop->config->frontend;
    uint32_t period = (uint32_t)((uint64_t)loop->config->latency_ms * frontend->sample_rate_hz / 1000u);
    return period > frontend->step_samples ? period : frontend->step_samples;
}

/* Whether an inference is to run on this column. */
static bool is_due(audio_loop_t *loop, size_t backlog) {
    audio_loop_statistics_t *statistics = &loop->statistics;
    if (loop->config->nn->plan->reset_count != 0) { /* it keeps state: all columns are new, and none is left out */
        return loop->feature_column == 0;
    }
    uint32_t period = period_samples(loop);
    if (loop->due == 0) { /* the first window is not full: asked once, because the columns' number wraps */
        if (statistics->columns < loop->config->frontend->frames) {
            return false;
        }
        loop->due = statistics->samples;
    }
    if (statistics->samples < loop->due) {
        if (loop->due - statistics->samples > period) { /* which has become shorter since */
            loop->due = statistics->samples + period;
        }
        return false;
    }
    if (backlog > period) {
        return false;
    }
    uint64_t missed = (statistics->samples - loop->due) / period;
    statistics->skipped += (uint32_t)missed;
    loop->due += (missed + 1u) * period;
    return true;
}

static void infer(audio_loop_t *loop, audio_loop_result_t *result) {
    uint32_t start = now(loop), waited = nn_mvp_waited(loop->config->nn);
    copy_features(loop, nn_input(loop->config->nn));
    if (nn_run(loop->config->nn) != NN_OK) {
        result->status = AUDIO_LOOP_ERROR_NETWORK;
        return;
    }
    uint32_t network_end = now(loop);
    result->scores = nn_output(loop->config->nn);
    /* Audio time only goes forward, so the detector has no reason to refuse a sample. */
    (void)detector_process(&loop->detector, result->scores, result->time_ms, &result->detection);
    count_cycles(&loop->statistics.network, network_end - start);
    count_cycles(&loop->statistics.accelerator, nn_mvp_waited(loop->config->nn) - waited);
    count_cycles(&loop->statistics.detector, now(loop) - network_end);
    loop->statistics.inferences++;
}

size_t audio_loop_process(audio_loop_t *loop, const int16_t *samples, size_t count, size_t backlog,
                          audio_loop_result_t *result) {
    const uint16_t *column = NULL;
    size_t used = 0;

    memset(result, 0, sizeof *result);
    while (used < count && column == NULL) {
        uint32_t start = now(loop);
        size_t taken = feed_frontend(loop, samples + used, count - used, &column);
        used += taken;
        loop->statistics.samples += taken;
        if (column != NULL) {
            add_column(loop, column);
        }
        loop->frontend_cycles += now(loop) - start;
    }
    result->time_ms = audio_loop_time_ms(loop);
    if (column == NULL) {
        return used;
    }
    result->column = column;
    loop->statistics.columns++;
    count_cycles(&loop->statistics.frontend, loop->frontend_cycles);
    loop->frontend_cycles = 0;
    if (is_due(loop, backlog)) {
        infer(loop, result);
    }
    return used;
}
