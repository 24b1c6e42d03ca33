/* Framed messages over the board's serial port: a frame is queued whole or counted as dropped. */
#ifndef TOKAY_CHANNEL_H
#define TOKAY_CHANNEL_H

#include "link.h"

typedef struct channel {
    link_t link;
    uint8_t payload[LINK_MAX_PAYLOAD];
    uint8_t frame[LINK_MAX_FRAME];
} channel_t;

void channel_init(channel_t *channel, uint16_t boot_id);

/* Sends a message of messages.h by its layout. An event is dropped where an answer would have no room then. */
void channel_send(channel_t *channel, uint8_t type, const codec_layout_t *layout, const void *message);

/* Answers a request with its result; `text` may be NULL. */
void channel_acknowledge(channel_t *channel, uint16_t request, uint8_t result, const char *text);

#endif
