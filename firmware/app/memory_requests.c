/* Requests that look into the network's memory: inject features, run it whole or by layer, read and write
 * tensors. Only while the audio loop is idle, except reading constants. All but a run as a whole, whose scores need
 * classes, also of a network that no front end feeds. */
#include <string.h>

#include "application_state.h"

static bool is_idle(application_t *app, uint16_t request) {
    const char *kept_by = !app->bound                  ? "the network did not start"
                          : app->source != SOURCE_NONE ? "set the source to none first"
                                                       : NULL;
    if (kept_by != NULL) {
        channel_acknowledge(&app->channel, request, RESULT_BAD_VALUE, kept_by);
    }
    return kept_by == NULL;
}

/* Whether [offset, offset + count) lies in the tensor. */
static bool within(const nn_tensor_t *tensor, uint32_t offset, uint32_t count) {
    return offset <= tensor->bytes && count <= tensor->bytes - offset;
}

static void write_piece(application_t *app, uint16_t request, uint32_t number, uint32_t offset, const void *data,
                        uint32_t count) {
    const nn_plan_t *plan = app->model->plan;
    const nn_tensor_t *tensor = number < plan->tensor_count ? &plan->tensors[number] : NULL;
    if (tensor == NULL) {
        channel_acknowledge(&app->channel, request, RESULT_NOT_FOUND, "tensor");
    } else if (tensor->constant != NULL || !within(tensor, offset, count)) {
        channel_acknowledge(&app->channel, request, RESULT_BAD_VALUE, "offset, or a constant");
    } else {
        memcpy((uint8_t *)nn_tensor_data(plan, app->nn.arena, number) + offset, data, count);
        channel_acknowledge(&app->channel, request, RESULT_OK, NULL);
    }
}

static bool inject_features(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_inject_features_t message;
    if (!message_decode_inject_features(frame->payload, frame->length, &message)) {
        return false;
    }
    if (is_idle(app, request)) {
        write_piece(app, request, app->model->plan->input, message.offset, message.values, message.values_count);
    }
    return true;
}

static bool write_tensor(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_tensor_write_t message;
    if (!message_decode_tensor_write(frame->payload, frame->length, &message)) {
        return false;
    }
    if (is_idle(app, request)) {
        write_piece(app, request, message.tensor, message.offset, message.data, message.data_count);
    }
    return true;
}

static bool read_tensor(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_tensor_read_t message;
    message_tensor_data_t answer;
    if (!message_decode_tensor_read(frame->payload, frame->length, &message)) {
        return false;
    }
    const nn_plan_t *plan = app->model->plan;
    if (message.tensor >= plan->tensor_count) {
        channel_acknowledge(&app->channel, request, RESULT_NOT_FOUND, "tensor");
        return true;
    }
    const nn_tensor_t *tensor = &plan->tensors[message.tensor];
    if (tensor->constant == NULL && !is_idle(app, request)) {
        return true;
    }
    if (message.offset > tensor->bytes || message.count > sizeof answer.data) {
        channel_acknowledge(&app->channel, request, RESULT_BAD_VALUE, "offset or count");
        return true;
    }
    uint32_t left = tensor->bytes - message.offset;
    answer = (message_tensor_data_t){.request = request, .tensor = message.tensor, .offset = message.offset};
    answer.total = tensor->bytes;
    answer.data_count = (uint16_t)(message.count < left ? message.count : left);
    const uint8_t *data = nn_tensor_data(plan, app->nn.arena, message.tensor);
    memcpy(answer.data, data + message.offset, answer.data_count);
    channel_send(&app->channel, MESSAGE_TENSOR_DATA, &message_layout_tensor_data, &answer);
    return true;
}

static void run_network(application_t *app, uint16_t request) {
    if (!is_idle(app, request)) {
        return;
    }
    if (!app->ready) { /* and so has no list of classes */
        channel_acknowledge(&app->channel, request, RESULT_UNSUPPORTED, "the network gives no scores");
        return;
    }
    bool ran = nn_run(&app->nn) == NN_OK;
    link_request_done(&app->channel.link, request, ran ? RESULT_OK : RESULT_FAILED);
    if (!ran) {
        channel_acknowledge(&app->channel, request, RESULT_FAILED, "a layer failed");
        return;
    }
    message_scores_t answer = {.request = request, .values_count = (uint16_t)app->detector.class_count};
    const int8_t *output = nn_output(&app->nn);
    for (uint32_t i = 0; i < app->detector.class_count; i++) {
        answer.values[i] = (uint8_t)(output[i] + 128);
    }
    channel_send(&app->channel, MESSAGE_SCORES, &message_layout_scores, &answer);
}

static bool run_layer(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_run_layer_t message;
    if (!message_decode_run_layer(frame->payload, frame->length, &message)) {
        return false;
    }
    if (!is_idle(app, request)) {
        return true;
    }
    uint8_t result = RESULT_NOT_FOUND;
    if (message.layer < app->model->plan->layer_count) {
        result = nn_run_layer(&app->nn, message.layer) == NN_OK ? RESULT_OK : RESULT_FAILED;
        link_request_done(&app->channel.link, request, result);
    }
    channel_acknowledge(&app->channel, request, result, result == RESULT_OK ? NULL : "layer");
    return true;
}

bool memory_request_handle(application_t *app, const link_frame_t *frame, uint16_t request) {
    switch (frame->type) {
    case MESSAGE_INJECT_FEATURES: return inject_features(app, frame, request);
    case MESSAGE_TENSOR_WRITE: return write_tensor(app, frame, request);
    case MESSAGE_TENSOR_READ: return read_tensor(app, frame, request);
    case MESSAGE_RUN_LAYER: return run_layer(app, frame, request);
    default: run_network(app, request); return true;
    }
}
