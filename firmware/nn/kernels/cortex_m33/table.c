/* table for the Cortex-M33: four values of a single table a load and a store. */
#include "../../nn_kernels.h"
#include "m33.h"

nn_status_t nn_kernel_table(const nn_call_t *call)
{
    const nn_table_options_t *const o = call->layer->options;
    const int8_t *input = nn_call_input(call, 0);
    int8_t *output = nn_call_output(call);
    const uint8_t *const first = (const uint8_t *)o->table, *const last = first + 256 * (o->tables - 1);
    const uint8_t *table = first;
    const int8_t *const end = input + o->elements;
    if (first == last) {
        for (; end - input >= 4; input += 4, output += 4) {
            const uint32_t places = m33_load(input) ^ 0x80808080u; /* each value + 128 */
            const uint32_t low = table[places & 0xff] | (uint32_t)table[places >> 8 & 0xff] << 8;
            const uint32_t high = table[places >> 16 & 0xff] | (uint32_t)table[places >> 24] << 8;
            m33_store(output, low | high << 16);
        }
    }
    for (; input != end; input++) { /* what is left, or everything of tables that take turns */
        *output++ = (int8_t)table[*input + 128];
        table = table == last ? first : table + 256;
    }
    return NN_OK;
}
