/* The keyword spotter of one model: start, listening, the serial line, LEDs. */
#include "application.h"

#include <string.h>

#include "application_state.h"
#include "format.h"

#define DETECTED_LED_MS 750u
#define ACTIVITY_LED_MS 500u
#define SERIAL_BYTES_A_TURN 32u
#define ERROR_PREFIX "Error: " /* of a line; a reply has the reason alone */

static application_t s_app;

/* ---- LEDs that go out by themselves ---- */

static void led_flash(led_timer_t *timer, uint32_t duration_ms) {
    timer->on = true;
    timer->off_ms = hal_milliseconds() + duration_ms;
    hal_led_set(timer->led, true);
}

static void led_update(led_timer_t *timer) {
    if (timer->on && (int32_t)(hal_milliseconds() - timer->off_ms) >= 0) {
        timer->on = false;
        hal_led_set(timer->led, false);
    }
}

/* ---- Where the audio comes from ---- */

void application_stop(application_t *app) {
    hal_microphone_stop();
    app->running = false;
}

static const char *start_microphone(application_t *app) {
    hal_status_t status = hal_microphone_start(app->model->frontend->sample_rate_hz, &app->sample_rate_hz);
    if (status == HAL_OK) {
        return NULL;
    }
    const char *line = status == HAL_ERROR_SAMPLE_RATE
                           ? ERROR_PREFIX "the microphone cannot run within 1 % of the model's sample rate"
                           : ERROR_PREFIX "this board has no microphone";
    report_line(&app->report, line);
    return line + sizeof ERROR_PREFIX - 1u;
}

const char *application_listen(application_t *app, uint8_t source) {
    application_stop(app);
    audio_loop_reset(&app->loop);
    app->chunk_used = app->chunk_count = 0;
    app->injected_head = app->injected_tail = 0;
    app->overruns = 0;
    app->scored_ms = 0;
    app->level_samples = app->level_peak = 0;
    app->level_squares = 0;
    app->source = source;
    app->sample_rate_hz = app->model->frontend->sample_rate_hz;
    const char *error = source == SOURCE_MICROPHONE ? start_microphone(app) : NULL;
    app->running = source != SOURCE_NONE && error == NULL;
    return error;
}

static size_t read_injected(application_t *app, int16_t *samples, size_t count) {
    size_t taken = 0;
    while (taken < count && app->injected_tail != app->injected_head) {
        samples[taken++] = app->injected[app->injected_tail++ % INJECTED_SAMPLES];
    }
    return taken;
}

/* Samples waiting behind the present chunk. Injected ones wait for us, not we for them. */
static size_t backlog(const application_t *app) {
    return app->source == SOURCE_MICROPHONE ? hal_microphone_available() : 0;
}

static void check_microphone(application_t *app) {
    uint32_t overruns = hal_microphone_overruns();
    uint32_t lost = overruns - app->overruns;
    if (lost != 0) {
        app->overruns = overruns;
        audio_loop_lost(&app->loop, lost);
        report_overrun(&app->report, lost, audio_loop_time_ms(&app->loop));
    }
    if (hal_microphone_failed()) {
        report_line(&app->report, "Warning: capture stopped by a bus error; starting it again");
        (void)application_listen(app, SOURCE_MICROPHONE);
    }
}

/* Audio of a host waits until the line has room for all that a turn reports, so that nothing is left out: at most
 * three long events and some short ones, beside what is kept free for an answer. */
static bool line_is_full(const application_t *app) {
    return app->source == SOURCE_AUDIO && hal_uart_space() < 4u * LINK_MAX_FRAME;
}

static bool fill_chunk(application_t *app) {
    app->chunk_used = 0;
    if (app->source == SOURCE_MICROPHONE) {
        app->chunk_count = hal_microphone_read(app->chunk, CHUNK_SAMPLES);
        check_microphone(app);
    } else {
        app->chunk_count = read_injected(app, app->chunk, CHUNK_SAMPLES);
    }
    return app->chunk_count != 0;
}

/* ---- Listening ---- */

/* Activity: a score changes by more than the sensitivity for each millisecond since the inference before. */
static void show(application_t *app, const audio_loop_result_t *result) {
    uint64_t least_q8 = (uint64_t)app->sensitivity_q8 * (result->time_ms - app->scored_ms);
    bool moved = false;
    for (uint32_t i = 0; i < app->detector.class_count; i++) {
        int32_t change = result->scores[i] - app->scores[i];
        moved = moved || (uint64_t)(change < 0 ? -change : change) * 256u > least_q8;
        app->scores[i] = result->scores[i];
    }
    app->scored_ms = result->time_ms;
    if (result->detection.detected) {
        led_flash(&app->detected, DETECTED_LED_MS);
        app->activity.off_ms = hal_milliseconds(); /* one colour at a time */
    } else if (moved && !app->detected.on) {
        led_flash(&app->activity, ACTIVITY_LED_MS);
    }
}

