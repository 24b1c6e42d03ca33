/* See detector.h. Times are compared by their difference, so they may wrap. */
#include "detector.h"

#include <string.h>

detector_status_t detector_init(detector_t *detector, const detector_settings_t *settings) {
    if (settings->class_count == 0 || settings->class_count > DETECTOR_MAX_CLASSES ||
        settings->labels == NULL || settings->thresholds == NULL) {
        return DETECTOR_ERROR_SETTINGS;
    }
    detector->settings = settings;
    detector_reset(detector);
    return DETECTOR_OK;
}

void detector_reset(detector_t *detector) {
    detector->head = 0;
    detector->count = 0;
    detector->dropped = 0;
    detector->last_class = -1;
    detector->last_time_ms = 0;
}

/* Index in the ring of the k-th oldest sample. */
static uint32_t slot(const detector_t *detector, uint32_t k) {
    return (detector->head + DETECTOR_MAX_SAMPLES - detector->count + k) % DETECTOR_MAX_SAMPLES;
}

static void forget_older(detector_t *detector, uint32_t time_ms) {
    while (detector->count > 0 &&
           time_ms - detector->times_ms[slot(detector, 0)] > detector->settings->average_window_ms) {
        detector->count--;
    }
}

static void add_sample(detector_t *detector, const int8_t *output, uint32_t time_ms) {
    if (detector->count == DETECTOR_MAX_SAMPLES) {
        detector->dropped++; /* the oldest gives way */
        detector->count--;
    }
    uint32_t at = detector->head;
    for (uint32_t i = 0; i < detector->settings->class_count; i++) {
        detector->scores[at][i] = (uint8_t)(output[i] + 128);
    }
    detector->times_ms[at] = time_ms;
    detector->head = (at + 1u) % DETECTOR_MAX_SAMPLES;
    detector->count++;
}

/* The class with the highest sum over the ring; *sum is that sum. */
static uint32_t highest(const detector_t *detector, uint32_t *sum) {
    uint32_t sums[DETECTOR_MAX_CLASSES];
    uint32_t classes = detector->settings->class_count;
    memset(sums, 0, sizeof sums);
    for (uint32_t k = 0; k < detector->count; k++) {
        const uint8_t *scores = detector->scores[slot(detector, k)];
        for (uint32_t i = 0; i < classes; i++) {
            sums[i] += scores[i];
        }
    }
    uint32_t best = 0;
    for (uint32_t i = 1; i < classes; i++) {
        /* By the rounded mean, as the vendor compares, not by the sum. */
        if (sums[i] / detector->count > sums[best] / detector->count) {
            best = i;
        }
    }
    *sum = sums[best];
    return best;
}

static bool fires(const detector_t *detector, uint32_t best, uint32_t score) {
    const detector_settings_t *settings = detector->settings;
    return score > settings->thresholds[best] && settings->labels[best][0] != '_' &&
           (int32_t)best != detector->last_class;
}

detector_status_t detector_process(detector_t *detector, const int8_t *output, uint32_t time_ms,
                                   detector_result_t *result) {
    const detector_settings_t *settings = detector->settings;
    result->class_index = -1;
    result->score = 0;
    result->detected = false;
    result->time_ms = time_ms;

    if (detector->count > 0 &&
        (int32_t)(time_ms - detector->times_ms[slot(detector, detector->count - 1u)]) < 0) {
        return DETECTOR_ERROR_TIME;
    }
    /* Forgotten once over, not when the next detection asks: the clock may have wrapped by then. */
    if (detector->last_class >= 0 && time_ms - detector->last_time_ms > settings->suppression_ms) {
        detector->last_class = -1;
    }
    forget_older(detector, time_ms);
    add_sample(detector, output, time_ms);
    if (detector->count < settings->minimum_count) {
        return DETECTOR_OK;
    }
    uint32_t sum;
    uint32_t best = highest(detector, &sum);
    result->class_index = (int32_t)best;
    result->score = (uint8_t)(sum / detector->count);
    if (fires(detector, best, result->score)) {
        result->detected = true;
        detector->last_class = (int32_t)best;
        detector->last_time_ms = time_ms;
    }
    return DETECTOR_OK;
}

void detector_apply_gain(int16_t *samples, uint32_t count, uint32_t gain_q8) {
    if (gain_q8 == 256u) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t scaled = ((int64_t)samples[i] * (int64_t)gain_q8) >> 8;
        samples[i] = scaled > INT16_MAX ? INT16_MAX : scaled < INT16_MIN ? INT16_MIN : (int16_t)scaled;
    }
}
