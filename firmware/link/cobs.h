/* Consistent overhead byte stuffing (Cheshire and Baker, 1999): any bytes to bytes without zero. */
#ifndef TOKAY_COBS_H
#define TOKAY_COBS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that encoding `count` bytes can take at most. */
#define COBS_MAX_ENCODED(count) ((count) + 1 + (count) / 254)

/* An encoder that takes its input in pieces and writes to out[0..capacity). */
typedef struct cobs_encoder {
    uint8_t *out;
    size_t capacity, used;
    size_t code_at; /* where the present block's length goes */
    uint8_t code;   /* that length so far */
    uint8_t full;   /* the output did not fit */
} cobs_encoder_t;

void cobs_begin(cobs_encoder_t *encoder, uint8_t *out, size_t capacity);
void cobs_put(cobs_encoder_t *encoder, const uint8_t *bytes, size_t count);
/* Returns the encoded length, 0 if it did not fit. */
size_t cobs_end(cobs_encoder_t *encoder);

/* Decodes in place; returns the decoded length, or -1 if the bytes are not an encoding. */
ptrdiff_t cobs_decode(uint8_t *bytes, size_t count);

#ifdef __cplusplus
}
#endif
#endif
