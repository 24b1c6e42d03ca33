/* What the application's files share: its state, and what they do for each other. */
#ifndef TOKAY_APPLICATION_STATE_H
#define TOKAY_APPLICATION_STATE_H

#include "audio_loop.h"
#include "channel.h"
#include "commands.h"
#include "hal.h"
#include "model_source.h"
#include "report.h"

#define CHUNK_SAMPLES 128u
#define INJECTED_SAMPLES 1024u /* a power of two: the indices run freely */

typedef struct led_timer {
    hal_led_t led;
    bool on;
    uint32_t off_ms;
} led_timer_t;

/* Cycles of the last whole second, from differences of the running totals. */
typedef struct last_second {
    uint32_t next_ms;
    uint64_t idle;
    audio_loop_cycles_t frontend, network, accelerator; /* totals at its end */
    uint32_t frontend_mean, network_mean, accelerator_mean, load_permille;
} last_second_t;

typedef struct application {
    report_t report;
    channel_t channel;
    command_line_t line;
    model_source_t models;
    const model_t *model; /* that runs, or did not start */
    nn_t nn;
    audio_loop_config_t config;
    audio_loop_t loop;
    detector_settings_t detector; /* the model's, changeable while running */
    uint8_t thresholds[DETECTOR_MAX_CLASSES];
    led_timer_t detected, activity;
    bool bound;   /* the network can run */
    bool ready;   /* and the audio loop around it */
    bool running; /* the source gives audio */
    bool verbose;
    uint8_t source;   /* SOURCE_... of messages.h */
    uint16_t streams; /* STREAM_... of messages.h */
    uint16_t statistics_ms;
    uint32_t next_statistics_ms;
    uint32_t sample_rate_hz;             /* as it really is */
    uint32_t overruns;                   /* as of the last look */
    int8_t scores[DETECTOR_MAX_CLASSES]; /* of the last inference */
    uint32_t scored_ms;                  /* its time */
    uint32_t sensitivity_q8;             /* of the activity LED */
    uint32_t level_samples, level_peak;  /* since the last level event */
    uint64_t level_squares;
    last_second_t last;
    int16_t chunk[CHUNK_SAMPLES];
    size_t chunk_used, chunk_count;
    int16_t injected[INJECTED_SAMPLES];
    uint32_t injected_head, injected_tail;
} application_t;

/* application.c: starts listening to a source from silence, or stops. NULL, or why the source gives none. */
const char *application_listen(application_t *app, uint8_t source);
void application_stop(application_t *app);

/* profile_run.c: measures layers, as lines of text (request 0) or as messages. */
void profile_run(application_t *app, uint16_t request, uint32_t first, uint32_t count, uint32_t repetitions);

/* requests.c: a frame of the host; messages that are sent unasked. */
void requests_handle(application_t *app, const link_frame_t *frame);
void requests_greet(application_t *app);
void requests_stream_statistics(application_t *app);

/* memory_requests.c and parameters.c: a request, already known to be of that kind. False, and no answer, if its
 * payload is not what it should be. */
bool memory_request_handle(application_t *app, const link_frame_t *frame, uint16_t request);
bool parameter_request_handle(application_t *app, const link_frame_t *frame, uint16_t request);

/* events.c: what the loop found, to whoever wants it, as messages or as text. */
void events_inference(application_t *app, const audio_loop_result_t *result, uint32_t age_ms);
void events_column(application_t *app, const audio_loop_result_t *result);
void events_audio(application_t *app, const int16_t *samples, size_t count);

#endif
