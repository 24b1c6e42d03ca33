/* Frames on a serial line: what is lost or damaged is noticed, never delivered.
 *
 * A frame is 0x00, COBS(version, type, boot id, sequence, payload, CRC-32), 0x00; text lines may
 * stand between frames, as is. See PROTOCOL.md. Nothing here waits, allocates or touches hardware:
 * the caller brings bytes and takes bytes away.
 *
 *     link_t link;                                         // one a serial port
 *     link_init(&link, boot_id);
 *     n = message_encode_scores(&scores, payload, sizeof payload);
 *     n = link_encode(&link, MESSAGE_SCORES, payload, n, frame, sizeof frame);
 *     if (write(frame, n) != n) link_dropped(&link);       // no room: the host sees a gap
 *
 *     if (link_receive(&link, byte, &in) == LINK_FRAME) handle(in.type, in.payload, in.length);
 */
#ifndef TOKAY_LINK_H
#define TOKAY_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cobs.h"
#include "messages.h" /* LINK_VERSION, LINK_MAX_PAYLOAD */

#ifdef __cplusplus
extern "C" {
#endif

#define LINK_HEADER_BYTES 8
#define LINK_CRC_BYTES 4
#define LINK_MAX_RAW (LINK_HEADER_BYTES + LINK_MAX_PAYLOAD + LINK_CRC_BYTES)
#define LINK_MAX_SEGMENT COBS_MAX_ENCODED(LINK_MAX_RAW) /* between the delimiters */
#define LINK_MAX_FRAME (LINK_MAX_SEGMENT + 2)
/* A frame at most this many behind the newest is a duplicate; further behind, its sender started
 * again with the same boot id. */
#define LINK_DUPLICATE_WINDOW 64
/* The version byte on the wire: the top bit says that this is a frame and not text. */
#define LINK_VERSION_BYTE (0x80 | LINK_VERSION)

typedef enum {
    LINK_NOTHING,   /* the byte completed nothing */
    LINK_FRAME,     /* a good frame, next in sequence or after a gap that has been counted */
    LINK_TEXT,      /* a line of text (payload, length; without line end) */
    LINK_CORRUPT,   /* a segment that is neither frame nor text */
    LINK_OVERSIZE,  /* a segment longer than any frame */
    LINK_DUPLICATE, /* a good frame that has been delivered before, or an older one */
    LINK_MISMATCH,  /* a good frame of another protocol version (frame->version) */
} link_event_t;

typedef struct link_frame {
    uint8_t type;
    uint8_t version;
    uint16_t boot_id;       /* of the sender */
    uint32_t sequence;
    uint32_t lost;          /* frames known to be missing right before this one */
    bool restarted;         /* the sender is another or has started again since its last frame */
    uint16_t length;
    const uint8_t *payload; /* valid until the next call of link_receive */
} link_frame_t;

typedef struct link_counters {
    uint32_t sent;      /* frames encoded */
    uint32_t dropped;   /* of those, not passed on (link_dropped) or not encoded for want of room */
    uint32_t received;  /* good frames delivered */
    uint32_t lost;      /* frames of the peer that never arrived whole */
    uint32_t corrupt;
    uint32_t oversize;
    uint32_t duplicates;
    uint32_t mismatches;
    uint32_t restarts;
    uint32_t lines;     /* text segments */
} link_counters_t;

typedef struct link {
    uint16_t boot_id;
    uint32_t sequence;      /* of the next frame sent */
    uint16_t peer_boot_id;
    uint32_t peer_sequence; /* of the next frame expected */
    bool attached;          /* a frame of the peer has been received */
    bool overflowed;        /* the present segment is too long, skipping to its end */
    bool printable;         /* the present segment is text so far */
    bool repeat_known;
    uint16_t repeat_request;
    uint8_t repeat_code;
    uint16_t used;          /* bytes in segment */
    uint8_t segment[LINK_MAX_SEGMENT];
    link_counters_t counters;
} link_t;

/* boot_id should differ from the one of the boot before (a counter in retained memory, noise). */
void link_init(link_t *link, uint16_t boot_id);

/* Encodes a frame, delimiters included, and returns its bytes. LINK_MAX_FRAME is always room
 * enough; 0 if the payload is over LINK_MAX_PAYLOAD or the room is too small, which counts as
 * dropped. Either way a sequence number is used, so that the receiver notices. */
size_t link_encode(link_t *link, uint8_t type, const uint8_t *payload, size_t count, uint8_t *frame,
                   size_t capacity);

/* Says that an encoded frame could not be passed on, or only in part. */
void link_dropped(link_t *link);

/* Takes one byte. *frame is written for LINK_FRAME, LINK_TEXT, LINK_DUPLICATE and LINK_MISMATCH. */
link_event_t link_receive(link_t *link, uint8_t byte, link_frame_t *frame);

/* Takes bytes up to the first that completes something, and returns how many; *event is
 * LINK_NOTHING if they were used up without. Call again with the rest. */
size_t link_receive_bytes(link_t *link, const uint8_t *bytes, size_t count, link_event_t *event,
                          link_frame_t *frame);

/* For requests that must not be executed twice: true if the host's last such request had this
 * number, so that this is its repetition, and *code is what it was answered with. Forgotten when
 * the host starts anew. */
bool link_request_repeated(const link_t *link, uint16_t request, uint8_t *code);
void link_request_done(link_t *link, uint16_t request, uint8_t code);

#ifdef __cplusplus
}
#endif
#endif
