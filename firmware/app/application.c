/* See application.h. The model is what host.compile generated into this image. */
#include "application.h"

#include "audio_loop.h"
#include "commands.h"
#include "format.h"
#include "frontend_settings.h"
#include "model_parameters.h"
#include "model_plan.h"
#include "profiler.h"
#include "report.h"

#define CHUNK_SAMPLES 128u
#define DETECTED_LED_MS 750u
#define ACTIVITY_LED_MS 500u
#define ACTIVITY_CHANGE 64 /* of 255: a score that moves more than this from one inference to the next */
#define PROFILED_COLUMNS 50u

typedef struct led_timer {
    hal_led_t led;
    bool on;
    uint32_t off_ms;
} led_timer_t;

static struct {
    report_t report;
    nn_t nn;
    audio_loop_config_t config;
    audio_loop_t loop;
    command_line_t line;
    led_timer_t detected, activity;
    bool ready, listening, verbose;
    uint32_t overruns; /* as of the last look */
    int8_t scores[DETECTOR_MAX_CLASSES]; /* of the last inference */
    int16_t chunk[CHUNK_SAMPLES];
    size_t chunk_used, chunk_count;
} s_app;

static _Alignas(NN_ARENA_ALIGNMENT) uint8_t s_arena[MODEL_ARENA_BYTES];
static _Alignas(8) uint8_t
    s_loop_memory[AUDIO_LOOP_BYTES(FRONTEND_STATE_BYTES, FRONTEND_FRAMES, FRONTEND_CHANNELS, FRONTEND_DYNAMIC)];

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

/* ---- Listening ---- */

static void microphone_stop(void) {
    hal_microphone_stop();
    s_app.listening = false;
}

static void microphone_start(void) {
    uint32_t actual_hz = 0;
    microphone_stop();
    audio_loop_reset(&s_app.loop);
    s_app.chunk_used = s_app.chunk_count = 0;
    s_app.overruns = 0;
    hal_status_t status = hal_microphone_start(FRONTEND_SAMPLE_RATE_HZ, &actual_hz);
    s_app.listening = status == HAL_OK;
    if (status == HAL_ERROR_SAMPLE_RATE) {
        report_line(&s_app.report, "Error: the microphone cannot run within 1 % of the model's sample rate");
    } else if (status != HAL_OK) {
        report_line(&s_app.report, "Error: this board has no microphone");
    } else {
        report_settings(&s_app.report, &s_app.config, actual_hz);
    }
}

static void check_overruns(void) {
    uint32_t overruns = hal_microphone_overruns();
    uint32_t lost = overruns - s_app.overruns;
    if (lost != 0) {
        s_app.overruns = overruns;
        audio_loop_lost(&s_app.loop, lost);
        report_overrun(&s_app.report, lost, audio_loop_time_ms(&s_app.loop));
    }
    if (hal_microphone_failed()) {
        report_line(&s_app.report, "Warning: capture stopped by a bus error; starting it again");
        microphone_start();
    }
}

static void show_activity(const int8_t *scores) {
    for (uint32_t i = 0; i < s_app.config.detector->class_count; i++) {
        int32_t change = scores[i] - s_app.scores[i];
        if (change > ACTIVITY_CHANGE || change < -ACTIVITY_CHANGE) {
            led_flash(&s_app.activity, ACTIVITY_LED_MS);
        }
        s_app.scores[i] = scores[i];
    }
}

static void handle_inference(const audio_loop_result_t *result) {
    uint32_t classes = s_app.config.detector->class_count;
    if (s_app.verbose) {
        uint32_t waiting = (uint32_t)(hal_microphone_available() + s_app.chunk_count - s_app.chunk_used);
        report_scores(&s_app.report, result->time_ms, waiting * 1000u / FRONTEND_SAMPLE_RATE_HZ,
                      result->scores, classes);
    }
    if (result->detection.detected) {
        report_detection(&s_app.report, s_app.config.detector->labels[result->detection.class_index],
                         &result->detection);
        led_flash(&s_app.detected, DETECTED_LED_MS);
        s_app.activity.off_ms = hal_milliseconds(); /* one colour at a time */
    } else if (!s_app.detected.on) {
        show_activity(result->scores);
    }
}

/* Hears at most one column's worth; false if there was no audio. */
static bool listen(void) {
    if (!s_app.listening) {
        return false;
    }
    if (s_app.chunk_used == s_app.chunk_count) {
        s_app.chunk_used = 0;
        s_app.chunk_count = hal_microphone_read(s_app.chunk, CHUNK_SAMPLES);
        check_overruns();
        if (s_app.chunk_count == 0) {
            return false;
        }
    }
    audio_loop_result_t result;
    s_app.chunk_used += audio_loop_process(&s_app.loop, s_app.chunk + s_app.chunk_used,
                                           s_app.chunk_count - s_app.chunk_used, hal_microphone_available(),
                                           &result);
    if (result.status != AUDIO_LOOP_OK) {
        microphone_stop();
        report_line(&s_app.report, "Error: a layer of the network failed; listening has stopped");
    } else if (result.scores != NULL) {
        handle_inference(&result);
    }
    return true;
}

/* ---- Commands ---- */

static uint32_t load_permille(void) {
    uint64_t total = (uint64_t)hal_milliseconds() * (hal_core_clock_hz() / 1000u);
    uint64_t idle = hal_idle_cycles();
    return total > idle ? (uint32_t)((total - idle) * 1000u / total) : 0;
}

