/* The host's requests: who and how are you, what to send, where the audio comes from, profile, reset. */
#include <string.h>

#include "application_state.h"

/* What an image says of itself; host.build gives the package's version. */
#ifndef TOKAY_VERSION
#define TOKAY_VERSION "development"
#endif

static void send_hello(application_t *app, uint16_t request) {
    message_hello_t hello = {
        .request = request,
        .protocol = LINK_VERSION,
        .flash_bytes = hal_flash_bytes(),
        .ram_bytes = hal_ram_bytes(),
        .image_bytes = hal_image_bytes(),
        .arena_bytes = app->model->plan->arena_bytes,
        .accelerator = app->nn.accelerator != NULL ? ACCELERATOR_MVP : ACCELERATOR_NONE,
        .core_clock_hz = hal_core_clock_hz(),
        .sample_rate_hz = app->sample_rate_hz,
        .layer_count = app->model->plan->layer_count,
        .class_count = (uint8_t)app->detector.class_count,
        .uptime_ms = hal_milliseconds(),
    };
    codec_set_text(hello.part, sizeof hello.part, hal_part_name());
    codec_set_text(hello.board, sizeof hello.board, hal_board_key());
    codec_set_text(hello.firmware, sizeof hello.firmware, TOKAY_VERSION);
    codec_set_text(hello.model, sizeof hello.model, app->model->name);
    memcpy(hello.model_hash, app->model->plan->model_hash, sizeof hello.model_hash);
    channel_send(&app->channel, MESSAGE_HELLO, &message_layout_hello, &hello);
}

static void send_statistics(application_t *app, uint16_t request) {
    const audio_loop_statistics_t *statistics = &app->loop.statistics;
    const link_counters_t *counters = &app->channel.link.counters;
    message_statistics_t message = {
        .request = request,
        .uptime_ms = hal_milliseconds(),
        .audio_samples = statistics->samples,
        .overruns = statistics->lost_samples,
        .inferences = statistics->inferences,
        .late_inferences = statistics->skipped,
        .frontend_cycles = app->last.frontend_mean,
        .frontend_cycles_max = statistics->frontend.maximum,
        .network_cycles = app->last.network_mean,
        .network_cycles_max = statistics->network.maximum,
        .accelerator_cycles = app->last.accelerator_mean,
        .cpu_load_permille = (uint16_t)app->last.load_permille,
        .stack_bytes = hal_stack_high_water(),
        .stack_size = hal_stack_bytes(),
        .frames_sent = counters->sent,
        .frames_dropped = counters->dropped,
        .frames_received = counters->received,
        .frames_lost = counters->lost,
        .frames_corrupt = counters->corrupt + counters->oversize,
    };
    channel_send(&app->channel, MESSAGE_STATISTICS, &message_layout_statistics, &message);
}

static uint8_t fault_kind(const hal_fault_t *fault) {
    static const uint8_t k_kinds[] = {
        [3] = FAULT_KIND_HARD, [4] = FAULT_KIND_MEMORY, [5] = FAULT_KIND_BUS,
        [6] = FAULT_KIND_USAGE, [7] = FAULT_KIND_SECURE,
    };
    if ((fault->cfsr & HAL_FAULT_STACK_OVERFLOW) != 0) {
        return FAULT_KIND_STACK;
    }
    return fault->exception >= 3 && fault->exception <= 7 ? k_kinds[fault->exception] : FAULT_KIND_HARD;
}

static void send_fault(application_t *app, uint16_t request) {
    const hal_fault_t *fault = hal_last_fault();
    message_fault_t message = {.request = request, .kind = FAULT_KIND_NONE};
    if (fault != NULL) {
        message.kind = fault_kind(fault);
        message.uptime_ms = fault->uptime_ms;
        message.pc = fault->pc;
        message.lr = fault->lr;
        message.sp = fault->sp;
        message.xpsr = fault->xpsr;
        message.cfsr = fault->cfsr;
        message.hfsr = fault->hfsr;
        message.mmfar = fault->mmfar;
        message.bfar = fault->bfar;
        message.detail = fault->exception;
    }
    channel_send(&app->channel, MESSAGE_FAULT, &message_layout_fault, &message);
}

void requests_greet(application_t *app) {
    send_hello(app, 0);
    if (hal_last_fault() != NULL) {
        send_fault(app, 0);
    }
}

void requests_stream_statistics(application_t *app) {
    if ((app->streams & STREAM_STATISTICS) != 0 && (int32_t)(hal_milliseconds() - app->next_statistics_ms) >= 0) {
        app->next_statistics_ms = hal_milliseconds() + app->statistics_ms;
        send_statistics(app, 0);
    }
}

/* ---- Requests with fields: false if the payload is not what it should be ---- */

static bool set_streams(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_stream_set_t message;
    if (!message_decode_stream_set(frame->payload, frame->length, &message)) {
        return false;
    }
    app->streams = message.events;
    app->report.framed = (message.events & STREAM_LOG) != 0 ? &app->channel : NULL;
    if (message.interval_ms != 0) {
        app->statistics_ms = message.interval_ms;
    }
    app->next_statistics_ms = hal_milliseconds();
    channel_acknowledge(&app->channel, request, RESULT_OK, NULL);
    return true;
}

