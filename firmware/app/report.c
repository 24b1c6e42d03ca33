/* See report.h. */
#include "report.h"

#include "format.h"
#include "kernel_names.h"
#include "nn_mvp.h"

#define LINE_BYTES 200u

/* Queues what fits whole, and leaves an answer its room: more lines than the line carries shut no host out. */
static bool queue(const char *text, size_t length) {
    return hal_uart_space() >= length + LINK_MAX_FRAME && hal_uart_write((const uint8_t *)text, length) == length;
}

static void say_dropped(report_t *report) {
    char line[48];
    format_t out;
    format_init(&out, line, sizeof line);
    format_text(&out, "Warning: ");
    format_unsigned(&out, report->dropped_lines, 0);
    format_text(&out, " lines not sent\n");
    if (queue(line, out.length)) {
        report->dropped_lines = 0;
    }
}

static bool begins_with(const char *text, const char *word) {
    while (*word != '\0' && *text == *word) {
        text++;
        word++;
    }
    return *word == '\0';
}

static void send_framed(channel_t *channel, const char *text) {
    message_log_t message = {.time_ms = hal_milliseconds(), .level = LOG_LEVEL_INFO};
    if (begins_with(text, "Warning")) {
        message.level = LOG_LEVEL_WARNING;
    } else if (begins_with(text, "Error")) {
        message.level = LOG_LEVEL_ERROR;
    }
    codec_set_text(message.text, sizeof message.text, text);
    channel_send(channel, MESSAGE_LOG, &message_layout_log, &message);
}

static void send(report_t *report, format_t *out) {
    if (report->framed != NULL) {
        send_framed(report->framed, out->text);
        return;
    }
    if (out->length + 1u >= out->capacity) {
        out->length = out->capacity - 2u; /* cut off, but with its end */
    }
    format_char(out, '\n');
    if (report->dropped_lines != 0) {
        say_dropped(report);
    }
    if (report->dropped_lines != 0 || !queue(out->text, out->length)) {
        report->dropped_lines++;
    }
}

static void named(format_t *out, const char *name, uint32_t value) {
    format_text(out, name);
    format_unsigned(out, value, 0);
}

void report_init(report_t *report) {
    report->dropped_lines = 0;
    report->framed = NULL;
}

void report_line(report_t *report, const char *text) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    format_text(&out, text);
    send(report, &out);
}

void report_banner(report_t *report, hal_status_t clocks) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    format_text(&out, "Tokay on ");
    format_text(&out, hal_board_name());
    format_text(&out, " (");
    format_text(&out, hal_part_name());
    named(&out, "), ", hal_core_clock_hz() / 1000000u);
    format_text(&out, " MHz");
    send(report, &out);
    if (clocks != HAL_OK) {
        report_line(report, "Warning: the crystal or the PLL did not start; running from the internal oscillator");
    }
}

void report_last_fault(report_t *report, const hal_fault_t *fault) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    named(&out, "Warning: restarted after a fault at ", fault->uptime_ms);
    format_text(&out, " ms, exception=0x");
    format_hex(&out, fault->exception, 8);
    format_text(&out, " pc=0x");
    format_hex(&out, fault->pc, 8);
    format_text(&out, " CFSR=0x");
    format_hex(&out, fault->cfsr, 8);
    send(report, &out);
}

void report_model(report_t *report, const char *name, const nn_plan_t *plan, const detector_settings_t *classes) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    format_text(&out, "Model: ");
    format_text(&out, name);
    format_text(&out, ", hash ");
    for (uint32_t i = 0; i < 4; i++) {
        format_hex(&out, plan->model_hash[i], 2);
    }
    named(&out, ", layers ", plan->layer_count);
    named(&out, ", arena ", plan->arena_bytes);
    format_text(&out, " bytes, classes:");
    for (uint32_t i = 0; i < classes->class_count; i++) {
        format_char(&out, ' ');
        format_text(&out, classes->labels[i]);
    }
    send(report, &out);
}

void report_settings(report_t *report, const audio_loop_config_t *config, uint32_t actual_rate_hz) {
    const detector_settings_t *detector = config->detector;
    char line[LINE_BYTES];
    format_t out;
    report_line(report, "Application settings:");
    format_init(&out, line, sizeof line);
    named(&out, "  average_window_duration_ms=", detector->average_window_ms);
    named(&out, " suppression_ms=", detector->suppression_ms);
    named(&out, " minimum_count=", detector->minimum_count);
    named(&out, " latency_ms=", config->latency_ms);
    send(report, &out);
    format_init(&out, line, sizeof line);
    named(&out, "  volume_gain=", config->volume_gain_q8);
    named(&out, "/256 sample_rate_hz=", actual_rate_hz);
    format_text(&out, " detection_threshold=");
    for (uint32_t i = 0; i < detector->class_count; i++) {
        named(&out, i == 0 ? "" : ",", detector->thresholds[i]);
    }
    send(report, &out);
}

void report_scores(report_t *report, uint32_t time_ms, uint32_t age_ms, const int8_t *scores, uint32_t count) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    format_char(&out, '[');
    format_unsigned(&out, time_ms, 6);
    format_text(&out, "] (");
    format_unsigned(&out, age_ms, 3);
    format_char(&out, ')');
    for (uint32_t i = 0; i < count; i++) {
        format_char(&out, ' ');
        format_signed(&out, scores[i] + 128, 3);
    }
    send(report, &out);
}

