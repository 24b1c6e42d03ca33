/* Decodes a program's words, and encodes its state again. */
#include "program.h"

#include "half.h"

static void decode_array(array_t *array, const uint32_t words[4], uint32_t index_state)
{
    uint32_t scalar;

    array->base_type = field(words[1], 12, 2);
    array->complex_type = field(words[1], 14, 1) != 0;
    scalar = array->base_type == BASE_BINARY16 ? 2 : 1;
    array->bytes = array->complex_type ? 2 * scalar : scalar;
    array->address = words[0];
    array->window.bytes = 0;
    for (unsigned d = 0; d < MVP_DIMENSIONS; d++) {
        dimension_t *dimension = &array->dimension[d];
        uint32_t stride = field(words[1 + d], 16, 12);
        dimension->size = field(words[1 + d], 0, 10) + 1;
        dimension->stride = (stride - ((stride & 0x800u) << 1)) * array->bytes;
        dimension->index = field(index_state, 10 * d, 10);
        array->address += dimension->index * dimension->stride;
    }
}

static stream_t decode_stream(uint32_t fields)
{
    stream_t stream = {
        .on = field(fields, 3, 1) != 0,
        .reg = (uint8_t)field(fields, 0, 3),
        .array = (uint8_t)field(fields, 4, 3),
        .increments = (uint8_t)field(fields, 7, 3),
    };
    return stream;
}

static void decode_instruction(instruction_t *in, const uint32_t words[3])
{
    for (unsigned k = 0; k < 3; k++) {
        in->source[k] = (uint8_t)field(words[0], 8 * k, 3);
        in->modifiers[k] = (uint8_t)field(words[0], 8 * k + 4, 4);
    }
    in->destination = (uint8_t)field(words[0], 28, 3);
    in->load[0] = decode_stream(words[1]);
    in->load[1] = decode_stream(words[1] >> 10);
    in->store = decode_stream(words[1] >> 20);
    in->begins = in->ends = 0;
    for (unsigned l = 0; l < MVP_LOOPS; l++) {
        in->begins |= (uint8_t)(field(words[2], 2 * l, 1) << l);
        in->ends |= (uint8_t)(field(words[2], 2 * l + 1, 1) << l);
    }
    in->operation = field(words[2], 20, 9);
    in->last = (words[2] >> 31) != 0;
}

void program_decode(program_t *program, const uint32_t words[MVP_PROGRAM_WORDS], uint32_t pc,
                    const uint32_t index_state[MVP_ARRAYS], const uint32_t loop_state[MVP_LOOPS])
{
    program->pc = pc;
    for (unsigned a = 0; a < MVP_ARRAYS; a++)
        decode_array(&program->array[a], &words[IMAGE_ARRAY + 4 * a], index_state[a]);
    for (unsigned l = 0; l < MVP_LOOPS; l++) {
        loop_t *loop = &program->loop[l];
        const uint32_t *two = &words[IMAGE_LOOP + 2 * l];
        loop->iterations_less_1 = field(two[0], 0, 10);
        loop->increments = two[0] & 0x77777000u;
        loop->resets = two[1] & 0x77777000u;
        loop->count = field(loop_state[l], 0, 10);
        loop->active = field(loop_state[l], 12, 1) != 0;
        loop->begin = field(loop_state[l], 16, 3);
    }
    for (unsigned i = 0; i < MVP_INSTRUCTIONS; i++)
        decode_instruction(&program->instruction[i], &words[IMAGE_INSTRUCTION + 3 * i]);
    for (unsigned r = 0; r < MVP_REGISTERS; r++) {
        program->reg[r].real = half_widen(words[IMAGE_ALU + r] & 0xFFFFu);
        program->reg[r].imaginary = half_widen(words[IMAGE_ALU + r] >> 16);
    }
}

void program_save(const program_t *program, mvp_t *mvp)
{
    mvp->program_state = program->pc;
    for (unsigned a = 0; a < MVP_ARRAYS; a++) {
        const dimension_t *d = program->array[a].dimension;
        mvp->array_index[a] = d[0].index | d[1].index << 10 | d[2].index << 20;
    }
    for (unsigned l = 0; l < MVP_LOOPS; l++) {
        const loop_t *loop = &program->loop[l];
        mvp->loop_state[l] = loop->count | (uint32_t)loop->active << 12 | loop->begin << 16;
    }
    for (unsigned r = 0; r < MVP_REGISTERS; r++)
        mvp->program[IMAGE_ALU + r] =
            half_narrow(program->reg[r].real) | half_narrow(program->reg[r].imaginary) << 16;
}
