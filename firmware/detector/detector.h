/* Posteriors to detections: the vendor's averaging recogniser, without its flaws.
 *
 * Scores are 0..255 (int8 output + 128). A detection fires when, over the samples of the last
 * average_window_ms (at least minimum_count of them), the class with the highest mean exceeds its
 * threshold, its label does not start with '_', and it is either another class than the last
 * detection or more than suppression_ms have passed since that one.
 *
 * A sample exactly average_window_ms old still counts. Means are rounded down; of equal means the
 * first class wins. What a class named '_...' scores neither fires nor ends a suppression.
 */
#ifndef TOKAY_DETECTOR_H
#define TOKAY_DETECTOR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DETECTOR_MAX_CLASSES 32
#define DETECTOR_MAX_SAMPLES 64

typedef enum {
    DETECTOR_OK = 0,
    DETECTOR_ERROR_SETTINGS, /* class_count 0 or over DETECTOR_MAX_CLASSES, or a NULL table */
    DETECTOR_ERROR_TIME,     /* a sample older than the one before it */
} detector_status_t;

typedef struct detector_settings {
    uint32_t class_count;
    const char *const *labels;   /* class_count strings */
    const uint8_t *thresholds;   /* class_count, 0..255 */
    uint32_t average_window_ms;
    uint32_t suppression_ms;
    uint32_t minimum_count;      /* over DETECTOR_MAX_SAMPLES: nothing is ever detected */
} detector_settings_t;

typedef struct detector_result {
    int32_t class_index; /* the class with the highest mean, -1 while there are too few samples */
    uint8_t score;       /* its mean score, 0..255; 0 while there are too few */
    bool detected;       /* a detection fired on this sample */
    uint32_t time_ms;
} detector_result_t;

typedef struct detector {
    const detector_settings_t *settings;
    uint8_t scores[DETECTOR_MAX_SAMPLES][DETECTOR_MAX_CLASSES]; /* ring of the latest samples */
    uint32_t times_ms[DETECTOR_MAX_SAMPLES];
    uint32_t head, count;
    uint32_t dropped; /* samples inside the window that the ring had no room for */
    int32_t last_class; /* of the last detection, while suppression_ms run; else -1 */
    uint32_t last_time_ms;
} detector_t;

detector_status_t detector_init(detector_t *detector, const detector_settings_t *settings);
void detector_reset(detector_t *detector);

/* Adds one inference (class_count int8 outputs) taken at time_ms (monotonic, wraps at 2^32). */
detector_status_t detector_process(detector_t *detector, const int8_t *output, uint32_t time_ms,
                                   detector_result_t *result);

/* Multiplies by gain/256 and saturates to int16; gain 256 changes nothing. */
void detector_apply_gain(int16_t *samples, uint32_t count, uint32_t gain_q8);

#ifdef __cplusplus
}
#endif
#endif