void report_detection(report_t *report, const char *label, const detector_result_t *detection) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    format_text(&out, "Detected class=");
    format_signed(&out, detection->class_index, 0);
    format_text(&out, " label=");
    format_text(&out, label);
    named(&out, " score=", detection->score);
    named(&out, " @", detection->time_ms);
    format_text(&out, "ms");
    send(report, &out);
}

void report_overrun(report_t *report, uint32_t lost, uint32_t time_ms) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    named(&out, "Warning: ", lost);
    named(&out, " samples of audio lost @", time_ms);
    format_text(&out, "ms");
    send(report, &out);
}

static void mean_and_maximum(format_t *out, const char *name, const audio_loop_cycles_t *cycles) {
    format_text(out, name);
    format_unsigned(out, cycles->count != 0 ? (uint32_t)(cycles->total / cycles->count) : 0, 0);
    named(out, "/", cycles->maximum);
}

void report_statistics(report_t *report, const audio_loop_statistics_t *statistics, uint32_t load_permille) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    named(&out, "Statistics: uptime_ms=", hal_milliseconds());
    named(&out, " samples=", (uint32_t)statistics->samples);
    named(&out, " overruns=", statistics->lost_samples);
    named(&out, " columns=", statistics->columns);
    named(&out, " inferences=", statistics->inferences);
    named(&out, " skipped=", statistics->skipped);
    send(report, &out);
    format_init(&out, line, sizeof line);
    mean_and_maximum(&out, "Cycles (mean/most): frontend=", &statistics->frontend);
    mean_and_maximum(&out, " network=", &statistics->network);
    mean_and_maximum(&out, " detector=", &statistics->detector);
    named(&out, " load=", load_permille);
    named(&out, "/1000 stack=", hal_stack_high_water());
    named(&out, "/", hal_stack_bytes());
    send(report, &out);
}

/* ---- The accelerator's last fault ---- */

/* Flags of the MVP's IF. */
static const struct {
    uint32_t flag;
    const char *text;
} k_faults[] = {
    {1u << 24, "loop fault"},      {1u << 25, "bus error"},   {1u << 26, "misaligned access"},
    {1u << 27, "ALU fault"},       {1u << 28, "array fault"},
};

/* Fields of its FAULTSTATUS. */
#define FAULT_INSTRUCTION(status) ((status) & 7u)
#define FAULT_ARRAY(status) ((status) >> 8 & 7u)
#define FAULT_BUS(status) ((status) >> 12 & 3u)

static const char *const k_buses[] = {"", ", load stream 0", ", load stream 1", ", store stream"};

void report_accelerator_fault(report_t *report, const nn_t *nn) {
    const nn_mvp_t *mvp = nn->accelerator;
    char line[LINE_BYTES];
    format_t out;
    if (mvp == NULL) {
        return;
    }
    const nn_mvp_fault_t *fault = &mvp->fault;
    format_init(&out, line, sizeof line);
    named(&out, "Error: accelerator, layer ", fault->layer);
    named(&out, " program ", fault->program);
    format_text(&out, ":");
    for (uint32_t i = 0; i < sizeof k_faults / sizeof k_faults[0]; i++) {
        if ((fault->flags & k_faults[i].flag) != 0) {
            format_char(&out, ' ');
            format_text(&out, k_faults[i].text);
        }
    }
    if (fault->flags == 0) {
        format_text(&out, " did not end");
    }
    named(&out, " at instruction ", FAULT_INSTRUCTION(fault->status));
    named(&out, ", array ", FAULT_ARRAY(fault->status));
    format_text(&out, k_buses[FAULT_BUS(fault->status)]);
    format_text(&out, ", address 0x");
    format_hex(&out, fault->address, 8);
    send(report, &out);
}

/* ---- Profile ---- */

static void cycles_of(format_t *out, const profiler_record_t *record) {
    named(out, " cpu_cycles=", record->mean);
    named(out, " least=", record->minimum);
    named(out, " most=", record->maximum);
    named(out, " runs=", record->repetitions);
    if (record->disturbances != 0) {
        named(out, " disturbed=", record->disturbances);
    }
}

void report_profile_begin(report_t *report, uint32_t layers, uint32_t repetitions) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    named(&out, "Profile: layers=", layers);
    named(&out, " runs=", repetitions);
    named(&out, " clock_hz=", hal_core_clock_hz());
    send(report, &out);
}

void report_profile_layer(report_t *report, uint32_t index, const nn_layer_t *layer,
                          const profiler_record_t *record) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    named(&out, "Layer ", index);
    named(&out, ": opcode=", layer->opcode);
    format_text(&out, " kernel=");
    format_text(&out, kernel_names[layer->kernel]);
    cycles_of(&out, record);
    if (record->programs != 0) {
        named(&out, " programs=", record->programs);
        named(&out, " accelerator_cycles=", record->accelerator_cycles);
        named(&out, " stalls=", record->stall_cycles);
        named(&out, " waited=", record->wait_cycles);
    }
    send(report, &out);
}

void report_profile_total(report_t *report, const char *what, const profiler_record_t *record) {
    char line[LINE_BYTES];
    format_t out;
    format_init(&out, line, sizeof line);
    format_text(&out, what);
    format_char(&out, ':');
    cycles_of(&out, record);
    send(report, &out);
}
