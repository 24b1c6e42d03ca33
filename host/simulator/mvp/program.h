/* A program as it is walked: the words of its registers, decoded, and where it stands. */
#ifndef TOKAY_MVP_PROGRAM_H
#define TOKAY_MVP_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "alu.h"
#include "mvp.h"

/* Where the parts begin in the words: of one register, four an array, two a loop, three an instruction. */
enum { IMAGE_ALU = 0, IMAGE_ARRAY = 8, IMAGE_LOOP = 28, IMAGE_INSTRUCTION = 44 };
enum { BASE_UINT8 = 0, BASE_INT8 = 1, BASE_BINARY16 = 2 };

typedef struct dimension {
    uint32_t size, index;
    uint32_t stride; /* bytes, two's complement */
} dimension_t;

typedef struct array {
    uint32_t address; /* of the element that the indices select */
    uint32_t bytes;   /* of an element */
    uint32_t base_type;
    bool complex_type;
    dimension_t dimension[MVP_DIMENSIONS];
    mvp_window_t window; /* where the latest access was; bytes 0: nowhere yet */
} array_t;

typedef struct stream {
    bool on;
    uint8_t reg, array, increments; /* increments: bit d for dimension d */
} stream_t;

typedef struct instruction {
    uint32_t operation;
    uint8_t source[3], modifiers[3], destination;
    stream_t load[2], store;
    uint8_t begins, ends; /* a bit per loop */
    bool last;
} instruction_t;

typedef struct loop {
    uint32_t iterations_less_1, count, begin;
    uint32_t increments, resets; /* fields as in the register: a nibble per array from bit 12 */
    bool active;
} loop_t;

typedef struct program {
    uint32_t pc;
    array_t array[MVP_ARRAYS];
    loop_t loop[MVP_LOOPS];
    instruction_t instruction[MVP_INSTRUCTIONS];
    alu_value_t reg[MVP_REGISTERS];
} program_t;

/* Some bits of a register. */
static inline uint32_t field(uint32_t word, unsigned low, unsigned bits)
{
    return (word >> low) & ((1u << bits) - 1u);
}

/* From the program's words and what PROGRAMSTATE, the ARRAYnINDEXSTATE and the LOOPnSTATE hold. */
void program_decode(program_t *program, const uint32_t words[MVP_PROGRAM_WORDS], uint32_t pc,
                    const uint32_t index_state[MVP_ARRAYS], const uint32_t loop_state[MVP_LOOPS]);

/* Writes that state and the ALU's registers back. */
void program_save(const program_t *program, mvp_t *mvp);

#endif
