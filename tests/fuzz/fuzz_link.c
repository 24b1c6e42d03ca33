/* libFuzzer target: any bytes into the receiver, any payload into every message's decoder.
 *
 * Beside what the sanitizers see: what is delivered passes its own checks again, and decoding and
 * encoding a message gives the bytes it came from. The first byte of the input chooses what is fed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cobs.h"
#include "crc32.h"
#include "link.h"

#define MAX_STRUCT 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

/* A payload that is taken must come out of the encoder again as it was, but for a newer peer's
 * additions at its end. */
static void message(uint8_t type, const uint8_t *payload, size_t count)
{
    const codec_layout_t *layout = message_layout(type);
    if (!layout)
        return;
    require(layout->struct_bytes <= MAX_STRUCT, "structure larger than the test's room");
    uint64_t space[MAX_STRUCT / 8 + 1];
    memset(space, 0xA5, sizeof space);
    /* The payload alone, so that reading past its end is seen. */
    uint8_t *copy = malloc(count ? count : 1);
    memcpy(copy, payload, count);
    if (codec_decode(layout, copy, count, space)) {
        uint8_t again[LINK_MAX_PAYLOAD];
        size_t used = codec_encode(layout, space, again, sizeof again);
        require(used > 0 && used <= count, "a decoded message encodes");
        require(memcmp(again, copy, used) == 0, "a message comes back as it was");
        for (size_t room = used > 4 ? used - 4 : 0; room < used; room++)
            require(codec_encode(layout, space, again, room) == 0, "too little room is noticed");
    }
    free(copy);
}

static void check_frame(const link_frame_t *frame)
{
    require(frame->length <= LINK_MAX_SEGMENT, "payload within the buffer");
    message(frame->type, frame->payload, frame->length);
}

static void receive(const uint8_t *data, size_t size)
{
    link_t *link = malloc(sizeof *link);
    link_init(link, 1);
    link_frame_t frame;
    uint32_t events = 0;
    for (size_t at = 0; at < size;) {
        link_event_t event;
        at += link_receive_bytes(link, data + at, size - at, &event, &frame);
        events += event != LINK_NOTHING;
        if (event == LINK_FRAME) {
            require(frame.version == LINK_VERSION, "only this version is delivered");
            check_frame(&frame);
        } else if (event == LINK_TEXT) {
            require(frame.length > 0, "no blank lines");
            for (size_t k = 0; k < frame.length; k++)
                require(frame.payload[k] < 0x7F && frame.payload[k] != 0, "text is ASCII");
        }
    }
    const link_counters_t *c = &link->counters;
    require(events == c->received + c->lines + c->corrupt + c->oversize + c->duplicates + c->mismatches,
            "every event is counted once");
    free(link);
}

/* Wraps the input in good frames with damage between, so that the fuzzer gets past the CRC. */
static void frames(const uint8_t *data, size_t size)
{
    link_t *sender = malloc(sizeof *sender), *receiver = malloc(sizeof *receiver);
    link_init(sender, 0x0202);
    link_init(receiver, 1);
    sender->sequence = 0x01010101; /* no zeros in the header: the first one moves about */
    link_frame_t frame;
    link_event_t event;
    while (size >= 3) {
        uint8_t type = data[0], action = data[1];
        size_t count = data[2] * 2u;
        data += 3, size -= 3;
        if (count > size)
            count = size;
        uint8_t wire[LINK_MAX_FRAME];
        uint32_t number = sender->sequence;
        size_t used = link_encode(sender, type, data, count, wire, sizeof wire);
        require((used > 0) == (count <= LINK_MAX_PAYLOAD), "what fits is encoded");
        if (used > 0 && (action & 3) == 1)
            wire[action % used] ^= (uint8_t)(1 + (action >> 4));
        bool whole = used > 0 && (action & 3) != 1, delivered = false;
        for (size_t at = 0; at < used;) {
            at += link_receive_bytes(receiver, wire + at, used - at, &event, &frame);
            if (event != LINK_FRAME)
                continue;
            require(frame.type == type && frame.sequence == number && frame.length == count &&
                        memcmp(frame.payload, data, count) == 0,
                    "what is delivered was sent");
            check_frame(&frame);
            delivered = true;
        }
        require(delivered || !whole, "a whole frame is received, whatever came before");
        if (action & 4)
            link_init(sender, (uint16_t)(sender->boot_id + 1));
        data += count, size -= count;
    }
    free(sender);
    free(receiver);
}

static void stuffing(const uint8_t *data, size_t size)
{
    uint8_t *encoded = malloc(COBS_MAX_ENCODED(size));
    cobs_encoder_t encoder;
    cobs_begin(&encoder, encoded, COBS_MAX_ENCODED(size));
    cobs_put(&encoder, data, size / 2);
    cobs_put(&encoder, data + size / 2, size - size / 2);
    size_t used = cobs_end(&encoder);
    require(used > 0 && !memchr(encoded, 0, used), "no zero in what is encoded");
    require(cobs_decode(encoded, used) == (ptrdiff_t)size && (size == 0 || !memcmp(encoded, data, size)),
            "decoding gives what was encoded");
    free(encoded);
    if (size > 0) {
        uint8_t *copy = malloc(size);
        memcpy(copy, data, size);
        require(cobs_decode(copy, size) < (ptrdiff_t)size, "decoding makes it shorter");
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    switch (data[0] & 3) {
    case 0: receive(data + 1, size - 1); break;
    case 1: frames(data + 1, size - 1); break;
    case 2: message(data[1], data + 2, size - 2); break;
    default: stuffing(data + 1, size - 1); break;
    }
    return 0;
}
