/* See profiler.h. */
#include "profiler.h"

#include <stdbool.h>

#include "frontend_config.h"
#include "nn_mvp.h"

#define SIGNAL_SAMPLES 64u

typedef struct tally {
    uint64_t total;
    uint32_t count, minimum, maximum;
} tally_t;

static void tally_add(tally_t *tally, uint32_t cycles) {
    tally->minimum = tally->count == 0 || cycles < tally->minimum ? cycles : tally->minimum;
    tally->maximum = cycles > tally->maximum ? cycles : tally->maximum;
    tally->total += cycles;
    tally->count++;
}

static void tally_record(const tally_t *tally, profiler_record_t *record) {
    record->repetitions = tally->count;
    record->mean = tally->count != 0 ? (uint32_t)(tally->total / tally->count) : 0;
    record->minimum = tally->minimum;
    record->maximum = tally->maximum;
}

/* Runs one layer, or with -1 all. */
static nn_status_t run(const nn_t *nn, int32_t layer) {
    return layer < 0 ? nn_run(nn) : nn_run_layer(nn, (uint32_t)layer);
}

static nn_status_t count_accelerator(const nn_t *nn, int32_t layer, profiler_record_t *record) {
    nn_mvp_t *mvp = nn->accelerator;
    nn_mvp_counters_t before = mvp->counters;
    int32_t was_counting = mvp->counting;
    mvp->counting = 1;
    nn_status_t status = run(nn, layer);
    mvp->counting = was_counting;
    record->programs = mvp->counters.programs - before.programs;
    record->accelerator_cycles = mvp->counters.run_cycles - before.run_cycles;
    record->stall_cycles = mvp->counters.stall_cycles - before.stall_cycles;
    return status;
}

/* Whether to run once more: after `undisturbed` of the `wanted` runs, and `disturbed` ones. */
static bool is_more(uint32_t wanted, uint32_t undisturbed, uint32_t disturbed) {
    return undisturbed < wanted && disturbed < wanted + PROFILER_SPARE_RUNS;
}

static nn_status_t profiler_measure(const nn_t *nn, int32_t layer, uint32_t repetitions,
                                    const profiler_meter_t *meter, profiler_record_t *record) {
    uint64_t wait_cycles = 0;
    tally_t tally = {0};
    uint32_t empty = meter->cycles();
    empty = meter->cycles() - empty; /* what asking for the time takes */
    do {
        uint32_t interrupts = meter->interrupts(), waited_before = nn_mvp_waited(nn);
        uint32_t start = meter->cycles();
        nn_status_t status = run(nn, layer);
        uint32_t spent = meter->cycles() - start - empty;
        if (status != NN_OK) {
            return status;
        }
        if (meter->interrupts() == interrupts) {
            tally_add(&tally, spent);
            wait_cycles += nn_mvp_waited(nn) - waited_before;
        } else {
            record->disturbances++;
        }
    } while (is_more(repetitions, tally.count, record->disturbances));
    tally_record(&tally, record);
    record->wait_cycles = tally.count != 0 ? (uint32_t)(wait_cycles / tally.count) : 0;
    return nn->accelerator != NULL ? count_accelerator(nn, layer, record) : NN_OK;
}

nn_status_t profiler_layer(const nn_t *nn, uint32_t layer, uint32_t repetitions, const profiler_meter_t *meter,
                           profiler_record_t *record) {
    *record = (profiler_record_t){0};
    return profiler_measure(nn, (int32_t)layer, repetitions, meter, record);
}

nn_status_t profiler_network(const nn_t *nn, uint32_t repetitions, const profiler_meter_t *meter,
                             profiler_record_t *record) {
    *record = (profiler_record_t){0};
    return profiler_measure(nn, -1, repetitions, meter, record);
}

/* Noise at half of full scale. */
static void fill_signal(int16_t *samples, uint32_t *seed) {
    for (uint32_t i = 0; i < SIGNAL_SAMPLES; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        samples[i] = (int16_t)((int32_t)*seed >> 17);
    }
}

void profiler_frontend(frontend_t *frontend, const frontend_config_t *config, uint32_t columns,
                       const profiler_meter_t *meter, profiler_record_t *record) {
    int16_t samples[SIGNAL_SAMPLES];
    int8_t features[SIGNAL_SAMPLES];
    tally_t tally = {0};
    uint32_t seed = 1, column_cycles = 0, interrupts = meter->interrupts();

    *record = (profiler_record_t){0};
    frontend_reset(frontend);
    while (is_more(columns, tally.count, record->disturbances)) {
        fill_signal(samples, &seed);
        size_t used = 0;
        while (used < SIGNAL_SAMPLES) {
            const uint16_t *column;
            uint32_t start = meter->cycles();
            used += frontend_process(frontend, samples + used, SIGNAL_SAMPLES - used, &column);
            for (uint32_t done = 0; column != NULL && done < config->channels; done += SIGNAL_SAMPLES) {
                uint32_t left = config->channels - done;
                frontend_quantize(column + done, left < SIGNAL_SAMPLES ? left : SIGNAL_SAMPLES, features);
            }
            column_cycles += meter->cycles() - start;
            if (column == NULL) {
                continue;
            }
            if (meter->interrupts() == interrupts) {
                tally_add(&tally, column_cycles);
            } else {
                record->disturbances++;
                interrupts = meter->interrupts();
            }
            column_cycles = 0;
        }
    }
    frontend_reset(frontend);
    tally_record(&tally, record);
}
