/* The parameters that a host may read and change while the device runs, by their names in the model. */
#include <string.h>

#include "application_state.h"

typedef enum {
    PARAMETER_AVERAGE,
    PARAMETER_THRESHOLDS,
    PARAMETER_SUPPRESSION,
    PARAMETER_MINIMUM_COUNT,
    PARAMETER_LATENCY,
    PARAMETER_VOLUME_GAIN,
    PARAMETER_VERBOSE,
    PARAMETER_SENSITIVITY,
    PARAMETER_COUNT,
} parameter_t;

#define LONGEST_MS 1000000 /* far beyond any use, and a period of it in samples stays in 32 bits */
#define LARGEST_REAL 256   /* of what is kept in 1/256 */

static const struct {
    const char *name;
    uint8_t kind;
    int32_t maximum;
} k_parameters[PARAMETER_COUNT] = {
    [PARAMETER_AVERAGE] = {"average_window_duration_ms", PARAMETER_KIND_INTEGER, LONGEST_MS},
    [PARAMETER_THRESHOLDS] = {"detection_threshold_list", PARAMETER_KIND_INTEGERS, 255},
    [PARAMETER_SUPPRESSION] = {"suppression_ms", PARAMETER_KIND_INTEGER, LONGEST_MS},
    [PARAMETER_MINIMUM_COUNT] = {"minimum_count", PARAMETER_KIND_INTEGER, DETECTOR_MAX_SAMPLES},
    [PARAMETER_LATENCY] = {"latency_ms", PARAMETER_KIND_INTEGER, LONGEST_MS},
    [PARAMETER_VOLUME_GAIN] = {"volume_gain", PARAMETER_KIND_REAL, LARGEST_REAL},
    [PARAMETER_VERBOSE] = {"verbose_model_output_logs", PARAMETER_KIND_BOOLEAN, 1},
    [PARAMETER_SENSITIVITY] = {"sensitivity", PARAMETER_KIND_REAL, LARGEST_REAL},
};

static uint32_t *integer_of(application_t *app, parameter_t which) {
    switch (which) {
    case PARAMETER_AVERAGE: return &app->detector.average_window_ms;
    case PARAMETER_SUPPRESSION: return &app->detector.suppression_ms;
    case PARAMETER_MINIMUM_COUNT: return &app->detector.minimum_count;
    default: return &app->config.latency_ms;
    }
}

/* Reals are kept in 1/256. */
static uint32_t *real_of(application_t *app, parameter_t which) {
    return which == PARAMETER_SENSITIVITY ? &app->sensitivity_q8 : &app->config.volume_gain_q8;
}

static void send_parameter(application_t *app, uint16_t request, parameter_t which) {
    message_parameter_t message = {
        .request = request,
        .index = (uint16_t)which,
        .count = PARAMETER_COUNT,
        .kind = k_parameters[which].kind,
        .writable = true,
        .integers_count = 1,
    };
    codec_set_text(message.name, sizeof message.name, k_parameters[which].name);
    if (which == PARAMETER_THRESHOLDS) {
        message.integers_count = (uint16_t)app->detector.class_count;
        for (uint32_t i = 0; i < app->detector.class_count; i++) {
            message.integers[i] = app->thresholds[i];
        }
    } else if (k_parameters[which].kind == PARAMETER_KIND_REAL) {
        message.integers_count = 0;
        message.real = (float)*real_of(app, which) / 256.0f;
    } else if (which == PARAMETER_VERBOSE) {
        message.integers[0] = app->verbose ? 1 : 0;
    } else {
        message.integers[0] = (int32_t)*integer_of(app, which);
    }
    channel_send(&app->channel, MESSAGE_PARAMETER, &message_layout_parameter, &message);
}

static uint32_t find(const char *name) {
    uint32_t i = 0;
    while (i < PARAMETER_COUNT && strcmp(name, k_parameters[i].name) != 0) {
        i++;
    }
    return i;
}

/* A real parameter may be set by an integer. */
static bool set_real(application_t *app, parameter_t which, const message_parameter_set_t *message) {
    float value = message->kind == PARAMETER_KIND_REAL ? message->real : (float)message->integers[0];
    bool has_value = message->kind == PARAMETER_KIND_REAL ||
                     (message->kind == PARAMETER_KIND_INTEGER && message->integers_count == 1);
    if (!has_value || !(value >= 0.0f && value <= (float)k_parameters[which].maximum)) {
        return false;
    }
    uint32_t value_q8 = (uint32_t)(value * 256.0f + 0.5f);
    if (which == PARAMETER_VOLUME_GAIN && value_q8 == 0) {
        value_q8 = value > 0.0f ? 1u : 256u; /* the least gain, or as it comes */
    }
    *real_of(app, which) = value_q8;
    return true;
}

static bool set_value(application_t *app, parameter_t which, const message_parameter_set_t *message) {
    if (k_parameters[which].kind == PARAMETER_KIND_REAL) {
        return set_real(app, which, message);
    }
    uint32_t wanted = which == PARAMETER_THRESHOLDS ? app->detector.class_count : 1u;
    if (message->kind != k_parameters[which].kind || message->integers_count != wanted) {
        return false;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        if (message->integers[i] < 0 || message->integers[i] > k_parameters[which].maximum) {
            return false;
        }
    }
    if (which == PARAMETER_THRESHOLDS) {
        for (uint32_t i = 0; i < wanted; i++) {
            app->thresholds[i] = (uint8_t)message->integers[i];
        }
    } else if (which == PARAMETER_VERBOSE) {
        app->verbose = message->integers[0] != 0;
    } else {
        *integer_of(app, which) = (uint32_t)message->integers[0];
    }
    return true;
}

static bool get(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_parameter_get_t message;
    if (!message_decode_parameter_get(frame->payload, frame->length, &message)) {
        return false;
    }
    uint32_t which = message.name[0] != '\0' ? find(message.name) : message.index;
    if (which < PARAMETER_COUNT) {
        send_parameter(app, request, (parameter_t)which);
    } else {
        channel_acknowledge(&app->channel, request, RESULT_NOT_FOUND, "parameter");
    }
    return true;
}

static bool set(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_parameter_set_t message;
    if (!message_decode_parameter_set(frame->payload, frame->length, &message)) {
        return false;
    }
    uint32_t which = find(message.name);
    if (which >= PARAMETER_COUNT) {
        channel_acknowledge(&app->channel, request, RESULT_NOT_FOUND, "parameter");
    } else if (set_value(app, (parameter_t)which, &message)) {
        send_parameter(app, request, (parameter_t)which);
    } else {
        channel_acknowledge(&app->channel, request, RESULT_BAD_VALUE, "kind, count or range");
    }
    return true;
}

bool parameter_request_handle(application_t *app, const link_frame_t *frame, uint16_t request) {
    return frame->type == MESSAGE_PARAMETER_GET ? get(app, frame, request) : set(app, frame, request);
}
