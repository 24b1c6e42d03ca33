/* Text without printf: appends to a buffer that the caller owns, and never writes past its end. */
#ifndef TOKAY_FORMAT_H
#define TOKAY_FORMAT_H

#include <stddef.h>
#include <stdint.h>

typedef struct format {
    char *text;      /* always ends in '\0' */
    size_t capacity; /* bytes in `text`, at least 1 */
    size_t length;   /* what was asked for: over capacity - 1 means that the end was cut off */
} format_t;

void format_init(format_t *out, char *buffer, size_t capacity);
void format_text(format_t *out, const char *text);
void format_char(format_t *out, char c);
/* Decimal, right-aligned in at least `width` characters. */
void format_unsigned(format_t *out, uint32_t value, uint32_t width);
void format_signed(format_t *out, int32_t value, uint32_t width);
/* Exactly `digits` hexadecimal digits. */
void format_hex(format_t *out, uint32_t value, uint32_t digits);

#endif
