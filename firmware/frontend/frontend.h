/* Audio front end: int16 PCM to a spectrogram column every window step, in fixed point.
 *
 * Bit-exact to the TensorFlow Lite Micro "microfrontend" (uint16 output), whole or streamed in
 * chunks of any size. All tables are constant data made by codegen.frontend from the fe.* settings;
 * the state is owned by the caller and holds what one audio stream needs between calls.
 */
#ifndef TOKAY_FRONTEND_H
#define TOKAY_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The tables and settings of one front end: see frontend_config.h (filled in by codegen). */
typedef struct frontend_config frontend_config_t;

/* The state of one audio stream: buffers sized by the config, in memory that the caller gives. */
typedef struct frontend frontend_t;

/* Bytes of memory (8-byte aligned) that frontend_init needs for this config. A generated
 * frontend_settings.h gives the same number as FRONTEND_STATE_BYTES. */
size_t frontend_state_bytes(const frontend_config_t *config);

/* Places a front end in memory[0..bytes) and resets it. NULL if the memory is too small or not
 * aligned. `config` must outlive the front end. */
frontend_t *frontend_init(const frontend_config_t *config, void *memory, size_t bytes);

/* Back to the state after frontend_init: empty window, noise estimate zero. */
void frontend_reset(frontend_t *fe);

/* The noise estimate, a value for each channel, or NULL where the config has no noise reduction. For
 * tools that set up a state which a stream would take long to reach. */
uint32_t *frontend_noise_estimate(frontend_t *fe);

const frontend_config_t *frontend_config_of(const frontend_t *fe);

/* Consumes samples until one more column is complete or the samples are used up. Returns how many
 * samples it took; *column points to `channels` values, valid until the next call, or is NULL. */
size_t frontend_process(frontend_t *fe, const int16_t *samples, size_t count,
                        const uint16_t **column);

/* Quantizes one column (or several: count = columns * channels) to the network's int8 input as the
 * vendor does, by a static scale. Where the config has a dynamic range, the scale is taken from a whole
 * spectrogram, by frontend_quantize_dynamic. */
void frontend_quantize(const uint16_t *values, size_t count, int8_t *features);
void frontend_quantize_dynamic(const frontend_config_t *config, const uint16_t *spectrogram,
                               size_t count, int8_t *features);

/* Whether activity was detected since the last call: the level fell well below its average and then
 * rose again. Always false where the setting is off. */
bool frontend_activity(frontend_t *fe);

#ifdef __cplusplus
}
#endif
#endif