/* Listening stops meanwhile: its interrupts would be measured, and its audio lost. */
static void profile(uint32_t repetitions) {
    bool was_listening = s_app.listening;
    profiler_record_t record;
    nn_status_t status = NN_OK;
    microphone_stop();
    report_profile_begin(&s_app.report, model_plan.layer_count, repetitions);
    for (uint32_t i = 0; i < model_plan.layer_count && status == NN_OK; i++) {
        report_flush(&s_app.report);
        status = profiler_layer(&s_app.nn, i, repetitions, hal_cycles, &record);
        if (status == NN_OK) {
            report_profile_layer(&s_app.report, i, &model_plan.layers[i], &record);
        }
    }
    report_flush(&s_app.report);
    if (status == NN_OK) {
        status = profiler_network(&s_app.nn, repetitions, hal_cycles, &record);
    }
    if (status == NN_OK) {
        report_profile_total(&s_app.report, "Network", &record);
        report_flush(&s_app.report);
        profiler_frontend(s_app.loop.frontend, &model_frontend_config, PROFILED_COLUMNS, hal_cycles, &record);
        report_profile_total(&s_app.report, "Frontend", &record);
        report_line(&s_app.report, "Profile complete");
    } else {
        report_line(&s_app.report, "Error: a layer failed while it was profiled");
    }
    if (was_listening) {
        microphone_start();
    }
}

static void stall(uint32_t milliseconds) {
    uint32_t start = hal_milliseconds();
    while (hal_milliseconds() - start < milliseconds) {
    }
}

static void peek(uint32_t address) {
    char line[48];
    format_t out;
    uint32_t value = *(const volatile uint32_t *)(uintptr_t)address; /* may fault: that is reported */
    format_init(&out, line, sizeof line);
    format_text(&out, "0x");
    format_hex(&out, address, 8);
    format_text(&out, ": 0x");
    format_hex(&out, value, 8);
    report_line(&s_app.report, line);
}

static void execute(const command_t *command) {
    switch (command->kind) {
    case COMMAND_NONE:
        break;
    case COMMAND_MICROPHONE:
        if (command->argument != 0 && s_app.ready) {
            microphone_start();
        } else {
            microphone_stop();
        }
        break;
    case COMMAND_VERBOSE:
        s_app.verbose = command->argument != 0;
        break;
    case COMMAND_STATISTICS:
        report_statistics(&s_app.report, &s_app.loop.statistics, load_permille());
        break;
    case COMMAND_PROFILE:
        if (s_app.ready) {
            profile(command->argument);
        }
        break;
    case COMMAND_STALL:
        stall(command->argument);
        break;
    case COMMAND_PEEK:
        peek(command->argument);
        break;
    case COMMAND_RESET:
        report_flush(&s_app.report);
        hal_reset();
        break;
    default:
        report_line(&s_app.report, command_help());
        break;
    }
}

static bool serve_commands(void) {
    uint8_t byte;
    command_t command;
    if (hal_uart_read(&byte, 1) == 0) {
        return false;
    }
    if (command_receive(&s_app.line, byte, &command)) {
        execute(&command);
    }
    return true;
}

/* ---- The whole ---- */

static const char *start_model(void) {
    static const char *const k_loop_errors[] = {
        [AUDIO_LOOP_ERROR_MEMORY] = "Error: the audio loop's memory does not fit the front end",
        [AUDIO_LOOP_ERROR_INPUT] = "Error: the network's input does not fit the front end's features",
        [AUDIO_LOOP_ERROR_OUTPUT] = "Error: the network's output does not fit the list of classes",
        [AUDIO_LOOP_ERROR_DETECTOR] = "Error: the detector's settings are out of range",
    };
    if (nn_init(&s_app.nn, &model_plan, model_kernels, s_arena, sizeof s_arena, hal_accelerator()) != NN_OK) {
        return "Error: the model was compiled for another firmware or does not fit its memory";
    }
    s_app.config = (audio_loop_config_t){
        .frontend = &model_frontend_config,
        .nn = &s_app.nn,
        .detector = &model_detector_settings,
        .latency_ms = MODEL_LATENCY_MS,
        .volume_gain_q8 = MODEL_VOLUME_GAIN_Q8,
        .cycles = hal_cycles,
    };
    audio_loop_status_t status =
        audio_loop_init(&s_app.loop, &s_app.config, s_loop_memory, sizeof s_loop_memory);
    return status == AUDIO_LOOP_OK ? NULL : k_loop_errors[status];
}

bool application_init(hal_status_t clocks) {
    report_init(&s_app.report);
    s_app.verbose = MODEL_VERBOSE != 0;
    s_app.detected.led = HAL_LED_DETECTED;
    s_app.activity.led = HAL_LED_ACTIVITY;
    report_banner(&s_app.report, clocks);
    if (hal_last_fault() != NULL) {
        report_last_fault(&s_app.report, hal_last_fault());
    }
    report_model(&s_app.report, model_name, &model_plan, &model_detector_settings);
    const char *error = start_model();
    s_app.ready = error == NULL;
    if (error != NULL) {
        report_line(&s_app.report, error);
        return false;
    }
    microphone_start();
    return true;
}

bool application_turn(void) {
    bool busy = listen();
    busy = serve_commands() || busy;
    led_update(&s_app.detected);
    led_update(&s_app.activity);
    return busy;
}
