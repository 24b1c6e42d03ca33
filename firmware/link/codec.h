/* Structures to bytes and back, by a table of fields: one small encoder and decoder for all messages.
 *
 * Little-endian and unpadded on the wire. messages.h holds the structures and, typed, the calls.
 */
#ifndef TOKAY_CODEC_H
#define TOKAY_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CODEC_FIXED,  /* `maximum` elements, no count on the wire (1 for a plain field) */
    CODEC_BOOL,   /* one byte, 0 or 1 */
    CODEC_LIST8,  /* a u8 count, then that many elements */
    CODEC_LIST16, /* a u16 count, then that many elements */
    CODEC_TEXT,   /* a u8 count, then that many bytes; NUL-terminated in the structure */
} codec_kind_t;

typedef struct codec_field {
    uint8_t kind;          /* codec_kind_t */
    uint8_t element_bytes; /* 1, 2, 4 or 8 */
    uint16_t maximum;      /* elements */
    uint16_t offset;       /* of the value in the structure */
    uint16_t count_offset; /* of the uint16_t count in the structure, for lists */
} codec_field_t;

typedef struct codec_layout {
    const codec_field_t *fields;
    uint16_t field_count;
    uint16_t struct_bytes;
} codec_layout_t;

/* Returns the number of bytes written, 0 if they do not fit or a count is over its maximum. */
size_t codec_encode(const codec_layout_t *layout, const void *value, uint8_t *bytes,
                    size_t capacity);

/* False if the payload is too short or holds a count, truth value or text that the layout does not
 * allow; *value is then unspecified. Bytes after the last field are a newer peer's and ignored. */
bool codec_decode(const codec_layout_t *layout, const uint8_t *bytes, size_t count, void *value);

/* Copies a string into a text field of `capacity` bytes (sizeof field). What does not fit is cut
 * off, at the start of a UTF-8 character. A NULL source is an empty text. */
void codec_set_text(char *field, size_t capacity, const char *text);

#ifdef __cplusplus
}
#endif
#endif
