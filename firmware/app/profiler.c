/* See profiler.h. */
#include "profiler.h"

#include "frontend_config.h"

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

nn_status_t profiler_layer(const nn_t *nn, uint32_t layer, uint32_t repetitions, uint32_t (*cycles)(void),
                           profiler_record_t *record) {
    tally_t tally = {0};
    do {
        uint32_t start = cycles();
        nn_status_t status = nn_run_layer(nn, layer);
        uint32_t spent = cycles() - start;
        if (status != NN_OK) {
            return status;
        }
        tally_add(&tally, spent);
    } while (tally.count < repetitions);
    tally_record(&tally, record);
    return NN_OK;
}

nn_status_t profiler_network(const nn_t *nn, uint32_t repetitions, uint32_t (*cycles)(void),
                             profiler_record_t *record) {
    tally_t tally = {0};
    do {
        uint32_t start = cycles();
        nn_status_t status = nn_run(nn);
        uint32_t spent = cycles() - start;
        if (status != NN_OK) {
            return status;
        }
        tally_add(&tally, spent);
    } while (tally.count < repetitions);
    tally_record(&tally, record);
    return NN_OK;
}

/* Noise at half of full scale. */
static void fill_signal(int16_t *samples, uint32_t *seed) {
    for (uint32_t i = 0; i < SIGNAL_SAMPLES; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        samples[i] = (int16_t)((int32_t)*seed >> 17);
    }
}

void profiler_frontend(frontend_t *frontend, const frontend_config_t *config, uint32_t columns,
                       uint32_t (*cycles)(void), profiler_record_t *record) {
    int16_t samples[SIGNAL_SAMPLES];
    int8_t features[SIGNAL_SAMPLES];
    tally_t tally = {0};
    uint32_t seed = 1, column_cycles = 0;

    frontend_reset(frontend);
    while (tally.count < columns) {
        fill_signal(samples, &seed);
        size_t used = 0;
        while (used < SIGNAL_SAMPLES) {
            const uint16_t *column;
            uint32_t start = cycles();
            used += frontend_process(frontend, samples + used, SIGNAL_SAMPLES - used, &column);
            for (uint32_t done = 0; column != NULL && done < config->channels; done += SIGNAL_SAMPLES) {
                uint32_t left = config->channels - done;
                frontend_quantize(config, column + done, left < SIGNAL_SAMPLES ? left : SIGNAL_SAMPLES,
                                  features);
            }
            column_cycles += cycles() - start;
            if (column != NULL) {
                tally_add(&tally, column_cycles);
                column_cycles = 0;
            }
        }
    }
    frontend_reset(frontend);
    tally_record(&tally, record);
}
