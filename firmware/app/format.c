/* See format.h. */
#include "format.h"

void format_init(format_t *out, char *buffer, size_t capacity) {
    out->text = buffer;
    out->capacity = capacity;
    out->length = 0;
    buffer[0] = '\0';
}

void format_char(format_t *out, char c) {
    if (out->length + 1 < out->capacity) {
        out->text[out->length] = c;
        out->text[out->length + 1] = '\0';
    }
    out->length++;
}

void format_text(format_t *out, const char *text) {
    while (*text != '\0') {
        format_char(out, *text++);
    }
}

static void put_decimal(format_t *out, uint32_t value, uint32_t width, char sign) {
    char digits[11];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    if (sign != '\0') {
        digits[count++] = sign;
    }
    for (uint32_t i = count; i < width; i++) {
        format_char(out, ' ');
    }
    while (count > 0) {
        format_char(out, digits[--count]);
    }
}

void format_unsigned(format_t *out, uint32_t value, uint32_t width) { put_decimal(out, value, width, '\0'); }

void format_signed(format_t *out, int32_t value, uint32_t width) {
    uint32_t magnitude = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    put_decimal(out, magnitude, width, value < 0 ? '-' : '\0');
}

void format_hex(format_t *out, uint32_t value, uint32_t digits) {
    while (digits-- > 0) {
        format_char(out, "0123456789abcdef"[(value >> (4u * digits)) & 0xFu]);
    }
}
