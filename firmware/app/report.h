/* Everything the application says to the host goes through here: readable lines, as a plain terminal
 * shows them. A line is queued whole or not at all; nothing waits. */
#ifndef TOKAY_REPORT_H
#define TOKAY_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "audio_loop.h"
#include "channel.h"
#include "detector.h"
#include "hal.h"
#include "nn.h"
#include "profiler.h"

typedef struct report {
    uint32_t dropped_lines; /* since the last one that went out */
    channel_t *framed;      /* where lines go as log messages instead of text; NULL: as text */
} report_t;

void report_init(report_t *report);

/* A line of free text; the line end is added. */
void report_line(report_t *report, const char *text);

/* What runs where, at start. */
void report_banner(report_t *report, hal_status_t clocks);
/* What stopped the firmware before this start. */
void report_last_fault(report_t *report, const hal_fault_t *fault);
void report_model(report_t *report, const char *name, const nn_plan_t *plan, const detector_settings_t *classes);
void report_settings(report_t *report, const audio_loop_config_t *config, uint32_t actual_rate_hz);

/* What the loop finds. `age_ms`: how much audio has come in since the classified window's end. */
void report_scores(report_t *report, uint32_t time_ms, uint32_t age_ms, const int8_t *scores, uint32_t count);
void report_detection(report_t *report, const char *label, const detector_result_t *detection);
void report_overrun(report_t *report, uint32_t lost, uint32_t time_ms);
void report_statistics(report_t *report, const audio_loop_statistics_t *statistics, uint32_t load_permille);

/* What the accelerator's last failed program ran into; nothing without one. */
void report_accelerator_fault(report_t *report, const nn_t *nn);

/* A profile: a line a layer, then the whole network and the front end. */
void report_profile_begin(report_t *report, uint32_t layers, uint32_t repetitions);
void report_profile_layer(report_t *report, uint32_t index, const nn_layer_t *layer,
                          const profiler_record_t *record);
void report_profile_total(report_t *report, const char *what, const profiler_record_t *record);

#endif
