/* Audio to detections: gain, front end, the window of features, the network, the detector.
 *
 * Platform independent: the board's main loop feeds it from the microphone, the PC from a file, and
 * both get the same scores at the same times, since time is counted in samples of audio.
 *
 * An inference runs every latency_ms of audio (at least one window step apart), on the newest window
 * of features, from the moment the first window is full.
 *
 * A network that keeps state (nn.h) hears each column once: an inference runs whenever the window has been
 * filled anew, whatever latency_ms says, and is never put off.
 */
#ifndef TOKAY_AUDIO_LOOP_H
#define TOKAY_AUDIO_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detector.h"
#include "frontend.h"
#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    AUDIO_LOOP_OK = 0,
    AUDIO_LOOP_ERROR_MEMORY,   /* missing, too small or not 8-byte aligned */
    AUDIO_LOOP_ERROR_INPUT,    /* the network's input is not frames * channels int8 features */
    AUDIO_LOOP_ERROR_OUTPUT,   /* the network's output is not one int8 score a class */
    AUDIO_LOOP_ERROR_DETECTOR, /* the detector refused its settings */
    AUDIO_LOOP_ERROR_NETWORK,  /* a layer failed while running */
} audio_loop_status_t;

/* What the loop works with; everything must live as long as the loop. The detector's settings,
 * latency and gain may be changed between calls. The loop resets the network when it is reset itself. */
typedef struct audio_loop_config {
    const frontend_config_t *frontend;
    const nn_t *nn;
    const detector_settings_t *detector;
    uint32_t latency_ms;
    uint32_t volume_gain_q8;    /* 256: as it comes */
    uint32_t (*cycles)(void);   /* a running cycle counter, or NULL where nothing is measured */
} audio_loop_config_t;

typedef struct audio_loop_cycles {
    uint32_t count, maximum;
    uint64_t total;
} audio_loop_cycles_t;

typedef struct audio_loop_statistics {
    uint64_t samples;        /* heard or known to be lost */
    uint32_t lost_samples;   /* of those, what audio_loop_lost was told */
    uint32_t columns;        /* of the front end; wraps at 2^32 */
    uint32_t inferences;
    uint32_t skipped;        /* inferences left out because audio was waiting to be read */
    audio_loop_cycles_t frontend; /* a column */
    audio_loop_cycles_t network;  /* an inference, copying its input included */
    audio_loop_cycles_t accelerator; /* of an inference, those that the core slept for the accelerator */
    audio_loop_cycles_t detector; /* a call */
} audio_loop_statistics_t;

/* What one call of audio_loop_process led to. The pointers are valid until the next call. */
typedef struct audio_loop_result {
    audio_loop_status_t status;
    const uint16_t *column;  /* a new column of the spectrogram, or NULL */
    const int8_t *scores;    /* an inference's outputs, one a class, or NULL if none ran */
    uint32_t time_ms;        /* end of the audio heard, since start; wraps at 2^32 */
    detector_result_t detection; /* where scores is not NULL */
} audio_loop_result_t;

typedef struct audio_loop {
    const audio_loop_config_t *config;
    frontend_t *frontend;
    detector_t detector;
    uint8_t *features;       /* ring of int8 columns, or a plain window of uint16 ones */
    uint32_t feature_column; /* columns since start, modulo the window's; of a ring, where the next one goes */
    uint32_t frontend_cycles; /* of the column in the making */
    uint64_t due;            /* sample at which the next inference is wanted; 0 before the first window */
    audio_loop_statistics_t statistics;
} audio_loop_t;

/* Bytes of memory (8-byte aligned) that audio_loop_init needs. A constant for the compiler:
 * AUDIO_LOOP_BYTES(state bytes of the front end, frames, channels, whether dynamically scaled). */
size_t audio_loop_bytes(const frontend_config_t *frontend);
#define AUDIO_LOOP_BYTES(state, frames, channels, dynamic) \
    ((((state) + 7u) & ~7u) + (((frames) * (channels) * ((dynamic) ? 2u : 1u) + 7u) & ~7u))

audio_loop_status_t audio_loop_init(audio_loop_t *loop, const audio_loop_config_t *config, void *memory,
                                    size_t bytes);

/* Back to silence: empty window, network without a past, empty detector and time 0. Statistics start anew. */
void audio_loop_reset(audio_loop_t *loop);

/* Consumes samples until a column is complete or they are used up; returns how many it took. `backlog`
 * is how many more samples are waiting behind these: with more than a period of them waiting, an
 * inference is put off, so that the audio does not get lost while it runs. */
size_t audio_loop_process(audio_loop_t *loop, const int16_t *samples, size_t count, size_t backlog,
                          audio_loop_result_t *result);

/* Tells the loop of samples that were lost at this point: time goes on. What the front end, the window and
 * the network have of the audio before stays, as if it were followed by what comes. */
void audio_loop_lost(audio_loop_t *loop, uint32_t count);

/* Milliseconds of audio heard so far. */
uint32_t audio_loop_time_ms(const audio_loop_t *loop);

#ifdef __cplusplus
}
#endif
#endif