/* Hears at most one column's worth; false if there was no audio. */
static bool listen(application_t *app) {
    audio_loop_result_t result;
    if (!app->running || line_is_full(app) || (app->chunk_used == app->chunk_count && !fill_chunk(app))) {
        return false;
    }
    const int16_t *samples = app->chunk + app->chunk_used;
    size_t taken = audio_loop_process(&app->loop, samples, app->chunk_count - app->chunk_used, backlog(app), &result);
    app->chunk_used += taken;
    events_audio(app, samples, taken);
    if (result.column != NULL) {
        events_column(app, &result);
    }
    if (result.status != AUDIO_LOOP_OK) {
        application_stop(app);
        report_accelerator_fault(&app->report, &app->nn);
        report_line(&app->report, "Error: a layer of the network failed; listening has stopped");
        model_source_failed(&app->models, &app->report);
    } else if (result.scores != NULL) {
        size_t waiting = backlog(app) + app->chunk_count - app->chunk_used;
        events_inference(app, &result, (uint32_t)waiting * 1000u / app->model->frontend->sample_rate_hz);
        show(app, &result);
        model_source_inference(&app->models, &app->report);
    }
    return true;
}

/* ---- Load and cycles of the last second ---- */

static uint32_t mean_since(audio_loop_cycles_t *before, const audio_loop_cycles_t *after) {
    uint32_t count = after->count - before->count; /* fewer than before after a reset of the loop */
    uint64_t total = after->total - before->total;
    bool counted = after->count > before->count;
    *before = *after;
    return counted ? (uint32_t)(total / count) : 0;
}

static void update_last_second(application_t *app) {
    last_second_t *last = &app->last;
    uint32_t late_ms = hal_milliseconds() - last->next_ms;
    if ((int32_t)late_ms < 0) {
        return;
    }
    uint64_t idle = hal_idle_cycles();
    uint64_t period = (uint64_t)(1000u + late_ms) * (hal_core_clock_hz() / 1000u);
    uint64_t slept = idle - last->idle;
    last->load_permille = slept < period ? (uint32_t)((period - slept) * 1000u / period) : 0;
    last->idle = idle;
    last->frontend_mean = mean_since(&last->frontend, &app->loop.statistics.frontend);
    last->network_mean = mean_since(&last->network, &app->loop.statistics.network);
    last->accelerator_mean = mean_since(&last->accelerator, &app->loop.statistics.accelerator);
    last->next_ms += 1000u + late_ms;
}

/* ---- The serial line: frames of a host, or lines typed at a terminal ---- */

static void stall(uint32_t milliseconds) {
    uint32_t start = hal_milliseconds();
    while (hal_milliseconds() - start < milliseconds) {
    }
}

static void peek(application_t *app, uint32_t address) {
    char line[48];
    format_t out;
    uint32_t value = *(const volatile uint32_t *)(uintptr_t)address; /* may fault: that is reported */
    format_init(&out, line, sizeof line);
    format_text(&out, "0x");
    format_hex(&out, address, 8);
    format_text(&out, ": 0x");
    format_hex(&out, value, 8);
    report_line(&app->report, line);
}

static void execute(application_t *app, const command_t *command) {
    switch (command->kind) {
    case COMMAND_NONE: break;
    case COMMAND_MICROPHONE:
        if (app->ready) {
            (void)application_listen(app, command->argument != 0 ? SOURCE_MICROPHONE : SOURCE_NONE);
        }
        break;
    case COMMAND_VERBOSE: app->verbose = command->argument != 0; break;
    case COMMAND_STATISTICS:
        report_statistics(&app->report, &app->loop.statistics, app->last.load_permille);
        break;
    case COMMAND_PROFILE:
        if (app->bound) {
            profile_run(app, 0, 0, app->model->plan->layer_count, command->argument);
        }
        break;
    case COMMAND_STALL: stall(command->argument); break;
    case COMMAND_PEEK: peek(app, command->argument); break;
    case COMMAND_RESET:
        hal_uart_flush();
        hal_reset();
        break;
    default: report_line(&app->report, command_help()); break;
    }
}

