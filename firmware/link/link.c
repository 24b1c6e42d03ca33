/* See link.h. */
#include "link.h"

#include <string.h>

#include "cobs.h"
#include "crc32.h"

static void put_u16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
    put_u16(bytes, value);
    put_u16(bytes + 2, value >> 16);
}

static uint32_t get_u16(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return get_u16(bytes) | get_u16(bytes + 2) << 16;
}

void link_init(link_t *link, uint16_t boot_id)
{
    memset(link, 0, sizeof *link);
    link->boot_id = boot_id;
    link->printable = true;
}

size_t link_encode(link_t *link, uint8_t type, const uint8_t *payload, size_t count, uint8_t *frame,
                   size_t capacity)
{
    uint8_t header[LINK_HEADER_BYTES] = {LINK_VERSION_BYTE, type};
    put_u16(header + 2, link->boot_id);
    put_u32(header + 4, link->sequence++);
    link->counters.sent++;
    if (count > LINK_MAX_PAYLOAD || capacity < 3) {
        link->counters.dropped++;
        return 0;
    }

    uint8_t crc[LINK_CRC_BYTES];
    put_u32(crc, crc32_update(crc32_update(0, header, sizeof header), payload, count));

    cobs_encoder_t encoder;
    cobs_begin(&encoder, frame + 1, capacity - 2);
    cobs_put(&encoder, header, sizeof header);
    cobs_put(&encoder, payload, count);
    cobs_put(&encoder, crc, sizeof crc);
    size_t used = cobs_end(&encoder);
    if (used == 0) {
        link->counters.dropped++;
        return 0;
    }
    frame[0] = 0;
    frame[used + 1] = 0;
    return used + 2;
}

void link_dropped(link_t *link)
{
    link->counters.dropped++;
}

/* Where a good frame stands in its sender's sequence. */
static link_event_t follow(link_t *link, link_frame_t *frame)
{
    uint32_t ahead = frame->sequence - link->peer_sequence;
    bool same = link->attached && frame->boot_id == link->peer_boot_id;
    if (same && ahead >= 0x80000000u) {
        if (0u - ahead <= LINK_DUPLICATE_WINDOW) {
            link->counters.duplicates++;
            return LINK_DUPLICATE;
        }
        same = false;
    }
    if (same) {
        frame->lost = ahead;
    } else if (link->attached) {
        /* A sender's first frame has number 0: those before this one are missing. */
        frame->restarted = true;
        frame->lost = frame->sequence;
        link->counters.restarts++;
    }
    if (!same)
        link->repeat_known = false;
    link->attached = true;
    link->peer_boot_id = frame->boot_id;
    link->peer_sequence = frame->sequence + 1;
    link->counters.lost += frame->lost;
    link->counters.received++;
    return LINK_FRAME;
}

static link_event_t corrupt(link_t *link)
{
    link->counters.corrupt++;
    return LINK_CORRUPT;
}

/* Judges the segment that a delimiter has ended. */
static link_event_t finish(link_t *link, link_frame_t *frame, size_t used)
{
    ptrdiff_t decoded = cobs_decode(link->segment, used);
    if (decoded < LINK_HEADER_BYTES + LINK_CRC_BYTES)
        return corrupt(link);
    size_t body = (size_t)decoded - LINK_CRC_BYTES;
    const uint8_t *bytes = link->segment;
    if (get_u32(bytes + body) != crc32_update(0, bytes, body) || !(bytes[0] & 0x80))
        return corrupt(link);
    *frame = (link_frame_t){
        .version = bytes[0] & 0x7F,
        .type = bytes[1],
        .boot_id = (uint16_t)get_u16(bytes + 2),
        .sequence = get_u32(bytes + 4),
        .length = (uint16_t)(body - LINK_HEADER_BYTES),
        .payload = bytes + LINK_HEADER_BYTES,
    };
    if (frame->version != LINK_VERSION) {
        link->counters.mismatches++;
        return LINK_MISMATCH;
    }
    return follow(link, frame);
}

/* A terminal may end what is typed with CR alone. */
static bool is_line_end(uint8_t byte)
{
    return byte == '\r' || byte == '\n';
}

/* Gives out a line without its ends; blank ones are nothing. */
static link_event_t text(link_t *link, link_frame_t *frame, size_t used)
{
    const uint8_t *line = link->segment;
    while (used > 0 && is_line_end(line[used - 1]))
        used--;
    for (; used > 0 && is_line_end(*line); line++)
        used--;
    if (used == 0)
        return LINK_NOTHING;
    *frame = (link_frame_t){.length = (uint16_t)used, .payload = line};
    link->counters.lines++;
    return LINK_TEXT;
}

static bool is_text(uint8_t byte)
{
    return (byte >= 0x20 && byte < 0x7F) || (byte >= '\t' && byte <= '\r') || byte == 0x1B;
}

/* A segment is text only while every byte of it is. The second byte of a frame is its version, with
 * the top bit set, so that a frame never passes for text, and a line can be given out at its end
 * without waiting for a delimiter. A frame's first byte may be anything: a line end there decides
 * nothing yet. */
link_event_t link_receive(link_t *link, uint8_t byte, link_frame_t *frame)
{
    size_t used = link->used;
    bool overflowed = link->overflowed, printable = link->printable;
    if (byte == 0) {
        link->used = 0;
        link->overflowed = false;
        link->printable = true;
        if (overflowed) {
            link->counters.oversize++;
            return LINK_OVERSIZE;
        }
        if (used == 0)
            return LINK_NOTHING;
        return printable ? text(link, frame, used) : finish(link, frame, used);
    }
    if (overflowed)
        return LINK_NOTHING;
    if (used == LINK_MAX_SEGMENT) {
        link->overflowed = true;
        return LINK_NOTHING;
    }
    link->segment[used++] = byte;
    link->used = (uint16_t)used;
    link->printable = printable && is_text(byte);
    /* A line, or a piece of a very long one. */
    if (link->printable && ((is_line_end(byte) && used > 1) || used == LINK_MAX_SEGMENT)) {
        link->used = 0;
        return text(link, frame, used);
    }
    return LINK_NOTHING;
}

size_t link_receive_bytes(link_t *link, const uint8_t *bytes, size_t count, link_event_t *event,
                          link_frame_t *frame)
{
    size_t taken = 0;
    *event = LINK_NOTHING;
    while (taken < count && *event == LINK_NOTHING)
        *event = link_receive(link, bytes[taken++], frame);
    return taken;
}

bool link_request_repeated(const link_t *link, uint16_t request, uint8_t *code)
{
    if (!link->repeat_known || link->repeat_request != request)
        return false;
    *code = link->repeat_code;
    return true;
}

void link_request_done(link_t *link, uint16_t request, uint8_t code)
{
    link->repeat_known = true;
    link->repeat_request = request;
    link->repeat_code = code;
}
