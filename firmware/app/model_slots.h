/* The layout of a model image: a header at the start of a slot, and behind it a model linked for that very
 * address. host.model_image writes it.
 *
 * The host writes magic and CRC last, so that a slot that was not written whole has no header. The firmware
 * writes two words, each once and without erasing: `tried` before it starts the model for the first time,
 * `proven` once the model has run a number of inferences. A model that was tried and is not proven has
 * crashed, or hung, or lost power too soon; it is not tried again. */
#ifndef TOKAY_MODEL_SLOTS_H
#define TOKAY_MODEL_SLOTS_H

#include <stdint.h>

#include "model.h"

#define MODEL_MAGIC 0x314D4B54u /* "TKM1" */
#define MODEL_PROOF_INFERENCES 10u
#define MODEL_WORD_BLANK 0xFFFFFFFFu

typedef struct model_header {
    uint32_t magic;
    uint32_t crc;    /* CRC-32 of the image from `layout` to its end */
    uint32_t tried;  /* blank, or anything else once tried */
    uint32_t proven; /* blank, 0 once proven */
    uint32_t layout; /* of all structures and kernel numbers: TOKAY_MODEL_LAYOUT, a hash of the headers */
    uint32_t address; /* that it is linked for, of this header */
    uint32_t bytes;   /* of header and model */
    uint32_t sequence; /* the higher one is the newer model */
    const model_t *model;
} model_header_t;

/* What a firmware that takes model images says of itself, near the start of flash, for the host. */
#define MODEL_TAKER_MAGIC {'T', 'o', 'k', 'a', 'y', 'S', 'w', 'p'}
typedef struct model_taker {
    char magic[8];
    uint32_t layout;           /* as in the header; of one layout are the same kernels, but for: */
    uint32_t optional_kernels; /* those there are of the ones that may be left out (mvp), a bit a kernel number */
    const void *memory_bytes;  /* for arena and audio loop: a linker's number, so not an address */
} model_taker_t;

#endif