static void receive_line(application_t *app, const link_frame_t *text) {
    command_t command;
    for (uint32_t i = 0; i <= text->length; i++) {
        uint8_t byte = i < text->length ? text->payload[i] : '\n';
        if (command_receive(&app->line, byte, &command)) {
            execute(app, &command);
        }
    }
}

static void receive_byte(application_t *app, uint8_t byte) {
    link_frame_t frame;
    switch (link_receive(&app->channel.link, byte, &frame)) {
    case LINK_FRAME: requests_handle(app, &frame); break;
    case LINK_TEXT: receive_line(app, &frame); break;
    default: break;
    }
}

/* Takes a few bytes at a time, so that audio does not wait for a long frame. */
static bool serve_serial(application_t *app) {
    uint8_t bytes[SERIAL_BYTES_A_TURN];
    size_t count = hal_uart_read(bytes, sizeof bytes);
    for (size_t i = 0; i < count; i++) {
        receive_byte(app, bytes[i]);
    }
    return count != 0;
}

/* ---- The whole ---- */

/* Binds app->model to memory; NULL or what stands in the way. */
static const char *start_model(application_t *app) {
    static const char *const k_loop_errors[] = {
        [AUDIO_LOOP_ERROR_MEMORY] = "Error: the audio loop's memory does not fit the front end",
        [AUDIO_LOOP_ERROR_INPUT] = "Error: the network's input does not fit the front end's features",
        [AUDIO_LOOP_ERROR_OUTPUT] = "Error: the network's output does not fit the list of classes",
        [AUDIO_LOOP_ERROR_DETECTOR] = "Error: the detector's settings are out of range",
    };
    const model_t *model = app->model;
    model_memory_t memory = model_source_memory(model);
    app->bound = false;
    nn_status_t bound = nn_init(&app->nn, model->plan, model_source_kernels(), memory.arena, memory.arena_bytes,
                                hal_accelerator());
    if (bound == NN_ERROR_ACCELERATOR) {
        return "Error: the model was compiled for the MVP, which this part does not have; build it with "
               "--accelerator none";
    }
    if (bound != NN_OK) {
        return "Error: the model was compiled for another firmware or does not fit its memory";
    }
    app->bound = true;
    if (model->detector->class_count > DETECTOR_MAX_CLASSES) {
        return k_loop_errors[AUDIO_LOOP_ERROR_DETECTOR];
    }
    app->detector = *model->detector;
    memcpy(app->thresholds, model->detector->thresholds, app->detector.class_count);
    app->detector.thresholds = app->thresholds;
    app->config = (audio_loop_config_t){
        .frontend = model->frontend,
        .nn = &app->nn,
        .detector = &app->detector,
        .latency_ms = model->latency_ms,
        .volume_gain_q8 = model->volume_gain_q8,
        .cycles = hal_cycles,
    };
    audio_loop_status_t status = audio_loop_init(&app->loop, &app->config, memory.loop, memory.loop_bytes);
    app->verbose = model->verbose != 0;
    app->sensitivity_q8 = model->sensitivity_q8;
    return status == AUDIO_LOOP_OK ? NULL : k_loop_errors[status];
}

/* The first of the models there are that can run. */
static bool start_a_model(application_t *app) {
    const model_t *model;
    while ((model = model_source_next(&app->models, &app->report)) != NULL) {
        app->model = model;
        report_model(&app->report, model->name, model->plan, model->detector);
        const char *error = start_model(app);
        if (error == NULL) {
            return true;
        }
        report_line(&app->report, error);
    }
    return false;
}

void application_init(hal_status_t clocks) {
    application_t *app = &s_app;
    report_init(&app->report);
    channel_init(&app->channel, hal_boot_id());
    app->statistics_ms = 1000;
    app->last.next_ms = 1000;
    app->detected.led = HAL_LED_DETECTED;
    app->activity.led = HAL_LED_ACTIVITY;
    report_banner(&app->report, clocks);
    if (hal_last_fault() != NULL) {
        report_last_fault(&app->report, hal_last_fault());
    }
    app->source = SOURCE_NONE;
    app->ready = start_a_model(app);
    if (app->ready) {
        (void)application_listen(app, SOURCE_MICROPHONE);
        report_settings(&app->report, &app->config, app->sample_rate_hz);
    }
    requests_greet(app);
}

bool application_turn(void) {
    application_t *app = &s_app;
    bool busy = listen(app);
    busy = serve_serial(app) || busy;
    led_update(&app->detected);
    led_update(&app->activity);
    update_last_second(app);
    requests_stream_statistics(app);
    return busy;
}
