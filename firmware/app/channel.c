/* See channel.h. */
#include "channel.h"

#include "hal.h"

/* Events come by themselves, as many as the line does not carry where a host asks for all; answers must get
 * through all the same, so events leave them room. What answers nobody, request 0, is an event too. */
static size_t kept_free(uint8_t type, const uint8_t *payload) {
    bool asked = type >= MESSAGE_ACK && (payload[0] | payload[1]) != 0;
    return asked ? 0u : LINK_MAX_FRAME;
}

void channel_init(channel_t *channel, uint16_t boot_id) { link_init(&channel->link, boot_id); }

void channel_send(channel_t *channel, uint8_t type, const codec_layout_t *layout, const void *message) {
    size_t bytes = codec_encode(layout, message, channel->payload, sizeof channel->payload);
    size_t count =
        link_encode(&channel->link, type, channel->payload, bytes, channel->frame, sizeof channel->frame);
    if (count == 0) {
        return; /* counted by the link */
    }
    if (hal_uart_space() < count + kept_free(type, channel->payload) || hal_uart_write(channel->frame, count) != count) {
        link_dropped(&channel->link);
    }
}

void channel_acknowledge(channel_t *channel, uint16_t request, uint8_t result, const char *text) {
    message_ack_t ack = {.request = request, .code = result};
    codec_set_text(ack.text, sizeof ack.text, text);
    channel_send(channel, MESSAGE_ACK, &message_layout_ack, &ack);
}
