/* The MVP's arithmetic unit: complex registers and the operations on them. */
#ifndef TOKAY_MVP_ALU_H
#define TOKAY_MVP_ALU_H

#include <stdbool.h>

#include "half.h"

typedef struct alu_value {
    float real, imaginary;
} alu_value_t;

enum {
    ALU_NOOP = 0, ALU_CLEAR = 1, ALU_COPY = 65, ALU_SWAP = 66, ALU_DBL = 67, ALU_FANA = 68,
    ALU_FANB = 69, ALU_RELU2 = 70, ALU_NRELU2 = 71, ALU_INC2 = 72, ALU_DEC2 = 73, ALU_ADDR = 74,
    ALU_MAX = 75, ALU_MIN = 76, ALU_RSQR2B = 292, ALU_ADDC = 334, ALU_MAX2A = 339, ALU_MIN2A = 340,
    ALU_XREALC2 = 350, ALU_XIMAGC2 = 351, ALU_ADDR2B = 353, ALU_MAX2B = 354, ALU_MIN2B = 355,
    ALU_MULC = 397, ALU_MULR2A = 407, ALU_MULR2B = 408, ALU_ADDR4 = 410, ALU_MAX4 = 411,
    ALU_MIN4 = 412, ALU_SQRMAGC2 = 413, ALU_PRELU2B = 416, ALU_MACC = 461, ALU_AACC = 462,
    ALU_ELU2A = 463, ALU_ELU2B = 464, ALU_IFR2A = 465, ALU_IFR2B = 466, ALU_MAXAC2 = 467,
    ALU_MINAC2 = 468, ALU_CLIP2A = 469, ALU_CLIP2B = 470, ALU_MACR2A = 471, ALU_MACR2B = 472,
    ALU_IFC = 473,
};

/* Computes `operation` on operands whose modifiers have been applied. Events (half.h) are ORed into
 * *events. False if there is no such operation; NOOP leaves *z alone. */
bool alu_execute(uint32_t operation, alu_value_t x, alu_value_t y, alu_value_t a, alu_value_t *z,
                uint32_t *events);

#endif
