/* See cobs.h. */
#include "cobs.h"

static void emit(cobs_encoder_t *encoder, uint8_t byte)
{
    if (encoder->used < encoder->capacity)
        encoder->out[encoder->used++] = byte;
    else
        encoder->full = 1;
}

/* Leaves room for the next block's length byte. */
static void open_block(cobs_encoder_t *encoder)
{
    encoder->code_at = encoder->used;
    encoder->code = 1;
    emit(encoder, 0);
}

static void close_block(cobs_encoder_t *encoder)
{
    if (!encoder->full)
        encoder->out[encoder->code_at] = encoder->code;
}

void cobs_begin(cobs_encoder_t *encoder, uint8_t *out, size_t capacity)
{
    *encoder = (cobs_encoder_t){.out = out, .capacity = capacity};
    open_block(encoder);
}

void cobs_put(cobs_encoder_t *encoder, const uint8_t *bytes, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        /* A full block (254 bytes, no zero after it) is closed only once something follows. */
        if (encoder->code == 0xFF) {
            close_block(encoder);
            open_block(encoder);
        }
        if (bytes[k] == 0) {
            close_block(encoder);
            open_block(encoder);
        } else {
            emit(encoder, bytes[k]);
            encoder->code++;
        }
    }
}

size_t cobs_end(cobs_encoder_t *encoder)
{
    close_block(encoder);
    return encoder->full ? 0 : encoder->used;
}

ptrdiff_t cobs_decode(uint8_t *bytes, size_t count)
{
    size_t in = 0, out = 0;
    while (in < count) {
        uint8_t code = bytes[in++];
        if (code == 0 || (size_t)(code - 1) > count - in)
            return -1;
        for (uint32_t k = 1; k < code; k++) {
            if (bytes[in] == 0)
                return -1;
            bytes[out++] = bytes[in++];
        }
        if (code != 0xFF && in < count)
            bytes[out++] = 0;
    }
    return (ptrdiff_t)out;
}
