/* Profiles the network and the front end for a terminal or for the host. */
#include "application_state.h"
#include "profiler.h"

#define PROFILED_COLUMNS 50u
#define PROFILED_DETECTIONS 16u

/* What is measured of the whole, beside its layers. */
typedef struct totals {
    profiler_record_t network, frontend;
    uint32_t detector_cycles; /* a call */
} totals_t;

/* Of a detector that is empty before; it is not afterwards. */
static uint32_t detector_cycles(application_t *app) {
    int8_t output[DETECTOR_MAX_CLASSES] = {0};
    detector_result_t result;
    uint32_t start = hal_cycles();
    for (uint32_t i = 0; i < PROFILED_DETECTIONS; i++) {
        (void)detector_process(&app->loop.detector, output, i, &result);
    }
    return (hal_cycles() - start) / PROFILED_DETECTIONS;
}

static void send_begin(application_t *app, uint16_t request, uint32_t first, uint32_t count, uint32_t repetitions) {
    if (request == 0) {
        report_profile_begin(&app->report, count, repetitions);
        return;
    }
    message_profile_begin_t message = {
        .request = request,
        .first = (uint16_t)first,
        .count = (uint16_t)count,
        .repetitions = (uint16_t)repetitions,
        .core_clock_hz = hal_core_clock_hz(),
        .accelerator = app->nn.accelerator != NULL ? ACCELERATOR_MVP : ACCELERATOR_NONE,
    };
    channel_send(&app->channel, MESSAGE_PROFILE_BEGIN, &message_layout_profile_begin, &message);
}

static void send_layer(application_t *app, uint16_t request, uint32_t index, const profiler_record_t *record) {
    const nn_layer_t *layer = &app->model->plan->layers[index];
    if (request == 0) {
        report_profile_layer(&app->report, index, layer, record);
        return;
    }
    message_profile_layer_t message = {
        .request = request,
        .index = (uint16_t)index,
        .opcode = layer->opcode,
        .kernel = layer->kernel,
        .repetitions = (uint16_t)record->repetitions,
        .disturbances = (uint16_t)(record->disturbances < UINT16_MAX ? record->disturbances : UINT16_MAX),
        .cpu_cycles = record->mean,
        .cpu_cycles_min = record->minimum,
        .cpu_cycles_max = record->maximum,
        .wait_cycles = record->wait_cycles,
        .accelerator_cycles = record->accelerator_cycles,
        .accelerator_cycles_min = record->accelerator_cycles,
        .accelerator_cycles_max = record->accelerator_cycles,
        .stall_cycles = record->stall_cycles,
        .programs = record->programs,
    };
    channel_send(&app->channel, MESSAGE_PROFILE_LAYER, &message_layout_profile_layer, &message);
}

static void send_end(application_t *app, uint16_t request, bool complete, uint32_t records, const totals_t *totals) {
    const profiler_record_t *network = &totals->network, *frontend = &totals->frontend;
    const frontend_config_t *model = app->model->frontend;
    if (request != 0) {
        message_profile_end_t message = {
            .request = request,
            .code = complete ? RESULT_OK : RESULT_FAILED,
            .network_cycles = network->mean,
            .frontend_cycles = frontend->mean,
            .frontend_cycles_max = frontend->maximum,
            .frontend_step_ms = (uint16_t)(app->ready ? model->step_samples * 1000u / model->sample_rate_hz : 0u),
            .detector_cycles = totals->detector_cycles,
            .records = (uint16_t)records,
        };
        bool disturbed = network->disturbances != 0 || frontend->disturbances != 0;
        codec_set_text(message.text, sizeof message.text,
                       !complete   ? "a layer failed"
                       : disturbed ? "interrupts fell into runs of the whole network or the front end"
                                   : "");
        channel_send(&app->channel, MESSAGE_PROFILE_END, &message_layout_profile_end, &message);
    } else if (complete) {
        report_profile_total(&app->report, "Network", network);
        report_profile_total(&app->report, "Frontend", frontend);
        report_line(&app->report, "Profile complete");
    } else {
        report_line(&app->report, "Error: a layer failed while it was profiled");
    }
}

void profile_run(application_t *app, uint16_t request, uint32_t first, uint32_t count, uint32_t repetitions) {
    bool was_running = app->running;
    uint8_t source = app->source;
    uint32_t done = 0;
    nn_status_t status = NN_OK;
    static const profiler_meter_t k_meter = {hal_cycles, hal_interrupts};
    profiler_record_t layer;
    totals_t totals = {0};

    /* Its interrupts would be measured, and its audio lost. */
    application_stop(app);
    send_begin(app, request, first, count, repetitions);
    while (done < count && status == NN_OK) {
        hal_uart_flush(); /* so that the serial port's interrupts are not measured either */
        status = profiler_layer(&app->nn, first + done, repetitions, &k_meter, &layer);
        if (status == NN_OK) {
            send_layer(app, request, first + done, &layer);
            done++;
        }
    }
    hal_uart_flush();
    if (status == NN_OK) {
        status = profiler_network(&app->nn, repetitions, &k_meter, &totals.network);
    }
    if (app->ready) {
        profiler_frontend(app->loop.frontend, app->model->frontend, PROFILED_COLUMNS, &k_meter, &totals.frontend);
        audio_loop_reset(&app->loop);
        totals.detector_cycles = detector_cycles(app);
        audio_loop_reset(&app->loop);
    }
    if (status == NN_ERROR_ACCELERATOR) {
        report_accelerator_fault(&app->report, &app->nn);
    }
    send_end(app, request, status == NN_OK, done, &totals);
    if (was_running) {
        (void)application_listen(app, source);
    }
}
