/* Whole clips at a time, for the PC's tools: not part of board images. */
#ifndef TOKAY_FRONTEND_BATCH_H
#define TOKAY_FRONTEND_BATCH_H

#include "frontend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes `count` samples and writes the columns that they complete, [columns][channels], to `out`;
 * drops those past `columns`. Returns the number written. */
size_t frontend_stream(frontend_t *fe, const int16_t *samples, size_t count, uint16_t *out,
                       size_t columns);

/* int8 features of a whole spectrogram of `values` values, by the config's scale. */
void frontend_quantize_clip(const frontend_config_t *config, const uint16_t *spectrogram, size_t values,
                            int8_t *features);

/* int8 features of `clips` independent clips of `samples` samples each: features is
 * [clips][frames][channels], frames as the samples give; `scratch` holds one spectrogram,
 * [frames][channels]. */
void frontend_clips(frontend_t *fe, const int16_t *audio, size_t clips, size_t samples,
                    size_t frames, uint16_t *scratch, int8_t *features);

/* sizeof(frontend_config_t), for those that lay it out themselves. */
size_t frontend_config_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