static bool set_source(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_source_set_t message;
    if (!message_decode_source_set(frame->payload, frame->length, &message)) {
        return false;
    }
    uint8_t result = RESULT_OK;
    const char *reason = NULL;
    if (message.source > SOURCE_NONE) {
        result = RESULT_BAD_VALUE;
        reason = "there is no such source";
    } else if (app->ready) {
        reason = application_listen(app, message.source);
    } else if (message.source != SOURCE_NONE) { /* nothing listens: it is none */
        reason = "the audio loop did not start";
    } else if (app->bound) {
        nn_reset(&app->nn);
    }
    if (reason != NULL && result == RESULT_OK) {
        result = RESULT_FAILED;
    }
    if (result == RESULT_OK) { /* else tried again, so that its reason is told again */
        link_request_done(&app->channel.link, request, result);
    }
    channel_acknowledge(&app->channel, request, result, reason);
    return true;
}

static uint8_t inject(application_t *app, const message_inject_audio_t *message) {
    uint32_t count = message->samples_count;
    uint32_t ahead = message->index - app->injected_head;
    if (app->source != SOURCE_AUDIO) {
        return RESULT_BAD_VALUE;
    }
    if (ahead != 0) {
        /* All taken before, or samples between are missing. */
        return 0u - ahead >= count && 0u - ahead < (1u << 31) ? RESULT_OK : RESULT_BAD_VALUE;
    }
    if (INJECTED_SAMPLES - (app->injected_head - app->injected_tail) < count) {
        return RESULT_BUSY;
    }
    for (uint32_t i = 0; i < count; i++) {
        app->injected[app->injected_head++ % INJECTED_SAMPLES] = message->samples[i];
    }
    return RESULT_OK;
}

static bool inject_audio(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_inject_audio_t message;
    if (!message_decode_inject_audio(frame->payload, frame->length, &message)) {
        return false;
    }
    uint8_t result = inject(app, &message);
    channel_acknowledge(&app->channel, request, result,
                        result == RESULT_BAD_VALUE ? "the source is not audio, or samples are missing" : NULL);
    return true;
}

static bool run_profile(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_profile_run_t message;
    if (!message_decode_profile_run(frame->payload, frame->length, &message)) {
        return false;
    }
    uint32_t layers = app->model->plan->layer_count;
    uint32_t count = message.count != 0 ? message.count : layers - (message.first < layers ? message.first : 0u);
    if (message.first >= layers || count > layers - message.first || message.repetitions == 0 ||
        message.repetitions > PROFILER_MAX_REPETITIONS || !app->bound) {
        channel_acknowledge(&app->channel, request, RESULT_BAD_VALUE, "first, count or repetitions");
        return true;
    }
    link_request_done(&app->channel.link, request, RESULT_OK);
    profile_run(app, request, message.first, count, message.repetitions);
    return true;
}

static bool get_fault(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_fault_get_t message;
    if (!message_decode_fault_get(frame->payload, frame->length, &message)) {
        return false;
    }
    send_fault(app, request);
    if (message.clear) {
        hal_clear_fault();
    }
    return true;
}

static bool reset(application_t *app, const link_frame_t *frame, uint16_t request) {
    message_reset_t message;
    if (!message_decode_reset(frame->payload, frame->length, &message)) {
        return false;
    }
    if (message.kind != RESET_KIND_APPLICATION) {
        channel_acknowledge(&app->channel, request, RESULT_UNSUPPORTED, "there is no bootloader");
        return true;
    }
    channel_acknowledge(&app->channel, request, RESULT_OK, NULL);
    hal_uart_flush();
    hal_reset();
    return true;
}

static bool is_executed_once(uint8_t type) {
    return type == MESSAGE_SOURCE_SET || type == MESSAGE_RUN_NETWORK || type == MESSAGE_RUN_LAYER ||
           type == MESSAGE_PROFILE_RUN;
}

void requests_handle(application_t *app, const link_frame_t *frame) {
    uint8_t code;
    bool understood = true;
    if (frame->length < 2) {
        channel_acknowledge(&app->channel, 0, RESULT_BAD_PAYLOAD, NULL);
        return;
    }
    uint16_t request = (uint16_t)(frame->payload[0] | frame->payload[1] << 8);
    if (is_executed_once(frame->type) && link_request_repeated(&app->channel.link, request, &code)) {
        channel_acknowledge(&app->channel, request, code, NULL);
        return;
    }
    switch (frame->type) {
    case MESSAGE_HELLO_GET: send_hello(app, request); break;
    case MESSAGE_STATISTICS_GET: send_statistics(app, request); break;
    case MESSAGE_STREAM_SET: understood = set_streams(app, frame, request); break;
    case MESSAGE_PARAMETER_GET:
    case MESSAGE_PARAMETER_SET: understood = parameter_request_handle(app, frame, request); break;
    case MESSAGE_SOURCE_SET: understood = set_source(app, frame, request); break;
    case MESSAGE_INJECT_AUDIO: understood = inject_audio(app, frame, request); break;
    case MESSAGE_INJECT_FEATURES:
    case MESSAGE_RUN_NETWORK:
    case MESSAGE_RUN_LAYER:
    case MESSAGE_TENSOR_READ:
    case MESSAGE_TENSOR_WRITE: understood = memory_request_handle(app, frame, request); break;
    case MESSAGE_PROFILE_RUN: understood = run_profile(app, frame, request); break;
    case MESSAGE_FAULT_GET: understood = get_fault(app, frame, request); break;
    case MESSAGE_RESET: understood = reset(app, frame, request); break;
    default: channel_acknowledge(&app->channel, request, RESULT_UNKNOWN_REQUEST, NULL); break;
    }
    if (!understood) {
        channel_acknowledge(&app->channel, request, RESULT_BAD_PAYLOAD, NULL);
    }
}
