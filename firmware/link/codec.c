/* See codec.h. */
#include "codec.h"

#include <string.h>

/* A number of `bytes` bytes in a structure, in the byte order of this machine; put and get are for the wire. */
static uint64_t load(const uint8_t *at, uint32_t bytes)
{
    switch (bytes) {
    case 1: return *at;
    case 2: { uint16_t v; memcpy(&v, at, 2); return v; }
    case 4: { uint32_t v; memcpy(&v, at, 4); return v; }
    default: { uint64_t v; memcpy(&v, at, 8); return v; }
    }
}

static void store(uint8_t *at, uint32_t bytes, uint64_t value)
{
    switch (bytes) {
    case 1: *at = (uint8_t)value; break;
    case 2: { uint16_t v = (uint16_t)value; memcpy(at, &v, 2); break; }
    case 4: { uint32_t v = (uint32_t)value; memcpy(at, &v, 4); break; }
    default: memcpy(at, &value, 8); break;
    }
}

static void put(uint8_t *bytes, uint32_t count, uint64_t value)
{
    for (uint32_t k = 0; k < count; k++)
        bytes[k] = (uint8_t)(value >> (8 * k));
}

static uint64_t get(const uint8_t *bytes, uint32_t count)
{
    uint64_t value = 0;
    for (uint32_t k = count; k-- > 0;)
        value = value << 8 | bytes[k];
    return value;
}

static uint32_t prefix_bytes(uint32_t kind)
{
    return kind == CODEC_LIST16 ? 2 : kind == CODEC_LIST8 || kind == CODEC_TEXT ? 1 : 0;
}

size_t codec_encode(const codec_layout_t *layout, const void *value, uint8_t *bytes,
                    size_t capacity)
{
    const uint8_t *from = value;
    size_t used = 0;
    for (uint32_t f = 0; f < layout->field_count; f++) {
        const codec_field_t *field = &layout->fields[f];
        const uint8_t *at = from + field->offset;
        uint32_t count = field->maximum, prefix = prefix_bytes(field->kind);
        if (field->kind == CODEC_TEXT) {
            const uint8_t *end = memchr(at, 0, (size_t)field->maximum + 1);
            if (!end)
                return 0;
            count = (uint32_t)(end - at);
        } else if (prefix) {
            count = (uint32_t)load(from + field->count_offset, 2);
            if (count > field->maximum)
                return 0;
        }
        size_t need = prefix + (size_t)count * field->element_bytes;
        if (need > capacity - used)
            return 0;
        put(bytes + used, prefix, count);
        used += prefix;
        for (uint32_t k = 0; k < count; k++, used += field->element_bytes) {
            uint64_t element = load(at + (size_t)k * field->element_bytes, field->element_bytes);
            put(bytes + used, field->element_bytes, field->kind == CODEC_BOOL ? element != 0 : element);
        }
    }
    return used;
}

bool codec_decode(const codec_layout_t *layout, const uint8_t *bytes, size_t count, void *value)
{
    uint8_t *to = value;
    size_t used = 0;
    memset(to, 0, layout->struct_bytes);
    for (uint32_t f = 0; f < layout->field_count; f++) {
        const codec_field_t *field = &layout->fields[f];
        uint8_t *at = to + field->offset;
        uint32_t elements = field->maximum, prefix = prefix_bytes(field->kind);
        if (prefix) {
            if (prefix > count - used)
                return false;
            elements = (uint32_t)get(bytes + used, prefix);
            used += prefix;
            if (elements > field->maximum)
                return false;
        }
        size_t need = (size_t)elements * field->element_bytes;
        if (need > count - used)
            return false;
        if (field->kind == CODEC_TEXT && memchr(bytes + used, 0, need))
            return false;
        if (field->kind == CODEC_BOOL && bytes[used] > 1)
            return false;
        if (field->kind == CODEC_LIST8 || field->kind == CODEC_LIST16)
            store(to + field->count_offset, 2, elements);
        for (uint32_t k = 0; k < elements; k++, used += field->element_bytes)
            store(at + (size_t)k * field->element_bytes, field->element_bytes,
                  get(bytes + used, field->element_bytes));
    }
    return true;
}

void codec_set_text(char *field, size_t capacity, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length > capacity - 1) {
        length = capacity - 1;
        while (length > 0 && ((uint8_t)text[length] & 0xC0) == 0x80)
            length--;
    }
    memset(field, 0, capacity);
    if (length > 0)
        memcpy(field, text, length);
}
