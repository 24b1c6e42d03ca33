/* table for the Cortex-M33: four values a load and a store. */
#include "../../nn_kernels.h"
#include "m33.h"

static void take_turns(const nn_table_options_t *o, const int8_t *input, int8_t *output)
{
    const int8_t *const first = o->table + 128, *const last = first + 256 * (o->tables - 1), *table = first;
    for (const int8_t *const end = input + o->elements; input != end; input++) {
        *output++ = table[*input];
        table = table == last ? first : table + 256;
    }
}

nn_status_t nn_kernel_table(const nn_call_t *call)
{
    const nn_table_options_t *const o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    if (o->tables > 1) {
        take_turns(o, input, output);
        return NN_OK;
    }
    const uint8_t *const table = (const uint8_t *)o->table;
    const int8_t *const end = input + o->elements;
    for (; end - input >= 4; input += 4, output += 4) {
        const uint32_t places = m33_load(input) ^ 0x80808080u; /* each value + 128 */
        const uint32_t low = table[places & 0xff] | (uint32_t)table[places >> 8 & 0xff] << 8;
        const uint32_t high = table[places >> 16 & 0xff] | (uint32_t)table[places >> 24] << 8;
        m33_store(output, low | high << 16);
    }
    while (input != end) {
        *output++ = o->table[*input++ + 128];
    }
    return NN_OK;
}
