/* Runs the firmware's detector over scores that were stored, so that a sweep over its settings repeats
 * neither the network nor a call from Python for every inference. */
#include <stddef.h>

#include "detector.h"

typedef struct detector_replay_found {
    uint32_t inference; /* its index in the scores */
    uint32_t class_index;
    uint32_t score;
} detector_replay_found_t;

#define REPLAY_FAILED ((size_t)-1)

/* `scores` are int8 outputs, count * class_count of them; found must have room for `count`. Returns how
 * many detections there were; REPLAY_FAILED where the detector refuses its settings or a time. */
size_t detector_replay(const detector_settings_t *settings, const int8_t *scores, const uint32_t *times_ms,
                       size_t count, detector_replay_found_t *found) {
    detector_t detector;
    detector_result_t result;
    size_t detections = 0;

    if (detector_init(&detector, settings) != DETECTOR_OK) {
        return REPLAY_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        if (detector_process(&detector, scores + i * settings->class_count, times_ms[i], &result) !=
            DETECTOR_OK) {
            return REPLAY_FAILED;
        }
        if (result.detected) {
            found[detections].inference = (uint32_t)i;
            found[detections].class_index = (uint32_t)result.class_index;
            found[detections].score = result.score;
            detections++;
        }
    }
    return detections;
}
