/* A layer on the accelerator: copies what has to be in RAM, then loads, starts and awaits each of its
 * programs. codegen/mvp/stream.py says how they are stored. */
#include "nn_kernels.h"
#include "nn_mvp.h"

#define IN_CONSTANTS 31

/* Where the addresses of a stream lead. */
typedef struct bases {
    uint32_t arena;
    uint32_t beside; /* what to add besides where the top bit is set: that bit and the way to the constants */
} bases_t;

/* Both aligned to 4 bytes and of whole words. */
static void copy_words(uint32_t *to, const uint32_t *from, uint32_t count)
{
    for (; count >= 8; count -= 8, to += 8, from += 8) {
        const uint32_t a = from[0], b = from[1], c = from[2], d = from[3];
        const uint32_t e = from[4], f = from[5], g = from[6], h = from[7];
        to[0] = a, to[1] = b, to[2] = c, to[3] = d;
        to[4] = e, to[5] = f, to[6] = g, to[7] = h;
    }
    for (; count != 0; count--) *to++ = *from++;
}

/* Loads the program at `stream` and starts it; returns what follows it. `numbers` are the registers
 * that the program before named. */
static const uint32_t *start(volatile uint32_t *words, const uint32_t *stream, const uint8_t **numbers,
                             const bases_t *bases)
{
    const uint32_t head = *stream++;
    if (head >> 24 != 0) {
        *numbers = (const uint8_t *)stream;
        stream += head >> 24;
    }
    const uint8_t *number = *numbers;
    const uint8_t *end = number + (head & 0xFFu);
    for (; number != end; number++) {
        const uint32_t value = *stream++;
        /* The shift spreads the top bit over the word. */
        words[*number] = value + bases->arena + (bases->beside & (uint32_t)((int32_t)value >> IN_CONSTANTS));
    }
    for (end += head >> 8 & 0xFFu; number != end; number++) words[*number] = *stream++;
    words[NN_MVP_COMMAND] = NN_MVP_INIT_START;
    return stream;
}

nn_status_t nn_kernel_mvp(const nn_call_t *call)
{
    const nn_mvp_options_t *o = call->layer->options;
    nn_mvp_t *mvp = call->accelerator;
    uint32_t *copy = nn_call_scratch(call);
    const uint32_t *constants = (const void *)o->constants;
    const uint32_t *stream = o->programs;
    const uint8_t *numbers = NULL;
    bases_t bases = {.arena = mvp->address(mvp, call->arena, call->plan->arena_bytes, 0)};

    if (o->constant_bytes != 0) {
        const uint32_t constant_base = mvp->address(mvp, constants, (uint32_t)o->constant_bytes, 1);
        bases.beside = constant_base - bases.arena - (1u << IN_CONSTANTS);
    }
    if (o->copied_first != 0) copy_words(copy, constants, (uint32_t)o->copied_first / 4);
    stream = start(mvp->words, stream, &numbers, &bases);
    /* The first program seldom needs the weights: they are copied while it runs. */
    if (o->copied_meanwhile != 0) copy_words(copy, constants, (uint32_t)o->copied_meanwhile / 4);
    for (int32_t left = o->program_count; left != 0; left--) {
        const nn_status_t status = mvp->wait(mvp);
        if (status != NN_OK) {
            mvp->fault.layer = (uint32_t)(call->layer - call->plan->layers);
            mvp->fault.program = (uint32_t)(o->program_count - left);
            return status;
        }
        if (left != 1) stream = start(mvp->words, stream, &numbers, &bases);
    }
    return NN_OK;
}
