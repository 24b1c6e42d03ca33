/* A layer on the accelerator: loads, starts and awaits each of its programs. codegen/mvp/stream.py says
 * how they are stored. */
#include "nn_kernels.h"
#include "nn_mvp.h"

#define IN_CONSTANTS 31

/* Where the next program is read from, and where its addresses lead. */
typedef struct reader {
    const uint32_t *stream;
    const uint32_t *numbers; /* the registers that the last list names */
    uint32_t arena;
    uint32_t beside; /* to add besides where the top bit is set: that bit, and the way to the constants */
} reader_t;

/* Loads and starts the next program. */
static inline void start_next(reader_t *r, volatile uint32_t *words)
{
    const uint32_t *stream = r->stream;
    const uint32_t head = *stream++;
    if (head >> 24 != 0) {
        r->numbers = stream;
        stream += head >> 24;
    }
    const uint8_t *number = (const uint8_t *)r->numbers;
    for (uint32_t addresses = head & 0xFFu; addresses != 0; addresses--) {
        const uint32_t value = *stream++;
        /* The shift spreads the top bit over the word. */
        words[*number++] = value + r->arena + (r->beside & (uint32_t)((int32_t)value >> IN_CONSTANTS));
    }
    if ((head & 0xFF00u) != 0) {
        const uint32_t *four = r->numbers + (head >> 16 & 0xFFu);
        const uint32_t *end = stream + (head >> 6 & 0x3FCu);
        for (; stream != end; stream += 4) {
            const uint32_t n = *four++;
            const uint32_t a = stream[0], b = stream[1], c = stream[2], d = stream[3];
            words[n & 0xFFu] = a;
            words[n >> 8 & 0xFFu] = b;
            words[n >> 16 & 0xFFu] = c;
            words[n >> 24] = d;
        }
    }
    words[NN_MVP_COMMAND] = NN_MVP_INIT_START;
    r->stream = stream;
}

nn_status_t nn_kernel_mvp(const nn_call_t *call)
{
    const nn_mvp_options_t *o = call->layer->options;
    nn_mvp_t *mvp = call->accelerator;
    volatile uint32_t *const words = mvp->words;
    reader_t r = {
        .stream = o->programs, .arena = mvp->address(mvp, call->arena, call->plan->arena_bytes, 0)};
    nn_status_t status = NN_OK;
    int32_t done = 0;

    if (o->constant_bytes != 0) {
        const uint32_t constants = mvp->address(mvp, o->constants, (uint32_t)o->constant_bytes, 1);
        r.beside = constants - r.arena - (1u << IN_CONSTANTS);
    }
    for (; done != o->program_count && status == NN_OK; done++) {
        start_next(&r, words);
        status = mvp->wait(mvp);
    }
    if (status != NN_OK) {
        mvp->fault.layer = (uint32_t)(call->layer - call->plan->layers);
        mvp->fault.program = (uint32_t)done - 1;
    }
    return status;
}
