/* What the audio loop finds: to the host as messages, where it has asked for them, else as lines. */
#include <string.h>

#include "application_state.h"

#define LEVEL_MS 100u
#define ROOM(array) (sizeof(array) / sizeof(array)[0])

static void send_scores(application_t *app, const audio_loop_result_t *result, uint32_t age_ms) {
    message_scores_t message = {
        .time_ms = result->time_ms,
        .age_ms = (uint16_t)(age_ms < UINT16_MAX ? age_ms : UINT16_MAX),
        .values_count = (uint16_t)app->detector.class_count,
    };
    for (uint32_t i = 0; i < app->detector.class_count; i++) {
        message.values[i] = (uint8_t)(result->scores[i] + 128);
    }
    channel_send(&app->channel, MESSAGE_SCORES, &message_layout_scores, &message);
}

static void send_detection(application_t *app, const detector_result_t *detection) {
    message_detection_t message = {
        .time_ms = detection->time_ms,
        .class_index = (uint8_t)detection->class_index,
        .score = detection->score,
    };
    codec_set_text(message.label, sizeof message.label, app->detector.labels[detection->class_index]);
    channel_send(&app->channel, MESSAGE_DETECTION, &message_layout_detection, &message);
}

void events_inference(application_t *app, const audio_loop_result_t *result, uint32_t age_ms) {
    const detector_result_t *detection = &result->detection;
    if ((app->streams & STREAM_SCORES) != 0) {
        send_scores(app, result, age_ms);
    } else if (app->verbose) {
        report_scores(&app->report, result->time_ms, age_ms, result->scores, app->detector.class_count);
    }
    if (!detection->detected) {
        return;
    }
    if ((app->streams & STREAM_DETECTIONS) != 0) {
        send_detection(app, detection);
    } else {
        report_detection(&app->report, app->detector.labels[detection->class_index], detection);
    }
}

/* A column that a message does not hold is not sent. */
static void send_spectrogram(application_t *app, const uint16_t *column, uint32_t channels, uint32_t number) {
    message_spectrogram_t message = {.column = number, .values_count = (uint16_t)channels};
    if (channels <= ROOM(message.values)) {
        memcpy(message.values, column, channels * sizeof message.values[0]);
        channel_send(&app->channel, MESSAGE_SPECTROGRAM, &message_layout_spectrogram, &message);
    }
}

static void send_features(application_t *app, const uint16_t *column, uint32_t channels, uint32_t number) {
    message_features_t message = {.column = number, .values_count = (uint16_t)channels};
    if (channels <= ROOM(message.values)) {
        frontend_quantize(column, channels, message.values);
        channel_send(&app->channel, MESSAGE_FEATURES, &message_layout_features, &message);
    }
}

void events_column(application_t *app, const audio_loop_result_t *result) {
    const frontend_config_t *frontend = app->model->frontend;
    uint32_t number = app->loop.statistics.columns - 1u;
    if ((app->streams & STREAM_SPECTROGRAM) != 0) {
        send_spectrogram(app, result->column, frontend->channels, number);
    }
    /* Where features are scaled by the whole window, no column has its features by itself. */
    if ((app->streams & STREAM_FEATURES) != 0 && frontend->dynamic_range == 0) {
        send_features(app, result->column, frontend->channels, number);
    }
}

static uint32_t square_root(uint64_t value) {
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit != 0; bit >>= 1) {
        if ((root + bit) * (root + bit) <= value) {
            root += bit;
        }
    }
    return (uint32_t)root;
}

static void measure_level(application_t *app, const int16_t *samples, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int32_t sample = samples[i];
        uint32_t magnitude = (uint32_t)(sample < 0 ? -sample : sample);
        app->level_peak = magnitude > app->level_peak ? magnitude : app->level_peak;
        app->level_squares += (uint64_t)magnitude * magnitude;
    }
    app->level_samples += (uint32_t)count;
    if (app->level_samples < app->model->frontend->sample_rate_hz * LEVEL_MS / 1000u) {
        return;
    }
    message_level_t message = {
        .time_ms = audio_loop_time_ms(&app->loop),
        .peak = (uint16_t)app->level_peak,
        .rms = (uint16_t)square_root(app->level_squares / app->level_samples),
    };
    channel_send(&app->channel, MESSAGE_LEVEL, &message_layout_level, &message);
    app->level_samples = app->level_peak = 0;
    app->level_squares = 0;
}

void events_audio(application_t *app, const int16_t *samples, size_t count) {
    if ((app->streams & STREAM_AUDIO) != 0) {
        message_audio_t message = {.index = (uint32_t)(app->loop.statistics.samples - count),
                                   .samples_count = (uint16_t)count};
        memcpy(message.samples, samples, count * sizeof samples[0]); /* a chunk is less than a message holds */
        detector_apply_gain(message.samples, (uint32_t)count, app->config.volume_gain_q8);
        channel_send(&app->channel, MESSAGE_AUDIO, &message_layout_audio, &message);
    }
    /* After the samples, so that a host has them all when the level tells it that their time is over. */
    if ((app->streams & STREAM_LEVEL) != 0) {
        measure_level(app, samples, count);
    }
}
